"""Mistakes page: evaluation on the test images, from the confusion matrix to single images."""

from collections.abc import Sequence

import streamlit as st

from playground.charts.images import render_image
from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation, format_accuracy
from playground.engine.runs.run import Run
from playground.interpret.evaluation.dataset_predictions import is_evaluated, load_run_test_images, predict_dataset
from playground.interpret.evaluation.robustness import list_perturbations
from playground.interpret.model import Model
from playground.ui import html
from playground.ui.components.confusion_matrix import render_confusion_matrix
from playground.ui.components.gallery import Tile, render_gallery
from playground.ui.forms import choose_one
from playground.ui.pages.mistakes.calibration import render_calibration_view, render_robustness_view
from playground.ui.pages.mistakes.embedding import render_embedding_view
from playground.ui.panels.edit import render_edit_notice
from playground.ui.panels.input_picker import open_inspect_page
from playground.ui.panels.snapshot_slider import choose_run, choose_snapshot, render_playable_page
from playground.ui.progress import rerun_fragment_or_page, run_with_progress
from playground.ui.state import AppState, get_app_state

_SAMPLE_SIZE = 1000
_MAX_IMAGES = 60
_VIEWS = ("Confusion matrix", "Calibration", "Robustness", "Embedding")


def render_mistakes_page() -> None:
    """Render the Mistakes page: metrics and the selected view."""
    render_playable_page(_render_page)


def _render_page(state: AppState) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="mistakes-head"):
        with st.container(width=260):
            html.render_title("Mistakes")
            run = choose_run(state, key="mistakes-run")
        with st.container():
            model = choose_snapshot(run, key="mistakes-step", default_step=_hold_newest_step(state, run))
    _render_held_notice(state, run, model)
    render_edit_notice(state, run)
    all_data = _choose_test_images(state, run)
    is_complete = is_evaluated(model, all_data)
    data = all_data if is_complete else load_run_test_images(run, _SAMPLE_SIZE)
    evaluation = run_with_progress(predict_dataset(model, data))
    _render_metrics(evaluation)
    with st.container(key="mistakes-rest"):
        progress = st.empty()
    view = choose_one("View", _VIEWS, key="mistakes-view")
    names = run.get_dataset().class_names
    match view:
        case "Calibration":
            render_calibration_view(evaluation, names)
        case "Robustness":
            render_robustness_view(model, all_data, list_perturbations(run.get_dataset()))
        case "Embedding":
            render_embedding_view(state, run, model)
        case _:
            _render_confusion(state, run, model, data, evaluation, names)
    if len(data) < len(all_data):
        run_with_progress(predict_dataset(model, all_data), progress)
        rerun_fragment_or_page()


def _hold_newest_step(state: AppState, run: Run) -> int | None:
    """Hold the newest step at the first visit while the run trains, since every newer one would be evaluated again."""
    steps = run.list_snapshot_steps()
    if not steps or not run.is_live():
        state.mistakes.held_snapshot = None
        return None
    if state.mistakes.held_snapshot is None or state.mistakes.held_snapshot[0] != run.id:
        state.mistakes.held_snapshot = (run.id, steps[-1])
    return state.mistakes.held_snapshot[1]


def _render_held_notice(state: AppState, run: Run, model: Model) -> None:
    """Render a way to the newest snapshot of a run that trains."""
    if state.mistakes.held_snapshot is None or state.inspect.selected_steps.get(run.id) is not None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="mistakes-held"):
        html.render_hint(f"This page stays at step {model.step:,} while the run trains.")
        st.button("Show newest step", key="mistakes-newest", on_click=_show_newest_step, type="tertiary")


def _show_newest_step() -> None:
    get_app_state().mistakes.held_snapshot = None


def _choose_test_images(state: AppState, run: Run) -> LabeledImages:
    """Choose the test images: all at the newest step; a sample at earlier steps, so that playback is smooth."""
    if state.inspect.selected_steps.get(run.id) is None:
        return load_run_test_images(run)
    st.toggle(
        "Use all test images",
        key="mistakes-all",
        persist_state="session",
        disabled=state.inspect.is_playing,
        help=f"Earlier steps are evaluated on a sample of {_SAMPLE_SIZE:,} test images, so that training can be "
        "played.",
    )
    return load_run_test_images(
        run, None if st.session_state["mistakes-all"] and not state.inspect.is_playing else _SAMPLE_SIZE
    )


def _render_metrics(evaluation: Evaluation) -> None:
    wrong_count = int((~evaluation.is_correct).sum())
    low_confidence_count = int((evaluation.confidence < 0.5).sum())
    html.render_metrics(
        [
            (format_accuracy(evaluation.accuracy, evaluation.size), f"accuracy on {evaluation.size:,} test images"),
            (f"{wrong_count:,}", "misclassified"),
            (f"{low_confidence_count:,}", "confidence below 50%"),
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
        html.render_hint("Rows: true class. Columns: predicted class. Click a cell to see its images.")
    with right:
        _render_cell_images(state, run, model, data, evaluation, class_names)


def _render_cell_images(
    state: AppState, run: Run, model: Model, data: LabeledImages, evaluation: Evaluation, class_names: Sequence[str]
) -> None:
    """Render the images of the selected cell, or the most confident errors and the closest calls."""
    if state.mistakes.confusion_cell:
        label, predicted = state.mistakes.confusion_cell
        indices = evaluation.find_confusions(label, predicted)
        note = f"{len(indices):,} images, most confident first"
        if len(indices) > _MAX_IMAGES:
            note += f"; {_MAX_IMAGES} are shown"
        html.render_title(f"True {class_names[label]}, predicted {class_names[predicted]}", note=note)
        _render_gallery(state, run, data, evaluation, indices[:_MAX_IMAGES].tolist(), "cell", class_names)
        if not len(indices):
            html.render_hint("No image at this step.")
        return
    html.render_title("Most confident errors", note="true → predicted, and the confidence")
    _render_gallery(state, run, data, evaluation, evaluation.find_confident_errors(21).tolist(), "errors", class_names)
    html.render_title("Closest calls", note="smallest margin between the two highest probabilities")
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
    for index in indices:
        label, predicted = class_names[evaluation.labels[index]], class_names[evaluation.predicted_labels[index]]
        confidence = f"{evaluation.confidence[index]:.0%}"
        tiles.append(
            Tile(
                name=str(index),
                png=render_image(data.get_image(index), size=84),
                caption=f"{label} → {predicted}\n{confidence}",
                alt=f"True {label}, predicted {predicted} ({confidence}): inspect",
                is_error=label != predicted,
            )
        )
    if not tiles:
        return
    clicked = render_gallery(tiles, key=f"gallery-{key}", size=60)
    if clicked:
        open_inspect_page(state, run, data, int(clicked))
