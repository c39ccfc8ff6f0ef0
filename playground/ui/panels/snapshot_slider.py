"""Choice of a run and of its snapshot (step): select box, slider and playback of training."""

import time
from collections.abc import Callable

import streamlit as st

from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import list_runs
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.editing import apply_edits
from playground.interpret.model import Model, load_model
from playground.ui import html
from playground.ui.controls import bind
from playground.ui.services import get_pretrained
from playground.ui.shortcuts import get_shortcut
from playground.ui.state import AppState, get_app_state, get_run_history

PLAYBACK_INTERVAL_S = 0.7
"""Seconds from one snapshot to the next during playback."""
_MIN_FRAME_S = 0.6 * PLAYBACK_INTERVAL_S


def render_playable_page(render_page: Callable[[AppState], None]) -> None:
    """Render a page with playback of snapshots; an error is shown in the page's place.

    The page is a fragment only during playback: in a fragment a click waits for a running computation, elsewhere it
    cancels it.
    """
    if get_app_state().inspect.is_playing:
        st.fragment(_render_frame, run_every=PLAYBACK_INTERVAL_S)(render_page, True)
    else:
        _render_frame(render_page, False)


def _render_frame(render_page: Callable[[AppState], None], is_ticking: bool) -> None:
    state = get_app_state()
    if state.inspect.is_playing != is_ticking:
        st.rerun()
    try:
        render_page(state)
    except PlaygroundError as error:  # a snapshot that the run pruned, a deleted run, damaged data
        html.render_error(error)


def choose_run(state: AppState, *, key: str) -> Run:
    """Render the choice of a run with snapshots; every page shows the same run."""
    runs = [run for run in list_runs()[0] if run.list_snapshot_steps()]
    choices = {run.id: run for run in (*runs, get_pretrained())}
    run_id = state.inspect.run_id or state.training.run_id or PRETRAINED
    shown_id = run_id if run_id in choices else PRETRAINED

    def store_choice(chosen_id: str) -> None:
        current = get_app_state()
        current.inspect.run_id, current.inspect.is_playing = chosen_id, False

    st.selectbox(
        "Run",
        list(choices),
        **bind(key, shown_id, store_choice),
        format_func=lambda run_id: "Pretrained model" if run_id == PRETRAINED else choices[run_id].record.name,
        help="The trained network to inspect. Runs that are still training are included.",
    )
    return choices[shown_id]


def choose_snapshot(run: Run, *, key: str, default_step: int | None = None) -> Model:
    """Render the choice of a snapshot and load its model with the run's edits.

    At first the snapshot at ``default_step`` is selected, or the newest one.
    """
    state = get_app_state()
    steps = run.list_snapshot_steps()
    if len(steps) > 1:
        _render_slider(state, run, steps, key, default_step)
    elif state.inspect.is_playing:  # another run replaced the one that was playing
        state.inspect.is_playing = False
        st.rerun()
    step = get_selected_step(state, run, steps, default_step) if steps else None
    return apply_edits(load_model(run, step), state.inspect.edits.get(run.id, ()))


def get_selected_step(state: AppState, run: Run, steps: tuple[int, ...], default_step: int | None = None) -> int:
    """Return the selected step, else ``default_step``, or the nearest one with a snapshot; without both the newest."""
    selected = state.inspect.selected_steps.get(run.id)
    wanted = default_step if selected is None else selected
    return steps[-1] if wanted is None else min(steps, key=lambda step: abs(step - wanted))


def _render_slider(state: AppState, run: Run, steps: tuple[int, ...], key: str, default_step: int | None) -> None:
    history = get_run_history(run)
    start = "initial weights" if run.initial_state_path.exists() else "untrained"
    if state.inspect.is_playing:
        _advance_playback(state, run, steps)

    def store_choice(chosen_step: int) -> None:
        current = get_app_state()
        current.inspect.selected_steps[run.id] = None if chosen_step == steps[-1] else chosen_step
        current.inspect.is_playing = False
        current.mistakes.held_snapshot = None

    st.select_slider(
        "Step",
        steps,
        **bind(f"{key}-{run.id}", get_selected_step(state, run, steps, default_step), store_choice),
        format_func=lambda step: start if step == 0 else f"step {step:,} (epoch {history.epoch_at(step):.2f})",
        help="Training step of the snapshot (checkpoint) that the page shows, from untrained to the newest.",
    )
    st.button(
        "Pause" if state.inspect.is_playing else "Play training",
        key=f"{key}-play",
        icon=":material/pause:" if state.inspect.is_playing else ":material/play_arrow:",
        on_click=_toggle_playback,
        args=(run.id, steps),
        shortcut=get_shortcut("Space"),
        help="Play the snapshots from the selected step to the newest; from the newest, start over.",
    )


def _toggle_playback(run_id: str, steps: tuple[int, ...]) -> None:
    state = get_app_state()
    state.inspect.is_playing = not state.inspect.is_playing
    state.inspect.next_frame_at = time.monotonic() + _MIN_FRAME_S
    if state.inspect.is_playing and state.inspect.selected_steps.get(run_id) is None:
        state.inspect.selected_steps[run_id] = steps[0]


def _advance_playback(state: AppState, run: Run, steps: tuple[int, ...]) -> None:
    """Select the next snapshot when it is due; at the newest, stop and rerun the page without its timer."""
    if time.monotonic() < state.inspect.next_frame_at:  # other events rerun the page too
        return
    state.inspect.next_frame_at = time.monotonic() + _MIN_FRAME_S
    later = [step for step in steps if step > get_selected_step(state, run, steps)]
    if later and later[0] != steps[-1]:
        state.inspect.selected_steps[run.id] = later[0]
    else:
        state.inspect.selected_steps[run.id] = None
        state.inspect.is_playing = False
        st.rerun()
