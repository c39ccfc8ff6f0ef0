"""Import of a network from PyTorch or Keras code, such as a tutorial or a notebook cell. The code is never executed."""

import re
from collections.abc import Sequence
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
    builder = ArchitectureBuilder(
        SourceContext(ops, source, open_units, ops is TORCH_OPS), (input_shape or _DEFAULT_INPUT_SHAPE).shape
    )
    for call in model.calls:
        builder.add_call(call)
    builder.finish()
    if len(builder.layers) > MAX_LAYERS:
        raise create_too_long_error()
    shape = _infer_input_shape(builder, input_shape)
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


def _infer_input_shape(builder: ArchitectureBuilder, input_shape: InputShape | None) -> Shape:
    """Return the stated shape; otherwise ``input_shape`` or the first common square size that fits the code."""
    if builder.declared_input_shape:
        builder.problems += builder.find_size_mismatches(builder.declared_input_shape)
        return builder.declared_input_shape
    default = (input_shape or _DEFAULT_INPUT_SHAPE).shape
    first = builder.layers[0] if builder.layers else None
    fixed = first.expected_size if first and first.layer.input_requirement == "spatial" else None
    channels = [fixed] if fixed else list(dict.fromkeys([default[0], 1, 3]))
    default = (channels[0], *default[1:])
    shapes = [default, *((channel, side, side) for side in _CANDIDATE_IMAGE_SIDES for channel in channels)]
    match = next((shape for shape in shapes if _is_valid_input_shape(builder, shape)), None)
    shape = match or default
    if match and any(placed.expected_size for placed in builder.layers if placed.layer.input_requirement != "spatial"):
        builder.notes.append(f"The input shape {format_shape(shape)} was inferred from the sizes in the code.")
    elif input_shape is None or shape != input_shape.shape:
        builder.notes.append(f"The code does not state the input shape; {format_shape(shape)} is assumed.")
    builder.problems += builder.find_size_mismatches(shape)
    return shape


def _is_valid_input_shape(builder: ArchitectureBuilder, shape: Shape) -> bool:
    if any(True for _ in builder.find_size_mismatches(shape)):
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
        Output(activation="sigmoid" if is_binary else "softmax"),
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
