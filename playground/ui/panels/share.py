"""In and out: code, weights, a picture, a report, a link; and back from all that can be read."""

from urllib.parse import urlsplit

import streamlit as st

from playground.code_import.parse_network import parse_network
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.shapes import format_shape
from playground.core.share_link import encode_link
from playground.engine.data.registry import list_datasets, resolve_dataset
from playground.engine.runs.imported_weights import MAX_WEIGHTS_BYTES, import_weights
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.export.targets import EXPORT_TARGETS, ExportSource, render_export
from playground.ui import html as markup
from playground.ui.services import get_visitor_id
from playground.ui.state import AppState, get_app_state

_DEFAULT_TITLE = "A network"


def render_share_popover(state: AppState) -> None:
    """The link, and every other form as a file."""
    popover = st.popover("Share", key="share", on_change="rerun", help="A link, code, weights, a report.")
    if not popover.open:
        return
    run = state.training.find_run()
    own = (
        run is not None
        and run.record.architecture.digest == state.editor.architecture.digest
        and bool(run.list_snapshot_steps())
    )
    with popover:
        if state.editor.architecture.layers:
            markup.render_hint("This link opens the app with this network, recipe and seed:")
            st.code(
                _make_share_url(encode_link(state.editor.architecture, state.editor.recipe)),
                language=None,
                wrap_lines=True,
            )
        preset = ARCHITECTURE_PRESETS.get(state.editor.preset_name or "")
        title = (
            preset.title
            if preset and preset.architecture.digest == state.editor.architecture.digest
            else _DEFAULT_TITLE
        )
        exported = (
            ExportSource.from_run(run)
            if own and run
            else ExportSource(state.editor.architecture, state.editor.recipe, title)
        )
        render_export_buttons(exported, key="share")
        if not own:
            which = f", which {run.record.name} did not train" if run and run.list_snapshot_steps() else ""
            markup.render_hint(
                f"This is the network on the page{which}. Weights, ONNX and the report are a trained run's: train it, "
                "or export a run on the Runs page."
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
        markup.render_error(next(error for error in errors if str(error) == message))


def _render_prepared_file(
    requested: str | None, source: ExportSource, errors: list[PlaygroundError], *, run_id: str, key: str
) -> None:
    """Prepare the requested file, and offer the last one that was prepared for this run."""
    slot = f"{key}-prepared"
    if requested is not None:
        with st.spinner(f"Preparing {EXPORT_TARGETS[requested].title} …"):
            content = _render_or_collect_error(requested, source, errors)
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


def _make_share_url(link: str) -> str:
    parts = urlsplit(st.context.url or "http://localhost:8501")
    return f"{parts.scheme}://{parts.netloc}/?net={link}"


def render_import_popover(state: AppState) -> None:
    """Paste a link, JSON or code; or bring weights for the network on the page."""
    popover = st.popover(
        "Import", key="import", on_change="rerun", help="A link, JSON, PyTorch or Keras code, weights."
    )
    if not popover.open:
        return
    with popover:
        st.text_area(
            "A link, JSON, or PyTorch or Keras code",
            key="import-text",
            height=120,
            placeholder="model = keras.Sequential([ … ])",
            help="It is read, never executed. Undo brings your network back.",
        )
        st.button("Read it", key="import-read", type="primary", on_click=_import_pasted_text)
        said = state.editor.import_result
        if isinstance(said, PlaygroundError):
            markup.render_error(said)
        elif said is not None:
            for remark in said:
                markup.render_hint(remark)
        st.file_uploader(
            "Or a file: JSON, Python, or safetensors weights for the network above",
            type=["json", "py", "txt", "safetensors"],
            key="import-file",
            on_change=_import_file,
            max_upload_size=MAX_WEIGHTS_BYTES // 10**6,
        )


def _import_pasted_text() -> None:
    _import_text(str(st.session_state["import-text"]))


def _import_file() -> None:
    file = st.session_state["import-file"]
    if file is None:
        return
    content = file.getvalue()
    if file.name.endswith(".safetensors"):
        _import_weights_file(file.name.removesuffix(".safetensors"), content)
    else:
        _import_text(content.decode("utf-8", errors="replace"))


def _import_text(text: str) -> None:
    state = get_app_state()
    try:
        found = parse_network(
            text, input_shape=state.editor.architecture.input, classes=state.editor.architecture.classes
        )
        state.set_architecture(found.architecture, found.recipe)
        count = len(found.architecture.layers)
        state.editor.import_result = (f"Read: {count} layers.", *found.notes, *_find_dataset_mismatches(state))
    except PlaygroundError as problem:
        state.editor.import_result = problem


def _find_dataset_mismatches(state: AppState) -> list[str]:
    """What the network that was read has not in common with the images that it would be trained on."""
    net, data = state.editor.architecture, resolve_dataset(state.editor.recipe, state.editor.architecture)
    found = []
    if net.classes != len(data.class_names):
        found.append(f"It tells {net.classes} classes apart, {data.title} has {len(data.class_names)}.")
    if net.input.shape != data.input_shape:
        found.append(f"It takes {format_shape(net.input.shape)} images: those of {data.title} are resized to that.")
    fitting = [
        other.title
        for other in list_datasets().values()
        if other.input_shape == net.input.shape and len(other.class_names) == net.classes
    ]
    if found and fitting:
        found.append(f"Made for such a network: {', '.join(fitting)}.")
    return found


def _import_weights_file(name: str, content: bytes) -> None:
    state = get_app_state()
    try:
        run: Run = import_weights(
            content, state.editor.architecture, state.editor.recipe, name=name, owner=get_visitor_id()
        )
        state.attach(run)
        state.editor.import_result = ("These weights are a run of their own now: the drawing is read by them.",)
    except PlaygroundError as problem:
        state.editor.import_result = problem
