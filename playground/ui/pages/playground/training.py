"""The Training panel: controls, figures, the streaming chart, knobs, and one line of diagnosis."""

import hashlib

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.charts.curves import Metric, NamedHistory, training_figure
from playground.charts.theme import theme
from playground.core.events import Suggestion
from playground.core.history import History
from playground.core.presets import RECIPES
from playground.core.recipe import KNOBS, Recipe
from playground.core.validation import find_problems
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.ui import actions as steering
from playground.ui import html as markup
from playground.ui.components.live_chart import live_chart
from playground.ui.forms import model_form, one_of
from playground.ui.pages.playground.fork import fork_popover
from playground.ui.pages.playground.transfer import gain_line, scratch_of
from playground.ui.panels.recipe import recipe_details
from playground.ui.services import run_or_none, supervisor
from playground.ui.state import AppState, app_state, run_history

_RISE = 0.005  # of the validation accuracy, between its last two measurements
CURVE_HEIGHT = 236

Shown = tuple[str | None, str, bool, float, bool]
"""What the panel was drawn for: the run, its phase, whether it is active here, seconds between two looks.

At last whether the same is being trained from scratch, to be compared.
"""


def training_panel(state: AppState) -> None:
    """Everything about the run."""
    run = state.run
    history = run_history(run)
    active, own = steering.is_active(run), steering.may_steer(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="training-head"):
        markup.title("Training")
        st.space("stretch")
        _preset_choice(state, disabled=active and own)
        with st.popover(
            "More settings", key="more-settings", help="Optimizer, schedule, augmentation and all the rest."
        ):
            recipe_details(state.recipe, on_change=steering.set_recipe, active=active and own)
    _controls(state, run, history, active=active)
    if state.training_error:
        markup.problem(state.training_error)
    # A paused run ticks on, since a step may come from another tab; so does a run that the command line trains.
    shown = _shown_state(run, history, active)
    going = active or history.phase in ("training", "paused") or shown[-1]
    live = st.container(gap="small")
    _knobs(state, active=active and own)
    # Below the knobs, so that a warning that comes or goes moves nothing.
    words = st.container(key="words", gap="small")
    with words:
        gain_line(run)
        st.html("<span></span>")  # a fragment may only write into a container that the page itself has written into
    with live:
        st.fragment(_live, run_every=_pace(history) if going else None)(shown, words)


def _shown_state(run: Run | None, history: History, active: bool) -> Shown:
    return (run.id if run else None, history.phase, active, _pace(history), steering.is_active(scratch_of(run)))


def _pace(history: History) -> float:
    """Seconds between two looks at the log: short until there is a point to show, long once a run takes its time.

    Every look costs the browser a redraw, and on the same machine the training some of its cores.
    """
    if not history.steps:
        return 0.15
    elapsed_s = history.elapsed_s
    return 0.5 if elapsed_s < 3 else 1.0 if elapsed_s < 8 else 2.0 if elapsed_s < 30 else 3.0


def _live(shown: Shown, words: DeltaGenerator) -> None:
    """The part that ticks. When the run's state is no longer the one that the buttons show, the page is drawn anew."""
    state = app_state()
    run = state.run
    history = run_history(run)
    active = steering.is_active(run)
    if _shown_state(run, history, active) != shown:
        st.rerun()
    _figures(run, history)
    colours = theme(st.context.theme.type)
    with st.container(key="curve", gap=None):
        metrics: tuple[Metric, ...] = ("accuracy", "loss")
        metric = one_of("Chart", metrics, key="curve-metric")
        figure = training_figure(
            history,
            metric,
            colours,
            revision=run.id if run else "none",
            parent=_parent(history),
        )
        live_chart(figure, key="live-curve", height=CURVE_HEIGHT)
    with words, st.container(horizontal=True, vertical_alignment="center", gap="small", key="words-line"):
        _words(run, history)
        if run and history.diagnosis and history.diagnosis.suggestion and steering.may_steer(run):
            _suggestion(state, history.diagnosis.suggestion)


def _parent(history: History) -> NamedHistory | None:
    """The run that this one branched from, if it still exists."""
    parent = run_or_none(history.forked.parent) if history.forked else None
    return NamedHistory(parent.record.name, run_history(parent)) if parent else None


def _suggestion(state: AppState, suggestion: Suggestion) -> None:
    if steering.is_taken_up(suggestion, state):
        return
    # One button for each suggestion: a click that comes when another has taken its place is not a click on that.
    name = hashlib.blake2b(suggestion.model_dump_json().encode(), digest_size=4).hexdigest()
    with st.container(key="suggestion", width="content"):
        # A callback of a fragment draws only the fragment anew, and the settings stand outside of it.
        if st.button(suggestion.label, key=f"suggestion-{name}", icon=":material/lightbulb:"):
            steering.take_up(suggestion)
            st.rerun()


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
    position = supervisor().queue_position(run.id) if run else None
    if run is None:
        markup.line("Press Train: the chart fills batch by batch. Space trains and pauses, S trains one batch.")
    elif position:
        markup.line(f"Waiting: {position} in the queue.")
    elif supervisor().is_starting(run.id):
        markup.line("Starting …")
    elif history.failure:
        failure = history.failure
        markup.problem(PlaygroundError(failure.what, expected=failure.expected, fix=failure.fix))
    elif history.phase == "waiting":
        markup.line("This run was waiting when the server ended. Train starts it.")
    elif history.phase == "interrupted":
        died = history.ending.message if history.ending else "This run was interrupted."
        markup.line(died if "Resume" in died else f"{died} Resume goes on from the last checkpoint.", kind="warn")
    else:
        found = history.ending or history.diagnosis
        done = {"completed": "Done. ", "stopped": "Stopped. ", "paused": "Paused. "}.get(history.phase, "")
        message = found.message if found else f"{history.step:,} batches so far."
        if not history.step and run.material_path.exists() and history.phase == "stopped":
            message = "It has the weights that were given to it, and trained none of its own yet."
        warns = found is not None and found.finding != "learning"
        if history.phase == "completed" and not warns:
            message = _last_words(history)
        markup.line(done + message, kind="warn" if warns else "", behind=found.figures if found else {})


def _last_words(history: History) -> str:
    """Of a run that went to its end and has nothing wrong with it."""
    accuracies = [measured.accuracy for measured in history.validation]
    if len(accuracies) > 1 and accuracies[-1] - accuracies[-2] > _RISE:
        return f"Validation still rose at the end, to {accuracies[-1]:.1%}: more epochs may help."
    return f"{accuracies[-1]:.1%} of the validation images are right." if accuracies else ""


# Controls


def _controls(state: AppState, run: Run | None, history: History, *, active: bool) -> None:
    problems = find_problems(state.architecture, supervisor().limits.for_recipe(state.recipe))
    own = steering.may_steer(run)
    training = active and history.phase == "training"
    paused = active and history.phase == "paused"
    continues = paused or active or steering.goes_on(state, run, history)
    blocked = (bool(problems) and not continues) or (active and not (paused and own))
    with st.container(horizontal=True, gap="small", key="controls"):
        if training:
            st.button(
                "Pause", key="train-pause", type="primary", shortcut="Space", on_click=steering.pause, disabled=not own
            )
        else:
            st.button(
                "Resume" if continues and history.phase != "waiting" else "Train",
                key="train-start",
                type="primary",
                shortcut="Space",
                on_click=steering.start,
                disabled=blocked,
            )
        st.button(
            "Step",
            key="train-step",
            shortcut="S",
            on_click=steering.start,
            kwargs={"batches": 1},
            disabled=blocked,
            help="Train one batch, then wait.",
        )
        st.button(
            "Stop",
            key="train-stop",
            on_click=steering.stop,
            disabled=not active or not own,
            help="End the run with a checkpoint, from which it can be resumed.",
        )
        st.button(
            "Reset",
            key="train-reset",
            on_click=steering.reset,
            disabled=run is None,
            help="Begin anew: stops your run and clears the chart. The run stays on the Runs page.",
        )
        fork_popover(state, run)
    if active and not own:
        markup.hint("Somebody else's run: watch it, fork it, or Reset to train your own.")
    elif problems and not active:
        count = len(problems)
        markup.hint(
            f"{count} problem{'s' if count > 1 else ''} in the network: mend {'them' if count > 1 else 'it'} to train."
        )


# Settings


def _preset_choice(state: AppState, *, disabled: bool) -> None:
    dataset = state.recipe.dataset  # a recipe says how to train, not on what
    presets = {name: preset.recipe.changed(dataset=dataset) for name, preset in RECIPES.items()}
    current = next((name for name, recipe in presets.items() if recipe.digest == state.recipe.digest), "own")
    st.session_state["recipe-preset"] = current

    def choose() -> None:
        name = st.session_state["recipe-preset"]
        if name != "own":
            app_state().recipe = presets[name]

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
            on_change=steering.set_recipe,
            only=("lr", "batch_size", "epochs", "seed"),
            columns=4,
            disabled=fixed,
        )
