"""Actions on the attached run and the editor, used as widget callbacks. Errors are stored for the panel to show."""

from contextlib import suppress
from typing import Any

from playground.core.architecture import Architecture
from playground.core.events import Command, Pause, Resume, Stop, Suggestion, TrainSteps, UpdateHyperparameters
from playground.core.history import History, RunStatus
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS, ArchitecturePreset
from playground.core.recipe import LIVE_HYPERPARAMETERS, Recipe
from playground.core.validation import Problem, validate
from playground.engine.cache import cached
from playground.engine.data.dataset_lookup import find_dataset, fit_recipe_to_dataset, resolve_dataset
from playground.engine.runs.initial_state import load_initial_state
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import get_last_snapshot_step, prepare_transferred_state
from playground.errors import PlaygroundError
from playground.ui.services import find_run_or_none, get_requester_id, get_scheduler, get_visitor_id
from playground.ui.state import AppState, get_app_state, get_current_settings, get_run_history

_DATASET_DEPENDENT_FIELDS = ("validation_size", "batch_size")


def find_problems(state: AppState) -> tuple[Problem, ...]:
    """Find the problems of the network in the editor, for the dataset and batch size of its recipe."""
    architecture, recipe = state.editor.architecture, state.editor.recipe
    limits = get_scheduler().limits.compute_model_limits(recipe)
    return validate(architecture, limits, resolve_dataset(recipe, architecture))


def is_active(run: Run | None) -> bool:
    """Return True if a run is training, paused or queued on this server."""
    return run is not None and get_scheduler().is_active(run.id)


def can_control(run: Run | None) -> bool:
    """Return True if this page may control the run: its browser owns it, nobody does, or the page is local."""
    requester_id = get_requester_id()
    return run is None or requester_id is None or run.record.owner in (None, requester_id)


def can_continue(state: AppState, run: Run | None, history: History) -> bool:
    """Return True if Train resumes the attached run.

    Then it has batches left, the editor still holds its network and recipe, and no other initial weights are chosen.
    """
    parent = state.editor.find_parent_run()
    if parent and run and run.record.parent != parent.id:
        return False
    if run is None or not can_control(run) or not run.can_resume(history, epochs=state.editor.recipe.epochs):
        return False
    same_recipe = run.record.recipe.is_equal_except_live_hyperparameters(state.editor.recipe)
    return same_recipe and run.record.architecture.is_equal_except_dropout_rates(state.editor.architecture)


def count_epochs_to_continue(state: AppState, run: Run | None, history: History) -> int | None:
    """Return the epochs with which the attached run, which is completed, trains one more; None if it cannot."""
    if run is None or history.status != "completed":
        return None
    epochs = int(history.epoch) + 1
    with suppress(PlaygroundError):
        recipe = state.editor.recipe.replace(epochs=epochs)
        get_scheduler().limits.check_epochs(recipe)
        is_same_recipe = run.record.recipe.is_equal_except_live_hyperparameters(recipe)
        is_same_network = run.record.architecture.is_equal_except_dropout_rates(state.editor.architecture)
        if is_same_recipe and is_same_network and can_control(run) and run.can_resume(history, epochs=epochs):
            return epochs
    return None


def find_transfer_error(state: AppState) -> PlaygroundError | None:
    """Return the reason why the network in the editor cannot start from the chosen run; None if it can."""
    parent = state.editor.find_parent_run()
    if parent is None:
        return None
    try:
        step = get_last_snapshot_step(parent)
        return _find_transfer_error(parent.id, step, state.editor.architecture, state.editor.recipe)
    except PlaygroundError as error:
        return error


@cached(max_bytes=2**16)
def _find_transfer_error(
    parent_id: str, step: int, architecture: Architecture, recipe: Recipe
) -> PlaygroundError | None:
    try:
        prepare_transferred_state(find_run(parent_id), step, architecture, recipe)
    except PlaygroundError as error:
        return error
    return None


_PENDING_WORDS: dict[RunStatus, str] = {"training": "resuming", "paused": "pausing", "stopped": "stopping"}


def describe_status(state: AppState, run: Run, history: History) -> str:
    """Describe the status of a run in a word or two: also of a queued one, and of one that was asked to change."""
    position = get_scheduler().get_queue_position(run.id)
    if position:
        return f"queued, position {position}"
    if get_scheduler().is_starting(run.id):
        return "starting"
    if history.status == "waiting":
        return "not started"
    pending = state.training.get_pending_status(history.status) if run.id == state.training.run_id else None
    return _PENDING_WORDS[pending] if pending else history.status


def continue_training(epochs: int) -> None:
    """Continue the attached run up to this number of epochs."""
    set_recipe_field("epochs", epochs)
    start_or_resume()


def start_or_resume(batches: int | None = None) -> None:
    """Resume the attached run if possible, else start a new one; ``batches`` limits how many are trained."""
    state = get_app_state()
    state.sync_with_run()
    run = state.training.find_run()
    history = get_run_history(run)
    try:
        if run and is_active(run):
            # The browser may send an earlier click together with the next one: only a paused run is resumed.
            if history.status == "paused":
                _send_command(run, TrainSteps(batches=batches) if batches else Resume())
                if batches is None:
                    state.training.request("training")
        elif run and can_continue(state, run, history):
            get_scheduler().resume(
                run.id,
                pause_after_batches=batches,
                hyperparameters=_diff_hyperparameters(run, state),
                user=get_requester_id(),
            )
        else:
            state.attach(
                get_scheduler().submit(
                    state.editor.architecture,
                    state.editor.recipe,
                    pause_after_batches=batches,
                    owner=get_visitor_id(),
                    parent=_get_parent_run_id(state),
                ),
                init_from=state.editor.init_from,
            )
        state.training.error = None
    except PlaygroundError as error:
        state.training.error = error


def _get_parent_run_id(state: AppState) -> str | None:
    parent = state.editor.find_parent_run()
    return parent.id if parent else None


def start_transfer_comparison() -> None:
    """Train with the transferred weights and then from scratch, to compare both."""
    state = get_app_state()
    try:
        architecture, recipe = state.editor.architecture, state.editor.recipe
        transferred = get_scheduler().submit(
            architecture, recipe, owner=get_visitor_id(), parent=_get_parent_run_id(state)
        )
        state.attach(transferred, init_from=state.editor.init_from)
        name = f"{transferred.record.name}: from scratch"
        get_scheduler().submit(architecture.freeze_up_to(-1), recipe, owner=get_visitor_id(), name=name)
    except PlaygroundError as error:
        state.training.error = error


def pause() -> None:
    """Pause the attached run."""
    state = get_app_state()
    if get_run_history(state.training.find_run()).status == "training":
        _send_to_attached_run(Pause())
        state.training.request("paused")


def stop() -> None:
    """Stop the attached run; it saves a checkpoint."""
    _send_to_attached_run(Stop())
    get_app_state().training.request("stopped")


def reset() -> None:
    """Stop the attached run if this page may control it, and detach it."""
    state = get_app_state()
    if can_control(state.training.find_run()):
        _send_to_attached_run(Stop())
    state.detach()


def set_recipe_field(name: str, value: Any) -> None:
    """Change a value of the recipe; a live hyperparameter is changed in the active run too."""
    _update_recipe({name: value.model_dump(mode="json") if hasattr(value, "model_dump") else value})


def replace_recipe(recipe: Recipe) -> None:
    """Replace the recipe in the editor, say what changed, and allow to undo it."""
    state = get_app_state()
    before = state.editor.recipe
    state.set_architecture(state.editor.architecture, recipe)
    state.editor.changed_settings = _describe_changes(before, state.editor.recipe)


def _describe_changes(before: Recipe, after: Recipe) -> str:
    """Describe the settings that an edit changed beside the dataset: ``batch size 64 → 7, optimizer``."""
    changes = []
    for name, value in after:
        old = getattr(before, name)
        if name == "dataset" or value == old:
            continue
        is_plain = isinstance(value, int | float | None) and isinstance(old, int | float | None)
        values = f" {_format_setting(old)} → {_format_setting(value)}" if is_plain else ""
        changes.append(f"{name.replace('_', ' ')}{values}")
    return ", ".join(changes)


def _format_setting(value: float | None) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:g}"


def apply_preset(preset: ArchitecturePreset) -> None:
    """Load a preset's network, and its recipe if it has one; other networks are adapted to the current dataset."""
    state = get_app_state()
    recipe_before = state.editor.recipe
    previous = ARCHITECTURE_PRESETS.get(state.editor.preset_name or "")
    active = is_active(state.training.find_run())
    recipe = None if active else preset.recipe
    architecture = preset.architecture
    if recipe is None:
        dataset = resolve_dataset(state.editor.recipe, state.editor.architecture)
        architecture = architecture.adapt_to_images(dataset.input_shape, len(dataset.class_names))
        if previous and previous.recipe == state.editor.recipe and not active:
            recipe = _make_default_recipe(dataset.name)  # the previous preset's recipe was chosen for its network
    state.set_architecture(architecture, recipe)
    state.editor.preset_name, state.editor.open_layer_id = preset.name, None
    state.editor.changed_settings = _describe_changes(recipe_before, state.editor.recipe)


def _make_default_recipe(dataset: str) -> Recipe | None:
    with suppress(PlaygroundError):
        return fit_recipe_to_dataset(RECIPE_PRESETS["sprint"].recipe, dataset=dataset)
    return None


def switch_dataset(name: str) -> None:
    """Switch the dataset; the network's input and output and the recipe are adapted to it."""
    state = get_app_state()
    try:
        recipe_before = state.editor.recipe
        dataset = find_dataset(name)
        requested = _get_requested_recipe(state).replace(dataset=name)
        fitted = fit_recipe_to_dataset(requested)
        state.editor.fitted_and_requested_recipe = (fitted, requested)
        state.set_architecture(
            state.editor.architecture.adapt_to_images(dataset.input_shape, len(dataset.class_names)), fitted
        )
        state.editor.changed_settings = _describe_changes(recipe_before, state.editor.recipe)
    except PlaygroundError as error:
        state.editor.error = error


def _get_requested_recipe(state: AppState) -> Recipe:
    """Return the recipe as it was before it was fitted to the current dataset, except values that were set since."""
    if state.editor.fitted_and_requested_recipe is None:
        return state.editor.recipe
    fitted, requested = state.editor.fitted_and_requested_recipe
    if state.editor.recipe.dataset != fitted.dataset:
        return state.editor.recipe
    reduced = {
        name: getattr(requested, name)
        for name in _DATASET_DEPENDENT_FIELDS
        if getattr(state.editor.recipe, name) == getattr(fitted, name)
    }
    return state.editor.recipe.replace(**reduced)


def sync_dropout_rates() -> None:
    """Send the dropout rates to the active run if they are all that differs from its network."""
    state = get_app_state()
    run = state.training.find_run()
    if run is None or not is_active(run) or not can_control(run):
        return
    state.sync_with_run()
    current, _ = get_current_settings(run)
    if current.dropout_rates != state.editor.architecture.dropout_rates and current.is_equal_except_dropout_rates(
        state.editor.architecture
    ):
        _send_to_attached_run(
            UpdateHyperparameters(hyperparameters={"dropout": list(state.editor.architecture.dropout_rates)})
        )


def is_suggestion_applied(suggestion: Suggestion, state: AppState) -> bool:
    """Return True if the editor already has the suggested network and recipe."""
    if (
        suggestion.architecture
        and Architecture.from_json(suggestion.architecture).digest != state.editor.architecture.digest
    ):
        return False
    current = state.editor.recipe.model_dump(mode="json")
    return all(current[name] == value for name, value in suggestion.recipe_changes.items())


def apply_suggestion(suggestion: Suggestion) -> None:
    """Apply a suggestion to the active run, or else to the editor; if it requires one, start a new run with it.

    The new run has the settings of the diagnosed one except for what is suggested.
    """
    if not suggestion.requires_restart:
        _update_recipe(suggestion.recipe_changes)
        return
    state = get_app_state()
    previous = state.training.find_run()
    if previous is None:
        return
    try:
        architecture, recipe = get_current_settings(previous)  # the diagnosis is the run's, not the editor's
        architecture = Architecture.from_json(suggestion.architecture) if suggestion.architecture else architecture
        recipe = recipe.replace(**suggestion.recipe_changes)
        architecture, parent, step = _resolve_initial_weights(previous, architecture, recipe)
        run = get_scheduler().submit(architecture, recipe, owner=get_visitor_id(), parent=parent, parent_step=step)
        if is_active(previous) and can_control(previous):  # after the new run was accepted
            _send_command(previous, Stop())
        state.attach(run, init_from=parent)
    except PlaygroundError as error:
        state.training.error = error


def _resolve_initial_weights(
    run: Run, architecture: Architecture, recipe: Recipe
) -> tuple[Architecture, str | None, int | None]:
    """Return a network, and the run and step to take its initial weights from, as ``run`` did.

    Without such weights, or for a forked or fine-tuned run, the network is returned with no layer frozen.
    """
    parent = None if get_run_history(run).fork_event else find_run_or_none(run.record.parent)
    if parent:
        with suppress(PlaygroundError):
            initial_state, step = load_initial_state(run), run.record.parent_step
            if initial_state.weights and initial_state.extra_images is None and step is not None:
                prepare_transferred_state(parent, step, architecture, recipe)
                return architecture, parent.id, step
    return architecture.freeze_up_to(-1), None, None


def fork(step: int, recipe: Recipe) -> None:
    """Fork the attached run at a checkpoint with another recipe, and attach the new run."""
    state = get_app_state()
    run = state.training.find_run()
    if run is None:
        return
    try:
        state.attach(get_scheduler().fork(run.id, step, recipe, owner=get_visitor_id()))
        state.training.fork_error = None
    except PlaygroundError as error:
        state.training.fork_error = error


def _update_recipe(fields: dict[str, Any]) -> None:
    state = get_app_state()
    try:
        before = state.editor.recipe
        edited = before.replace(**fields)
        state.sync_with_run()
        recipe = edited.rebase(before, state.editor.recipe)
        changes = {name: value for name, value in recipe.model_dump(mode="json").items() if name in fields}
        run = state.training.find_run()
        if run and is_active(run) and can_control(run) and set(fields) <= set(LIVE_HYPERPARAMETERS):
            _send_command(run, UpdateHyperparameters(hyperparameters=changes))
        state.editor.recipe = recipe
        state.training.error = None
    except PlaygroundError as error:
        state.training.error = error


def _send_to_attached_run(command: Command) -> None:
    state = get_app_state()
    try:
        run = state.training.find_run()
        if run:
            _send_command(run, command)
    except PlaygroundError as error:
        state.training.error = error


def _send_command(run: Run, command: Command) -> None:
    get_scheduler().send_command(run.id, command, user=get_requester_id())


def _diff_hyperparameters(run: Run, state: AppState) -> dict[str, Any]:
    """Return the live hyperparameters that were changed while the run was not active."""
    architecture, recipe = get_current_settings(run)
    before, after = recipe.model_dump(mode="json"), state.editor.recipe.model_dump(mode="json")
    changes = {name: after[name] for name in LIVE_HYPERPARAMETERS if before[name] != after[name]}
    rates = state.editor.architecture.dropout_rates
    return changes | ({"dropout": list(rates)} if rates != architecture.dropout_rates else {})
