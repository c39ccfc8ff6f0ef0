"""Choice of the Inspect page's input, and the prediction for it."""

import streamlit as st

from playground.charts.images import render_image
from playground.core.datasets import Dataset
from playground.core.image_formats import HEIC_ADVICE, UPLOAD_SUFFIXES
from playground.core.shapes import format_shape
from playground.engine.data.batch import LabeledImages
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import MAX_FILE_BYTES
from playground.interpret.evaluation.dataset_predictions import find_index, load_run_test_images
from playground.interpret.inference import infer
from playground.interpret.model import Model
from playground.ui import html
from playground.ui.controls import bind, render_number
from playground.ui.model_input import (
    InputSpec,
    ModelInput,
    build_canvas_input,
    load_test_input,
    load_upload_input,
    make_example,
)
from playground.ui.page_states import ImageUpload
from playground.ui.state import AppState, get_app_state

_INPUT_SOURCES = ("Drawing", "Test image", "Upload")


def choose_input(state: AppState, input_spec: InputSpec) -> ModelInput:
    """Render the choice of a drawing, a test image or an upload; after an error, an example replaces the input."""

    def store_choice(source: str | None) -> None:
        get_app_state().inspect.input_source = source or _INPUT_SOURCES[0]

    st.segmented_control(
        "Input",
        _INPUT_SOURCES,
        **bind("inside-input", state.inspect.input_source, store_choice),
        required=True,
        help="Drawing: the canvas of the Playground page.",
    )
    try:
        model_input = _load_input(state, input_spec)
    except PlaygroundError as error:
        html.render_error(error)
        model_input = make_example(input_spec)
    with st.container(key="seen"):
        st.image(render_image(model_input.image, size=168), width=168, alt=f"Input: {model_input.source}")
    label = "" if model_input.label is None else f", labeled {input_spec.dataset.class_names[model_input.label]}"
    html.render_hint(f"Input: {model_input.source}{label}; {format_shape(input_spec.shape)} values from 0 to 1.")
    return model_input


def _load_input(state: AppState, input_spec: InputSpec) -> ModelInput:
    if state.inspect.input_source == "Test image":
        return load_test_input(input_spec, _choose_test_index(state, input_spec.dataset))
    if state.inspect.input_source == "Upload":
        file = st.file_uploader(
            f"Image of a {input_spec.dataset.sample_noun}" if input_spec.can_read_drawings else "Image",
            type=UPLOAD_SUFFIXES,
            key="inside-upload",
            max_upload_size=MAX_FILE_BYTES // 10**6,
        )
        html.render_hint(HEIC_ADVICE)
        if file is not None:
            return load_upload_input(ImageUpload(file.name, file.getvalue()), input_spec)
    return build_canvas_input(state, input_spec)


def _choose_test_index(state: AppState, dataset: Dataset) -> int:
    last = max(0, dataset.test_size - 1)
    index = min(last, state.inspect.test_index)

    def store_choice(chosen_index: int) -> None:
        get_app_state().inspect.test_index = chosen_index

    render_number(
        f"Test image (0–{last:,})",
        index,
        store_choice,
        name="inside-test",
        minimum=0,
        maximum=last,
        help="Index in the dataset's test images.",
    )
    return index


def render_prediction(model: Model, model_input: ModelInput, input_spec: InputSpec) -> None:
    """Render the predicted class and all class probabilities."""
    prediction = infer(model, model_input.image).prediction
    names = input_spec.dataset.class_names
    html.render_predicted_class(names[prediction.top_class], prediction.describe(names, model_input.doubts))
    html.render_probability_bars(names, html.ClassProbabilities("", prediction.probabilities, prediction.top_class))


def open_inspect_page(state: AppState, run: Run, data: LabeledImages, index: int) -> None:
    """Open the attributions of an image of ``data``, which is a sample of the run's test images."""
    state.inspect.open_test_image(find_index(data, index, load_run_test_images(run)), run_id=run.id)
    state.inspect.view = "Attribution"
    st.switch_page(st.session_state["pages"]["inside"])
