"""Transfer learning: a new run that begins with the weights of another, as far up as its network is the same."""

from collections.abc import Iterator
from itertools import takewhile

from torch import Tensor

from playground.core.architecture import Architecture, Step
from playground.core.layers import Dropout, Output
from playground.core.recipe import Recipe
from playground.core.shapes import shape_text
from playground.engine.data.registry import find_dataset
from playground.engine.model.build import Span, spans
from playground.engine.runs.initial_state import Material, save_material
from playground.engine.runs.repository import create_run, free_name
from playground.engine.runs.run import Run
from playground.engine.training.checks import check_request
from playground.errors import ArchitectureError, StoreError

_RULE = "Layers are brought along from the first one up, as long as they and the channels they get are the same."


def transfer_run(
    parent: Run,
    architecture: Architecture,
    recipe: Recipe,
    *,
    step: int | None = None,
    name: str | None = None,
    owner: str | None = None,
) -> Run:
    """A run of ``architecture`` that begins with the weights of ``parent`` at a step (None: its last), where they fit.

    Raises what ``brought_along`` and ``check_request`` raise, StoreError where the disk says no.
    """
    check_request(architecture, recipe)
    step = last_step(parent) if step is None else step
    material = brought_along(parent, step, architecture, recipe)
    return create_run(
        architecture,
        recipe,
        name=name or free_name(f"{parent.record.name}, transferred"),
        owner=owner,
        parent=parent.id,
        parent_step=step,
        fill=lambda run: save_material(run, material),
    )


def last_step(parent: Run) -> int:
    """The step of a run's newest weights; raises StoreError if it has none."""
    if not parent.snapshots():
        raise StoreError(f"Run {parent.id} has no weights to bring along.", fix="Train it first.")
    return parent.snapshots()[-1]


def brought_along(parent: Run, step: int, architecture: Architecture, recipe: Recipe) -> Material:
    """What a run of ``architecture`` by ``recipe`` begins with.

    Raises StoreError where the weights cannot be read, ArchitectureError where none fit or a frozen layer gets none.
    """
    weights, taken = fitting_weights(parent, step, architecture, recipe.dataset)
    if not weights:
        raise ArchitectureError(
            f"Nothing of run {parent.id} fits: its first layer with weights is {_first(parent.record.architecture)}, "
            f"that of this network {_first(architecture)}.",
            expected=_RULE,
            fix="Begin with the run's own network and change its last layers.",
        )
    for found in architecture.steps():
        if found.index not in taken and found.layer.trainable_parameters(found.input_shape) < found.layer.parameters(
            found.input_shape
        ):
            raise ArchitectureError(
                f"Layer {found.index + 1} ({found.layer.title}) is frozen, but no weights of run {parent.id} fit it: "
                "it would stay as it was drawn.",
                expected=_RULE,
                fix="Switch trainable on for it.",
            )
    learning = [found.index for found in architecture.steps() if found.layer.trainable_parameters(found.input_shape)]
    if recipe.transferred_lr_share == 0 and set(learning) <= set(taken):
        raise ArchitectureError(
            f"All weights come from run {parent.id}, and their share of the learning rate is 0: nothing would learn.",
            fix="Set transferred_lr_share above 0, or give the network a new output.",
        )
    return Material(weights)


def fitting_weights(
    parent: Run, step: int, architecture: Architecture, dataset: str
) -> tuple[dict[str, Tensor], tuple[int, ...]]:
    """The weights of ``parent`` that fit, by their names in the new network, and the indices of their layers there.

    The output's are among them only if ``dataset`` has the parent's classes. Raises StoreError for unreadable weights,
    UnknownNameError for a data set that there is not.
    """
    weights = parent.snapshot(step)
    before = parent.dataset()
    same_classes = not before.is_gone and before.class_names == find_dataset(dataset).class_names
    fitting: dict[str, Tensor] = {}
    taken = []
    for theirs, ours in _same_layers(parent.record.architecture, architecture, with_output=same_classes):
        found = dict(_renamed(weights, theirs, ours))
        if found:
            fitting |= found
            taken.append(ours.layer_index)
    return fitting, tuple(taken)


def _same_layers(parent: Architecture, new: Architecture, *, with_output: bool) -> Iterator[tuple[Span, Span]]:
    def is_same(pair: tuple[tuple[Span, Step], tuple[Span, Step]]) -> bool:
        (_, theirs), (_, ours) = pair
        same = theirs.layer.torch_calls(theirs.input_shape) == ours.layer.torch_calls(ours.input_shape)
        return same and (with_output or not isinstance(ours.layer, Output))

    for (theirs, _), (ours, _) in takewhile(is_same, zip(_placed(parent), _placed(new), strict=False)):
        yield theirs, ours


def _placed(architecture: Architecture) -> list[tuple[Span, Step]]:
    """The enabled layers, without what dropout they have: weights mean the same with and without."""
    plain = architecture.with_dropout_rates([0.0] * len(architecture.dropout_rates))
    pairs = zip(spans(plain), plain.steps(), strict=True)
    return [(span, step) for span, step in pairs if not isinstance(step.layer, Dropout)]


def _renamed(weights: dict[str, Tensor], theirs: Span, ours: Span) -> Iterator[tuple[str, Tensor]]:
    """One layer's weights; a name begins with the place of its module in the network."""
    for name, value in weights.items():
        place, rest = name.split(".", 1)
        if theirs.start <= int(place) < theirs.stop:
            yield f"{int(place) - theirs.start + ours.start}.{rest}", value


def _first(architecture: Architecture) -> str:
    step = next(step for step in architecture.steps() if step.layer.has_weights)
    return f"{step.layer.title} {step.layer.detail()} on {shape_text(step.input_shape)}"
