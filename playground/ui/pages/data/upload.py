"""One's own images as a data set: a ZIP with a folder for every class, or classes drawn here."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from playground.charts.images import render_image_grid
from playground.charts.theme import get_theme
from playground.engine.data.custom.decode import Channels
from playground.engine.data.custom.drawn_classes import MIN_DRAWINGS_PER_CLASS, create_images_from_drawings
from playground.engine.data.custom.image_folder import CustomImages, read_image_folder
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.data.rasterize import IMAGE_SIZE, rasterize
from playground.engine.paths import clean_name
from playground.engine.progress import Progress
from playground.errors import DrawingError, PlaygroundError
from playground.ui import html as markup
from playground.ui.canvas import Ink, read_canvas, render_canvas
from playground.ui.progress import show_stop_button
from playground.ui.services import get_visitor_id
from playground.ui.state import CANVAS_SIZE, AppState, get_app_state

_MAX_UPLOAD_MB = 400
_IMAGE_SIZES = (28, 32, 48, 64, 96, 128)
_MAX_CLASSES = 12
_MAX_DRAWINGS_PER_CLASS = 60
_MAX_SHOWN_DRAWINGS = 8


def render_upload_panel() -> None:
    """Upload a ZIP; what was left out of it is said by name."""
    with st.expander("Bring your own images", key="bring", on_change="rerun") as expander:
        if not expander.open:
            return
        markup.render_hint(
            "A ZIP with a folder for every class: cat/1.jpg, dog/1.jpg, … PNG, JPEG, GIF, BMP, WebP, TIFF. Folders "
            "train and test are used as such; else a sixth is kept for the test."
        )
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            size = st.selectbox("Pixels a side", _IMAGE_SIZES, index=3, key="bring-size", width=120)
            colour = st.toggle("Colour", value=True, key="bring-colour")
        file = st.file_uploader("ZIP file", type=["zip"], key="bring-file", max_upload_size=_MAX_UPLOAD_MB)
        if file is not None and st.button("Make a data set of it", key="bring-start", type="primary"):
            name = file.name.removesuffix(".zip")
            channels: Channels = 3 if colour else 1
            made = _create_dataset(
                name,
                lambda on_progress: read_image_folder(
                    file, height=size, width=size, channels=channels, on_progress=on_progress
                ),
            )
            # What was left out, not the images: a session outlives them.
            get_app_state().data.upload_result = (
                made if isinstance(made, PlaygroundError) else (made.skipped_count, made.skipped)
            )
            st.rerun()
        _render_upload_result()


def _create_dataset(
    name: str, read_images: Callable[[Callable[[Progress], object]], CustomImages], *, is_drawn: bool = False
) -> CustomImages | PlaygroundError:
    """Read images and keep them as a data set, which is the page's from now on; or what is wrong with them."""
    try:
        with show_stop_button("bring-stop") as place:
            own = read_images(
                lambda progress: place.progress(
                    progress.fraction, f"{progress.completed:,} of {progress.total:,} images"
                )
            )
            get_app_state().data.dataset_name = save_custom_dataset(
                name, own, is_drawn=is_drawn, owner=get_visitor_id()
            )
    except PlaygroundError as problem:
        return problem
    return own


def _render_upload_result() -> None:
    said = get_app_state().data.upload_result
    if isinstance(said, PlaygroundError):
        markup.render_error(said)
    elif said is not None:
        count, skipped = said
        markup.render_message("Done: it is a data set now." + (f" Files left out: {count:,}." if count else ""))
        markup.render_key_value_table([(one.name, one.reason) for one in skipped])


def render_draw_classes_panel(state: AppState) -> None:
    """Name classes, draw some of each, and make a data set of them."""
    with st.expander("Draw your own classes", key="draw-classes", on_change="rerun") as expander:
        if not expander.open:
            return
        markup.render_hint(
            f"Name a class, draw it, keep it; {MIN_DRAWINGS_PER_CLASS} drawings of each class at least, more are better."
        )
        name = st.text_input("Class", key="drawn-class", max_chars=40, placeholder="star, heart, arrow …")
        got = render_canvas(
            key="class-canvas",
            size=CANVAS_SIZE,
            pen_width=state.drawing.pen_width,
            ink=state.data.class_ink,
            revision=state.data.class_canvas_revision,
        )
        if got is not None:
            state.data.class_ink = got
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Keep",
                key="drawn-keep",
                type="primary",
                on_click=_save_class_drawing,
                args=(name,),
                disabled=not name.strip(),
            )
            st.button("Clear", key="drawn-clear", on_click=_clear_class_canvas)
            st.button(
                "Take back",
                key="drawn-back",
                on_click=_undo_class_drawing,
                args=(clean_name(name),),
                disabled=clean_name(name) not in state.data.class_drawings,
                help="The last drawing of the class above.",
            )
            with st.popover("Forget all", disabled=not state.data.class_drawings, key="drawn-forget"):
                markup.render_hint("All drawings of all classes? What was made of them stays.")
                st.button("Forget them", key="drawn-forget-sure", type="primary", on_click=_discard_class_drawings)
        if state.data.class_error:
            markup.render_error(state.data.class_error)
        _render_class_drawings(state)
        enough = (
            len(state.data.class_drawings) > 1
            and min(map(len, state.data.class_drawings.values())) >= MIN_DRAWINGS_PER_CLASS
        )
        if st.button("Make a data set of them", key="drawn-start", disabled=not enough):
            drawings = {one: list(kept) for one, kept in state.data.class_drawings.items()}
            made = _create_dataset(
                " and ".join(list(drawings)[:3]),
                lambda on_progress: create_images_from_drawings(drawings),
                is_drawn=True,
            )
            state.data.class_error = made if isinstance(made, PlaygroundError) else None
            state.data.drawn_dataset_sizes = (
                None if isinstance(made, PlaygroundError) else (len(made.train), len(made.test or ()))
            )
            st.rerun()
        if state.data.drawn_dataset_sizes:
            train, test = state.data.drawn_dataset_sizes
            markup.render_message(
                f"Done: {train:,} images to train on and {test:,} to test with, each drawing in many copies with other "
                "pens, moved and turned a little. Validation has such copies too; only the test's drawings are new."
            )


def _save_class_drawing(class_name: str) -> None:
    state = get_app_state()
    state.data.class_ink = (
        read_canvas(key="class-canvas", revision=state.data.class_canvas_revision) or state.data.class_ink
    )
    class_name = clean_name(class_name)
    state.data.class_error = state.data.drawn_dataset_sizes = None
    if not state.data.class_ink.strokes or not class_name:
        state.data.class_error = DrawingError("Nothing is drawn yet.", fix="Draw on the canvas, then keep it.")
    elif class_name not in state.data.class_drawings and len(state.data.class_drawings) >= _MAX_CLASSES:
        state.data.class_error = DrawingError(f"There are {_MAX_CLASSES} classes already.", fix="Use one of them.")
    elif len(state.data.class_drawings.get(class_name, ())) >= _MAX_DRAWINGS_PER_CLASS:
        state.data.class_error = DrawingError(f"{class_name} has {_MAX_DRAWINGS_PER_CLASS} drawings: that is enough.")
    else:
        state.data.class_drawings = {
            **state.data.class_drawings,
            class_name: (*state.data.class_drawings.get(class_name, ()), state.data.class_ink.strokes),
        }
        _clear_class_canvas()


def _clear_class_canvas() -> None:
    state = get_app_state()
    state.data.class_ink = Ink()
    state.data.class_canvas_revision += 1


def _undo_class_drawing(class_name: str) -> None:
    state = get_app_state()
    state.data.class_error = state.data.drawn_dataset_sizes = None
    fewer = {one: kept[:-1] if one == class_name else kept for one, kept in state.data.class_drawings.items()}
    state.data.class_drawings = {one: kept for one, kept in fewer.items() if kept}


def _discard_class_drawings() -> None:
    state = get_app_state()
    state.data.class_drawings, state.data.class_error, state.data.drawn_dataset_sizes = {}, None, None


def _render_class_drawings(state: AppState) -> None:
    """What was drawn so far: a row a class."""
    colours = get_theme(st.context.theme.type)
    rows = []
    for name, drawings in state.data.class_drawings.items():
        images = np.zeros((_MAX_SHOWN_DRAWINGS, 1, IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
        for place, strokes in enumerate(drawings[-_MAX_SHOWN_DRAWINGS:]):
            images[place] = rasterize(strokes)
        grid = render_image_grid(
            images, columns=_MAX_SHOWN_DRAWINGS, tile_size=IMAGE_SIZE, gap=2, gap_color=colours.gap_color
        )
        title = f"{name}, {len(drawings)}"
        rows.append((title, grid.png, f"{title} drawings"))
    if rows:
        markup.render_image_table(rows)
