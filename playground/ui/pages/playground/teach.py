"""Teach: label drawings and fine-tune the network on them."""

import numpy as np
import streamlit as st

from playground.engine.cache import cached
from playground.engine.data.custom.drawings import (
    DrawingCollection,
    LabeledDrawing,
    add_drawing,
    delete_drawings,
    load_drawings,
)
from playground.engine.metrics import format_accuracy
from playground.engine.runs.initial_state import load_initial_state
from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import get_last_snapshot_step
from playground.errors import PlaygroundError, StorageError
from playground.interpret.evaluation.dataset_predictions import load_run_test_images, predict_dataset
from playground.interpret.model import load_model
from playground.ui import html
from playground.ui.model_input import ModelInput, build_canvas_input, get_active_input_spec
from playground.ui.progress import run_with_progress
from playground.ui.services import get_requester_id, get_scheduler, get_visitor_id
from playground.ui.state import AppState, get_app_state, get_run_history


def render_teach_popover(state: AppState, model_input: ModelInput | None) -> None:
    """Render the label choice, the set of labeled drawings, and the button that starts fine-tuning."""
    popover = st.popover(
        "Teach", key="teach", on_change="rerun", help="Label your drawing and fine-tune the network on it."
    )
    if not popover.open:
        return
    with popover:
        try:
            drawings = load_drawings(get_requester_id()).drawings
        except PlaygroundError as error:
            html.render_error(error)
            drawings = ()
        _render_label_choice(state, is_drawn=model_input is not None and not model_input.is_example)
        labels = sorted(str(drawing.label) for drawing in drawings)
        html.render_hint(
            f"Your set: {_format_drawing_count(len(drawings))}{': ' + ' '.join(labels[:40]) if drawings else ''}."
        )
        _render_buttons(state, drawings)
        if state.drawing.teach_error:
            html.render_error(state.drawing.teach_error)


def _render_label_choice(state: AppState, *, is_drawn: bool) -> None:
    html.render_hint("The drawing on the canvas is a" if is_drawn else "Draw a digit first.")
    stroke_count = len(state.drawing.ink.strokes) + len(state.drawing.ink.eraser_strokes)
    key = f"teach-label-{state.drawing.revision}-{stroke_count}"  # a changed drawing has no label yet
    st.segmented_control(
        "The drawing is a",
        get_active_input_spec(state).dataset.class_names,
        key=key,
        label_visibility="collapsed",
        disabled=not is_drawn,
        on_change=_save_drawing,
        args=(key,),
    )


def _render_buttons(state: AppState, drawings: tuple[LabeledDrawing, ...]) -> None:
    with st.container(horizontal=True, gap="small"):
        # No callback: it would rerun only the fragment, and the run is shown outside of it.
        if st.button(
            "Teach network",
            key="teach-start",
            type="primary",
            disabled=not drawings or _is_busy(state),
            help="Fine-tunes this network in a new run, on your drawings and 4,000 augmented MNIST images.",
        ):
            _start_teaching(state, drawings)
        content = DrawingCollection(drawings=drawings).model_dump_json(by_alias=True)
        st.download_button("Download", content, "drawings.json", key="teach-download", disabled=not drawings)
        st.button(
            "Delete",
            key="teach-delete",
            disabled=not drawings,
            on_click=_delete_drawings,
            help="Delete all your labeled drawings.",
        )


def render_teach_result(run: Run | None) -> None:
    """Render the test accuracy before and after fine-tuning, once it has finished."""
    history = get_run_history(run)
    if run is None or run.record.parent is None or history.fork_event or not _has_drawings(run.id):
        return
    after = history.test
    if after is not None and history.step == 0:  # edited weights, not trained since
        return
    try:
        parent = find_run(run.record.parent)
        before = get_run_history(parent).test if parent.id != PRETRAINED else None
        accuracy = before.accuracy if before else _measure_accuracy(parent, run.record.parent_step or 0)
        gain = _describe_gain(run, parent) if after is not None else ""
    except PlaygroundError:  # the parent or its weights were deleted
        return
    if after is None:
        html.render_message("Fine-tuning on your drawings …")
    else:
        html.render_message(
            f"Fine-tuned. {gain} Accuracy on {after.size:,} test images: "
            f"{format_accuracy(accuracy, after.size)} before, {format_accuracy(after.accuracy, after.size)} after.",
            details={"before": accuracy, "after": after.accuracy},
        )


def _describe_gain(run: Run, parent: Run) -> str:
    """Describe the probability of the drawings' labels before and after fine-tuning."""
    before, after, labels = _measure_drawings(
        parent.id, run.record.parent_step or 0, run.id, get_last_snapshot_step(run)
    )
    name = f"“{run.get_dataset().class_names[labels[0]]}”" if len(labels) == 1 else "their labels"
    return f"Your drawings are {name}: {before:.0%} → {after:.0%}."


@cached(max_bytes=2**16)
def _measure_drawings(parent_id: str, parent_step: int, run_id: str, step: int) -> tuple[float, float, tuple[int, ...]]:
    """Measure the mean probability of the drawings' labels before and after fine-tuning, and list the labels."""
    run, parent = find_run(run_id), find_run(parent_id)
    drawings = load_initial_state(run).extra_images
    if drawings is None:
        raise StorageError(f"Run {run_id} has no drawings.", fix="Teach the network again.")
    probabilities = []
    for model in (load_model(parent, parent_step), load_model(run, step)):
        evaluation = run_with_progress(predict_dataset(model, drawings.resize(run.record.architecture.input.shape)))
        probabilities.append(float(evaluation.probabilities[np.arange(evaluation.size), evaluation.labels].mean()))
    return probabilities[0], probabilities[1], tuple(sorted(set(drawings.labels.tolist())))


@cached(max_bytes=2**16)
def _has_drawings(run_id: str) -> bool:
    return load_initial_state(find_run(run_id)).extra_images is not None


def _measure_accuracy(run: Run, step: int) -> float:
    return run_with_progress(predict_dataset(load_model(run, step), load_run_test_images(run))).accuracy


def _format_drawing_count(count: int) -> str:
    return "1 drawing" if count == 1 else f"{count} drawings"


def _is_busy(state: AppState) -> bool:
    run = state.training.find_run()
    return run is not None and (get_scheduler().is_active(run.id) or run.is_live())


def _save_drawing(key: str) -> None:
    state = get_app_state()
    label = st.session_state.get(key)
    if label is None:
        return
    state.drawing.sync_from_browser()
    state.drawing.teach_error = None
    try:
        model_input = build_canvas_input(state, get_active_input_spec(state))
        strokes = state.drawing.ink.strokes if state.drawing.upload is None and state.drawing.test_index is None else ()
        add_drawing(get_requester_id(), LabeledDrawing.from_image(int(label), strokes, model_input.image))
    except PlaygroundError as error:
        state.drawing.teach_error = error


def _start_teaching(state: AppState, drawings: tuple[LabeledDrawing, ...]) -> None:
    state.drawing.teach_error = None
    try:
        attached = state.training.find_run()
        parent = attached.id if attached and attached.list_snapshot_steps() else PRETRAINED
        run = get_scheduler().finetune(parent, drawings, owner=get_visitor_id())
    except PlaygroundError as error:
        state.drawing.teach_error = error
        return
    state.attach(run)
    st.rerun()


def _delete_drawings() -> None:
    delete_drawings(get_requester_id())
