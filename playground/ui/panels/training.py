"""The Training panel: controls, figures, the streaming chart, knobs, and one line of diagnosis."""

from typing import Any, cast

import streamlit as st

from playground.charts.curves import Metric, training_figure
from playground.charts.theme import theme
from playground.engine.limits import machine_limits
from playground.engine.store import RESUMABLE, Run
from playground.errors import PlaygroundError
from playground.spec.events import Change, Command, Pause, Resume, Step, Stop
from playground.spec.history import History
from playground.spec.presets import RECIPES
from playground.spec.recipe import KNOBS, Recipe
from playground.spec.validation import find_problems
from playground.ui import markup
from playground.ui.components.curve import live_curve
from playground.ui.forms import model_form
from playground.ui.panels.recipe import recipe_details
from playground.ui.server import supervisor
from playground.ui.state import AppState, app_state, present_recipe, run_history

CURVE_HEIGHT = 236

Shown = tuple[str | None, str, bool, float]
"""What the panel was drawn for: the run, its phase, whether it is active here, seconds between two looks."""


def training_panel(state: AppState) -> None:
    """Everything about the run."""
    run = state.run
    history = run_history(run)
    active = run is not None and supervisor().is_active(run.id)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="training-head"):
        markup.title("Training")
        st.space("stretch")
        _preset_choice(state, disabled=active)
        with st.popover(
            "More settings", key="more-settings", help="Optimizer, schedule, augmentation and all the rest."
        ):
            recipe_details(state.recipe, on_change=set_recipe, active=active)
    _controls(state, run, history, active=active)
    if state.training_error:
        markup.problem(state.training_error)
    # A paused run ticks on, since a step may come from another tab; so does a run that the command line trains.
    going = active or history.phase in ("training", "paused")
    st.fragment(_live, run_every=_pace(history) if going else None)(_shown_state(run, history, active))
    _knobs(state, active=active)


def _shown_state(run: Run | None, history: History, active: bool) -> Shown:
    return (run.id if run else None, history.phase, active, _pace(history))


def _pace(history: History) -> float:
    """Seconds between two looks at the log: short until there is a point to show, long once a run takes its time.

    Every look costs the browser a redraw, and on the same machine the training some of its cores.
    """
    if not history.steps:
        return 0.15
    return 0.5 if history.elapsed_s < 15 else 1.0


def _live(shown: Shown) -> None:
    """The part that ticks. When the run's state is no longer the one that the buttons show, the page is drawn anew."""
    state = app_state()
    run = state.run
    history = run_history(run)
    active = run is not None and supervisor().is_active(run.id)
    if _shown_state(run, history, active) != shown:
        st.rerun()
    _figures(run, history)
    colours = theme(st.context.theme.type)
    with st.container(key="curve", gap=None):
        metric = st.segmented_control(
            "Chart",
            ["accuracy", "loss"],
            key="curve-metric",
            default="accuracy",
            required=True,
            label_visibility="collapsed",
            persist_state="session",
        )
        figure = training_figure(
            history, cast(Metric, metric or "accuracy"), colours, revision=run.id if run else "none"
        )
        live_curve(figure, key="live-curve", height=CURVE_HEIGHT)
    _words(run, history)


def _figures(run: Run | None, history: History) -> None:
    validation = history.last_validation
    measured = history.test or validation
    accuracy = f"{measured.accuracy:.1%}" if measured else "–"
    label = f"{measured.split}, {measured.size:,} images" if measured else "validation"
    loss = f"{history.train_loss[-1]:.3f}" if history.train_loss else "–"
    speed = f"{history.images_per_second:,.0f}" if history.steps else "–"
    if history.phase in ("training", "paused"):
        left = history.seconds_left
        time = _clock(left) if left is not None else "–"
        items = [(accuracy, label), (loss, "train loss"), (speed, "images / s"), (time, "left")]
    else:
        trained = _clock(history.elapsed_s) if history.steps else "–"
        items = [(accuracy, label), (loss, "train loss"), (speed, "images / s"), (trained, "trained")]
    markup.figures(items)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02d} h"


def _words(run: Run | None, history: History) -> None:
    if run is None:
        markup.line("Press Train: the chart fills batch by batch. Space trains and pauses, S trains one batch.")
    elif history.failure:
        failure = history.failure
        markup.problem(PlaygroundError(failure.what, expected=failure.expected, fix=failure.fix))
    elif history.phase == "waiting":
        position = supervisor().queue_position(run.id)
        going = "Starting …" if supervisor().is_active(run.id) else "This run never started. Reset, and train anew."
        markup.line(f"Waiting: {position} in the queue." if position else going)
    elif history.phase == "interrupted":
        if supervisor().is_active(run.id):
            markup.line("Starting from the last checkpoint …")
            return
        found = history.diagnosis
        died = found.message if found and found.finding == "worker_died" else "This run was interrupted."
        markup.line(died if "Resume" in died else f"{died} Resume goes on from the last checkpoint.", kind="warn")
    else:
        if history.phase == "stopped" and supervisor().is_active(run.id):
            markup.line("Starting from the last checkpoint …")
            return
        done = {"completed": "Done. ", "stopped": "Stopped. ", "paused": "Paused. "}.get(history.phase, "")
        message = history.diagnosis.message if history.diagnosis else f"{history.step:,} batches so far."
        markup.line(done + message)


# Controls


def _controls(state: AppState, run: Run | None, history: History, *, active: bool) -> None:
    problems = find_problems(state.architecture, machine_limits(state.recipe))
    training = active and history.phase == "training"
    paused = active and history.phase == "paused"
    starting = active and not training and not paused
    goes_on = paused or starting or _resumable(state, run, history)
    blocked = bool(problems) and not goes_on
    with st.container(horizontal=True, gap="small", key="controls"):
        if training:
            st.button(
                "Pause",
                key="train-pause",
                type="primary",
                shortcut="Space",
                on_click=_pause,
            )
        else:
            st.button(
                "Resume" if goes_on and history.phase != "waiting" else "Train",
                key="train-start",
                type="primary",
                shortcut="Space",
                on_click=_start,
                disabled=blocked or (active and not paused),
            )
        st.button(
            "Step",
            key="train-step",
            shortcut="S",
            on_click=_start,
            kwargs={"batches": 1},
            disabled=blocked or (active and not paused),
            help="Train one batch, then wait.",
        )
        st.button(
            "Stop",
            key="train-stop",
            on_click=_send,
            args=(Stop(),),
            disabled=not active,
            help="End the run with a checkpoint, from which it can be resumed.",
        )
        st.button(
            "Reset",
            key="train-reset",
            on_click=_reset,
            disabled=run is None,
            help="Begin anew: stops the run and clears the chart. The run stays on the Runs page.",
        )
    if problems and not active:
        count = len(problems)
        markup.hint(
            f"{count} problem{'s' if count > 1 else ''} in the network: mend {'them' if count > 1 else 'it'} to train."
        )


def _resumable(state: AppState, run: Run | None, history: History) -> bool:
    """Whether Train goes on with the attached run: it was cut, and network and recipe still are its own."""
    if run is None or history.phase not in RESUMABLE:
        return False
    own, shown = run.record.recipe, state.recipe
    knobs = set(KNOBS)
    same_recipe = own.model_dump(exclude=knobs) == shown.model_dump(exclude=knobs)
    same_recipe = same_recipe and own.optimizer.kind == shown.optimizer.kind
    same_network = run.record.architecture.digest == state.architecture.digest
    return run.checkpoint_path.exists() and same_recipe and same_network


def _changed_knobs(run: Run, recipe: Recipe) -> dict[str, Any]:
    """The knobs that were turned while the run stood still."""
    before, now = present_recipe(run).model_dump(mode="json"), recipe.model_dump(mode="json")
    return {knob: now[knob] for knob in KNOBS if before[knob] != now[knob]}


def _start(batches: int | None = None) -> None:
    state = app_state()
    run = state.run
    history = run_history(run)
    active = run is not None and supervisor().is_active(run.id)
    try:
        if run and active:
            # A browser may send an earlier click along with the next one: only a run that waits is told to go on.
            if history.phase == "paused":
                supervisor().send(run.id, Step(batches=batches) if batches else Resume())
        elif run and _resumable(state, run, history):
            supervisor().resume(run.id, batches=batches, knobs=_changed_knobs(run, state.recipe))
        else:
            state.attach(supervisor().start(state.architecture, state.recipe, batches=batches))
        state.training_error = None
    except PlaygroundError as problem:
        state.training_error = problem


def _pause() -> None:
    if run_history(app_state().run).phase == "training":
        _send(Pause())


def _send(command: Command) -> None:
    state = app_state()
    try:
        if state.run_id:
            supervisor().send(state.run_id, command)
    except PlaygroundError as problem:
        state.training_error = problem


def _reset() -> None:
    _send(Stop())
    app_state().detach()


# Settings


def _preset_choice(state: AppState, *, disabled: bool) -> None:
    current = next((name for name, preset in RECIPES.items() if preset.recipe.digest == state.recipe.digest), "own")
    st.session_state["recipe-preset"] = current

    def choose() -> None:
        name = st.session_state["recipe-preset"]
        if name != "own":
            app_state().recipe = RECIPES[name].recipe

    st.selectbox(
        "Recipe",
        ["own", *RECIPES],
        key="recipe-preset",
        format_func=lambda name: "Your own" if name == "own" else RECIPES[name].title,
        on_change=choose,
        disabled=disabled,
        label_visibility="collapsed",
        help="\n\n".join(f"**{preset.title}**: {preset.description}" for preset in RECIPES.values()),
        width=140,
    )


def _knobs(state: AppState, *, active: bool) -> None:
    fixed = [name for name in Recipe.model_fields if name not in KNOBS] if active else []
    with st.container(key="knobs"):
        model_form(
            state.recipe,
            key="recipe",
            on_change=set_recipe,
            only=("lr", "batch_size", "epochs", "seed"),
            columns=4,
            disabled=fixed,
        )


def set_recipe(name: str, value: Any) -> None:
    """Change one value of the recipe, in the running run too if it is a knob."""
    state = app_state()
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    try:
        state.recipe = state.recipe.changed(**{name: plain})
        if name in KNOBS and state.run_id and supervisor().is_active(state.run_id):
            knob = state.recipe.model_dump(mode="json")[name]
            supervisor().send(state.run_id, Change(knobs={name: knob}))
        state.training_error = None
    except PlaygroundError as problem:
        state.training_error = problem
