"""In and out: code, weights, a picture, a report, a link; and back from all that can be read."""

from functools import partial
from urllib.parse import urlsplit

import streamlit as st

from playground.code_import.parse_network import read_text
from playground.core.presets import ARCHITECTURES
from playground.core.shapes import shape_text
from playground.core.share_link import to_link
from playground.engine.data.registry import all_datasets, dataset_for
from playground.engine.runs.imported_weights import MAX_BYTES, import_weights
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.export.targets import EXPORTS, Exported, written
from playground.ui import html as markup
from playground.ui.services import visitor
from playground.ui.state import AppState, app_state

_TITLE = "A network"


def share_popover(state: AppState) -> None:
    """The link, and every other form as a file."""
    popover = st.popover("Share", key="share", on_change="rerun", help="A link, code, weights, a report.")
    if not popover.open:
        return
    run = state.run
    own = run is not None and run.record.architecture.digest == state.architecture.digest and bool(run.snapshots())
    with popover:
        if state.architecture.layers:
            markup.hint("This link opens the app with this network, recipe and seed:")
            st.code(_address(to_link(state.architecture, state.recipe)), language=None, wrap_lines=True)
        preset = ARCHITECTURES.get(state.preset or "")
        title = preset.title if preset and preset.architecture.digest == state.architecture.digest else _TITLE
        exported = Exported.of(run) if own and run else Exported(state.architecture, state.recipe, title)
        export_buttons(exported, key="share")
        if not own:
            which = f", which {run.record.name} did not train" if run and run.snapshots() else ""
            markup.hint(
                f"This is the network on the page{which}. Weights, ONNX and the report are a trained run's: train it, "
                "or export a run on the Runs page."
            )


def export_buttons(exported: Exported, *, key: str) -> None:
    """A button a form; the file is made when it is wanted."""
    with st.container(horizontal=True, gap="small", key=f"{key}-files"):
        for name, export in EXPORTS.items():
            if name == "link" or (export.needs_run and exported.run is None):
                continue
            st.download_button(
                export.title,
                partial(_content, name, exported),
                export.file_name(exported),
                key=f"{key}-{name}",
                help=export.words,
                on_click="ignore",
            )


def _content(name: str, exported: Exported) -> bytes:
    """What is wrong stands in the file, since it is made after the page was drawn."""
    try:
        return written(name, exported)
    except PlaygroundError as problem:
        return f"{problem.what}\n{problem.expected}\n{problem.fix}\n".encode()


def _address(link: str) -> str:
    parts = urlsplit(st.context.url or "http://localhost:8501")
    return f"{parts.scheme}://{parts.netloc}/?net={link}"


def import_popover(state: AppState) -> None:
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
        st.button("Read it", key="import-read", type="primary", on_click=_read)
        said = state.exchange_said
        if isinstance(said, PlaygroundError):
            markup.problem(said)
        elif said is not None:
            for remark in said:
                markup.hint(remark)
        st.file_uploader(
            "Or a file: JSON, Python, or safetensors weights for the network above",
            type=["json", "py", "txt", "safetensors"],
            key="import-file",
            on_change=_take_file,
            max_upload_size=MAX_BYTES // 10**6,
        )


def _read() -> None:
    _take_text(str(st.session_state["import-text"]))


def _take_file() -> None:
    file = st.session_state["import-file"]
    if file is None:
        return
    content = file.getvalue()
    if file.name.endswith(".safetensors"):
        _take_weights(file.name.removesuffix(".safetensors"), content)
    else:
        _take_text(content.decode("utf-8", errors="replace"))


def _take_text(text: str) -> None:
    state = app_state()
    try:
        found = read_text(text, input_shape=state.architecture.input, classes=state.architecture.classes)
        state.edit(found.architecture, found.recipe)
        count = len(found.architecture.layers)
        state.exchange_said = (f"Read: {count} layers.", *found.remarks, *_misfits(state))
    except PlaygroundError as problem:
        state.exchange_said = problem


def _misfits(state: AppState) -> list[str]:
    """What the network that was read has not in common with the images that it would be trained on."""
    net, data = state.architecture, dataset_for(state.recipe, state.architecture)
    found = []
    if net.classes != len(data.class_names):
        found.append(f"It tells {net.classes} classes apart, {data.title} has {len(data.class_names)}.")
    if net.input.shape != data.input_shape:
        found.append(f"It takes {shape_text(net.input.shape)} images: those of {data.title} are resized to that.")
    fitting = [
        other.title
        for other in all_datasets().values()
        if other.input_shape == net.input.shape and len(other.class_names) == net.classes
    ]
    if found and fitting:
        found.append(f"Made for such a network: {', '.join(fitting)}.")
    return found


def _take_weights(name: str, content: bytes) -> None:
    state = app_state()
    try:
        run: Run = import_weights(content, state.architecture, state.recipe, name=name, owner=visitor())
        state.attach(run)
        state.exchange_said = ("These weights are a run of their own now: the drawing is read by them.",)
    except PlaygroundError as problem:
        state.exchange_said = problem
