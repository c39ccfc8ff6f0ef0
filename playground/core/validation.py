"""Everything that keeps an architecture from being built, in plain words, each with fixes that one click applies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from playground.core.architecture import MAX_LAYERS, Architecture
from playground.core.layers import Conv2d, Defect, Layer, Linear, Output
from playground.core.summary import Row, summarize

MAX_PARAMETERS = 50_000_000
MAX_TRAINING_BYTES = 4 * 1024**3
REFERENCE_BATCH_SIZE = 128


@dataclass(frozen=True)
class Limits:
    """What the machine that trains allows."""

    parameters: int = MAX_PARAMETERS
    training_bytes: int = MAX_TRAINING_BYTES
    batch_size: int = REFERENCE_BATCH_SIZE


UNLIMITED = Limits(parameters=10**15, training_bytes=10**18)
"""For looking at a network or writing it down, which takes no training."""


@dataclass(frozen=True)
class Fix:
    """Another architecture in which the problem is gone, and the words of its button."""

    label: str
    architecture: Architecture


@dataclass(frozen=True)
class Problem:
    """What is wrong: the layer (None: the network as a whole), the field, the reason, and fixes, the best first."""

    layer_index: int | None
    layer_id: str | None
    field: str
    what: str
    expected: str
    fixes: tuple[Fix, ...] = ()

    def __str__(self) -> str:
        place = "The network" if self.layer_index is None else f"Layer {self.layer_index + 1}"
        return f"{place}: {self.what} {self.expected}".strip()


def find_problems(architecture: Architecture, limits: Limits | None = None) -> tuple[Problem, ...]:
    """Every problem of every layer, top to bottom, then of the whole; empty means it builds and trains."""
    problems = [*_layer_problems(architecture), *_output_problems(architecture)]
    # Sizes are only worth naming once the shapes hold: a mended shape changes them.
    return tuple(problems or _size_problems(architecture, limits or Limits()))


def _layer_problems(architecture: Architecture) -> Iterator[Problem]:
    for step in architecture.steps():
        layer = architecture.layers[step.index]
        defects = step.layer.defects(step.input_shape)
        if isinstance(layer, Output):
            defects += layer.class_defects(architecture.classes)
            # Repairs speak of the layer as it stands in the list, where its units may be left open.
            defects = tuple(_with_original(defect, step.layer, layer) for defect in defects)
        for defect in defects:
            yield _problem(architecture, step.index, defect)


def _with_original(defect: Defect, active: Layer, original: Layer) -> Defect:
    repairs = tuple(
        type(repair)(repair.label, tuple(original if layer is active else layer for layer in repair.layers))
        for repair in defect.repairs
    )
    return Defect(defect.field, defect.what, defect.expected, repairs)


def _problem(architecture: Architecture, index: int, defect: Defect) -> Problem:
    room = MAX_LAYERS - len(architecture.layers) + 1
    fixes = tuple(
        Fix(repair.label, architecture.replaced(index, *repair.layers))
        for repair in defect.repairs
        if len(repair.layers) <= room
    )
    return Problem(index, architecture.layers[index].id, defect.field, defect.what, defect.expected, fixes)


def _output_problems(architecture: Architecture) -> Iterator[Problem]:
    active = [step.index for step in architecture.steps()]
    outputs = [index for index in active if isinstance(architecture.layers[index], Output)]
    if not outputs:
        disabled = [i for i, layer in enumerate(architecture.layers) if isinstance(layer, Output)]
        fixes: tuple[Fix, ...] = ()
        if disabled:
            fixes = (Fix("Switch the output on", architecture.toggled(disabled[-1])),)
        elif len(architecture.layers) < MAX_LAYERS:
            fixes = (Fix("Append output", architecture.inserted(len(architecture.layers), Output())),)
        yield Problem(
            None, None, "layers", "There is no output layer.", "The last layer gives one score a class.", fixes
        )
    for index in outputs[:-1]:
        yield _problem_at(architecture, index, "There is a second output below.", "A network has one output.")
    if outputs and outputs[-1] != active[-1]:
        index = outputs[-1]
        moved = Fix("Move to the end", architecture.moved(index, len(architecture.layers)))
        yield _problem_at(
            architecture, index, "There are layers after the output.", "The output is the last layer.", moved
        )


def _problem_at(architecture: Architecture, index: int, what: str, expected: str, *fixes: Fix) -> Problem:
    remove = Fix("Remove", architecture.replaced(index))
    return Problem(index, architecture.layers[index].id, "kind", what, expected, (*fixes, remove))


def _size_problems(architecture: Architecture, limits: Limits) -> Iterator[Problem]:
    summary = summarize(architecture)
    if summary.parameters > limits.parameters:
        yield _too_large(
            architecture,
            max(summary.rows, key=lambda row: row.parameters),
            f"The network has {summary.parameters:,} parameters.",
            f"At most {limits.parameters:,} are allowed here.",
            lambda changed: summarize(changed).parameters <= limits.parameters,
        )
    elif summary.training_bytes(limits.batch_size) > limits.training_bytes:
        needed = summary.training_bytes(limits.batch_size)
        yield _too_large(
            architecture,
            max(summary.rows, key=lambda row: row.activation_bytes * limits.batch_size + row.parameters * 16),
            f"Training it needs about {bytes_text(needed)} at batch size {limits.batch_size}.",
            f"At most {bytes_text(limits.training_bytes)} are allowed here.",
            lambda changed: summarize(changed).training_bytes(limits.batch_size) <= limits.training_bytes,
        )


def _too_large(
    architecture: Architecture, row: Row, what: str, expected: str, fits: Callable[[Architecture], bool]
) -> Problem:
    layer = architecture.layers[row.index]
    field = {Conv2d: "out_channels", Linear: "out_features"}.get(type(layer))
    fixes: tuple[Fix, ...] = ()
    if field:
        size = int(getattr(layer, field))
        changed = architecture
        while size > 1 and not fits(changed):
            size //= 2
            groups = {"groups": 1} if isinstance(layer, Conv2d) else {}
            changed = architecture.replaced(row.index, layer.changed(**{field: size}, **groups))
        if fits(changed):
            fixes = (Fix(f"Reduce {field} to {size}", changed),)
    share = f"Most of it is in layer {row.index + 1} ({row.title} {row.detail}): make it smaller, or pool before it."
    return Problem(row.index, row.id, field or "kind", what, f"{expected} {share}", fixes)


def bytes_text(count: int) -> str:
    """A number of bytes as people say it."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
