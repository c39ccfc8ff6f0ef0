"""Transfer learning: start from another run's weights, freeze layers, and compare with training from scratch."""

import streamlit as st

from playground.core.summary import summarize
from playground.engine.data.dataset_lookup import MIN_STEPS_PER_EPOCH, resolve_dataset
from playground.engine.metrics import format_accuracy
from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import list_runs
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import find_transferable_weights, get_last_snapshot_step
from playground.errors import PlaygroundError
from playground.ui import html
from playground.ui.actions import (
    find_problems,
    find_transfer_error,
    is_active,
    set_recipe_field,
    start_transfer_comparison,
)
from playground.ui.controls import bind, render_number
from playground.ui.services import get_pretrained
from playground.ui.state import AppState, get_app_state, get_current_settings, get_run_history

_FROM_SCRATCH = ""


def render_transfer_popover(state: AppState) -> None:
    """Render the choice of the run to transfer from, the frozen layers and the learning rate of the reused ones."""
    popover = st.popover(
        "Transfer",
        key="transfer",
        on_change="rerun",
        help="Transfer learning: start from the weights of another run, whose first layers already detect edges.",
    )
    if not popover.open:
        return
    with popover:
        parent = _choose_parent(state)
        if parent is None:
            html.render_hint("Choose a run, use its network with your dataset: only the last layer is re-initialized.")
            return
        _render_use_network_button(state, parent)
        _render_transferable_weights(state, parent)
        left, right = st.columns(2)
        with left:
            _render_freeze_choice(state)
        with right:
            _render_images_per_class(state)
        _render_lr_scale(state)
        st.button(
            "Train with and without transfer",
            key="transfer-both",
            type="primary",
            on_click=start_transfer_comparison,
            disabled=bool(find_problems(state)) or find_transfer_error(state) is not None,
            help="Trains two runs with the same recipe: first with the transferred weights, then from scratch.",
        )


def render_transfer_notice(state: AppState) -> None:
    """Render a notice about the run that the next run starts from, and about frozen layers."""
    parent = state.editor.find_parent_run()
    frozen = sum(1 for layer in state.editor.architecture.layers if layer.enabled and not layer.trainable)
    if parent is None and not frozen:
        return
    layers = f"{frozen} layer{'s' if frozen > 1 else ''}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="transfer-line"):
        error = find_transfer_error(state)
        if error is not None:
            html.render_error(error)
        elif parent is not None:
            note = f", with {layers} frozen" if frozen else ""
            html.render_hint(f"The next run starts from the weights of {parent.record.name}{note}.")
        else:
            html.render_hint(f"{layers} frozen: {'they keep their' if frozen > 1 else 'it keeps its'} random weights.")
        st.button(
            "Train from scratch",
            key="transfer-off",
            type="tertiary",
            on_click=_reset_transfer,
            help="Start from random weights and train every layer.",
        )


def find_scratch_run(run: Run | None) -> Run | None:
    """Find the newest run with the same network and recipe that was trained from scratch.

    None unless ``run`` started from another run's weights and has a test result.
    """
    if (
        run is None
        or run.record.parent is None
        or not run.initial_state_path.exists()
        or get_run_history(run).test is None
    ):
        return None
    digest, recipe = run.record.architecture.freeze_up_to(-1).digest, run.record.recipe.digest
    for other in list_runs()[0]:
        same = other.record.recipe.digest == recipe and other.record.architecture.digest == digest
        if same and not other.initial_state_path.exists() and (get_run_history(other).test or is_active(other)):
            return other
    return None


def render_transfer_comparison(run: Run | None) -> None:
    """Render the test accuracy of a transferred run beside that of the same network trained from scratch."""
    scratch = find_scratch_run(run)
    after = get_run_history(run).test if scratch else None
    if scratch is None or after is None:
        return
    before = get_run_history(scratch).test
    transferred = f"{format_accuracy(after.accuracy, after.size)} with transferred weights"
    if before is None:
        html.render_message(f"{transferred}. Now training the same from scratch …")
        return
    points = (after.accuracy - before.accuracy) * 100
    html.render_message(
        f"{transferred}, {format_accuracy(before.accuracy, before.size)} from scratch "
        f"({scratch.record.name}): {points:+.1f} points.",
        details={"transferred": after.accuracy, "scratch": before.accuracy},
    )


def _choose_parent(state: AppState) -> Run | None:
    runs = {run.id: run for run in (get_pretrained(), *list_runs()[0]) if run.list_snapshot_steps()}
    chosen = state.editor.init_from if state.editor.init_from in runs else _FROM_SCRATCH

    def store_choice(run_id: str) -> None:
        get_app_state().set_init_from(run_id or None)

    st.selectbox(
        "Start from the weights of",
        [_FROM_SCRATCH, *runs],
        **bind("transfer-parent", chosen, store_choice),
        format_func=lambda name: (
            "None (train from scratch)"
            if name == _FROM_SCRATCH
            else "Pretrained model"
            if name == PRETRAINED
            else runs[name].record.name
        ),
    )
    return runs.get(chosen or "")


def _render_use_network_button(state: AppState, parent: Run) -> None:
    architecture = get_current_settings(parent)[0].with_new_head(
        len(resolve_dataset(state.editor.recipe, state.editor.architecture).class_names)
    )
    st.button(
        "Use its network with a new output layer",
        key="transfer-network",
        on_click=state.set_architecture,
        args=(architecture,),
        disabled=architecture.digest == state.editor.architecture.digest,
        help="Loads its layers with an output layer for the classes of the chosen dataset. Undo restores yours.",
    )


def _render_transferable_weights(state: AppState, parent: Run) -> None:
    try:
        _, reused = find_transferable_weights(
            parent, get_last_snapshot_step(parent), state.editor.architecture, state.editor.recipe.dataset
        )
    except PlaygroundError as error:
        html.render_error(error)
        return
    rows = summarize(state.editor.architecture).layers
    names = ", ".join(f"{rows[index].index + 1} {rows[index].title}" for index in reused)
    if reused:
        has_rest = any(row.parameters and row.index not in reused for row in rows)
        html.render_hint(
            f"Reused: {names}. {'The rest is re-initialized.' if has_rest else 'These are all its weights.'}"
        )
    else:
        html.render_message("None of its layers fit this network. Use its network first.", severity="warn")


def _render_freeze_choice(state: AppState) -> None:
    rows = [row for row in summarize(state.editor.architecture).layers if row.enabled and row.parameters]
    frozen = [row.index for row in rows if not state.editor.architecture.layers[row.index].trainable]

    def store_choice(layer_index: int) -> None:
        state.try_set_architecture(lambda: state.editor.architecture.freeze_up_to(layer_index))

    titles = {row.index: f"up to {row.index + 1} {row.label}" for row in rows[:-1]}
    st.selectbox(
        "Freeze layers",
        [-1, *titles],
        **bind("transfer-freeze", max(frozen, default=-1), store_choice),
        format_func=lambda index: titles.get(index, "None"),
        help="Frozen layers keep their weights and act as a fixed feature extractor. Keras: trainable=False.",
    )


def _render_lr_scale(state: AppState) -> None:
    st.slider(
        "Learning rate for reused layers (× base)",
        0.0,
        1.0,
        step=0.05,
        **bind(
            "transfer-share",
            state.editor.recipe.transferred_lr_scale,
            lambda scale: set_recipe_field("transferred_lr_scale", scale),
        ),
        help="A smaller value changes the transferred weights less.",
    )


def _render_images_per_class(state: AppState) -> None:
    classes = state.editor.architecture.classes
    current = max(1, state.editor.recipe.limit // classes) if state.editor.recipe.limit else None

    def store_choice(images_per_class: int | None) -> None:
        limit = max(10, images_per_class * classes) if images_per_class else None
        set_recipe_field("limit", limit)
        if limit is not None and state.editor.recipe.batch_size > limit // MIN_STEPS_PER_EPOCH:
            set_recipe_field("batch_size", max(2, limit // MIN_STEPS_PER_EPOCH))  # else an epoch has only a step or two

    render_number(
        "Images per class",
        current,
        store_choice,
        name="transfer-few",
        minimum=1,
        is_optional=True,
        step=5,
        placeholder="all",
        help="With few images, transfer helps most.",
    )
    if state.editor.recipe.limit:
        html.render_hint(f"{state.editor.recipe.limit:,} images in batches of {state.editor.recipe.batch_size}.")


def _reset_transfer() -> None:
    state = get_app_state()
    state.set_init_from(
        None, state.editor.architecture.freeze_up_to(-1), state.editor.recipe.replace(transferred_lr_scale=1.0)
    )
