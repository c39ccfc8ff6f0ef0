"""Validation of architectures: every problem with its layer, field, reason and fixes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from playground.core.architecture import MAX_LAYERS, Architecture
from playground.core.datasets import Dataset
from playground.core.layers import Layer, LayerProblem, Output
from playground.core.summary import LayerSummary, summarize

MAX_PARAMETERS = 50_000_000
MAX_TRAINING_BYTES = 4 * 1024**3
REFERENCE_BATCH_SIZE = 128


@dataclass(frozen=True)
class ResourceLimits:
    """Limits of the machine that trains."""

    max_parameters: int = MAX_PARAMETERS
    max_training_bytes: int = MAX_TRAINING_BYTES
    batch_size: int = REFERENCE_BATCH_SIZE


UNLIMITED = ResourceLimits(max_parameters=10**15, max_training_bytes=10**18)
"""Limits for inspection and export, which need no training."""


@dataclass(frozen=True)
class Fix:
    """A corrected architecture and its button label."""

    label: str
    architecture: Architecture


@dataclass(frozen=True)
class Problem:
    """A problem of a layer (None: of the whole network): the field, the reason, and fixes, the best first."""

    layer_index: int | None
    layer_id: str | None
    field: str
    what: str
    expected: str
    fixes: tuple[Fix, ...] = ()

    def __str__(self) -> str:
        location = "The network" if self.layer_index is None else f"Layer {self.layer_index + 1}"
        return f"{location}: {self.what} {self.expected}".strip()


def validate(
    architecture: Architecture, limits: ResourceLimits | None = None, dataset: Dataset | None = None
) -> tuple[Problem, ...]:
    """Find all problems, by layer and then of the whole network; none if it can be built and trained.

    With ``dataset``, the outputs must be its classes, unless its images are missing.
    """
    problems = [*_validate_layers(architecture), *_validate_output(architecture)]
    class_problem = _validate_dataset_classes(architecture, dataset) if dataset and not dataset.is_missing else None
    if class_problem:
        # Other problems of the number of outputs compare it with the network's own number of classes.
        index = class_problem.layer_index
        problems = [one for one in problems if one.layer_index != index or one.field not in ("units", "activation")]
        problems.append(class_problem)
    # The size is checked last, since fixes of shapes change it.
    return tuple(problems or _validate_size(architecture, limits or ResourceLimits()))


def _validate_layers(architecture: Architecture) -> Iterator[Problem]:
    for step in architecture.resolve_layers():
        layer = architecture.layers[step.index]
        layer_problems = step.layer.validate_input(step.input_shape)
        if layer.is_output:
            layer_problems += layer.validate_classes(architecture.classes)
            # Fixes contain the original layer, whose number of units may be None.
            layer_problems = tuple(
                _restore_original_layer(layer_problem, step.layer, layer) for layer_problem in layer_problems
            )
        for layer_problem in layer_problems:
            yield _to_problem(architecture, step.index, layer_problem)


def _restore_original_layer(problem: LayerProblem, resolved: Layer, original: Layer) -> LayerProblem:
    fixes = tuple(
        type(fix)(fix.label, tuple(original if layer is resolved else layer for layer in fix.layers))
        for fix in problem.fixes
    )
    return LayerProblem(problem.field, problem.what, problem.expected, fixes)


def _to_problem(architecture: Architecture, index: int, layer_problem: LayerProblem) -> Problem:
    available = MAX_LAYERS - len(architecture.layers) + 1
    fixes = tuple(
        Fix(fix.label, architecture.replace_layer(index, *fix.layers))
        for fix in layer_problem.fixes
        if len(fix.layers) <= available
    )
    return Problem(
        index, architecture.layers[index].id, layer_problem.field, layer_problem.what, layer_problem.expected, fixes
    )


def _validate_output(architecture: Architecture) -> Iterator[Problem]:
    active = [step.index for step in architecture.resolve_layers()]
    outputs = [index for index in active if architecture.layers[index].is_output]
    if not outputs:
        disabled = [i for i, layer in enumerate(architecture.layers) if layer.is_output]
        fixes: tuple[Fix, ...] = ()
        if disabled:
            fixes = (Fix("Enable the output layer", architecture.toggle_layer(disabled[-1])),)
        elif len(architecture.layers) < MAX_LAYERS:
            fixes = (Fix("Append output", architecture.insert_layer(len(architecture.layers), Output())),)
        yield Problem(
            None,
            None,
            "layers",
            "There is no output layer.",
            "The last layer must be an output layer with one logit per class.",
            fixes,
        )
    for index in outputs[:-1]:
        yield _build_output_problem(
            architecture, index, "There is a second output layer after it.", "A network has one output layer."
        )
    if outputs and outputs[-1] != active[-1]:
        index = outputs[-1]
        move_fix = Fix("Move to the end", architecture.move_layer(index, len(architecture.layers)))
        yield _build_output_problem(
            architecture,
            index,
            "There are layers after the output layer.",
            "The output must be the last layer.",
            move_fix,
        )


def _validate_dataset_classes(architecture: Architecture, dataset: Dataset) -> Problem | None:
    """Find an output layer whose classes are not those of the dataset."""
    outputs = [step for step in architecture.resolve_layers() if step.layer.is_output]
    count = len(dataset.class_names)
    if not outputs or architecture.classes == count:
        return None
    index = outputs[-1].index
    return Problem(
        index,
        architecture.layers[index].id,
        "units",
        f'It has {architecture.classes} outputs; "{dataset.title}" has {count} classes.',
        "The network needs one output per class.",
        (Fix(f"Set to {count} classes", architecture.with_new_head(count)),),
    )


def _build_output_problem(architecture: Architecture, index: int, what: str, expected: str, *fixes: Fix) -> Problem:
    remove = Fix("Remove", architecture.replace_layer(index))
    return Problem(index, architecture.layers[index].id, "kind", what, expected, (*fixes, remove))


def _validate_size(architecture: Architecture, limits: ResourceLimits) -> Iterator[Problem]:
    summary = summarize(architecture)
    if summary.parameters > limits.max_parameters:
        yield _build_size_problem(
            architecture,
            max(summary.layers, key=lambda row: row.parameters),
            f"The network has {summary.parameters:,} parameters.",
            f"At most {limits.max_parameters:,} are allowed here.",
            lambda changed: summarize(changed).parameters <= limits.max_parameters,
        )
    elif summary.estimate_training_bytes(limits.batch_size) > limits.max_training_bytes:
        needed = summary.estimate_training_bytes(limits.batch_size)
        yield _build_size_problem(
            architecture,
            max(summary.layers, key=lambda row: row.activation_bytes * limits.batch_size + row.parameters * 16),
            f"Training needs about {format_bytes(needed)} at batch size {limits.batch_size}.",
            f"At most {format_bytes(limits.max_training_bytes)} are allowed here.",
            lambda changed: summarize(changed).estimate_training_bytes(limits.batch_size) <= limits.max_training_bytes,
        )


def _build_size_problem(
    architecture: Architecture,
    largest_layer: LayerSummary,
    what: str,
    expected: str,
    is_within_limit: Callable[[Architecture], bool],
) -> Problem:
    layer = architecture.layers[largest_layer.index]
    field = layer.width_field
    fixes: tuple[Fix, ...] = ()
    if field:
        size = int(getattr(layer, field))
        changed = architecture
        while size > 1 and not is_within_limit(changed):
            size //= 2
            changed = architecture.replace_layer(largest_layer.index, layer.with_width(size))
        if is_within_limit(changed):
            fixes = (Fix(f"Reduce {field} to {size}", changed),)
    location = f"layer {largest_layer.index + 1} ({largest_layer.title} {largest_layer.arguments_text})"
    advice = f"Most of it is in {location}: make it smaller, or pool before it."
    return Problem(largest_layer.index, largest_layer.id, field or "kind", what, f"{expected} {advice}", fixes)


def format_bytes(byte_count: int) -> str:
    """Format a number of bytes."""
    size = float(byte_count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
