"""The Draw panel and the digit's way through the net: one fragment, redrawn after every stroke and snapshot."""

import random
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.charts.images import render_image
from playground.charts.theme import get_theme
from playground.core.shapes import format_shape
from playground.engine.data.rasterize import IMAGE_SIZE
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import PRETRAINED
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import MAX_FILE_BYTES
from playground.interpret.evaluation.out_of_distribution import compute_ood_score, is_detector_ready
from playground.interpret.evaluation.predict import Prediction, predict, predict_snapshots
from playground.interpret.model import Model, load_model
from playground.ui import html as markup
from playground.ui.canvas import render_canvas
from playground.ui.model_input import (
    InputSpec,
    ModelInput,
    build_canvas_input,
    compute_preprocessing_stages,
    describe_model,
    get_active_input_spec,
    load_active_model,
    preprocess_upload,
    render_canvas_background,
)
from playground.ui.page_states import ImageUpload
from playground.ui.pages.playground.feature_strip import render_feature_strip
from playground.ui.pages.playground.teach import render_teach_popover, render_teach_result
from playground.ui.services import get_pretrained, get_scheduler
from playground.ui.state import CANVAS_SIZE, AppState, get_app_state

REFRESH_INTERVAL_S = 3.0
PEN_WIDTH_RANGE = (6, 34)
_PREPROCESSING_STEPS = {
    "boxed": ("box of 20", "Make the digit as large as MNIST's digits are: 20 pixels."),
    "thinned": ("MNIST's pen", "Draw the lines as wide as MNIST's, whatever the pen on the canvas."),
    "centred": ("centred", "Put the middle of the ink where MNIST's digits have it. Off: as it is on the canvas."),
}
_EMPTY_IMAGE = np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)


def render_draw_panel(state: AppState, strip: DeltaGenerator) -> None:
    """The canvas and its prediction here, the strip in another container of the page."""
    run = state.training.find_run()
    follows = run is not None and (get_scheduler().is_active(run.id) or run.is_live())
    st.fragment(_render_panel)(strip, follows)


def _render_panel(strip: DeltaGenerator, is_live: bool) -> None:
    """The canvas with its tools, drawn anew after every stroke; what the nets say of it, also while a run goes on."""
    state = get_app_state()
    sight = get_active_input_spec(state)
    markup.render_title("Draw", note="" if sight.can_read_drawings else "or Random, or a picture of your own")
    with st.container(horizontal=True, gap="small", key="draw-top"):
        problem = _render_canvas_panel(state, sight)
        subject: ModelInput | None = None
        try:
            subject = build_canvas_input(state, sight)
            _render_preprocessing(state, sight, subject)
        except PlaygroundError as error:
            problem = problem or error
    _render_buttons(state, sight, subject)
    if problem:
        markup.render_error(problem)
    # A fragment of its own: what ticks must be little, since the browser takes its time for every element.
    st.fragment(_render_prediction_and_strip, run_every=REFRESH_INTERVAL_S if is_live else None)(strip)


def _render_prediction_and_strip(strip: DeltaGenerator) -> None:
    state = get_app_state()
    run = state.training.find_run()
    model, problem = load_active_model(run)
    sight = get_active_input_spec(state)
    subject: ModelInput | None = None
    with suppress(PlaygroundError):  # said beside the canvas
        subject = build_canvas_input(state, sight)
    _render_prediction(state, model, sight, subject)
    render_teach_result(run)
    if problem:
        markup.render_error(problem)
    with strip:
        render_feature_strip(state, model, sight, subject)


def _render_canvas_panel(state: AppState, input_spec: InputSpec) -> PlaygroundError | None:
    """Show the canvas and take what is drawn on it; the answer is what keeps a test image from being put there."""
    background, problem = None, None
    try:
        background = render_canvas_background(state, input_spec)
    except PlaygroundError as error:
        problem = error
    got = render_canvas(
        size=CANVAS_SIZE,
        pen_width=state.drawing.pen_width,
        ink=state.drawing.ink,
        revision=state.drawing.revision,
        background=background,
        is_erasing=state.drawing.is_erasing,
    )
    if got is not None:
        state.drawing.set_ink(got)
    return problem


def _render_preprocessing(state: AppState, input_spec: InputSpec, model_input: ModelInput) -> None:
    """From the canvas to the net's input in three pictures, with a switch for each step, where drawings are fitted."""
    if not input_spec.can_read_drawings:
        with st.container(gap="small", width=158, key="seen"):
            markup.render_images((render_image(model_input.image), 104, "what the net sees"))
            markup.render_hint(f"{input_spec.dataset.title}: {format_shape(input_spec.shape)}.")
        return
    shown = compute_preprocessing_stages(state, input_spec) or (_EMPTY_IMAGE, _EMPTY_IMAGE)
    with st.container(gap="small", width=158, key="seen"):
        pictures = [render_image(image) for image in (*shown, model_input.image)]
        markup.render_images(
            (pictures[0], 44, "canvas"), (pictures[1], 44, "fitted"), (pictures[2], 104, "what the net sees")
        )
        for step in _PREPROCESSING_STEPS:
            _render_preprocessing_toggle(state, step)


def _render_preprocessing_toggle(state: AppState, step: str) -> None:
    label, words = _PREPROCESSING_STEPS[step]
    st.session_state[f"fit-{step}"] = getattr(state.drawing.preprocessing, step)

    def store_choice() -> None:
        now = get_app_state()
        now.drawing.preprocessing = replace(now.drawing.preprocessing, **{step: bool(st.session_state[f"fit-{step}"])})

    st.toggle(label, key=f"fit-{step}", on_change=store_choice, help=words)


def _render_buttons(state: AppState, input_spec: InputSpec, model_input: ModelInput | None) -> None:
    with st.container(horizontal=True, gap="small", key="draw-buttons"):
        st.button(
            "Clear", key="canvas-clear", on_click=_clear_canvas, shortcut="Delete", help="Empty the canvas (Delete)."
        )
        st.button(
            "Undo", key="canvas-undo", on_click=_undo_drawing, help="Take the last stroke back, or what was cleared."
        )
        st.button(
            "Random",
            key="canvas-random",
            on_click=_show_random_test_image,
            args=(input_spec.dataset.test_size,),
            disabled=not input_spec.dataset.test_size,
            help=f"Put one of the {input_spec.dataset.test_size:,} test images here.",
        )
        st.button(
            "Eraser",
            key="canvas-eraser",
            type="primary" if state.drawing.is_erasing else "secondary",
            on_click=_toggle_eraser,
            shortcut="E",
            help="Rub out instead of drawing (E); press it again for the pen.",
        )
        _render_pen_popover(state, input_spec)
        if input_spec.is_mnist_like:
            render_teach_popover(state, model_input)


def _render_pen_popover(state: AppState, input_spec: InputSpec) -> None:
    popover = st.popover(
        "Pen" if input_spec.can_read_drawings else "Picture",
        key="canvas-more",
        on_change="rerun",
        help="The pen's width, or a picture instead of a drawing.",
    )
    if not popover.open:
        return
    with popover:
        st.session_state["canvas-pen"] = state.drawing.pen_width
        st.slider("Width of the pen", *PEN_WIDTH_RANGE, key="canvas-pen", on_change=_set_pen_width)
        st.file_uploader(
            f"A picture of a {input_spec.dataset.sample_noun}"
            if input_spec.can_read_drawings
            else "A picture: its middle is taken",
            type=["png", "jpg", "jpeg", "webp", "bmp"],
            key="canvas-upload",
            on_change=_load_upload,
            args=(input_spec,),
            max_upload_size=MAX_FILE_BYTES // 10**6,
        )
        if state.drawing.upload_error:
            markup.render_error(state.drawing.upload_error)


def _set_pen_width() -> None:
    state = get_app_state()
    state.drawing.sync_from_browser()
    state.drawing.pen_width = int(st.session_state["canvas-pen"])


def _load_upload(input_spec: InputSpec) -> None:
    state = get_app_state()
    file = st.session_state["canvas-upload"]
    state.drawing.upload_error = None
    if file is None:
        return
    picture = ImageUpload(file.name, file.getvalue())
    try:
        preprocess_upload(picture, input_spec)
    except PlaygroundError as problem:
        state.drawing.upload_error = problem
        return
    state.drawing.replace(upload=picture)


def _clear_canvas() -> None:
    state = get_app_state()
    state.drawing.replace()
    state.drawing.is_erasing = False


def _undo_drawing() -> None:
    get_app_state().drawing.undo()


def _toggle_eraser() -> None:
    state = get_app_state()
    state.drawing.sync_from_browser()
    state.drawing.is_erasing = not state.drawing.is_erasing


def _show_random_test_image(test_size: int) -> None:
    get_app_state().drawing.replace(test_index=random.randrange(test_size))


def _render_prediction(
    state: AppState, model: Model | None, input_spec: InputSpec, model_input: ModelInput | None
) -> None:
    with st.container(key="prediction", gap="small"):
        if model is None or model_input is None:
            return
        prediction = predict(model, [model_input.image])[0]
        is_own = model.run_id != PRETRAINED
        moments = (
            _compute_probability_history(model.run_id, model.step, model_input.image.tobytes(), model_input.image.shape)
            if is_own
            else ()
        )
        colours = get_theme(st.context.theme.type)
        names = input_spec.dataset.class_names
        first = prediction.top_class
        markup.render_predicted_class(
            names[first],
            _describe_prediction(prediction, input_spec, model_input),
            moments,
            colours,
            predicted_class=first,
        )
        answers = [
            markup.ClassProbabilities(describe_model(state.training.find_run(), model), prediction.probabilities, first)
        ]
        if is_own and input_spec.is_mnist_like:
            other = predict(load_model(get_pretrained()), [model_input.image])[0]
            answers.append(markup.ClassProbabilities("pretrained model", other.probabilities, other.top_class))
        markup.render_probability_bars(names, *answers)


def _describe_prediction(prediction: Prediction, input_spec: InputSpec, model_input: ModelInput) -> str:
    names = input_spec.dataset.class_names
    words = prediction.describe(names)
    if model_input.is_example:
        if input_spec.can_read_drawings:
            return f"{words}. This is an example: draw a {input_spec.dataset.sample_noun} above."
        way = "bring a picture" if input_spec.dataset.is_missing else "Random puts another one here"
        return f"{words}. This is an example: {way}."
    if model_input.label is not None:
        return f"{words}. {model_input.source.capitalize()}, labelled {names[model_input.label]}."
    if input_spec.is_mnist_like and is_detector_ready() and not compute_ood_score(model_input.image).is_in_distribution:
        return f"but this does not look like a digit ({words})"
    return words


@lru_cache(maxsize=32)
def _compute_probability_history(
    run_id: str, _step: int, image_bytes: bytes, shape: tuple[int, ...]
) -> tuple[tuple[int, tuple[float, ...]], ...]:
    """The probabilities at the run's moments up to now; another step means that there may be more of them."""
    said = predict_snapshots(find_run(run_id), np.frombuffer(image_bytes, dtype=np.float32).reshape(shape))
    return tuple((step, answer.probabilities) for step, answer in said)
