"""What a page asks of its run: start, pause, stop, change, fork. Callbacks; what goes wrong is kept for the panel."""

from contextlib import suppress
from typing import Any

from playground.core.architecture import Architecture
from playground.core.events import Command, Pause, Resume, Stop, Suggestion, TrainSteps, UpdateHyperparameters
from playground.core.history import History
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS, ArchitecturePreset
from playground.core.recipe import LIVE_HYPERPARAMETERS, Recipe
from playground.engine.data.registry import find_dataset, fit_recipe_to_dataset, resolve_dataset
from playground.engine.runs.initial_state import load_initial_state
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import prepare_transferred_state
from playground.errors import PlaygroundError
from playground.ui.services import find_run_or_none, get_requester_id, get_scheduler, get_visitor_id
from playground.ui.state import AppState, get_app_state, get_current_architecture, get_current_recipe, get_run_history

_DATASET_DEPENDENT_FIELDS = ("validation_size", "batch_size")


def is_active(run: Run | None) -> bool:
    """Whether a run trains, pauses or waits on this server."""
    return run is not None and get_scheduler().is_active(run.id)


def can_control(run: Run | None) -> bool:
    """Whether this page may: the run is its browser's own, or nobody's, or the page is open on the machine itself."""
    by = get_requester_id()
    return run is None or by is None or run.record.owner in (None, by)


def can_continue(state: AppState, run: Run | None, history: History) -> bool:
    """Whether Train goes on with the attached run: something is left to do, network and recipe still are its own.

    Not where the next run is to begin with other weights than this one did.
    """
    parent = state.editor.find_parent_run()
    if parent and run and run.record.parent != parent.id:
        return False
    if run is None or not can_control(run) or not run.can_resume(history, epochs=state.editor.recipe.epochs):
        return False
    same_recipe = run.record.recipe.is_equal_except_live_hyperparameters(state.editor.recipe)
    return same_recipe and run.record.architecture.is_equal_except_dropout_rates(state.editor.architecture)


def start_or_resume(batches: int | None = None) -> None:
    """Train: go on where the run waits or was cut, else a new one; with ``batches`` only so many."""
    state = get_app_state()
    run = state.training.find_run()
    history = get_run_history(run)
    try:
        if run and is_active(run):
            # A browser may send an earlier click along with the next one: only a run that waits is told to go on.
            if history.status == "paused":
                _send_command(run, TrainSteps(batches=batches) if batches else Resume())
        elif run and can_continue(state, run, history):
            knobs = _diff_hyperparameters(run, state)
            get_scheduler().resume(run.id, pause_after_batches=batches, hyperparameters=knobs, user=get_requester_id())
        else:
            state.attach(
                get_scheduler().submit(
                    state.editor.architecture,
                    state.editor.recipe,
                    pause_after_batches=batches,
                    owner=get_visitor_id(),
                    parent=_get_parent_run_id(state),
                )
            )
        state.training.error = None
    except PlaygroundError as problem:
        state.training.error = problem


def _get_parent_run_id(state: AppState) -> str | None:
    parent = state.editor.find_parent_run()
    return parent.id if parent else None


def start_transfer_comparison() -> None:
    """Train with weights brought along, and the same from scratch after it, to compare."""
    state = get_app_state()
    try:
        made = (state.editor.architecture, state.editor.recipe)
        transferred = get_scheduler().submit(*made, owner=get_visitor_id(), parent=_get_parent_run_id(state))
        state.attach(transferred)
        name = f"{transferred.record.name}: from scratch"
        get_scheduler().submit(made[0].freeze_up_to(-1), made[1], owner=get_visitor_id(), name=name)
    except PlaygroundError as problem:
        state.training.error = problem


def pause() -> None:
    """Have the run wait."""
    if get_run_history(get_app_state().training.find_run()).status == "training":
        _send_to_attached_run(Pause())


def stop() -> None:
    """End the run with a checkpoint."""
    _send_to_attached_run(Stop())


def reset() -> None:
    """Stop the run if it is this page's own, and show none."""
    state = get_app_state()
    if can_control(state.training.find_run()):
        _send_to_attached_run(Stop())
    state.detach()


def set_recipe_field(name: str, value: Any) -> None:
    """Change one value of the recipe, in the running run too if it is a knob."""
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    _update_recipe({name: plain})


def apply_preset(preset: ArchitecturePreset) -> None:
    """The preset's network, and its settings if it has any; other networks are fitted to the data set at hand."""
    state = get_app_state()
    came = ARCHITECTURE_PRESETS.get(state.editor.preset_name or "")
    active = is_active(state.training.find_run())
    own = None if active else preset.recipe
    architecture = preset.architecture
    if own is None:
        data = resolve_dataset(state.editor.recipe, state.editor.architecture)
        architecture = architecture.adapt_to_images(data.input_shape, len(data.class_names))
        if came and came.recipe == state.editor.recipe and not active:
            own = _make_default_recipe(state.editor.recipe.dataset)  # what the preset before came with goes with it
    state.set_architecture(architecture, own)
    state.editor.preset_name, state.editor.open_layer_id = preset.name, None


def _make_default_recipe(dataset: str) -> Recipe | None:
    with suppress(PlaygroundError):
        return fit_recipe_to_dataset(RECIPE_PRESETS["sprint"].recipe, dataset=dataset)
    return None


def switch_dataset(name: str) -> None:
    """Another data set, with the network's input and classes; of the settings what it can give of what was wished."""
    state = get_app_state()
    try:
        data = find_dataset(name)
        wished = _get_requested_recipe(state).replace(dataset=name)
        fitted = fit_recipe_to_dataset(wished)
        state.editor.fitted_and_requested_recipe = (fitted, wished)
        state.set_architecture(
            state.editor.architecture.adapt_to_images(data.input_shape, len(data.class_names)), fitted
        )
    except PlaygroundError as problem:
        state.editor.error = problem


def _get_requested_recipe(state: AppState) -> Recipe:
    """The recipe without what the present data set cut away, where nobody set that since."""
    if state.editor.fitted_and_requested_recipe is None:
        return state.editor.recipe
    fitted, wished = state.editor.fitted_and_requested_recipe
    if state.editor.recipe.dataset != fitted.dataset:
        return state.editor.recipe
    cut = {
        name: getattr(wished, name)
        for name in _DATASET_DEPENDENT_FIELDS
        if getattr(state.editor.recipe, name) == getattr(fitted, name)
    }
    return state.editor.recipe.replace(**cut)


def sync_dropout_rates() -> None:
    """After an edit: if all that changed is dropout, the running run takes it up."""
    state = get_app_state()
    run = state.training.find_run()
    if run is None or not is_active(run) or not can_control(run):
        return
    present = get_current_architecture(run)
    if present.dropout_rates != state.editor.architecture.dropout_rates and present.is_equal_except_dropout_rates(
        state.editor.architecture
    ):
        _send_to_attached_run(
            UpdateHyperparameters(hyperparameters={"dropout": list(state.editor.architecture.dropout_rates)})
        )


def is_suggestion_applied(suggestion: Suggestion, state: AppState) -> bool:
    """Whether the settings already are as a suggestion wants them."""
    if (
        suggestion.architecture
        and Architecture.from_json(suggestion.architecture).digest != state.editor.architecture.digest
    ):
        return False
    now = state.editor.recipe.model_dump(mode="json")
    return all(now[name] == value for name, value in suggestion.recipe_changes.items())


def apply_suggestion(suggestion: Suggestion) -> None:
    """Follow a suggestion: in the running run, in a new one where it says so, else in the settings for the next."""
    if not suggestion.requires_restart:
        _update_recipe(suggestion.recipe_changes)
        return
    state = get_app_state()
    before = state.training.find_run()
    try:
        architecture = (
            Architecture.from_json(suggestion.architecture) if suggestion.architecture else state.editor.architecture
        )
        recipe = state.editor.recipe.replace(**suggestion.recipe_changes)
        architecture, parent, step = _resolve_initial_weights(before, architecture, recipe)
        run = get_scheduler().submit(architecture, recipe, owner=get_visitor_id(), parent=parent, parent_step=step)
        if before and is_active(before) and can_control(before):  # only now that there is another
            _send_command(before, Stop())
        state.set_init_from(parent, architecture, recipe)
        state.attach(run)
    except PlaygroundError as problem:
        state.training.error = problem


def _resolve_initial_weights(
    run: Run | None, architecture: Architecture, recipe: Recipe
) -> tuple[Architecture, str | None, int | None]:
    """A network, and the run and step whose weights it can begin with, as ``run`` did.

    If there are none, or the run was one that forked or was taught, no layer is frozen.
    """
    parent = find_run_or_none(run.record.parent) if run and not get_run_history(run).fork_event else None
    if run and parent:
        with suppress(PlaygroundError):
            material, step = load_initial_state(run), run.record.parent_step
            if material.weights and material.extra_images is None and step is not None:
                prepare_transferred_state(parent, step, architecture, recipe)
                return architecture, parent.id, step
    return architecture.freeze_up_to(-1), None, None


def fork(step: int, recipe: Recipe) -> None:
    """Go on from a moment of the attached run with other settings, in a run of its own, and show that."""
    state = get_app_state()
    run = state.training.find_run()
    if run is None:
        return
    try:
        state.attach(get_scheduler().fork(run.id, step, recipe, owner=get_visitor_id()), load_into_editor=True)
        state.training.fork_error = None
    except PlaygroundError as problem:
        state.training.fork_error = problem


def _update_recipe(fields: dict[str, Any]) -> None:
    state = get_app_state()
    try:
        changed = state.editor.recipe.replace(**fields)
        knobs = {name: value for name, value in changed.model_dump(mode="json").items() if name in fields}
        run = state.training.find_run()
        if run and is_active(run) and can_control(run) and set(fields) <= set(LIVE_HYPERPARAMETERS):
            _send_command(run, UpdateHyperparameters(hyperparameters=knobs))
        state.editor.recipe = changed
        state.training.error = None
    except PlaygroundError as problem:
        state.training.error = problem


def _send_to_attached_run(command: Command) -> None:
    state = get_app_state()
    try:
        run = state.training.find_run()
        if run:
            _send_command(run, command)
    except PlaygroundError as problem:
        state.training.error = problem


def _send_command(run: Run, command: Command) -> None:
    get_scheduler().send_command(run.id, command, user=get_requester_id())


def _diff_hyperparameters(run: Run, state: AppState) -> dict[str, Any]:
    """The knobs that were turned while the run stood still."""
    before, now = get_current_recipe(run).model_dump(mode="json"), state.editor.recipe.model_dump(mode="json")
    knobs = {knob: now[knob] for knob in LIVE_HYPERPARAMETERS if before[knob] != now[knob]}
    rates = state.editor.architecture.dropout_rates
    return knobs | ({"dropout": list(rates)} if rates != get_current_architecture(run).dropout_rates else {})
