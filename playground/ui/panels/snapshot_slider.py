"""Whose net, and at which moment of its life: the choice, the slider and the play button of the time machine."""

import time
from collections.abc import Callable

import streamlit as st

from playground.engine.runs.repository import all_runs
from playground.engine.runs.run import PRETRAINED, Run
from playground.errors import PlaygroundError
from playground.interpret.editing import operated
from playground.interpret.model import Model, load_model
from playground.ui import html as markup
from playground.ui.services import pretrained
from playground.ui.state import AppState, app_state, run_history

PLAY_S = 0.7
"""Seconds from one moment to the next while time plays."""
_LEAST_S = 0.6 * PLAY_S


def page_in_time(draw: Callable[[AppState], None]) -> None:
    """Draw a page whose moment may play; what it could not draw is said in its place.

    A fragment only while time plays: in one a click waits for the work that goes on, instead of ending it.
    """
    if app_state().is_playing:
        st.fragment(_drawn, run_every=PLAY_S)(draw, True)
    else:
        _drawn(draw, False)


def _drawn(draw: Callable[[AppState], None], ticks: bool) -> None:
    state = app_state()
    if state.is_playing != ticks:
        st.rerun()
    try:
        draw(state)
    except PlaygroundError as problem:  # a snapshot thinned away by the run, a run deleted, damaged data
        markup.problem(problem)


def choose_run(state: AppState, *, key: str) -> Run:
    """A selectbox of all runs with something to look at; the same run on every page."""
    runs = [run for run in all_runs()[0] if run.snapshots()]
    choices = {run.id: run for run in (*runs, pretrained())}
    wanted = state.inside_run or state.run_id or PRETRAINED
    st.session_state[key] = wanted if wanted in choices else PRETRAINED

    def choose() -> None:
        now = app_state()
        now.inside_run, now.is_playing = st.session_state[key], False

    chosen = st.selectbox(
        "Run",
        list(choices),
        key=key,
        format_func=lambda run_id: "Pretrained model" if run_id == PRETRAINED else choices[run_id].record.name,
        on_change=choose,
        help="Whose network to look into. A run that is still training can be looked into too.",
    )
    return choices[chosen]


def choose_moment(run: Run, *, key: str) -> Model:
    """The net at the chosen moment, the newest unless another was chosen; with what was operated on it."""
    state = app_state()
    steps = run.snapshots()
    if len(steps) > 1:
        _time(state, run, steps, key)
    elif state.is_playing:  # another run has taken the place of the one that played
        state.is_playing = False
        st.rerun()
    chosen = moment_of(state, run, steps) if steps else None
    return operated(load_model(run, chosen), state.edits.get(run.id, ()))


def moment_of(state: AppState, run: Run, steps: tuple[int, ...]) -> int:
    """The chosen step of a run, or the nearest that was not thinned away; without a choice the newest."""
    moment = state.moments.get(run.id)
    return steps[-1] if moment is None else min(steps, key=lambda step: abs(step - moment))


def _time(state: AppState, run: Run, steps: tuple[int, ...], key: str) -> None:
    history = run_history(run)
    start = "as it began" if run.material_path.exists() else "untrained"
    slider = f"{key}-{run.id}"
    if state.is_playing:
        _advance(state, run, steps)
    st.session_state[slider] = moment_of(state, run, steps)

    def choose() -> None:
        now, chosen = app_state(), st.session_state[slider]
        now.moments[run.id] = None if chosen == steps[-1] else chosen
        now.is_playing = False

    st.select_slider(
        "Moment",
        steps,
        key=slider,
        on_change=choose,
        format_func=lambda step: start if step == 0 else f"step {step:,} (epoch {history.epoch_at(step):.2f})",
        help="The net's life in snapshots, from before training to the latest; everything on the page follows.",
    )
    st.button(
        "Pause" if state.is_playing else "Play its life",
        key=f"{key}-play",
        icon=":material/pause:" if state.is_playing else ":material/play_arrow:",
        on_click=_play,
        args=(run.id, steps),
        shortcut="Space",
        help="From the chosen moment on to the latest; from the latest, begin again.",
    )


def _play(run_id: str, steps: tuple[int, ...]) -> None:
    state = app_state()
    state.is_playing = not state.is_playing
    state.plays_on_at = time.monotonic() + _LEAST_S
    if state.is_playing and state.moments.get(run_id) is None:
        state.moments[run_id] = steps[0]


def _advance(state: AppState, run: Run, steps: tuple[int, ...]) -> None:
    """One moment on if it is time; at the newest it stands still, and the page must be drawn without its clock."""
    if time.monotonic() < state.plays_on_at:  # the page is also drawn anew for other reasons
        return
    state.plays_on_at = time.monotonic() + _LEAST_S
    later = [step for step in steps if step > moment_of(state, run, steps)]
    if later and later[0] != steps[-1]:
        state.moments[run.id] = later[0]
    else:
        state.moments[run.id] = None
        state.is_playing = False
        st.rerun()
