"""The Training panel: controls, figures, the streaming chart, knobs, and one line of diagnosis."""

import hashlib

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.charts.curves import Metric, NamedHistory, make_training_figure
from playground.charts.theme import get_theme
from playground.core.events import Suggestion
from playground.core.history import History
from playground.core.presets import RECIPE_PRESETS
from playground.core.recipe import LIVE_HYPERPARAMETERS, Recipe
from playground.core.validation import validate
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.ui import actions, html
from playground.ui.components.live_chart import live_chart
from playground.ui.forms import choose_one, render_model_form
from playground.ui.pages.playground.fork import render_fork_popover
from playground.ui.pages.playground.transfer import find_scratch_run, render_transfer_comparison
from playground.ui.panels.recipe import render_recipe_form
from playground.ui.services import find_run_or_none, get_scheduler
from playground.ui.state import AppState, get_app_state, get_run_history

_MIN_ACCURACY_RISE = 0.005  # of the validation accuracy, between its last two measurements
CURVE_HEIGHT = 236

PanelState = tuple[str | None, str, bool, float, bool]
"""What the panel was drawn for: the run, its phase, whether it is active here, seconds between two looks.

At last whether the same is being trained from scratch, to be compared.
"""


def render_training_panel(state: AppState) -> None:
    """Everything about the run."""
    run = state.training.find_run()
    history = get_run_history(run)
    active, own = actions.is_active(run), actions.can_control(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="training-head"):
        html.render_title("Training")
        st.space("stretch")
        _render_recipe_choice(state, disabled=active and own)
        with st.popover(
            "More settings", key="more-settings", help="Optimizer, schedule, augmentation and all the rest."
        ):
            render_recipe_form(state.editor.recipe, on_change=actions.set_recipe_field, is_active=active and own)
    _render_controls(state, run, history, is_active=active)
    if state.training.error:
        html.render_error(state.training.error)
    # A paused run ticks on, since a step may come from another tab; so does a run that the command line trains.
    shown = _get_panel_state(run, history, active)
    going = active or history.status in ("training", "paused") or shown[-1]
    live = st.container(gap="small")
    _render_hyperparameters(state, is_active=active and own)
    # Below the knobs, so that a warning that comes or goes moves nothing.
    words = st.container(key="words", gap="small")
    with words:
        render_transfer_comparison(run)
        st.html("<span></span>")  # a fragment may only write into a container that the page itself has written into
    with live:
        st.fragment(_render_live_part, run_every=_get_refresh_interval(history) if going else None)(shown, words)


def _get_panel_state(run: Run | None, history: History, is_active: bool) -> PanelState:
    return (
        run.id if run else None,
        history.status,
        is_active,
        _get_refresh_interval(history),
        actions.is_active(find_scratch_run(run)),
    )


def _get_refresh_interval(history: History) -> float:
    """Seconds between two looks at the log: short until there is a point to show, long once a run takes its time.

    Every look costs the browser a redraw, and on the same machine the training some of its cores.
    """
    if not history.steps:
        return 0.15
    elapsed_s = history.elapsed_s
    return 0.5 if elapsed_s < 3 else 1.0 if elapsed_s < 8 else 2.0 if elapsed_s < 30 else 3.0


def _render_live_part(previous: PanelState, status_container: DeltaGenerator) -> None:
    """The part that ticks. When the run's state is no longer the one that the buttons show, the page is drawn anew."""
    state = get_app_state()
    run = state.training.find_run()
    history = get_run_history(run)
    active = actions.is_active(run)
    if _get_panel_state(run, history, active) != previous:
        st.rerun()
    _render_metrics(run, history)
    colours = get_theme(st.context.theme.type)
    with st.container(key="curve", gap=None):
        metrics: tuple[Metric, ...] = ("accuracy", "loss")
        metric = choose_one("Chart", metrics, key="curve-metric")
        figure = make_training_figure(
            history,
            metric,
            colours,
            revision=run.id if run else "none",
            parent=_find_parent_history(history),
        )
        live_chart(figure, key="live-curve", height=CURVE_HEIGHT)
    with status_container, st.container(horizontal=True, vertical_alignment="center", gap="small", key="words-line"):
        _render_status(run, history)
        if run and history.last_diagnosis and history.last_diagnosis.suggestion and actions.can_control(run):
            _render_suggestion(state, history.last_diagnosis.suggestion)


def _find_parent_history(history: History) -> NamedHistory | None:
    """The run that this one branched from, if it still exists."""
    parent = find_run_or_none(history.fork_event.parent) if history.fork_event else None
    return NamedHistory(parent.record.name, get_run_history(parent)) if parent else None


def _render_suggestion(state: AppState, suggestion: Suggestion) -> None:
    if actions.is_suggestion_applied(suggestion, state):
        return
    # One button for each suggestion: a click that comes when another has taken its place is not a click on that.
    name = hashlib.blake2b(suggestion.model_dump_json().encode(), digest_size=4).hexdigest()
    with st.container(key="suggestion", width="content"):
        # A callback of a fragment draws only the fragment anew, and the settings stand outside of it.
        if st.button(suggestion.label, key=f"suggestion-{name}", icon=":material/lightbulb:"):
            actions.apply_suggestion(suggestion)
            st.rerun()


def _render_metrics(run: Run | None, history: History) -> None:
    validation = history.last_validation
    measured = history.test or validation
    accuracy = f"{measured.accuracy:.1%}" if measured else "–"
    label = f"{measured.split}, {measured.size:,} images" if measured else "validation"
    loss = f"{history.train_loss[-1]:.3f}" if history.train_loss else "–"
    speed = f"{history.images_per_second:,.0f}" if history.steps else "–"
    if history.status in ("training", "paused"):
        left = history.remaining_seconds
        time = _format_duration(left) if left is not None else "–"
        items = [(accuracy, label), (loss, "train loss"), (speed, "images / s"), (time, "left")]
    else:
        trained = _format_duration(history.elapsed_s) if history.steps else "–"
        items = [(accuracy, label), (loss, "train loss"), (speed, "images / s"), (trained, "trained")]
    html.render_metrics(items)


def _format_duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02d} h"


def _render_status(run: Run | None, history: History) -> None:
    position = get_scheduler().get_queue_position(run.id) if run else None
    if run is None:
        html.render_message("Press Train: the chart fills batch by batch. Space trains and pauses, S trains one batch.")
    elif position:
        html.render_message(f"Waiting: {position} in the queue.")
    elif get_scheduler().is_starting(run.id):
        html.render_message("Starting …")
    elif history.failure:
        failure = history.failure
        html.render_error(PlaygroundError(failure.what, expected=failure.expected, fix=failure.fix))
    elif history.status == "waiting":
        html.render_message("This run was waiting when the server ended. Train starts it.")
    elif history.status == "interrupted":
        died = history.end_diagnosis.message if history.end_diagnosis else "This run was interrupted."
        html.render_message(
            died if "Resume" in died else f"{died} Resume continues from the last checkpoint.", severity="warn"
        )
    else:
        found = history.end_diagnosis or history.last_diagnosis
        done = {"completed": "Done. ", "stopped": "Stopped. ", "paused": "Paused. "}.get(history.status, "")
        message = found.message if found else f"{history.step:,} batches so far."
        if not history.step and run.initial_state_path.exists() and history.status == "stopped":
            message = "It has the weights that were given to it, and trained none of its own yet."
        warns = found is not None and found.diagnosis != "learning"
        if history.status == "completed" and not warns:
            message = _describe_final_accuracy(history)
        html.render_message(done + message, severity="warn" if warns else "", details=found.metrics if found else {})
    if history.rejected_change:
        html.render_message(f"Change rejected: {history.rejected_change.reason}", severity="warn")


def _describe_final_accuracy(history: History) -> str:
    """Of a run that went to its end and has nothing wrong with it."""
    accuracies = [measured.accuracy for measured in history.validation]
    if len(accuracies) > 1 and accuracies[-1] - accuracies[-2] > _MIN_ACCURACY_RISE:
        return f"Validation still rose at the end, to {accuracies[-1]:.1%}: more epochs may help."
    return f"{accuracies[-1]:.1%} of the validation images are right." if accuracies else ""


# Controls


def _render_controls(state: AppState, run: Run | None, history: History, *, is_active: bool) -> None:
    problems = validate(state.editor.architecture, get_scheduler().limits.compute_model_limits(state.editor.recipe))
    own = actions.can_control(run)
    training = is_active and history.status == "training"
    paused = is_active and history.status == "paused"
    continues = paused or is_active or actions.can_continue(state, run, history)
    blocked = (bool(problems) and not continues) or (is_active and not (paused and own))
    with st.container(horizontal=True, gap="small", key="controls"):
        if training:
            st.button(
                "Pause", key="train-pause", type="primary", shortcut="Space", on_click=actions.pause, disabled=not own
            )
        else:
            st.button(
                "Resume" if continues and history.status != "waiting" else "Train",
                key="train-start",
                type="primary",
                shortcut="Space",
                on_click=actions.start_or_resume,
                disabled=blocked,
            )
        st.button(
            "Step",
            key="train-step",
            shortcut="S",
            on_click=actions.start_or_resume,
            kwargs={"batches": 1},
            disabled=blocked,
            help="Train one batch, then wait.",
        )
        st.button(
            "Stop",
            key="train-stop",
            on_click=actions.stop,
            disabled=not is_active or not own,
            help="End the run with a checkpoint, from which it can be resumed.",
        )
        st.button(
            "Reset",
            key="train-reset",
            on_click=actions.reset,
            disabled=run is None,
            help="Begin anew: stops your run and clears the chart. The run stays on the Runs page.",
        )
        render_fork_popover(state, run)
    if is_active and not own:
        html.render_hint("Somebody else's run: watch it, fork it, or Reset to train your own.")
    elif problems and not is_active:
        count = len(problems)
        html.render_hint(
            f"{count} problem{'s' if count > 1 else ''} in the network: mend {'them' if count > 1 else 'it'} to train."
        )


# Settings


def _render_recipe_choice(state: AppState, *, disabled: bool) -> None:
    dataset = state.editor.recipe.dataset  # a recipe says how to train, not on what
    presets = {name: preset.recipe.replace(dataset=dataset) for name, preset in RECIPE_PRESETS.items()}
    current = next((name for name, recipe in presets.items() if recipe.digest == state.editor.recipe.digest), "own")
    st.session_state["recipe-preset"] = current

    def store_choice() -> None:
        name = st.session_state["recipe-preset"]
        if name != "own":
            get_app_state().editor.recipe = presets[name]

    st.selectbox(
        "Recipe",
        ["own", *RECIPE_PRESETS],
        key="recipe-preset",
        format_func=lambda name: "Your own" if name == "own" else RECIPE_PRESETS[name].title,
        on_change=store_choice,
        disabled=disabled,
        label_visibility="collapsed",
        help="\n\n".join(f"**{preset.title}**: {preset.description}" for preset in RECIPE_PRESETS.values()),
        width=140,
    )


def _render_hyperparameters(state: AppState, *, is_active: bool) -> None:
    fixed = [name for name in Recipe.model_fields if name not in LIVE_HYPERPARAMETERS] if is_active else []
    with st.container(key="knobs"):
        render_model_form(
            state.editor.recipe,
            key="recipe",
            on_change=actions.set_recipe_field,
            field_names=("lr", "batch_size", "epochs", "seed"),
            columns=4,
            disabled=fixed,
        )
