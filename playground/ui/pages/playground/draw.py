"""The Draw panel and the digit's way through the net: one fragment, redrawn after every stroke and snapshot."""

import random
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.charts.images import single_image
from playground.charts.theme import theme
from playground.core.shapes import shape_text
from playground.engine.data.rasterize import SIZE
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import PRETRAINED
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import MAX_FILE_BYTES
from playground.interpret.evaluation.out_of_distribution import familiarity, is_prepared
from playground.interpret.evaluation.predict import Prediction, course, predict
from playground.interpret.model import Model, load_model
from playground.ui import html as markup
from playground.ui.canvas import canvas
from playground.ui.model_input import (
    Sight,
    Subject,
    background_of,
    drawn_subject,
    model_name,
    picture_image,
    shown_sight,
    stages,
    subject_model,
)
from playground.ui.pages.playground.feature_strip import way_through
from playground.ui.pages.playground.teach import taught_line, teach_popover
from playground.ui.services import pretrained, supervisor
from playground.ui.state import CANVAS_SIZE, AppState, Picture, app_state

FOLLOW_S = 3.0
PEN_WIDTHS = (6, 34)
_STEPS = {
    "boxed": ("box of 20", "Make the digit as large as MNIST's digits are: 20 pixels."),
    "thinned": ("MNIST's pen", "Draw the lines as wide as MNIST's, whatever the pen on the canvas."),
    "centred": ("centred", "Put the middle of the ink where MNIST's digits have it. Off: as it is on the canvas."),
}
_EMPTY = np.zeros((1, SIZE, SIZE), dtype=np.float32)


def draw_panel(state: AppState, strip: DeltaGenerator) -> None:
    """The canvas and its prediction here, the strip in another container of the page."""
    run = state.run
    follows = run is not None and (supervisor().is_active(run.id) or run.is_live())
    st.fragment(_panel)(strip, follows)


def _panel(strip: DeltaGenerator, follows: bool) -> None:
    """The canvas with its tools, drawn anew after every stroke; what the nets say of it, also while a run goes on."""
    state = app_state()
    sight = shown_sight(state)
    markup.title("Draw", note="" if sight.reads_drawings else "or Random, or a picture of your own")
    with st.container(horizontal=True, gap="small", key="draw-top"):
        problem = _canvas(state, sight)
        subject: Subject | None = None
        try:
            subject = drawn_subject(state, sight)
            _seen(state, sight, subject)
        except PlaygroundError as error:
            problem = problem or error
    _buttons(state, sight, subject)
    if problem:
        markup.problem(problem)
    # A fragment of its own: what ticks must be little, since the browser takes its time for every element.
    st.fragment(_answers, run_every=FOLLOW_S if follows else None)(strip)


def _answers(strip: DeltaGenerator) -> None:
    state = app_state()
    model, problem = subject_model(state.run)
    sight = shown_sight(state)
    subject: Subject | None = None
    with suppress(PlaygroundError):  # said beside the canvas
        subject = drawn_subject(state, sight)
    _prediction(state, model, sight, subject)
    taught_line(state.run)
    if problem:
        markup.problem(problem)
    with strip:
        way_through(state, model, sight, subject)


def _canvas(state: AppState, sight: Sight) -> PlaygroundError | None:
    """Show the canvas and take what is drawn on it; the answer is what keeps a test image from being put there."""
    background, problem = None, None
    try:
        background = background_of(state, sight)
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


def _seen(state: AppState, sight: Sight, subject: Subject) -> None:
    """From the canvas to the net's input in three pictures, with a switch for each step, where drawings are fitted."""
    if not sight.reads_drawings:
        with st.container(gap="small", width=158, key="seen"):
            markup.pictures((single_image(subject.image), 104, "what the net sees"))
            markup.hint(f"{sight.dataset.title}: {shape_text(sight.shape)}.")
        return
    shown = stages(state, sight) or (_EMPTY, _EMPTY)
    with st.container(gap="small", width=158, key="seen"):
        pictures = [single_image(image) for image in (*shown, subject.image)]
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


def _buttons(state: AppState, sight: Sight, subject: Subject | None) -> None:
    with st.container(horizontal=True, gap="small", key="draw-buttons"):
        st.button("Clear", key="canvas-clear", on_click=_clear, shortcut="Delete", help="Empty the canvas (Delete).")
        st.button("Undo", key="canvas-undo", on_click=_undo, help="Take the last stroke back, or what was cleared.")
        st.button(
            "Random",
            key="canvas-random",
            on_click=_random_image,
            args=(sight.dataset.test_size,),
            disabled=not sight.dataset.test_size,
            help=f"Put one of the {sight.dataset.test_size:,} test images here.",
        )
        st.button(
            "Eraser",
            key="canvas-eraser",
            type="primary" if state.erasing else "secondary",
            on_click=_switch_tool,
            shortcut="E",
            help="Rub out instead of drawing (E); press it again for the pen.",
        )
        _pen_popover(state, sight)
        if sight.is_mnist_like:
            teach_popover(state, subject)


def _pen_popover(state: AppState, sight: Sight) -> None:
    popover = st.popover(
        "Pen" if sight.reads_drawings else "Picture",
        key="canvas-more",
        on_change="rerun",
        help="The pen's width, or a picture instead of a drawing.",
    )
    if not popover.open:
        return
    with popover:
        st.session_state["canvas-pen"] = state.pen_width
        st.slider("Width of the pen", *PEN_WIDTHS, key="canvas-pen", on_change=_set_pen_width)
        st.file_uploader(
            f"A picture of a {sight.dataset.noun}" if sight.reads_drawings else "A picture: its middle is taken",
            type=["png", "jpg", "jpeg", "webp", "bmp"],
            key="canvas-upload",
            on_change=_take_picture,
            args=(sight,),
            max_upload_size=MAX_FILE_BYTES // 10**6,
        )
        if state.picture_error:
            markup.problem(state.picture_error)


def _set_pen_width() -> None:
    state = app_state()
    state.look_at_canvas()
    state.pen_width = int(st.session_state["canvas-pen"])


def _take_picture(sight: Sight) -> None:
    state = app_state()
    file = st.session_state["canvas-upload"]
    state.picture_error = None
    if file is None:
        return
    picture = Picture(file.name, file.getvalue())
    try:
        picture_image(picture, sight)
    except PlaygroundError as problem:
        state.picture_error = problem
        return
    state.replace_drawing(picture=picture)


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


def _random_image(count: int) -> None:
    app_state().replace_drawing(test_index=random.randrange(count))


def _prediction(state: AppState, model: Model | None, sight: Sight, subject: Subject | None) -> None:
    with st.container(key="prediction", gap="small"):
        if model is None or subject is None:
            return
        prediction = predict(model, [subject.image])[0]
        is_own = model.run_id != PRETRAINED
        moments = _course(model.run_id, model.step, subject.image.tobytes(), subject.image.shape) if is_own else ()
        colours = theme(st.context.theme.type)
        names = sight.dataset.class_names
        first = prediction.first
        markup.guess(names[first], _remark(prediction, sight, subject), moments, colours, strong=first)
        answers = [markup.Answer(model_name(state.run, model), prediction.probabilities, first)]
        if is_own and sight.is_mnist_like:
            other = predict(load_model(pretrained()), [subject.image])[0]
            answers.append(markup.Answer("pretrained model", other.probabilities, other.first))
        markup.bars(names, *answers)


def _remark(prediction: Prediction, sight: Sight, subject: Subject) -> str:
    names = sight.dataset.class_names
    words = prediction.words(names)
    if subject.is_example:
        if sight.reads_drawings:
            return f"{words}. This is an example: draw a {sight.dataset.noun} above."
        way = "bring a picture" if sight.dataset.is_gone else "Random puts another one here"
        return f"{words}. This is an example: {way}."
    if subject.label is not None:
        return f"{words}. {subject.origin.capitalize()}, labelled {names[subject.label]}."
    if sight.is_mnist_like and is_prepared() and not familiarity(subject.image).is_familiar:
        return f"but this does not look like a digit ({words})"
    return words


@lru_cache(maxsize=32)
def _course(
    run_id: str, _step: int, content: bytes, shape: tuple[int, ...]
) -> tuple[tuple[int, tuple[float, ...]], ...]:
    """The probabilities at the run's moments up to now; another step means that there may be more of them."""
    said = course(find_run(run_id), np.frombuffer(content, dtype=np.float32).reshape(shape))
    return tuple((step, answer.probabilities) for step, answer in said)
