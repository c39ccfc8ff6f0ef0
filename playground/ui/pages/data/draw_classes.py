"""Drawing of classes that become a dataset."""

import numpy as np
import streamlit as st

from playground.charts.images import render_image_grid
from playground.charts.theme import get_theme
from playground.engine.data.custom.drawn_classes import MIN_DRAWINGS_PER_CLASS, create_images_from_drawings
from playground.engine.data.rasterize import IMAGE_SIZE, rasterize
from playground.engine.paths import clean_name
from playground.errors import DrawingError, PlaygroundError
from playground.ui import html
from playground.ui.canvas import CanvasInk, read_canvas, render_canvas
from playground.ui.pages.data.create_dataset import create_dataset
from playground.ui.state import CANVAS_SIZE, AppState, get_app_state

_MAX_CLASSES = 12
_MAX_DRAWINGS_PER_CLASS = 60
_MAX_SHOWN_DRAWINGS = 8


def render_draw_classes_panel(state: AppState) -> None:
    """Render the form that creates a dataset from drawings of named classes."""
    with st.expander("Draw classes", key="draw-classes", on_change="rerun") as expander:
        if not expander.open:
            return
        html.render_hint(
            f"Name a class, draw it and add the drawing. Each class needs at least {MIN_DRAWINGS_PER_CLASS} drawings."
        )
        name = st.text_input("Class", key="drawn-class", max_chars=40, placeholder="star, heart, arrow …")
        ink = render_canvas(
            key="class-canvas",
            size=CANVAS_SIZE,
            pen_width=state.drawing.pen_width,
            ink=state.data.class_ink,
            revision=state.data.class_canvas_revision,
        )
        if ink is not None:
            state.data.class_ink = ink
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Add drawing",
                key="drawn-keep",
                type="primary",
                on_click=_save_class_drawing,
                args=(name,),
                disabled=not name.strip(),
            )
            st.button("Clear", key="drawn-clear", on_click=_clear_class_canvas)
            st.button(
                "Undo",
                key="drawn-back",
                on_click=_undo_class_drawing,
                args=(clean_name(name),),
                disabled=clean_name(name) not in state.data.class_drawings,
                help="Remove the last drawing of this class.",
            )
            with st.popover("Discard drawings", disabled=not state.data.class_drawings, key="drawn-forget"):
                html.render_hint("Discard the drawings of all classes? Datasets made from them are kept.")
                st.button("Discard all", key="drawn-forget-sure", type="primary", on_click=_discard_class_drawings)
        if state.data.class_error:
            html.render_error(state.data.class_error)
        _render_class_drawings(state)
        has_enough_drawings = (
            len(state.data.class_drawings) > 1
            and min(map(len, state.data.class_drawings.values())) >= MIN_DRAWINGS_PER_CLASS
        )
        if st.button("Create dataset", key="drawn-start", disabled=not has_enough_drawings):
            drawings = {class_name: list(kept) for class_name, kept in state.data.class_drawings.items()}
            result = create_dataset(
                " and ".join(list(drawings)[:3]),
                lambda on_progress: create_images_from_drawings(drawings),
                is_drawn=True,
            )
            state.data.class_error = result if isinstance(result, PlaygroundError) else None
            state.data.drawn_dataset_sizes = (
                None if isinstance(result, PlaygroundError) else (len(result.train), len(result.test or ()))
            )
            st.rerun()
        if state.data.drawn_dataset_sizes:
            train, test = state.data.drawn_dataset_sizes
            html.render_message(
                f"Your dataset is ready: {train:,} training and {test:,} test images. Each drawing gives many copies "
                "with varied pen widths, shifts and rotations. Only the test images come from separate drawings."
            )


def _save_class_drawing(class_name: str) -> None:
    state = get_app_state()
    state.data.class_ink = (
        read_canvas(key="class-canvas", revision=state.data.class_canvas_revision) or state.data.class_ink
    )
    class_name = clean_name(class_name)
    state.data.class_error = state.data.drawn_dataset_sizes = None
    if not state.data.class_ink.strokes or not class_name:
        state.data.class_error = DrawingError("The canvas is empty.", fix="Draw the class, then add the drawing.")
    elif class_name not in state.data.class_drawings and len(state.data.class_drawings) >= _MAX_CLASSES:
        state.data.class_error = DrawingError(
            f"The dataset already has {_MAX_CLASSES} classes, the maximum.", fix="Add the drawing to one of them."
        )
    elif len(state.data.class_drawings.get(class_name, ())) >= _MAX_DRAWINGS_PER_CLASS:
        state.data.class_error = DrawingError(
            f"{class_name} already has {_MAX_DRAWINGS_PER_CLASS} drawings, the maximum.", fix="Draw another class."
        )
    else:
        state.data.class_drawings = {
            **state.data.class_drawings,
            class_name: (*state.data.class_drawings.get(class_name, ()), state.data.class_ink.strokes),
        }
        _clear_class_canvas()


def _clear_class_canvas() -> None:
    state = get_app_state()
    state.data.class_ink = CanvasInk()
    state.data.class_canvas_revision += 1


def _undo_class_drawing(class_name: str) -> None:
    state = get_app_state()
    state.data.class_error = state.data.drawn_dataset_sizes = None
    remaining = {
        name: drawings[:-1] if name == class_name else drawings for name, drawings in state.data.class_drawings.items()
    }
    state.data.class_drawings = {name: drawings for name, drawings in remaining.items() if drawings}


def _discard_class_drawings() -> None:
    state = get_app_state()
    state.data.class_drawings, state.data.class_error, state.data.drawn_dataset_sizes = {}, None, None


def _render_class_drawings(state: AppState) -> None:
    """Render the drawings so far, a row per class."""
    theme = get_theme(st.context.theme.type)
    rows = []
    for name, drawings in state.data.class_drawings.items():
        images = np.zeros((_MAX_SHOWN_DRAWINGS, 1, IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
        for index, strokes in enumerate(drawings[-_MAX_SHOWN_DRAWINGS:]):
            images[index] = rasterize(strokes)
        grid = render_image_grid(
            images, columns=_MAX_SHOWN_DRAWINGS, tile_size=IMAGE_SIZE, gap=2, gap_color=theme.gap_color
        )
        title = f"{name}, {len(drawings)}"
        rows.append((title, grid.png, f"{title} drawings"))
    if rows:
        html.render_image_table(rows)
