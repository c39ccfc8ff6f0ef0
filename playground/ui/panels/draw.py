"""The Draw panel and the digit's way through the net: one fragment, redrawn after every stroke and snapshot."""

import math
import random
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.charts.images import alternative_text, as_maps, map_grid, single_image, suitable_palette
from playground.charts.theme import Theme, theme
from playground.engine.catalogue import find_run
from playground.engine.store import PRETRAINED
from playground.engine.strokes import SIZE
from playground.errors import PlaygroundError
from playground.lens.activations import LayerValues, layer_values, statistics
from playground.lens.familiar import familiarity, is_prepared
from playground.lens.model import Model, load_model
from playground.lens.pictures import MAX_FILE_BYTES, uploaded_ink
from playground.lens.predict import Prediction, course, predict
from playground.engine.datasets import find_dataset
from playground.ui import markup
from playground.ui.canvas import canvas
from playground.ui.components.strip import StripColumn, network_strip
from playground.ui.panels.teach import taught_line, teach_popover
from playground.ui.server import pretrained, supervisor
from playground.ui.state import CANVAS_SIZE, AppState, Picture, app_state
from playground.ui.subject import Subject, background_of, drawn_subject, model_name, stages, subject_model

FOLLOW_S = 3.0
PEN_WIDTHS = (6, 34)
_STEPS = {
    "boxed": ("box of 20", "Make the digit as large as MNIST's digits are: 20 pixels."),
    "thinned": ("MNIST's pen", "Draw the lines as wide as MNIST's, whatever the pen on the canvas."),
    "centred": ("centred", "Put the middle of the ink where MNIST's digits have it. Off: as it is on the canvas."),
}
_EMPTY = np.zeros((1, SIZE, SIZE), dtype=np.float32)
_STRIP_MAPS = 32
_STRIP_SIZE = 148
_UNSEEN = ("flatten", "dropout")


def draw_panel(state: AppState, strip: DeltaGenerator) -> None:
    """The canvas and its prediction here, the strip in another container of the page."""
    run = state.run
    follows = run is not None and (supervisor().is_active(run.id) or run.is_live())
    st.fragment(_panel)(strip, follows)


def _panel(strip: DeltaGenerator, follows: bool) -> None:
    """The canvas with its tools, drawn anew after every stroke; what the nets say of it, also while a run goes on."""
    state = app_state()
    markup.title("Draw")
    with st.container(horizontal=True, gap="small", key="draw-top"):
        problem = _canvas(state)
        subject: Subject | None = None
        try:
            subject = drawn_subject(state)
            _seen(state, subject)
        except PlaygroundError as error:
            problem = problem or error
    _buttons(state, subject)
    if problem:
        markup.problem(problem)
    # A fragment of its own: what ticks must be little, since the browser takes its time for every element.
    st.fragment(_answers, run_every=FOLLOW_S if follows else None)(strip)


def _answers(strip: DeltaGenerator) -> None:
    state = app_state()
    model, problem = subject_model(state.run)
    subject: Subject | None = None
    with suppress(PlaygroundError):  # said beside the canvas
        subject = drawn_subject(state)
    _prediction(state, model, subject)
    taught_line(state.run)
    if problem:
        markup.problem(problem)
    with strip:
        _strip(state, model, subject)


def _canvas(state: AppState) -> PlaygroundError | None:
    """Show the canvas and take what is drawn on it; the answer is what keeps a test image from being put there."""
    background, problem = None, None
    try:
        background = background_of(state)
    except PlaygroundError as error:
        problem = error
    got = canvas(
        size=CANVAS_SIZE,
        pen_width=state.pen_width,
        ink=state.ink,
        revision=state.canvas_revision,
        background=background,
        erasing=state.erasing,
    )
    if got is not None:
        state.take(got)
    return problem


def _seen(state: AppState, subject: Subject) -> None:
    """From the canvas to the net's input in three pictures, with a switch for each step."""
    shown = stages(state) or (_EMPTY, _EMPTY)
    with st.container(gap="small", width=158, key="seen"):
        pictures = [single_image(image[0]) for image in (*shown, subject.image)]
        markup.pictures(
            (pictures[0], 44, "canvas"), (pictures[1], 44, "fitted"), (pictures[2], 104, "what the net sees")
        )
        for step in _STEPS:
            _switch(state, step)


def _switch(state: AppState, step: str) -> None:
    label, words = _STEPS[step]
    st.session_state[f"fit-{step}"] = getattr(state.fitting, step)

    def change() -> None:
        now = app_state()
        now.fitting = replace(now.fitting, **{step: bool(st.session_state[f"fit-{step}"])})

    st.toggle(label, key=f"fit-{step}", on_change=change, help=words)


def _buttons(state: AppState, subject: Subject | None) -> None:
    with st.container(horizontal=True, gap="small", key="draw-buttons"):
        st.button("Clear", key="canvas-clear", on_click=_clear, shortcut="Delete", help="Empty the canvas (Delete).")
        st.button("Undo", key="canvas-undo", on_click=_undo, help="Take the last stroke back, or what was cleared.")
        st.button("Random", key="canvas-random", on_click=_random_digit, help="Put one of the 10,000 test images here.")
        st.button(
            "Eraser",
            key="canvas-eraser",
            type="primary" if state.erasing else "secondary",
            on_click=_switch_tool,
            shortcut="E",
            help="Rub out instead of drawing (E); press it again for the pen.",
        )
        _pen_popover(state)
        teach_popover(state, subject)


def _pen_popover(state: AppState) -> None:
    popover = st.popover(
        "Pen", key="canvas-more", on_change="rerun", help="The pen's width, or a picture instead of a drawing."
    )
    if not popover.open:
        return
    with popover:
        st.session_state["canvas-pen"] = state.pen_width
        st.slider("Width of the pen", *PEN_WIDTHS, key="canvas-pen", on_change=_set_pen_width)
        st.file_uploader(
            "A picture of a digit",
            type=["png", "jpg", "jpeg", "webp", "bmp"],
            key="canvas-upload",
            on_change=_take_picture,
            max_upload_size=MAX_FILE_BYTES // 10**6,
        )
        if state.picture_error:
            markup.problem(state.picture_error)


def _set_pen_width() -> None:
    state = app_state()
    state.look_at_canvas()
    state.pen_width = int(st.session_state["canvas-pen"])


def _take_picture() -> None:
    state = app_state()
    file = st.session_state["canvas-upload"]
    state.picture_error = None
    if file is None:
        return
    try:
        ink = uploaded_ink(file.name, file.getvalue())
    except PlaygroundError as problem:
        state.picture_error = problem
        return
    state.replace_drawing(picture=Picture(file.name, ink.tobytes()))


def _clear() -> None:
    state = app_state()
    state.replace_drawing()
    state.erasing = False


def _undo() -> None:
    app_state().undo_drawing()


def _switch_tool() -> None:
    state = app_state()
    state.look_at_canvas()
    state.erasing = not state.erasing


def _random_digit() -> None:
    app_state().replace_drawing(test_index=random.randrange(find_dataset("mnist").test_size))


def _prediction(state: AppState, model: Model | None, subject: Subject | None) -> None:
    with st.container(key="prediction", gap="small"):
        if model is None or subject is None:
            return
        prediction = predict(model, [subject.image])[0]
        is_own = model.run_id != PRETRAINED
        moments = _course(model.run_id, model.step, subject.image.tobytes(), subject.image.shape) if is_own else ()
        colours = theme(st.context.theme.type)
        markup.guess(prediction.first, _remark(prediction, subject), moments, colours)
        answers = [markup.Answer(model_name(state.run, model), prediction.probabilities, prediction.first)]
        if is_own:
            other = predict(load_model(pretrained()), [subject.image])[0]
            answers.append(markup.Answer("pretrained model", other.probabilities, other.first))
        markup.bars(find_dataset("mnist").class_names, *answers)


def _remark(prediction: Prediction, subject: Subject) -> str:
    if subject.origin == "an example":
        return f"{prediction.words}. This is an example: draw a digit above."
    if subject.label is not None:
        return f"{prediction.words}. {subject.origin.capitalize()}, labelled {subject.label}."
    if is_prepared() and not familiarity(subject.image).is_familiar:
        return f"but this does not look like a digit ({prediction.words})"
    return prediction.words


@lru_cache(maxsize=32)
def _course(
    run_id: str, _step: int, content: bytes, shape: tuple[int, ...]
) -> tuple[tuple[int, tuple[float, ...]], ...]:
    """The probabilities at the run's moments up to now; another step means that there may be more of them."""
    said = course(find_run(run_id), np.frombuffer(content, dtype=np.float32).reshape(shape))
    return tuple((step, answer.probabilities) for step, answer in said)


# The way through the net


def _strip(state: AppState, model: Model | None, subject: Subject | None) -> None:
    other = model is not None and model.architecture.digest != state.architecture.digest
    whose = f"{model_name(state.run, model)}; the network above is not trained yet" if other else ""
    markup.title("The digit's way through the net", note=whose or "click a layer to look inside it")
    if model is None or subject is None:
        return
    with st.container(key="network-strip"):
        columns = _columns(model, subject.image.tobytes(), subject.image.shape, theme(st.context.theme.type))
        clicked = network_strip(columns, key="strip")
    if clicked:
        state = app_state()
        state.inside_layer = clicked
        state.inside_run = model.run_id
        st.switch_page(st.session_state["pages"]["inside"])


@lru_cache(maxsize=8)
def _columns(model: Model, content: bytes, shape: tuple[int, ...], colours: Theme) -> tuple[StripColumn, ...]:
    image = np.frombuffer(content, dtype=np.float32).reshape(shape)
    prediction = predict(model, [image])[0]
    columns = [
        StripColumn(
            "input", "Input", "×".join(map(str, shape[1:])), single_image(image[0]), 112, 112, "The input image"
        )
    ]
    for values in layer_values(model, image):
        layer = model.architecture.layers[values.layer_index]
        if layer.kind not in _UNSEEN:
            columns.append(
                _output_column(layer, prediction) if layer.kind == "output" else _column(layer, values, colours)
            )
    return tuple(columns)


def _output_column(layer: Any, prediction: Prediction) -> StripColumn:
    sure = f"{prediction.probabilities[prediction.first]:.0%} sure"
    return StripColumn(layer.id, "Output", sure, None, 96, 112, f"The guess: {prediction.first}", str(prediction.first))


def _column(layer: Any, values: LayerValues, colours: Theme) -> StripColumn:
    maps = as_maps(values.after)
    shown = maps[:_STRIP_MAPS]
    side = math.ceil(len(shown) ** 0.5)
    grid = map_grid(
        shown,
        palette=suitable_palette(values.after, colours.diverging),
        columns=side,
        tile_size=_STRIP_SIZE // side,
        gap=0 if len(shown) == 1 else 2,
        gap_colour=colours.gap,
    )
    figures = statistics(values.after)
    size = "×".join(map(str, values.after.shape))
    first = layer.detail().split(" · ")[0] if layer.kind in ("conv2d", "linear") else ""
    scale = _STRIP_SIZE / max(grid.width, grid.height)
    more = f", {_STRIP_MAPS} shown" if len(maps) > _STRIP_MAPS else ""
    rest = f" · +{len(maps) - _STRIP_MAPS}" if len(maps) > _STRIP_MAPS else ""
    return StripColumn(
        layer.id,
        f"{layer.title} {first}".strip(),
        f"{size} · {figures.zeros:.0%} zero{rest}",
        grid.png,
        round(grid.width * scale),
        round(grid.height * scale),
        alternative_text(layer.title, values.after.shape, figures.minimum, figures.maximum, figures.zeros) + more,
    )
