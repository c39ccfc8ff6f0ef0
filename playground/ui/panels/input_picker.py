"""What is looked at: the input on the left of Look inside, and what the net says of it."""

import streamlit as st

from playground.charts.images import single_image
from playground.core.datasets import Dataset
from playground.core.shapes import shape_text
from playground.engine.data.batch import Images
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import MAX_FILE_BYTES
from playground.interpret.evaluation.predict import predict
from playground.interpret.evaluation.predictions import images_of, place_among
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.model_input import Sight, Subject, drawn_subject, example, picture_image, test_subject
from playground.ui.state import AppState, Picture, app_state

_INPUTS = ("Drawing", "Test image", "Upload")


def choose_input(state: AppState, sight: Sight) -> Subject:
    """The drawing, a test image or an upload; errors beside the choice, an example in their place."""
    st.session_state["inside-input"] = state.inside_input

    def choose() -> None:
        app_state().inside_input = st.session_state["inside-input"] or _INPUTS[0]

    st.segmented_control(
        "Input",
        _INPUTS,
        key="inside-input",
        on_change=choose,
        required=True,
        help="The drawing is the one on the Playground page.",
    )
    try:
        subject = _subject(state, sight)
    except PlaygroundError as problem:
        markup.problem(problem)
        subject = example(sight)
    with st.container(key="seen"):
        st.image(single_image(subject.image, size=168), width=168, alt=f"The input: {subject.origin}")
    label = "" if subject.label is None else f", labelled {sight.dataset.class_names[subject.label]}"
    markup.hint(f"The input: {subject.origin}{label}; {shape_text(sight.shape)} values from 0 to 1.")
    return subject


def _subject(state: AppState, sight: Sight) -> Subject:
    if state.inside_input == "Test image":
        return test_subject(sight, _test_number(state, sight.dataset))
    if state.inside_input == "Upload":
        file = st.file_uploader(
            f"A picture of a {sight.dataset.noun}" if sight.reads_drawings else "A picture",
            type=["png", "jpg", "jpeg", "webp", "bmp"],
            key="inside-upload",
            max_upload_size=MAX_FILE_BYTES // 10**6,
        )
        if file is not None:
            return Subject(picture_image(Picture(file.name, file.getvalue()), sight), file.name)
    return drawn_subject(state, sight)


def _test_number(state: AppState, dataset: Dataset) -> int:
    last = max(0, dataset.test_size - 1)
    st.session_state["inside-test"] = min(last, state.inside_test)

    def choose() -> None:
        app_state().inside_test = min(last, max(0, int(st.session_state["inside-test"] or 0)))

    st.number_input("Number", step=1, key="inside-test", on_change=choose, help=f"Of the test images, 0 to {last:,}.")
    return min(last, state.inside_test)


def guess(model: Model, subject: Subject, sight: Sight) -> None:
    """What the net says of the input."""
    prediction = predict(model, [subject.image])[0]
    names = sight.dataset.class_names
    markup.guess(names[prediction.first], prediction.words(names))
    markup.bars(names, markup.Answer("", prediction.probabilities, prediction.first))


def open_inside(state: AppState, run: Run, data: Images, place: int) -> None:
    """Go to Look inside with one of the test images that a net was asked about."""
    state.open_test_image(place_among(data, place, images_of(run)), run_id=run.id)
    st.switch_page(st.session_state["pages"]["inside"])
