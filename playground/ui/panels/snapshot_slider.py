"""Whose net, and at which moment of its life: the choice, the slider and the play button of the time machine."""

import time
from collections.abc import Callable

import streamlit as st

from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import list_runs
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.editing import apply_edits
from playground.interpret.model import Model, load_model
from playground.ui import html as markup
from playground.ui.services import get_pretrained
from playground.ui.state import AppState, get_app_state, get_run_history

PLAYBACK_INTERVAL_S = 0.7
"""Seconds from one moment to the next while time plays."""
_MIN_FRAME_S = 0.6 * PLAYBACK_INTERVAL_S


def render_playable_page(render_page: Callable[[AppState], None]) -> None:
    """Draw a page whose moment may play; what it could not draw is said in its place.

    A fragment only while time plays: in one a click waits for the work that goes on, instead of ending it.
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
    except PlaygroundError as problem:  # a snapshot thinned away by the run, a run deleted, damaged data
        markup.render_error(problem)


def choose_run(state: AppState, *, key: str) -> Run:
    """A selectbox of all runs with something to look at; the same run on every page."""
    runs = [run for run in list_runs()[0] if run.list_snapshot_steps()]
    choices = {run.id: run for run in (*runs, get_pretrained())}
    wanted = state.inspect.run_id or state.training.run_id or PRETRAINED
    st.session_state[key] = wanted if wanted in choices else PRETRAINED

    def store_choice() -> None:
        now = get_app_state()
        now.inspect.run_id, now.inspect.is_playing = st.session_state[key], False

    chosen = st.selectbox(
        "Run",
        list(choices),
        key=key,
        format_func=lambda run_id: "Pretrained model" if run_id == PRETRAINED else choices[run_id].record.name,
        on_change=store_choice,
        help="Whose network to look into. A run that is still training can be looked into too.",
    )
    return choices[chosen]


def choose_snapshot(run: Run, *, key: str) -> Model:
    """The net at the chosen moment, the newest unless another was chosen; with what was operated on it."""
    state = get_app_state()
    steps = run.list_snapshot_steps()
    if len(steps) > 1:
        _render_slider(state, run, steps, key)
    elif state.inspect.is_playing:  # another run has taken the place of the one that played
        state.inspect.is_playing = False
        st.rerun()
    chosen = get_selected_step(state, run, steps) if steps else None
    return apply_edits(load_model(run, chosen), state.inspect.edits.get(run.id, ()))


def get_selected_step(state: AppState, run: Run, steps: tuple[int, ...]) -> int:
    """The chosen step of a run, or the nearest that was not thinned away; without a choice the newest."""
    moment = state.inspect.selected_steps.get(run.id)
    return steps[-1] if moment is None else min(steps, key=lambda step: abs(step - moment))


def _render_slider(state: AppState, run: Run, steps: tuple[int, ...], key: str) -> None:
    history = get_run_history(run)
    start = "as it began" if run.initial_state_path.exists() else "untrained"
    slider = f"{key}-{run.id}"
    if state.inspect.is_playing:
        _advance_playback(state, run, steps)
    st.session_state[slider] = get_selected_step(state, run, steps)

    def store_choice() -> None:
        now, chosen = get_app_state(), st.session_state[slider]
        now.inspect.selected_steps[run.id] = None if chosen == steps[-1] else chosen
        now.inspect.is_playing = False

    st.select_slider(
        "Moment",
        steps,
        key=slider,
        on_change=store_choice,
        format_func=lambda step: start if step == 0 else f"step {step:,} (epoch {history.epoch_at(step):.2f})",
        help="The net's life in snapshots, from before training to the latest; everything on the page follows.",
    )
    st.button(
        "Pause" if state.inspect.is_playing else "Play its life",
        key=f"{key}-play",
        icon=":material/pause:" if state.inspect.is_playing else ":material/play_arrow:",
        on_click=_toggle_playback,
        args=(run.id, steps),
        shortcut="Space",
        help="From the chosen moment on to the latest; from the latest, begin again.",
    )


def _toggle_playback(run_id: str, steps: tuple[int, ...]) -> None:
    state = get_app_state()
    state.inspect.is_playing = not state.inspect.is_playing
    state.inspect.next_frame_at = time.monotonic() + _MIN_FRAME_S
    if state.inspect.is_playing and state.inspect.selected_steps.get(run_id) is None:
        state.inspect.selected_steps[run_id] = steps[0]


def _advance_playback(state: AppState, run: Run, steps: tuple[int, ...]) -> None:
    """One moment on if it is time; at the newest it stands still, and the page must be drawn without its clock."""
    if time.monotonic() < state.inspect.next_frame_at:  # the page is also drawn anew for other reasons
        return
    state.inspect.next_frame_at = time.monotonic() + _MIN_FRAME_S
    later = [step for step in steps if step > get_selected_step(state, run, steps)]
    if later and later[0] != steps[-1]:
        state.inspect.selected_steps[run.id] = later[0]
    else:
        state.inspect.selected_steps[run.id] = None
        state.inspect.is_playing = False
        st.rerun()
