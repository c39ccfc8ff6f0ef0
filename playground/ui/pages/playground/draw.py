"""The Draw panel and the feature strip: canvas, preprocessing, prediction and feature maps."""

import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.charts.images import render_image
from playground.charts.theme import get_theme
from playground.core.image_formats import HEIC_ADVICE, UPLOAD_SUFFIXES
from playground.core.shapes import format_shape
from playground.engine.cache import cached
from playground.engine.data.rasterize import IMAGE_SIZE
from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import find_run
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import MAX_FILE_BYTES
from playground.interpret.evaluation.predict import predict_snapshots
from playground.interpret.inference import infer
from playground.interpret.model import Model, load_model
from playground.ui import html
from playground.ui.canvas import MAX_STROKES, CanvasInk, get_canvas_identity, read_canvas, render_canvas
from playground.ui.controls import bind
from playground.ui.model_input import (
    CanvasImages,
    InputSpec,
    ModelInput,
    build_canvas_input,
    compute_canvas_images,
    describe_model,
    get_active_input_spec,
    load_active_model,
    load_upload_input,
    render_canvas_background,
)
from playground.ui.page_states import ImageUpload
from playground.ui.pages.playground.digit_picker import render_digit_picker
from playground.ui.pages.playground.feature_strip import render_feature_strip
from playground.ui.pages.playground.live import render_live_drawing
from playground.ui.pages.playground.teach import render_teach_popover, render_teach_result
from playground.ui.remark import PredictionRemark, make_remark
from playground.ui.services import get_pretrained, get_scheduler
from playground.ui.shortcuts import get_shortcut
from playground.ui.state import CANVAS_SIZE, AppState, get_app_state

REFRESH_INTERVAL_S = 3.0
PEN_WIDTH_RANGE = (6, 34)
_PREPROCESSING_STEPS = {
    "fit_box": ("boxed", "Fit 20×20 box", "Scale the digit to fit a box of 20×20 pixels, as in MNIST."),
    "normalize_stroke_width": (
        "thinned",
        "Normalize stroke",
        "Draw the strokes as wide as MNIST's. Off: as wide as the pen.",
    ),
    "center_by_mass": (
        "centred",
        "Center by mass",
        "Move the center of mass to the image center, as in MNIST. Off: keep the position.",
    ),
}
_EMPTY_IMAGE = np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)


def render_draw_panel(state: AppState, strip: DeltaGenerator) -> None:
    """Render the canvas and its prediction here, and the feature strip in another container of the page."""
    run = state.training.find_run()
    is_live = run is not None and (get_scheduler().is_active(run.id) or run.is_live())
    st.fragment(_render_panel)(strip, is_live)


def _render_panel(strip: DeltaGenerator, is_live: bool) -> None:
    """Render the canvas with its tools; runs again after every stroke."""
    state = get_app_state()
    input_spec = get_active_input_spec(state)
    html.render_title("Draw", note="" if input_spec.can_read_drawings else "or use a test image, or upload one")
    with st.container(horizontal=True, gap="small", key="draw-top"):
        error = _render_canvas_panel(state, input_spec)
        model_input: ModelInput | None = None
        try:
            model_input = build_canvas_input(state, input_spec)
            _render_preprocessing(state, input_spec, model_input, compute_canvas_images(state.drawing, input_spec))
        except PlaygroundError as input_error:
            error = error or input_error
    _render_buttons(state, input_spec, model_input)
    # Containers that are always there: a fragment is known by its position, and one that moved may not write elsewhere.
    notices, answers = st.container(key="draw-notices"), st.container(key="draw-answers")
    with notices:
        if get_canvas_identity()[1] >= MAX_STROKES:
            html.render_hint(
                f"The first {MAX_STROKES} strokes are read, and no further ones. Clear the canvas to draw on."
            )
        if state.drawing.upload is not None and input_spec.can_read_drawings:
            render_digit_picker(state.drawing.upload)
        if error:
            html.render_error(error)
    with answers:
        # A separate fragment: it refreshes while a run trains, and the browser redraws everything that refreshes.
        st.fragment(_render_prediction_and_strip, run_every=REFRESH_INTERVAL_S if is_live else None)(strip)


def _render_prediction_and_strip(strip: DeltaGenerator) -> None:
    """Render the prediction and the feature strip; runs again at every refresh of a live run."""
    state = get_app_state()
    run = state.training.find_run()
    model, error = load_active_model(run)
    input_spec = get_active_input_spec(state)
    model_input: ModelInput | None = None
    with suppress(PlaygroundError):  # shown beside the canvas
        model_input = build_canvas_input(state, input_spec)
    remark = PredictionRemark() if model_input is None else make_remark(input_spec, model_input)
    _render_prediction(state, model, input_spec, model_input, remark)
    render_teach_result(run)
    if error:
        html.render_error(error)
    with strip:
        render_feature_strip(state, model, input_spec, model_input)
    render_live_drawing(state, model, input_spec, model_input, remark)


def _render_canvas_panel(state: AppState, input_spec: InputSpec) -> PlaygroundError | None:
    """Render the canvas and store its strokes; returns the error if the image under them cannot be loaded."""
    background, error = None, None
    try:
        background = render_canvas_background(state, input_spec)
    except PlaygroundError as background_error:
        error = background_error
    ink = render_canvas(
        size=CANVAS_SIZE,
        pen_width=state.drawing.pen_width,
        ink=state.drawing.ink,
        revision=state.drawing.revision,
        background=background,
        is_erasing=state.drawing.is_erasing,
        hint=_choose_hint(state, input_spec, background),
    )
    if ink is not None:
        state.drawing.set_ink(ink)
    return error


def _choose_hint(state: AppState, input_spec: InputSpec, background: bytes | None) -> str:
    """Choose the hint on an empty canvas; a canvas with ink or an image has none."""
    ink = read_canvas(revision=state.drawing.revision) or state.drawing.ink
    if ink != CanvasInk() or background is not None:
        return ""
    if not input_spec.can_read_drawings:
        return "Press Random for a test image"
    return "Draw a digit, 0 to 9" if input_spec.is_mnist_like else "Draw here"


def _render_preprocessing(
    state: AppState, input_spec: InputSpec, model_input: ModelInput, images: CanvasImages | None
) -> None:
    """Render the model input; for drawings also the steps that lead to it, with a switch for each."""
    with st.container(gap="small", width=158, key="seen"):
        if not input_spec.can_read_drawings:
            html.render_images((render_image(model_input.image), 104, "Model input"))
            html.render_hint(f"{input_spec.dataset.title}: {format_shape(input_spec.shape)}.")
            return
        resized = images.resized if images and images.resized is not None else _EMPTY_IMAGE
        fitted = images.fitted if images and images.fitted is not None else _EMPTY_IMAGE
        html.render_images(
            (render_image(resized), 44, "Canvas"),
            (render_image(fitted), 44, "Fitted"),
            (render_image(model_input.image), 104, "Model input"),
        )
        for step in _PREPROCESSING_STEPS:
            _render_preprocessing_toggle(state, step)


def _render_preprocessing_toggle(state: AppState, step: str) -> None:
    key_name, label, help_text = _PREPROCESSING_STEPS[step]
    key = f"fit-{key_name}"

    def store_choice(is_on: bool) -> None:
        drawing = get_app_state().drawing
        drawing.preprocessing = replace(drawing.preprocessing, **{step: is_on})

    st.toggle(label, **bind(key, getattr(state.drawing.preprocessing, step), store_choice), help=help_text)


def _render_buttons(state: AppState, input_spec: InputSpec, model_input: ModelInput | None) -> None:
    test_size = input_spec.dataset.test_size
    with st.container(horizontal=True, gap="small", key="draw-buttons"):
        st.button(
            "Clear",
            key="canvas-clear",
            on_click=_clear_canvas,
            shortcut=get_shortcut("Delete"),
            help="Clear the canvas (Delete).",
        )
        st.button("Undo", key="canvas-undo", on_click=_undo_drawing, help="Undo the last change of the canvas.")
        st.button(
            "Random",
            key="canvas-random",
            on_click=_show_random_test_image,
            args=(test_size,),
            disabled=not test_size,
            help=f"Show one of the {test_size:,} test images." if test_size else "This dataset has no test images.",
        )
        st.button(
            "Eraser",
            key="canvas-eraser",
            type="primary" if state.drawing.is_erasing else "secondary",
            on_click=_toggle_eraser,
            shortcut=get_shortcut("E"),
            help="Erase instead of drawing (E). Press again for the pen.",
        )
        _render_pen_popover(state, input_spec)
        if input_spec.is_mnist_like:
            render_teach_popover(state, model_input)


def _render_pen_popover(state: AppState, input_spec: InputSpec) -> None:
    popover = st.popover(
        "Pen" if input_spec.can_read_drawings else "Upload",
        key="canvas-more",
        on_change="rerun",
        help="Set the pen width, or upload an image instead of drawing.",
    )
    if not popover.open:
        return
    with popover:
        st.slider("Pen width", *PEN_WIDTH_RANGE, **bind("canvas-pen", state.drawing.pen_width, _set_pen_width))
        st.file_uploader(
            f"Upload an image of a {input_spec.dataset.sample_noun}"
            if input_spec.can_read_drawings
            else "Upload an image; its center is used",
            type=UPLOAD_SUFFIXES,
            key="canvas-upload",
            on_change=_load_upload,
            args=(input_spec,),
            max_upload_size=MAX_FILE_BYTES // 10**6,
        )
        html.render_hint(HEIC_ADVICE)
        if state.drawing.upload_error:
            html.render_error(state.drawing.upload_error)


def _set_pen_width(width: int) -> None:
    drawing = get_app_state().drawing
    drawing.sync_from_browser()
    drawing.pen_width = width


def _load_upload(input_spec: InputSpec) -> None:
    drawing = get_app_state().drawing
    file = st.session_state["canvas-upload"]
    drawing.upload_error = None
    if file is None:
        return
    upload = ImageUpload(file.name, file.getvalue())
    try:
        load_upload_input(upload, input_spec)
    except PlaygroundError as error:
        drawing.upload_error = error
        return
    drawing.replace(upload=upload)


def _clear_canvas() -> None:
    drawing = get_app_state().drawing
    drawing.replace()
    drawing.is_erasing = False


def _undo_drawing() -> None:
    get_app_state().drawing.undo()


def _toggle_eraser() -> None:
    drawing = get_app_state().drawing
    drawing.sync_from_browser()
    drawing.is_erasing = not drawing.is_erasing


def _show_random_test_image(test_size: int) -> None:
    get_app_state().drawing.replace(test_index=random.randrange(test_size))


def _render_prediction(
    state: AppState,
    model: Model | None,
    input_spec: InputSpec,
    model_input: ModelInput | None,
    remark: PredictionRemark,
) -> None:
    with st.container(key="prediction", gap="small"):
        if model is None or model_input is None:
            return
        image = model_input.image
        prediction = infer(model, image).prediction
        is_pretrained = model.run_id == PRETRAINED
        class_names = input_spec.dataset.class_names
        top_class = prediction.top_class
        html.render_predicted_class(
            class_names[top_class],
            remark.describe(prediction, class_names),
            () if is_pretrained else _compute_probability_history(model, image.tobytes(), image.shape),
            get_theme(st.context.theme.type),
            predicted_class=top_class,
        )
        columns = [
            html.ClassProbabilities(
                describe_model(state.training.find_run(), model), prediction.probabilities, top_class
            )
        ]
        if not is_pretrained and input_spec.is_mnist_like:
            other = infer(load_model(get_pretrained()), image).prediction
            columns.append(html.ClassProbabilities("pretrained model", other.probabilities, other.top_class))
        html.render_probability_bars(class_names, *columns)


@cached(max_bytes=32 * 2**20)
def _compute_probability_history(
    model: Model, image_bytes: bytes, shape: tuple[int, ...]
) -> tuple[tuple[int, tuple[float, ...]], ...]:
    """Compute the probabilities at the run's snapshots up to the newest one, which is ``model``."""
    image = np.frombuffer(image_bytes, dtype=np.float32).reshape(shape)
    known = {model.step: infer(model, image).prediction}
    predictions = predict_snapshots(find_run(model.run_id), image, known=known)
    return tuple((step, prediction.probabilities) for step, prediction in predictions)
