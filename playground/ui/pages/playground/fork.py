"""The fork: go on from a moment of the run with other settings, in a run of its own."""

from typing import Any

import streamlit as st

from playground.core.history import History
from playground.core.recipe import Recipe
from playground.engine.runs.fork import load_recipe_at
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.ui import actions, html
from playground.ui.forms import render_model_form
from playground.ui.panels.recipe import render_kind_choice
from playground.ui.state import AppState, get_app_state, get_run_history

_POPOVER_KEY = "fork"
_FORM_FIELDS = ("lr", "batch_size", "epochs", "seed")


def render_fork_popover(state: AppState, run: Run | None) -> None:
    """Choose a moment and settings, and start."""
    popover = st.popover(
        "Fork",
        key=_POPOVER_KEY,
        disabled=run is None,
        on_change="rerun",
        help="Go on from a moment of this run with other settings, in a run of its own. This one stays as it is.",
    )
    if run is None or not popover.open:
        return
    steps = (
        run.list_checkpoint_steps()
    )  # looked up when it is opened: moments come while nothing else on the page changes
    with popover:
        if steps:
            _render_form(state, run, steps, get_run_history(run))
        else:
            html.render_hint(
                "No moment is kept yet: the first a quarter of the way through an epoch, and at every pause."
            )


def _render_form(state: AppState, run: Run, steps: tuple[int, ...], history: History) -> None:
    step = (
        state.training.fork_step if state.training.fork_step in steps else steps[-1]
    )  # unless another is chosen, the newest
    try:
        then = load_recipe_at(run, step)
    except PlaygroundError as problem:
        html.render_error(problem)
        return
    # At the end of a run the next thing wanted is one epoch more.
    epochs = max(then.epochs, int(history.epoch_at(step)) + 1)
    recipe = then.replace(**{"epochs": epochs, **state.training.fork_changes})
    if len(steps) > 1:
        st.session_state["fork-step"] = step
        st.select_slider(
            "From",
            steps,
            key="fork-step",
            on_change=_store_step,
            format_func=lambda step: f"step {step:,} (epoch {history.epoch_at(step):.2f})",
            help="The moments at which a checkpoint was kept.",
        )
    else:
        html.render_hint(f"From step {steps[0]:,} (epoch {history.epoch_at(steps[0]):.2f}).")
    left, right = st.columns(2, gap="medium")
    with left:
        render_kind_choice("optimizer", recipe.optimizer, key="fork", on_change=_store_change)
    with right:
        render_kind_choice("schedule", recipe.schedule, key="fork", on_change=_store_change)
    render_model_form(recipe, key="fork", on_change=_store_change, field_names=_FORM_FIELDS, columns=4)
    if state.training.fork_error:
        html.render_error(state.training.fork_error)
    st.button(
        "Start the fork",
        key="fork-start",
        type="primary",
        on_click=_start_fork,
        args=(step, recipe),
        help="Weights and the optimizer's memory are those of that moment.",
    )


def _store_step() -> None:
    get_app_state().training.fork_step = st.session_state["fork-step"]


def _start_fork(step: int, recipe: Recipe) -> None:
    actions.fork(step, recipe)
    st.session_state[_POPOVER_KEY] = get_app_state().training.fork_error is not None


def _store_change(name: str, value: Any) -> None:
    state = get_app_state()
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    state.training.fork_changes = {**state.training.fork_changes, name: plain}
    state.training.fork_error = None
