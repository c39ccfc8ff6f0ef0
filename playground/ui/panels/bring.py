"""One's own images as a data set: a ZIP with a folder for every class, or classes drawn here."""

from collections.abc import Callable
from functools import partial
from io import BytesIO

import streamlit as st

from playground.engine.drawn_classes import MIN_DRAWINGS, drawn_images
from playground.engine.own_datasets import save_own_dataset
from playground.engine.own_images import OwnImages, read_own_images
from playground.engine.own_pictures import Channels
from playground.engine.store import clean_name
from playground.errors import DrawingError, PlaygroundError
from playground.ui import markup
from playground.ui.canvas import Ink, canvas, drawn
from playground.ui.progress import stoppable
from playground.ui.state import CANVAS_SIZE, AppState, app_state

_MOST_MB = 400
_SIZES = (28, 32, 48, 64, 96, 128)
_MOST_CLASSES = 12
_MOST_DRAWINGS = 60


def bring_panel() -> None:
    """Upload a ZIP; what was left out of it is said by name."""
    with st.expander("Bring your own images", key="bring", on_change="rerun") as expander:
        if not expander.open:
            return
        markup.hint(
            "A ZIP with a folder for every class: cat/1.jpg, dog/1.jpg, … PNG, JPEG, GIF, BMP, WebP, TIFF. Folders "
            "train and test are used as such; else a sixth is kept for the test."
        )
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            size = st.selectbox("Pixels a side", _SIZES, index=3, key="bring-size", width=120)
            colour = st.toggle("Colour", value=True, key="bring-colour")
        file = st.file_uploader("ZIP file", type=["zip"], key="bring-file", max_upload_size=_MOST_MB)
        if file is not None and st.button("Make a data set of it", key="bring-start", type="primary"):
            content = BytesIO(file.getvalue())
            name = file.name.removesuffix(".zip")
            channels: Channels = 3 if colour else 1
            _save(name, partial(read_own_images, content, height=size, width=size, channels=channels))
        _said()


def _save(name: str, read: Callable[..., OwnImages], *, are_drawn: bool = False) -> None:
    """Read images, keep them as a data set, and say what came of it on the page as it is drawn anew."""
    state = app_state()
    try:
        with stoppable("bring-stop") as place:
            own = read(progress=lambda done, total: place.progress(done / total, f"{done:,} of {total:,} pictures"))
            state.data_name = save_own_dataset(name, own, drawn=are_drawn)
    except PlaygroundError as problem:
        state.bring_said = problem
    else:
        state.bring_said = (own.skipped_count, own.skipped)  # not the images: a session outlives them
    st.rerun()


def _said() -> None:
    said = app_state().bring_said
    if isinstance(said, PlaygroundError):
        markup.problem(said)
    elif said is not None:
        count, skipped = said
        markup.line("Done: it is a data set now." + (f" Files left out: {count:,}." if count else ""))
        markup.table([(one.name, one.reason) for one in skipped])


def draw_classes_panel(state: AppState) -> None:
    """Name classes, draw some of each, and make a data set of them."""
    with st.expander("Draw your own classes", key="draw-classes", on_change="rerun") as expander:
        if not expander.open:
            return
        markup.hint(f"Name a class, draw it, keep it; {MIN_DRAWINGS} drawings of each class at least, more are better.")
        name = st.text_input("Class", key="drawn-class", max_chars=40, placeholder="star, heart, arrow …")
        got = canvas(
            key="class-canvas",
            size=CANVAS_SIZE,
            pen_width=state.pen_width,
            ink=state.class_ink,
            revision=state.class_revision,
        )
        if got is not None:
            state.class_ink = got
        with st.container(horizontal=True, gap="small"):
            st.button("Keep", key="drawn-keep", type="primary", on_click=_keep, args=(name,), disabled=not name.strip())
            st.button("Clear", key="drawn-clear", on_click=_fresh)
            st.button("Forget all", key="drawn-forget", on_click=_forget, disabled=not state.classes)
        if state.class_error:
            markup.problem(state.class_error)
        markup.table([(one, f"{len(kept)} drawings") for one, kept in state.classes.items()])
        enough = len(state.classes) > 1 and min(map(len, state.classes.values())) >= MIN_DRAWINGS
        if st.button("Make a data set of them", key="drawn-start", disabled=not enough):
            drawings = {one: list(kept) for one, kept in state.classes.items()}
            _save(" and ".join(list(drawings)[:3]), lambda progress: drawn_images(drawings), are_drawn=True)


def _keep(name: str) -> None:
    state = app_state()
    state.class_ink = drawn(key="class-canvas", revision=state.class_revision) or state.class_ink
    name = clean_name(name)
    state.class_error = None
    if not state.class_ink.strokes or not name:
        state.class_error = DrawingError("Nothing is drawn yet.", fix="Draw on the canvas, then keep it.")
    elif name not in state.classes and len(state.classes) >= _MOST_CLASSES:
        state.class_error = DrawingError(f"There are {_MOST_CLASSES} classes already.", fix="Use one of them.")
    elif len(state.classes.get(name, ())) >= _MOST_DRAWINGS:
        state.class_error = DrawingError(f"{name} has {_MOST_DRAWINGS} drawings: that is enough.")
    else:
        state.classes = {**state.classes, name: (*state.classes.get(name, ()), state.class_ink.strokes)}
        _fresh()


def _fresh() -> None:
    state = app_state()
    state.class_ink = Ink()
    state.class_revision += 1


def _forget() -> None:
    app_state().classes = {}
