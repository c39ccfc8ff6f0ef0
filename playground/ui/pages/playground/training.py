"""The Training panel: controls, metrics, live chart, hyperparameters and diagnosis."""

import hashlib

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.charts.curves import Metric, NamedHistory, make_training_figure
from playground.charts.theme import get_theme
from playground.core.events import Suggestion
from playground.core.history import History
from playground.core.presets import RECIPE_PRESETS
from playground.core.recipe import LIVE_HYPERPARAMETERS, Recipe
from playground.engine.data.dataset_lookup import fit_recipe_to_dataset
from playground.engine.metrics import format_accuracy
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.ui import actions, html
from playground.ui.components.live_chart import live_chart
from playground.ui.epoch_time import estimate_epoch_seconds
from playground.ui.forms import choose_one, render_model_form
from playground.ui.pages.playground.fork import render_fork_popover
from playground.ui.pages.playground.live import render_live_network
from playground.ui.pages.playground.next_steps import render_next_steps
from playground.ui.pages.playground.preset_gallery import make_recipe_cards, open_preset_gallery
from playground.ui.pages.playground.transfer import find_scratch_run, render_transfer_comparison
from playground.ui.panels.recipe import render_recipe_form
from playground.ui.services import find_run_or_none, get_scheduler
from playground.ui.shortcuts import get_shortcut
from playground.ui.state import AppState, get_app_state, get_run_history

_MIN_ACCURACY_RISE = 0.005  # between the last two evaluations on the validation set
CURVE_HEIGHT = 236

PanelState = tuple[str | None, str, bool, float, bool]
"""State that the panel shows: run id, status, is active, refresh interval in seconds, is a comparison run active."""
_PENDING_REFRESH_INTERVAL_S = 0.25


def render_training_panel(state: AppState, weights_container: DeltaGenerator) -> None:
    """Render the controls, metrics, chart, hyperparameters and diagnosis of the attached run.

    ``weights_container``: where the network of the page is loaded into the browser.
    """
    state.sync_with_run()
    run = state.training.find_run()
    history = get_run_history(run)
    active, can_control = actions.is_active(run), actions.can_control(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="training-head"):
        html.render_title("Training")
        st.space("stretch")
        _render_recipe_choice(state, disabled=active and can_control)
        with st.popover(
            "More settings", key="more-settings", help="Optimizer, schedule, augmentation and other settings."
        ):
            render_recipe_form(
                state.editor.recipe, on_change=actions.set_recipe_field, is_active=active and can_control
            )
    _render_controls(state, run, history, is_active=active)
    if state.training.error:
        html.render_error(state.training.error)
    # A paused run is refreshed too, since another tab may train it; so is a run that the command line trains.
    panel_state = _get_panel_state(run, history, active)
    is_live = active or history.status in ("training", "paused") or panel_state[-1]
    live_container = st.container(gap="small")
    _render_hyperparameters(state, is_active=active and can_control)
    # Below everything else, so that a warning that appears moves nothing.
    status_container = st.container(key="words", gap="small")
    with status_container:
        render_transfer_comparison(run)
        st.html("<span></span>")  # a fragment may only write into a container that the page itself has written into
    refresh_interval = panel_state[3] if is_live else None
    with live_container:
        st.fragment(_render_live_part, run_every=refresh_interval)(panel_state, status_container, weights_container)


def _get_panel_state(run: Run | None, history: History, is_active: bool) -> PanelState:
    is_pending = get_app_state().training.get_pending_status(history.status) is not None
    return (
        run.id if run else None,
        history.status,
        is_active,
        _PENDING_REFRESH_INTERVAL_S if is_pending else _get_refresh_interval(history),
        actions.is_active(find_scratch_run(run)),
    )


def _get_refresh_interval(history: History) -> float:
    """Choose the seconds between two refreshes: short until there is a point to show, longer for long runs.

    Every refresh costs the browser a redraw and, on the same machine, takes cores from the training.
    """
    if not history.steps:
        return 0.15
    elapsed_s = history.elapsed_s
    return 0.5 if elapsed_s < 3 else 1.0 if elapsed_s < 8 else 2.0 if elapsed_s < 30 else 3.0


def _render_live_part(
    previous: PanelState, status_container: DeltaGenerator, weights_container: DeltaGenerator
) -> None:
    """Render the part that refreshes; reruns the page when the buttons above it are out of date."""
    state = get_app_state()
    run = state.training.find_run()
    history = get_run_history(run)
    active = actions.is_active(run)
    if state.sync_with_run() or _get_panel_state(run, history, active) != previous:
        st.rerun()
    _render_metrics(state, run, history)
    with st.container(key="curve", gap=None):
        metrics: tuple[Metric, ...] = ("accuracy", "loss")
        metric = choose_one("Chart", metrics, key="curve-metric", format_label=str.capitalize)
        figure = make_training_figure(
            history,
            metric,
            get_theme(st.context.theme.type),
            revision=run.id if run else "none",
            parent=_find_parent_history(history),
            has_smoothed_labels=_has_smoothed_labels(run, history),
        )
        live_chart(figure, key="live-curve", height=CURVE_HEIGHT)
    # Not in a fragment of its own: a page whose fragments take longer than their intervals never comes to rest.
    with weights_container:
        render_live_network()
    with status_container:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="words-line"):
            _render_status(state, run, history)
            if run and history.last_diagnosis and history.last_diagnosis.suggestion and actions.can_control(run):
                _render_suggestion(state, history.last_diagnosis.suggestion)
        if run and history.status == "completed" and history.test:
            render_next_steps(run, history.test)


def _has_smoothed_labels(run: Run | None, history: History) -> bool:
    return run is not None and run.get_current_recipe(history).label_smoothing > 0


def _find_parent_history(history: History) -> NamedHistory | None:
    """Return the history of the run that this one was forked from, if that run still exists."""
    parent = find_run_or_none(history.fork_event.parent) if history.fork_event else None
    return NamedHistory(parent.record.name, get_run_history(parent)) if parent else None


def _render_suggestion(state: AppState, suggestion: Suggestion) -> None:
    if actions.is_suggestion_applied(suggestion, state):
        return
    # The key depends on the suggestion: a late click must not apply the one that replaced it.
    digest = hashlib.blake2b(suggestion.model_dump_json().encode(), digest_size=4).hexdigest()
    with st.container(key="suggestion", width="content"):
        # No callback: it would rerun only the fragment, and the settings are outside of it.
        if st.button(suggestion.label, key=f"suggestion-{digest}", icon=":material/lightbulb:"):
            actions.apply_suggestion(suggestion)
            st.rerun()


def _render_metrics(state: AppState, run: Run | None, history: History) -> None:
    validation = history.last_validation
    evaluated = history.test or validation
    accuracy = format_accuracy(evaluated.accuracy, evaluated.size) if evaluated else "–"
    label = (
        f"{evaluated.split.capitalize()} accuracy, {evaluated.size:,} images" if evaluated else "Validation accuracy"
    )
    loss = f"{history.train_loss[-1]:.3f}" if history.train_loss else "–"
    loss_label = "Training loss, smoothed labels" if _has_smoothed_labels(run, history) else "Training loss"
    speed = f"{history.images_per_second:,.0f}" if history.steps else "–"
    if history.status in ("training", "paused"):
        left = history.remaining_seconds
        if left is None:  # no batch yet
            epoch_seconds = estimate_epoch_seconds(state.editor.architecture, state.editor.recipe, run)
            left = None if epoch_seconds is None else epoch_seconds * history.planned_epochs
        time = _format_duration(left) if left is not None else "–"
        items = [(accuracy, label), (loss, loss_label), (speed, "Images/s"), (time, "Time left, about")]
    else:
        trained = _format_duration(history.elapsed_s) if history.steps else "–"
        items = [(accuracy, label), (loss, loss_label), (speed, "Images/s"), (trained, "Training time")]
    html.render_metrics(items)


def _format_duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02d} h"


def _render_status(state: AppState, run: Run | None, history: History) -> None:
    position = get_scheduler().get_queue_position(run.id) if run else None
    starting_seconds = get_scheduler().get_starting_seconds(run.id) if run else None
    pending = state.training.get_pending_status(history.status)
    if run is None and actions.find_problems(state):
        html.render_message("Nothing is trained yet.")
    elif run is None:
        html.render_message("Press Train to start. Space trains and pauses, S trains one batch.")
    elif position:
        html.render_message(f"Waiting: {position} in the queue.")
    elif starting_seconds is not None:
        html.render_message("Starting …" if starting_seconds < 2 else f"Starting … {starting_seconds:.0f} s")
    elif pending:
        html.render_message(f"{actions.describe_status(state, run, history).capitalize()} …")
    elif history.failure:
        failure = history.failure
        html.render_error(PlaygroundError(failure.what, expected=failure.expected, fix=failure.fix))
    elif history.status == "waiting":
        html.render_message("This run was still queued when the server stopped. Press Train to start it.")
    elif history.status == "interrupted":
        message = history.end_diagnosis.message if history.end_diagnosis else "This run was interrupted."
        html.render_message(
            message if "Resume" in message else f"{message} Resume continues from the last checkpoint.",
            severity="warn",
        )
    else:
        diagnosis = history.end_diagnosis or history.last_diagnosis
        prefix = {"completed": "Done. ", "stopped": "Stopped. ", "paused": "Paused. "}.get(history.status, "")
        if not _is_run_of_editor(state, run):
            prefix = f"{run.record.name} ({run.get_dataset().title}), not the settings above: {prefix}"
        message = diagnosis.message if diagnosis else f"Warming up: {history.step:,} batches."
        if not history.step and run.initial_state_path.exists() and history.status == "stopped":
            message = "This run has its initial weights and was not trained yet."
        is_warning = diagnosis is not None and diagnosis.diagnosis != "learning"
        if history.status == "completed" and not is_warning:
            message = _describe_final_accuracy(history)
        html.render_message(
            prefix + message,
            severity="warn" if is_warning else "",
            details=diagnosis.metrics if diagnosis else {},
        )
    if history.rejected_change:
        html.render_message(f"Change rejected: {history.rejected_change.reason}", severity="warn")


def _describe_final_accuracy(history: History) -> str:
    """Describe the accuracy of a completed run that has no problem: on the test images, if they were evaluated."""
    if not history.validation:
        return ""
    accuracies, last = [evaluated.accuracy for evaluated in history.validation], history.validation[-1]
    accuracy = format_accuracy(last.accuracy, last.size)
    if len(accuracies) > 1 and accuracies[-1] - accuracies[-2] > _MIN_ACCURACY_RISE:
        return f"Validation accuracy was still rising at the end ({accuracy}). More epochs may help."
    if history.test is None:
        return f"{accuracy} of the validation images are classified correctly."
    test = history.test
    return (
        f"{format_accuracy(test.accuracy, test.size)} of the test images, unseen in training, are classified correctly."
    )


def _is_run_of_editor(state: AppState, run: Run) -> bool:
    """True if the editor holds the network and the settings that the run was started with."""
    is_same_network = run.record.architecture.is_equal_except_dropout_rates(state.editor.architecture)
    return is_same_network and run.record.recipe.is_equal_except_live_hyperparameters(state.editor.recipe)


# Controls


def _render_controls(state: AppState, run: Run | None, history: History, *, is_active: bool) -> None:
    problems = actions.find_problems(state)
    transfer_error = None if problems else actions.find_transfer_error(state)
    can_control = actions.can_control(run)
    is_training = is_active and history.status == "training"
    is_paused = is_active and history.status == "paused"
    can_continue = is_active or actions.can_continue(state, run, history)
    is_pending = state.training.get_pending_status(history.status) is not None
    more_epochs = actions.count_epochs_to_continue(state, run, history)
    is_blocked = (bool(problems or transfer_error) and not can_continue) or (
        is_active and not (is_paused and can_control and not is_pending)
    )
    offers_more_epochs = bool(more_epochs) and not can_continue
    with st.container(horizontal=True, gap="xsmall", key="controls"):
        if is_training:
            st.button(
                "Pause",
                key="train-pause",
                type="primary",
                shortcut=get_shortcut("Space"),
                on_click=actions.pause,
                disabled=not can_control or is_pending,
            )
        else:
            start_label = "Resume" if can_continue and history.status != "waiting" else "Train"
            st.button(
                "Train again from scratch" if offers_more_epochs else start_label,
                key="train-start",
                type="primary",
                shortcut=get_shortcut("Space"),
                on_click=actions.start_or_resume,
                disabled=is_blocked,
                help="Start a new run with new weights. This run is kept on the Runs page."
                if offers_more_epochs
                else None,
            )
        if offers_more_epochs:
            st.button(
                "Continue: 1 more epoch",
                key="train-continue",
                on_click=actions.continue_training,
                args=(more_epochs,),
                help=f"Continue this run to {more_epochs} epochs.",
            )
        else:
            st.button(
                "Step",
                key="train-step",
                shortcut=get_shortcut("S"),
                on_click=actions.start_or_resume,
                kwargs={"batches": 1},
                disabled=is_blocked,
                help="Train one batch, then pause.",
            )
            st.button(
                "Stop",
                key="train-stop",
                on_click=actions.stop,
                disabled=not is_active or not can_control or state.training.is_stopping(history.status),
                help="End the run and save a checkpoint. You can resume it later.",
            )
        st.button(
            "Reset",
            key="train-reset",
            on_click=actions.reset,
            disabled=run is None,
            help="Stop this run and clear the chart. The run is kept on the Runs page.",
        )
        render_fork_popover(state, run)
    if is_active and not can_control:
        html.render_hint("This run belongs to someone else. You can watch or fork it; Reset lets you train your own.")
    elif problems and not is_active:
        count = len(problems)
        html.render_hint(f"Fix {count} problem{'s' if count > 1 else ''} to train.")


# Settings


def _render_recipe_choice(state: AppState, *, disabled: bool) -> None:
    dataset = state.editor.recipe.dataset  # presets keep the dataset
    presets = {name: _fit_preset(preset.recipe, dataset) for name, preset in RECIPE_PRESETS.items()}
    current = next((name for name, recipe in presets.items() if recipe.digest == state.editor.recipe.digest), None)
    title = RECIPE_PRESETS[current].title if current else "Custom recipe"
    epochs = state.editor.recipe.epochs
    if st.button(
        f"{title} · {epochs} epoch{'s' if epochs > 1 else ''}",
        key="recipe-preset",
        icon=":material/grid_view:",
        disabled=disabled,
        help="Choose a recipe: optimizer, learning rate and its schedule, epochs, augmentation.",
    ):
        open_preset_gallery(
            "Choose a recipe",
            make_recipe_cards(presets, state.editor.architecture),
            width=420,
            selected=current,
            on_select=lambda name: actions.replace_recipe(presets[name]),
        )


def _fit_preset(recipe: Recipe, dataset: str) -> Recipe:
    try:
        return fit_recipe_to_dataset(recipe, dataset=dataset)
    except PlaygroundError:  # the dataset is missing
        return recipe.replace(dataset=dataset)


def _render_hyperparameters(state: AppState, *, is_active: bool) -> None:
    fixed = [name for name in Recipe.model_fields if name not in LIVE_HYPERPARAMETERS] if is_active else []
    with st.container(key="hyperparameters"):
        render_model_form(
            state.editor.recipe,
            key="recipe",
            on_change=actions.set_recipe_field,
            field_names=("lr", "batch_size", "epochs", "seed"),
            columns=4,
            disabled=fixed,
        )
