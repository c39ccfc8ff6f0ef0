"""What a page asks of its run: start, pause, stop, change, fork. Callbacks; what goes wrong is kept for the panel."""

from contextlib import suppress
from typing import Any

from playground.core.architecture import Architecture
from playground.core.events import Change, Command, Pause, Resume, Step, Stop, Suggestion
from playground.core.history import History
from playground.core.presets import ARCHITECTURES, RECIPES, ArchitecturePreset
from playground.core.recipe import KNOBS, Recipe
from playground.engine.data.registry import dataset_for, find_dataset, fitted_recipe
from playground.engine.runs.initial_state import material_of
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import brought_along
from playground.errors import PlaygroundError
from playground.ui.services import asker, run_or_none, supervisor, visitor
from playground.ui.state import AppState, app_state, present_architecture, present_recipe, run_history

_FITTED = ("validation_size", "batch_size")


def is_active(run: Run | None) -> bool:
    """Whether a run trains, pauses or waits on this server."""
    return run is not None and supervisor().is_active(run.id)


def may_steer(run: Run | None) -> bool:
    """Whether this page may: the run is its browser's own, or nobody's, or the page is open on the machine itself."""
    by = asker()
    return run is None or by is None or run.record.owner in (None, by)


def goes_on(state: AppState, run: Run | None, history: History) -> bool:
    """Whether Train goes on with the attached run: something is left to do, network and recipe still are its own.

    Not where the next run is to begin with other weights than this one did.
    """
    parent = state.begins_with
    if parent and run and run.record.parent != parent.id:
        return False
    if run is None or not may_steer(run) or not run.can_resume(history, epochs=state.recipe.epochs):
        return False
    same_recipe = run.record.recipe.is_same_but_knobs(state.recipe)
    return same_recipe and run.record.architecture.is_same_but_dropout(state.architecture)


def start(batches: int | None = None) -> None:
    """Train: go on where the run waits or was cut, else a new one; with ``batches`` only so many."""
    state = app_state()
    run, history = state.run, run_history(state.run)
    try:
        if run and is_active(run):
            # A browser may send an earlier click along with the next one: only a run that waits is told to go on.
            if history.phase == "paused":
                _tell(run, Step(batches=batches) if batches else Resume())
        elif run and goes_on(state, run, history):
            knobs = _turned(run, state)
            supervisor().resume(run.id, batches=batches, knobs=knobs, by=asker())
        else:
            state.attach(
                supervisor().start(
                    state.architecture, state.recipe, batches=batches, owner=visitor(), parent=_parent_id(state)
                )
            )
        state.training_error = None
    except PlaygroundError as problem:
        state.training_error = problem


def _parent_id(state: AppState) -> str | None:
    return state.begins_with.id if state.begins_with else None


def start_both() -> None:
    """Train with weights brought along, and the same from scratch after it, to compare."""
    state = app_state()
    try:
        made = (state.architecture, state.recipe)
        transferred = supervisor().start(*made, owner=visitor(), parent=_parent_id(state))
        state.attach(transferred)
        name = f"{transferred.record.name}: from scratch"
        supervisor().start(made[0].frozen_up_to(-1), made[1], owner=visitor(), name=name)
    except PlaygroundError as problem:
        state.training_error = problem


def pause() -> None:
    """Have the run wait."""
    if run_history(app_state().run).phase == "training":
        _try(Pause())


def stop() -> None:
    """End the run with a checkpoint."""
    _try(Stop())


def reset() -> None:
    """Stop the run if it is this page's own, and show none."""
    state = app_state()
    if may_steer(state.run):
        _try(Stop())
    state.detach()


def set_recipe(name: str, value: Any) -> None:
    """Change one value of the recipe, in the running run too if it is a knob."""
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    _change({name: plain})


def take_preset(preset: ArchitecturePreset) -> None:
    """The preset's network, and its settings if it has any; other networks are fitted to the data set at hand."""
    state = app_state()
    came = ARCHITECTURES.get(state.preset or "")
    own = None if is_active(state.run) else preset.recipe
    architecture = preset.architecture
    if own is None:
        data = dataset_for(state.recipe, state.architecture)
        architecture = architecture.for_images(data.input_shape, len(data.class_names))
        if came and came.recipe == state.recipe and not is_active(state.run):
            own = _usual_recipe(state.recipe.dataset)  # what the preset before came with goes with it
    state.edit(architecture, own)
    state.preset, state.open_layer = preset.name, None


def _usual_recipe(dataset: str) -> Recipe | None:
    with suppress(PlaygroundError):
        return fitted_recipe(RECIPES["sprint"].recipe, dataset=dataset)
    return None


def take_dataset(name: str) -> None:
    """Another data set, with the network's input and classes; of the settings what it can give of what was wished."""
    state = app_state()
    try:
        data = find_dataset(name)
        wished = _wished(state).changed(dataset=name)
        fitted = fitted_recipe(wished)
        state.wished = (fitted, wished)
        state.edit(state.architecture.for_images(data.input_shape, len(data.class_names)), fitted)
    except PlaygroundError as problem:
        state.network_error = problem


def _wished(state: AppState) -> Recipe:
    """The recipe without what the present data set cut away, where nobody set that since."""
    if state.wished is None:
        return state.recipe
    fitted, wished = state.wished
    if state.recipe.dataset != fitted.dataset:
        return state.recipe
    cut = {name: getattr(wished, name) for name in _FITTED if getattr(state.recipe, name) == getattr(fitted, name)}
    return state.recipe.changed(**cut)


def follow_network() -> None:
    """After an edit: if all that changed is dropout, the running run takes it up."""
    state = app_state()
    run = state.run
    if run is None or not is_active(run) or not may_steer(run):
        return
    present = present_architecture(run)
    if present.dropout_rates != state.architecture.dropout_rates and present.is_same_but_dropout(state.architecture):
        _try(Change(knobs={"dropout": list(state.architecture.dropout_rates)}))


def is_taken_up(suggestion: Suggestion, state: AppState) -> bool:
    """Whether the settings already are as a suggestion wants them."""
    if suggestion.architecture and Architecture.read(suggestion.architecture).digest != state.architecture.digest:
        return False
    now = state.recipe.model_dump(mode="json")
    return all(now[name] == value for name, value in suggestion.recipe.items())


def take_up(suggestion: Suggestion) -> None:
    """Follow a suggestion: in the running run, in a new one where it says so, else in the settings for the next."""
    if not suggestion.anew:
        _change(suggestion.recipe)
        return
    state = app_state()
    before = state.run
    try:
        architecture = Architecture.read(suggestion.architecture) if suggestion.architecture else state.architecture
        recipe = state.recipe.changed(**suggestion.recipe)
        architecture, parent, step = _begun_as(before, architecture, recipe)
        run = supervisor().start(architecture, recipe, owner=visitor(), parent=parent, parent_step=step)
        if before and is_active(before) and may_steer(before):  # only now that there is another
            _tell(before, Stop())
        state.begin(parent, architecture, recipe)
        state.attach(run)
    except PlaygroundError as problem:
        state.training_error = problem


def _begun_as(
    run: Run | None, architecture: Architecture, recipe: Recipe
) -> tuple[Architecture, str | None, int | None]:
    """A network, and the run and step whose weights it can begin with, as ``run`` did.

    If there are none, or the run was one that forked or was taught, no layer is frozen.
    """
    parent = run_or_none(run.record.parent) if run and not run_history(run).forked else None
    if run and parent:
        with suppress(PlaygroundError):
            material, step = material_of(run), run.record.parent_step
            if material.weights and material.images is None and step is not None:
                brought_along(parent, step, architecture, recipe)
                return architecture, parent.id, step
    return architecture.frozen_up_to(-1), None, None


def fork(step: int, recipe: Recipe) -> None:
    """Go on from a moment of the attached run with other settings, in a run of its own, and show that."""
    state = app_state()
    if state.run is None:
        return
    try:
        state.attach(supervisor().fork(state.run.id, step, recipe, owner=visitor()), adopt=True)
        state.fork_error = None
    except PlaygroundError as problem:
        state.fork_error = problem


def _change(fields: dict[str, Any]) -> None:
    state = app_state()
    try:
        changed = state.recipe.changed(**fields)
        knobs = {name: value for name, value in changed.model_dump(mode="json").items() if name in fields}
        if state.run and is_active(state.run) and may_steer(state.run) and set(fields) <= set(KNOBS):
            _tell(state.run, Change(knobs=knobs))
        state.recipe = changed
        state.training_error = None
    except PlaygroundError as problem:
        state.training_error = problem


def _try(command: Command) -> None:
    state = app_state()
    try:
        if state.run:
            _tell(state.run, command)
    except PlaygroundError as problem:
        state.training_error = problem


def _tell(run: Run, command: Command) -> None:
    supervisor().send(run.id, command, by=asker())


def _turned(run: Run, state: AppState) -> dict[str, Any]:
    """The knobs that were turned while the run stood still."""
    before, now = present_recipe(run).model_dump(mode="json"), state.recipe.model_dump(mode="json")
    knobs = {knob: now[knob] for knob in KNOBS if before[knob] != now[knob]}
    rates = state.architecture.dropout_rates
    return knobs | ({"dropout": list(rates)} if rates != present_architecture(run).dropout_rates else {})
