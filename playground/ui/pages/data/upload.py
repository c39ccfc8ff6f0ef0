"""One's own images as a data set: a ZIP with a folder for every class, or classes drawn here."""

from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from playground.charts.images import image_grid
from playground.charts.theme import theme
from playground.engine.data.custom.decode import Channels
from playground.engine.data.custom.drawn_classes import MIN_DRAWINGS, drawn_images
from playground.engine.data.custom.image_folder import OwnImages, read_own_images
from playground.engine.data.custom.store import save_own_dataset
from playground.engine.data.rasterize import SIZE, fit_strokes
from playground.engine.paths import clean_name
from playground.errors import DrawingError, PlaygroundError
from playground.ui import html as markup
from playground.ui.canvas import Ink, canvas, drawn
from playground.ui.progress import stoppable
from playground.ui.services import visitor
from playground.ui.state import CANVAS_SIZE, AppState, app_state

_MOST_MB = 400
_SIZES = (28, 32, 48, 64, 96, 128)
_MOST_CLASSES = 12
_MOST_DRAWINGS = 60
_SHOWN_DRAWINGS = 8


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
            name = file.name.removesuffix(".zip")
            channels: Channels = 3 if colour else 1
            made = _save(name, partial(read_own_images, file, height=size, width=size, channels=channels))
            # What was left out, not the images: a session outlives them.
            app_state().bring_said = made if isinstance(made, PlaygroundError) else (made.skipped_count, made.skipped)
            st.rerun()
        _said()


def _save(name: str, read: Callable[..., OwnImages], *, are_drawn: bool = False) -> OwnImages | PlaygroundError:
    """Read images and keep them as a data set, which is the page's from now on; or what is wrong with them."""
    try:
        with stoppable("bring-stop") as place:
            own = read(progress=lambda done, total: place.progress(done / total, f"{done:,} of {total:,} pictures"))
            app_state().data_name = save_own_dataset(name, own, drawn=are_drawn, owner=visitor())
    except PlaygroundError as problem:
        return problem
    return own


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
            st.button(
                "Take back",
                key="drawn-back",
                on_click=_take_back,
                args=(clean_name(name),),
                disabled=clean_name(name) not in state.classes,
                help="The last drawing of the class above.",
            )
            with st.popover("Forget all", disabled=not state.classes, key="drawn-forget"):
                markup.hint("All drawings of all classes? What was made of them stays.")
                st.button("Forget them", key="drawn-forget-sure", type="primary", on_click=_forget)
        if state.class_error:
            markup.problem(state.class_error)
        _kept(state)
        enough = len(state.classes) > 1 and min(map(len, state.classes.values())) >= MIN_DRAWINGS
        if st.button("Make a data set of them", key="drawn-start", disabled=not enough):
            drawings = {one: list(kept) for one, kept in state.classes.items()}
            made = _save(" and ".join(list(drawings)[:3]), lambda progress: drawn_images(drawings), are_drawn=True)
            state.class_error = made if isinstance(made, PlaygroundError) else None
            state.drawn_said = None if isinstance(made, PlaygroundError) else (len(made.images), len(made.test or ()))
            st.rerun()
        if state.drawn_said:
            train, test = state.drawn_said
            markup.line(
                f"Done: {train:,} images to train on and {test:,} to test with, each drawing in many copies with other "
                "pens, moved and turned a little. Validation has such copies too; only the test's drawings are new."
            )


def _keep(name: str) -> None:
    state = app_state()
    state.class_ink = drawn(key="class-canvas", revision=state.class_revision) or state.class_ink
    name = clean_name(name)
    state.class_error = state.drawn_said = None
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


def _take_back(name: str) -> None:
    state = app_state()
    state.class_error = state.drawn_said = None
    fewer = {one: kept[:-1] if one == name else kept for one, kept in state.classes.items()}
    state.classes = {one: kept for one, kept in fewer.items() if kept}


def _forget() -> None:
    state = app_state()
    state.classes, state.class_error, state.drawn_said = {}, None, None


def _kept(state: AppState) -> None:
    """What was drawn so far: a row a class."""
    colours = theme(st.context.theme.type)
    rows = []
    for name, drawings in state.classes.items():
        images = np.zeros((_SHOWN_DRAWINGS, 1, SIZE, SIZE), dtype=np.float32)
        for place, strokes in enumerate(drawings[-_SHOWN_DRAWINGS:]):
            images[place] = fit_strokes(strokes)
        grid = image_grid(images, columns=_SHOWN_DRAWINGS, tile_size=SIZE, gap=2, gap_colour=colours.gap)
        title = f"{name}, {len(drawings)}"
        rows.append((title, grid.png, f"{title} drawings"))
    if rows:
        markup.picture_rows(rows)
