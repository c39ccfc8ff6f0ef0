"""Mistakes: what the net gets wrong on the test set, from the confusion matrix down to single images."""

from collections.abc import Sequence

import streamlit as st

from playground.charts.images import render_image
from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation
from playground.engine.runs.run import Run
from playground.interpret.evaluation.predictions import load_run_test_images, predict_dataset
from playground.interpret.evaluation.robustness import list_perturbations
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.components.confusion_matrix import render_confusion_matrix
from playground.ui.components.gallery import Tile, render_gallery
from playground.ui.forms import choose_one
from playground.ui.pages.mistakes.calibration import render_calibration_view, render_robustness_view
from playground.ui.pages.mistakes.embedding import render_embedding_view
from playground.ui.panels.edit import render_edit_notice
from playground.ui.panels.input_picker import open_inspect_page
from playground.ui.panels.snapshot_slider import choose_run, choose_snapshot, render_playable_page
from playground.ui.progress import rerun_fragment_or_page, run_with_progress
from playground.ui.state import AppState

_SAMPLE_SIZE = 1000
_MAX_IMAGES = 60
_VIEWS = ("Confusion", "Trust", "Robustness", "Map")


def render_mistakes_page() -> None:
    """The matrix and what lies behind its cells; how far the net can be trusted; a map of what it sees."""
    render_playable_page(_render_page)


def _render_page(state: AppState) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="mistakes-head"):
        with st.container(width=260):
            markup.render_title("Mistakes")
            run = choose_run(state, key="mistakes-run")
        with st.container():
            model = choose_snapshot(run, key="mistakes-step")
    render_edit_notice(state, run)
    data = _choose_test_images(state, run)
    evaluation = run_with_progress(predict_dataset(model, data))
    _render_metrics(evaluation)
    view = choose_one("View", _VIEWS, key="mistakes-view")
    names = run.get_dataset().class_names
    match view:
        case "Trust":
            render_calibration_view(evaluation, names)
        case "Robustness":
            render_robustness_view(model, data, list_perturbations(run.get_dataset()))
        case "Map":
            render_embedding_view(state, run, model)
        case _:
            _render_confusion(state, run, model, data, evaluation, names)


def _choose_test_images(state: AppState, run: Run) -> LabeledImages:
    """All test images; of a moment of the past so few, unless all are asked for, that time can play."""
    if state.inspect.selected_steps.get(run.id) is None:
        return load_run_test_images(run)
    st.toggle(
        "All test images at this moment too",
        key="mistakes-all",
        persist_state="session",
        disabled=state.inspect.is_playing,
        help=f"Moments of the past are measured on {_SAMPLE_SIZE:,} of the test images, so that time can play.",
    )
    return load_run_test_images(
        run, None if st.session_state["mistakes-all"] and not state.inspect.is_playing else _SAMPLE_SIZE
    )


def _render_metrics(evaluation: Evaluation) -> None:
    wrong = int((~evaluation.is_correct).sum())
    unsure = int((evaluation.confidence < 0.5).sum())
    markup.render_metrics(
        [
            (f"{evaluation.accuracy:.2%}", f"right of {evaluation.size:,} test images"),
            (f"{wrong:,}", "wrong"),
            (f"{unsure:,}", "guesses under 50 %"),
            (f"{evaluation.compute_calibration().expected_error:.1%}", "calibration error"),
        ]
    )


def _render_confusion(
    state: AppState, run: Run, model: Model, data: LabeledImages, evaluation: Evaluation, class_names: Sequence[str]
) -> None:
    left, right = st.columns([48, 52], gap="medium")
    with left:
        clicked = render_confusion_matrix(
            evaluation.confusion_matrix.tolist(), class_names, selected=state.mistakes.confusion_cell, key="confusion"
        )
        if clicked:
            state.mistakes.confusion_cell = None if clicked == state.mistakes.confusion_cell else clicked
            rerun_fragment_or_page()
        markup.render_hint(
            "Rows: what an image is. Columns: what the net takes it for. Click a cell to see its images."
        )
    with right:
        _render_cell_images(state, run, model, data, evaluation, class_names)


def _render_cell_images(
    state: AppState, run: Run, model: Model, data: LabeledImages, evaluation: Evaluation, class_names: Sequence[str]
) -> None:
    """The images of the chosen cell, or those most worth a look."""
    if state.mistakes.confusion_cell:
        label, guess = state.mistakes.confusion_cell
        places = evaluation.find_confusions(label, guess)
        words = "taken for what they are" if label == guess else f"taken for {class_names[guess]}"
        note = "the most confident first" + (f", {_MAX_IMAGES} of them" if len(places) > _MAX_IMAGES else "")
        markup.render_title(f"{len(places):,} images of {class_names[label]} {words}", note=note)
        _render_gallery(state, run, data, evaluation, places[:_MAX_IMAGES].tolist(), "cell", class_names)
        if not len(places):
            markup.render_hint("No such image at this moment.")
        return
    markup.render_title("Most confident errors", note="what it is → what the net said, and how sure")
    _render_gallery(state, run, data, evaluation, evaluation.find_confident_errors(21).tolist(), "errors", class_names)
    markup.render_title("Most torn", note="the first two guesses are closest")
    _render_gallery(state, run, data, evaluation, evaluation.find_smallest_margins(14).tolist(), "torn", class_names)


def _render_gallery(
    state: AppState,
    run: Run,
    data: LabeledImages,
    evaluation: Evaluation,
    indices: list[int],
    key: str,
    class_names: Sequence[str],
) -> None:
    tiles = []
    for place in indices:
        label, guess = class_names[evaluation.labels[place]], class_names[evaluation.predicted_labels[place]]
        sure = f"{evaluation.confidence[place]:.0%}"
        tiles.append(
            Tile(
                name=str(place),
                png=render_image(data.get_image(place), size=84),
                caption=f"{label} → {guess}\n{sure}",
                alt=f"{label} taken for {guess}, {sure} sure: look inside",
                is_error=label != guess,
            )
        )
    if not tiles:
        return
    clicked = render_gallery(tiles, key=f"gallery-{key}", size=60)
    if clicked:
        open_inspect_page(state, run, data, int(clicked))
