"""Transfer learning: a new run starts from the weights of another, up to the first layer that differs."""

from collections.abc import Iterator
from itertools import takewhile

from torch import Tensor

from playground.core.architecture import Architecture, ResolvedLayer
from playground.core.recipe import Recipe
from playground.core.shapes import format_shape
from playground.engine.data.dataset_lookup import find_dataset
from playground.engine.model.build import ModuleRange, list_module_ranges
from playground.engine.runs.initial_state import InitialState, save_initial_state
from playground.engine.runs.repository import create_run, make_unique_name
from playground.engine.runs.run import Run
from playground.engine.training.checks import check_training_config
from playground.errors import ArchitectureError, StorageError

_TRANSFER_RULE = "Layers are transferred from the first one on, as long as they and their input channels are equal."


def create_transfer_run(
    parent: Run,
    architecture: Architecture,
    recipe: Recipe,
    *,
    step: int | None = None,
    name: str | None = None,
    owner: str | None = None,
) -> Run:
    """Create a run of ``architecture`` with the weights of ``parent`` at a step (None: its last) where they fit.

    Raises what ``prepare_transferred_state`` and ``check_training_config`` raise, StorageError where a write fails.
    """
    check_training_config(architecture, recipe)
    step = get_last_snapshot_step(parent) if step is None else step
    initial_state = prepare_transferred_state(parent, step, architecture, recipe)
    return create_run(
        architecture,
        recipe,
        name=name or make_unique_name(f"{parent.record.name}, transferred"),
        owner=owner,
        parent=parent.id,
        parent_step=step,
        write_initial_files=lambda run: save_initial_state(run, initial_state),
    )


def get_last_snapshot_step(parent: Run) -> int:
    """Step of a run's newest snapshot; raises StorageError if it has none."""
    if not parent.list_snapshot_steps():
        raise StorageError(f"Run {parent.id} has no weights to transfer.", fix="Train it first.")
    return parent.list_snapshot_steps()[-1]


def prepare_transferred_state(parent: Run, step: int, architecture: Architecture, recipe: Recipe) -> InitialState:
    """Prepare the initial state of a run of ``architecture`` by ``recipe`` from the weights of ``parent``.

    Raises StorageError where the weights cannot be read, ArchitectureError where none fit or a frozen layer gets none.
    """
    weights, taken = find_transferable_weights(parent, step, architecture, recipe.dataset)
    if not weights:
        raise ArchitectureError(
            f"Nothing of run {parent.id} fits: its first layer with weights is "
            f"{_describe_first_weighted_layer(parent.record.architecture)}, "
            f"that of this network {_describe_first_weighted_layer(architecture)}.",
            expected=_TRANSFER_RULE,
            fix="Start from the network of that run and change its last layers.",
        )
    for found in architecture.resolve_layers():
        if found.index not in taken and found.layer.count_trainable_parameters(
            found.input_shape
        ) < found.layer.count_parameters(found.input_shape):
            raise ArchitectureError(
                f"Layer {found.index + 1} ({found.layer.title}) is frozen, but no weights of run {parent.id} fit it: "
                "it would keep its random weights.",
                expected=_TRANSFER_RULE,
                fix="Switch trainable on for it.",
            )
    learning = [
        found.index
        for found in architecture.resolve_layers()
        if found.layer.count_trainable_parameters(found.input_shape)
    ]
    if recipe.transferred_lr_scale == 0 and set(learning) <= set(taken):
        raise ArchitectureError(
            f"All weights come from run {parent.id}, and their learning rate is 0: nothing would learn.",
            fix="Set transferred_lr_scale above 0, or give the network a new output.",
        )
    return InitialState(weights)


def find_transferable_weights(
    parent: Run, step: int, architecture: Architecture, dataset: str
) -> tuple[dict[str, Tensor], tuple[int, ...]]:
    """Find the weights of ``parent`` that fit, by their names in the new network, and the indices of their layers.

    The output layer's are among them only if ``dataset`` has the parent's classes. Raises StorageError for unreadable
    weights, UnknownNameError for an unknown dataset.
    """
    weights = parent.load_snapshot(step)
    before = parent.get_dataset()
    same_classes = not before.is_missing and before.class_names == find_dataset(dataset).class_names
    fitting: dict[str, Tensor] = {}
    taken = []
    for theirs, ours in _iter_matching_layers(parent.record.architecture, architecture, include_output=same_classes):
        found = dict(_rename_layer_weights(weights, theirs, ours))
        if found:
            fitting |= found
            taken.append(ours.layer_index)
    return fitting, tuple(taken)


def _iter_matching_layers(
    parent: Architecture, architecture: Architecture, *, include_output: bool
) -> Iterator[tuple[ModuleRange, ModuleRange]]:
    def is_same(pair: tuple[tuple[ModuleRange, ResolvedLayer], tuple[ModuleRange, ResolvedLayer]]) -> bool:
        (_, theirs), (_, ours) = pair
        same = theirs.layer.build_torch_calls(theirs.input_shape) == ours.layer.build_torch_calls(ours.input_shape)
        return same and (include_output or not ours.layer.is_output)

    for (theirs, _), (ours, _) in takewhile(
        is_same, zip(_list_layer_ranges(parent), _list_layer_ranges(architecture), strict=False)
    ):
        yield theirs, ours


def _list_layer_ranges(architecture: Architecture) -> list[tuple[ModuleRange, ResolvedLayer]]:
    """List the enabled layers without dropout, which does not change the meaning of weights."""
    plain = architecture.with_dropout_rates([0.0] * len(architecture.dropout_rates))
    pairs = zip(list_module_ranges(plain), plain.resolve_layers(), strict=True)
    return [(span, step) for span, step in pairs if step.layer.dropout_field is None]


def _rename_layer_weights(
    weights: dict[str, Tensor], parent_range: ModuleRange, new_range: ModuleRange
) -> Iterator[tuple[str, Tensor]]:
    """Rename one layer's weights; a name starts with the index of its module in the network."""
    for name, value in weights.items():
        place, rest = name.split(".", 1)
        if parent_range.start <= int(place) < parent_range.stop:
            yield f"{int(place) - parent_range.start + new_range.start}.{rest}", value


def _describe_first_weighted_layer(architecture: Architecture) -> str:
    step = next(step for step in architecture.resolve_layers() if step.layer.has_weights)
    return f"{step.layer.title} {step.layer.format_arguments()} on {format_shape(step.input_shape)}"
