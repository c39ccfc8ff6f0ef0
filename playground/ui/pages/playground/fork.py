"""Fork: continue from a checkpoint of a run with other settings, as a new run."""

from typing import Any

import streamlit as st

from playground.core.history import History
from playground.core.recipe import Recipe
from playground.engine.runs.fork import load_recipe_at
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.ui import actions, html
from playground.ui.controls import bind
from playground.ui.forms import render_model_form
from playground.ui.panels.recipe import render_kind_choice
from playground.ui.state import AppState, get_app_state, get_run_history

_POPOVER_KEY = "fork"
_FORM_FIELDS = ("lr", "batch_size", "epochs", "seed")


def render_fork_popover(state: AppState, run: Run | None) -> None:
    """Render the choice of a checkpoint and settings for a fork."""
    popover = st.popover(
        "Fork",
        key=_POPOVER_KEY,
        disabled=run is None,
        on_change="rerun",
        help="Branch off from any checkpoint with new settings. The original run stays unchanged.",
    )
    if run is None or not popover.open:
        return
    steps = (
        run.list_checkpoint_steps()
    )  # read when the popover opens: checkpoints are saved without a rerun of the page
    with popover:
        if steps:
            _render_form(state, run, steps, get_run_history(run))
        else:
            html.render_hint(
                "No checkpoint yet. The first one is saved after a quarter of an epoch, and one at every pause."
            )


def _render_form(state: AppState, run: Run, steps: tuple[int, ...], history: History) -> None:
    step = state.training.fork_step if state.training.fork_step in steps else steps[-1]
    try:
        checkpoint_recipe = load_recipe_at(run, step)
    except PlaygroundError as error:
        html.render_error(error)
        return
    # At the end of a run there is nothing left to train without another epoch.
    epochs = max(checkpoint_recipe.epochs, int(history.epoch_at(step)) + 1)
    recipe = checkpoint_recipe.replace(**{"epochs": epochs, **state.training.fork_changes})
    if len(steps) > 1:
        st.select_slider(
            "Checkpoint",
            steps,
            **bind("fork-step", step, _store_step),
            format_func=lambda step: f"step {step:,} (epoch {history.epoch_at(step):.2f})",
            help="The checkpoint to branch off from.",
        )
    else:
        html.render_hint(f"Checkpoint: step {steps[0]:,} (epoch {history.epoch_at(steps[0]):.2f}).")

    def store_kind(name: str, value: Any) -> None:
        parent_value = getattr(checkpoint_recipe, name)
        # The parent's own kind keeps its values; another kind begins with its defaults.
        _store_change(name, parent_value if parent_value.kind == value.kind else value)

    left, right = st.columns(2, gap="medium")
    with left:
        render_kind_choice("optimizer", recipe.optimizer, key="fork", on_change=store_kind)
    with right:
        render_kind_choice("schedule", recipe.schedule, key="fork", on_change=store_kind)
    render_model_form(recipe, key="fork", on_change=_store_change, field_names=_FORM_FIELDS, columns=4)
    if state.training.fork_error:
        html.render_error(state.training.fork_error)
    st.button(
        "Start fork",
        key="fork-start",
        type="primary",
        on_click=_start_fork,
        args=(step, recipe),
        help="Starts with the weights and the optimizer state of the checkpoint.",
    )


def _store_step(step: int) -> None:
    get_app_state().training.fork_step = step


def _start_fork(step: int, recipe: Recipe) -> None:
    actions.fork(step, recipe)
    st.session_state[_POPOVER_KEY] = get_app_state().training.fork_error is not None


def _store_change(name: str, value: Any) -> None:
    state = get_app_state()
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    state.training.fork_changes = {**state.training.fork_changes, name: plain}
    state.training.fork_error = None
