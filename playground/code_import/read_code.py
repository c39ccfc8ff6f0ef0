"""Import of a network from PyTorch or Keras code, such as a tutorial or a notebook cell. The code is never executed."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from playground.code_import.builder import ArchitectureBuilder, SourceContext
from playground.code_import.interpreter.heap import create_too_long_error
from playground.code_import.interpreter.select_network import TracedModel, trace_program
from playground.code_import.interpreter.values import iter_calls
from playground.code_import.keras_ops import KERAS_OPS
from playground.code_import.ops import OpTable
from playground.code_import.sources.clean_code import CleanCode, parse_python
from playground.code_import.torch_ops import TORCH_OPS
from playground.core.architecture import MAX_LAYERS, Architecture, InputShape
from playground.core.layers import Layer, Linear, Output
from playground.core.shapes import Shape, format_shape
from playground.errors import ArchitectureError

MAX_CODE_LENGTH = 100_000
_MAX_PROBLEMS = 12
_DEFAULT_INPUT_SHAPE = InputShape()
_DEFAULT_CLASSES = 10
_TRAINING_CALL_PATTERN = re.compile(r"(?<!torch)(?<!re)\.compile\(|\.fit\(|\boptim\.\w+\(|\boptimizers?\.\w+\(")
_LINEAR_CALL_NAMES = ("Linear", "LazyLinear", "Dense")
_COMMON_IMAGE_SIDES = (28, 32, 64, 96, 128, 160, 192, 224, 256)
_CANDIDATE_IMAGE_SIDES = (*_COMMON_IMAGE_SIDES, *(side for side in range(8, 257) if side not in _COMMON_IMAGE_SIDES))


@dataclass(frozen=True)
class ParsedCode:
    """Imported network, and notes for the user: what was assumed, changed or omitted."""

    architecture: Architecture
    notes: tuple[str, ...]


def parse_code(text: str, *, input_shape: InputShape | None = None, classes: int | None = None) -> ParsedCode:
    """Import the network from code of at most 100,000 characters; code around it is ignored.

    ``input_shape`` and ``classes`` apply where the code does not state them. The network is not validated. Raises
    ArchitectureError naming every line that cannot be imported.
    """
    if len(text) > MAX_CODE_LENGTH:
        raise ArchitectureError(
            f"This code has {len(text):,} characters.",
            expected=f"At most {MAX_CODE_LENGTH:,} characters.",
            fix="Paste only the network.",
        )
    try:
        return _parse_architecture(parse_python(text), input_shape, classes)
    except RecursionError:
        raise create_too_long_error() from None


def _parse_architecture(code: CleanCode, input_shape: InputShape | None, classes: int | None) -> ParsedCode:
    source = code.text
    model = trace_program(code.tree)
    notes = [*model.notes, *code.notes]
    ops = _choose_ops(model)
    last = next((call for call in reversed(model.calls) if call.name in _LINEAR_CALL_NAMES), None)
    open_units = {last: classes or _DEFAULT_CLASSES} if last else {}
    context = SourceContext(ops, source, open_units, ops is TORCH_OPS)

    def build_layers(shape: Shape) -> ArchitectureBuilder:
        builder = ArchitectureBuilder(context, shape)
        for call in model.calls:
            builder.add_call(call)
        builder.finish()
        return builder

    builder, shape = _infer_input_shape(build_layers, input_shape, model.input_shape)
    if len(builder.layers) > MAX_LAYERS:
        raise create_too_long_error()
    builder.check_shortcuts(shape)
    if builder.problems:
        raise _unsupported_code_error(builder.problems, ops)
    notes += builder.notes
    if _TRAINING_CALL_PATTERN.search(source):
        notes.append("The training code (compile, fit, optimizer) was not imported; your settings are unchanged.")
    layers, class_count = _convert_output_layer(builder, classes, notes)
    channels, height, width = shape
    data = {"input": {"channels": channels, "height": height, "width": width}, "classes": class_count}
    return ParsedCode(Architecture.from_json(data).with_layers(layers), tuple(dict.fromkeys(notes)))


def _choose_ops(model: TracedModel) -> OpTable:
    """Return the operations of the library that the network is made with."""
    calls = list(iter_calls(model.calls))
    libraries = {call.library for call in calls} & {"torch", "keras"}
    if len(libraries) == 1:
        return KERAS_OPS if "keras" in libraries else TORCH_OPS
    is_keras = any(call.name in KERAS_OPS and call.name not in TORCH_OPS for call in calls)
    return KERAS_OPS if is_keras else TORCH_OPS


def _infer_input_shape(
    build_layers: Callable[[Shape], ArchitectureBuilder], input_shape: InputShape | None, example_shape: Shape | None
) -> tuple[ArchitectureBuilder, Shape]:
    """Return the layers and the input shape: as stated, else ``input_shape`` or the first common size that fits.

    ``example_shape``: that of a tensor which the code passes through the network. Layers that hold only for one shape
    are built again for every candidate.
    """
    default = example_shape or (input_shape or _DEFAULT_INPUT_SHAPE).shape
    builder = build_layers(default)
    candidates = list(_iter_candidate_shapes(builder, default, is_fixed=example_shape is not None))
    if builder.is_shape_dependent and not _is_valid_input_shape(builder, candidates[0]):
        rebuilt = ((build_layers(shape), shape) for shape in candidates)
        match = next(((other, shape) for other, shape in rebuilt if _is_valid_input_shape(other, shape)), None)
        builder, shape = match or (builder, candidates[0])
    else:
        match = next(((builder, shape) for shape in candidates if _is_valid_input_shape(builder, shape)), None)
        shape = match[1] if match else candidates[0]
    if example_shape is None and not all(builder.stated_input_shape):
        states_sizes = any(
            placed.expected_size for placed in builder.layers if placed.layer.input_requirement != "spatial"
        )
        if match and states_sizes:
            builder.notes.append(f"The input shape {format_shape(shape)} was inferred from the sizes in the code.")
        elif input_shape is None or shape != input_shape.shape:
            builder.notes.append(f"The code does not state the input shape; {format_shape(shape)} is assumed.")
    if not builder.problems:  # else the sizes after an omitted line differ for that reason
        builder.problems += builder.find_size_mismatches(shape)
    return builder, shape


def _iter_candidate_shapes(builder: ArchitectureBuilder, default: Shape, *, is_fixed: bool) -> Iterator[Shape]:
    """Iterate over the input shapes that agree with what the code states, the most likely first."""
    stated_channels, *stated_sides = builder.stated_input_shape
    first = builder.layers[0] if builder.layers else None
    expected = first.expected_size if first and first.layer.input_requirement == "spatial" else None
    fixed_channels = stated_channels or expected
    channels = [fixed_channels] if fixed_channels else list(dict.fromkeys([default[0], 1, 3]))
    sides = [stated or side for stated, side in zip(stated_sides, default[1:], strict=True)]
    yield (channels[0], *sides)
    if not is_fixed and not all(stated_sides):
        likely_sides = _COMMON_IMAGE_SIDES if builder.is_shape_dependent else _CANDIDATE_IMAGE_SIDES
        yield from ((channel, side, side) for side in likely_sides for channel in channels)


def _is_valid_input_shape(builder: ArchitectureBuilder, shape: Shape) -> bool:
    if any(True for _ in builder.find_size_mismatches(shape)) or (builder.is_shape_dependent and builder.problems):
        return False
    for placed in builder.layers:
        if placed.layer.validate_input(shape):
            return False
        shape = placed.layer.compute_output_shape(shape)
    return True


def _convert_output_layer(
    builder: ArchitectureBuilder, classes: int | None, notes: list[str]
) -> tuple[list[Layer], int]:
    """Replace the last linear layer by the output layer; return the layers and the number of classes."""
    layers = [placed.layer for placed in builder.layers]
    last = layers[-1] if layers else None
    if not isinstance(last, Linear):
        notes.append("The code does not end with a linear layer; the network has no output layer yet.")
        return layers, classes or _DEFAULT_CLASSES
    is_binary = last.out_features == 1
    if last.activation not in ("none", "sigmoid" if is_binary else "none"):
        notes.append(
            f"The activation {last.activation} of the last layer is omitted; the output layer returns one logit per "
            "class."
        )
    if is_binary and builder.has_final_softmax:
        notes.append("The softmax is replaced by a sigmoid; over a single unit it is always 1.")
    if not last.bias:
        notes.append("The output layer always has a bias.")
    return [
        *layers[:-1],
        Output(activation="sigmoid" if is_binary else "softmax", trainable=last.trainable),
    ], 2 if is_binary else last.out_features


def _unsupported_code_error(problems: Sequence[str], ops: OpTable) -> ArchitectureError:
    unique = list(dict.fromkeys(problems))
    listed = unique[:_MAX_PROBLEMS]
    if len(unique) > len(listed):
        listed.append(f"And {len(unique) - len(listed)} more.")
    return ArchitectureError(
        " ".join(["This code cannot be imported.", *listed]),
        expected=f"Supported layers: {', '.join(sorted(name for name in ops if name[0].isupper()))}.",
        fix="Remove these lines, or write them with supported layers.",
    )
