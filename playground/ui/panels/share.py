"""Share and Import popovers: links, code, weights, diagrams and reports."""

from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import streamlit as st

from playground.code_import.parse_network import ParsedNetwork, parse_network, parse_network_file
from playground.code_import.sources.model_file import SUFFIXES
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.shapes import format_shape
from playground.core.share_link import QUERY_PARAMETER, encode_link
from playground.engine.data.dataset_lookup import list_datasets, resolve_dataset
from playground.engine.runs.imported_weights import MAX_WEIGHTS_BYTES, import_published_network, import_weights
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.export.targets import EXPORT_TARGETS, ExportSource, render_export
from playground.ui import html
from playground.ui.actions import is_active
from playground.ui.page_states import ImportResult
from playground.ui.panels.publish import render_publish_panel
from playground.ui.progress import compute_in_turn
from playground.ui.services import get_visitor_id
from playground.ui.state import AppState, get_app_state
from playground.web.page_file import PAGE_SUFFIXES, is_published_page, read_published_page

_DEFAULT_TITLE = "A network"
_DEFAULT_URL = "http://localhost:8501"


def render_share_popover(state: AppState) -> None:
    """Render the Share popover: a link and the export buttons."""
    popover = st.popover("Share", key="share", on_change="rerun", help="Link, code, weights, report or web page.")
    if not popover.open:
        return
    run = state.training.find_run()
    is_trained = (
        run is not None
        and run.record.architecture.digest == state.editor.architecture.digest
        and bool(run.list_snapshot_steps())
    )
    with popover:
        if state.editor.architecture.layers:
            html.render_hint("This link opens the app with this network, its settings and seed:")
            st.code(
                make_share_url(
                    st.context.url or _DEFAULT_URL, encode_link(state.editor.architecture, state.editor.recipe)
                ),
                language=None,
                wrap_lines=True,
            )
        preset = ARCHITECTURE_PRESETS.get(state.editor.preset_name or "")
        title = (
            preset.title
            if preset and preset.architecture.digest == state.editor.architecture.digest
            else _DEFAULT_TITLE
        )
        source = (
            ExportSource.from_run(run)
            if is_trained and run
            else ExportSource(state.editor.architecture, state.editor.recipe, title)
        )
        render_export_buttons(source, key="share")
        if is_trained and run:
            render_publish_panel(run, key="share")
        else:
            other_run = f"; {run.record.name} trained another one" if run and run.list_snapshot_steps() else ""
            html.render_hint(
                f"These files describe the network on the page{other_run}. Weights, ONNX, the report and a web page "
                "need a trained run: train this network, or export a run on the Runs page."
            )


def render_export_buttons(source: ExportSource, *, key: str) -> None:
    """Render a button for every export target.

    Text is rendered at once and offered for download. Targets that need weights can take seconds: a click prepares the
    file, then its download is offered. An error is shown below the buttons.
    """
    errors: list[PlaygroundError] = []
    requested: str | None = None
    with st.container(horizontal=True, gap="small", key=f"{key}-files"):
        for name, target in EXPORT_TARGETS.items():
            if name == "link" or (target.needs_weights and source.run is None):
                continue
            if target.needs_weights:
                if st.button(target.title, key=f"{key}-{name}", help=target.help):
                    requested = name
                continue
            content = _render_or_collect_error(name, source, errors)
            st.download_button(
                target.title,
                content or b"",
                target.build_file_name(source),
                target.media_type,
                key=f"{key}-{name}",
                help=target.help,
                on_click="ignore",
                disabled=content is None,
            )
    if source.run is not None:
        _render_prepared_file(requested, source, errors, run_id=source.run.id, key=key)
    for message in dict.fromkeys(map(str, errors)):
        html.render_error(next(error for error in errors if str(error) == message))


def _render_prepared_file(
    requested: str | None, source: ExportSource, errors: list[PlaygroundError], *, run_id: str, key: str
) -> None:
    """Prepare the requested file, and offer the last one that was prepared for this run."""
    slot = f"{key}-prepared"
    if requested is not None:
        with st.spinner(f"Preparing {EXPORT_TARGETS[requested].title} …"):
            content = compute_in_turn(partial(_render_or_collect_error, requested, source, errors))
        st.session_state[slot] = None if content is None else (run_id, requested, content)
    prepared_run_id, name, content = st.session_state.get(slot) or ("", "", b"")
    if prepared_run_id != run_id:
        st.session_state.pop(slot, None)
        return
    target = EXPORT_TARGETS[name]
    file_name = target.build_file_name(source)
    st.download_button(
        f"Download {file_name}",
        content,
        file_name,
        target.media_type,
        key=f"{key}-download",
        type="primary",
        on_click="ignore",
    )


def _render_or_collect_error(name: str, source: ExportSource, errors: list[PlaygroundError]) -> bytes | None:
    try:
        return render_export(name, source)
    except PlaygroundError as error:
        errors.append(error)
        return None


def make_share_url(app_url: str, link: str) -> str:
    """Return the address of the app, below the path of a proxy if there is one, with the link."""
    parts = urlsplit(app_url)
    path = f"{parts.path.rstrip('/')}/"
    return parts._replace(path=path, query=f"{QUERY_PARAMETER}={link}", fragment="").geturl()


def render_import_popover(state: AppState) -> None:
    """Render the Import popover: a link, JSON, code, or weights for the network on the page."""
    popover = st.popover(
        "Import", key="import", on_change="rerun", help="Link, code, notebook, JSON, .keras file, web page or weights."
    )
    if not popover.open:
        return
    with popover:
        text = st.text_area(
            "Link, code, notebook or JSON",
            key="import-text",
            height=120,
            placeholder="model = keras.Sequential([ … ])",
            help="PyTorch or Keras code is parsed, never executed. Undo restores your network.",
        )
        st.button("Import", key="import-read", type="primary", on_click=_import_pasted_text)
        _render_import_result(state, text)
        file = st.file_uploader(
            "File with the network, or safetensors weights for the network on the page",
            type=[*SUFFIXES, *PAGE_SUFFIXES, "safetensors"],
            key="import-file",
            on_change=_import_file,
            max_upload_size=MAX_WEIGHTS_BYTES // 10**6,
            help="Python, notebook, Markdown, JSON, .keras, or a published web page, which brings its weights.",
        )
        _render_import_result(state, file.file_id if file else None)


def _render_import_result(state: AppState, source: str | None) -> None:
    """Render the result of this text or file; that of an earlier one is no longer shown."""
    result = state.editor.import_result
    if result is None or result.source != source:
        return
    if result.error:
        html.render_error(result.error)
    for note in result.notes:
        html.render_hint(note)


def _import_pasted_text() -> None:
    text = str(st.session_state["import-text"])
    _import_network(text, partial(parse_network, text))


def _import_file() -> None:
    file = st.session_state["import-file"]
    if file is None:
        return
    content = file.getvalue()
    if file.name.endswith(".safetensors"):
        _import_weights_file(file.file_id, file.name.removesuffix(".safetensors"), content)
    elif is_published_page(content):
        _import_page_file(file.file_id, file.name, content)
    else:
        _import_network(file.file_id, partial(parse_network_file, file.name, content))


def _import_network(source: str, parse: Callable[..., ParsedNetwork]) -> None:
    state = get_app_state()
    try:
        imported = parse(input_shape=state.editor.architecture.input, classes=state.editor.architecture.classes)
        is_training = is_active(state.training.find_run())  # its controls change the run, so they keep its settings
        state.set_architecture(imported.architecture, None if is_training else imported.recipe)
        notes = [f"Imported {len(imported.architecture.layers)} layers.", *imported.notes]
        if is_training and imported.recipe:
            notes.append("Its settings were not taken, since a run is training.")
        state.editor.import_result = ImportResult(source, (*notes, *_find_dataset_mismatches(state)))
    except PlaygroundError as error:
        state.editor.import_result = ImportResult(source, error=error)


def _find_dataset_mismatches(state: AppState) -> list[str]:
    """Describe how the imported network differs from the dataset in use, and name datasets that match."""
    architecture, dataset = state.editor.architecture, resolve_dataset(state.editor.recipe, state.editor.architecture)
    mismatches = []
    if architecture.classes != len(dataset.class_names):
        mismatches.append(
            f'It has {architecture.classes} outputs; "{dataset.title}" has {len(dataset.class_names)} classes.'
        )
    if architecture.input.shape != dataset.input_shape:
        mismatches.append(
            f"Its input is {format_shape(architecture.input.shape)}; images of {dataset.title} are resized to that."
        )
    matching = [
        other.title
        for other in list_datasets().values()
        if other.input_shape == architecture.input.shape and len(other.class_names) == architecture.classes
    ]
    if mismatches and matching:
        mismatches.append(f"Matching datasets: {', '.join(matching)}.")
    return mismatches


def _import_weights_file(source: str, name: str, content: bytes) -> None:
    state = get_app_state()
    try:
        run: Run = import_weights(
            content, state.editor.architecture, state.editor.recipe, name=name, owner=get_visitor_id()
        )
        state.attach(run)
        notes = ("Created a run from these weights. It classifies your drawing now.",)
        state.editor.import_result = ImportResult(source, notes)
    except PlaygroundError as error:
        state.editor.import_result = ImportResult(source, error=error)


def _import_page_file(source: str, file_name: str, content: bytes) -> None:
    """Create a run from a published page and show it with its network and settings."""
    state = get_app_state()
    try:
        run = import_published_network(read_published_page(file_name, content), owner=get_visitor_id())
        state.attach(run)
        notes = [f"Created the run {run.record.name} from the page. It classifies your drawing now."]
        if run.get_dataset().is_missing:
            notes.append("The images of its dataset are not here, so it can be neither trained nor evaluated.")
        state.editor.import_result = ImportResult(source, tuple(notes))
    except PlaygroundError as error:
        state.editor.import_result = ImportResult(source, error=error)
