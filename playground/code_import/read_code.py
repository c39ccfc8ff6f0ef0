"""READ a network out of PyTorch or Keras code: a tutorial's file, a notebook's cell. The code is never run."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent

from playground.code_import.builder import ArchitectureBuilder, SourceContext
from playground.code_import.interpreter import interpret_module
from playground.code_import.keras_ops import KERAS_OPS
from playground.code_import.ops import OpTable
from playground.code_import.torch_ops import TORCH_OPS
from playground.code_import.trace import TracedModel, create_too_long_error
from playground.code_import.values import iter_calls
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
    """The network, and what a person should know of how it was read: what was assumed, changed or left out."""

    architecture: Architecture
    notes: tuple[str, ...]


def parse_code(text: str, *, input_shape: InputShape | None = None, classes: int | None = None) -> ParsedCode:
    """The network in a text of at most 100,000 characters, wherever it stands in it.

    ``input_shape`` and ``classes`` are for code that leaves them open. The network may still have problems of its own,
    which validation finds. Raises ArchitectureError naming every line that cannot be read.
    """
    try:
        return _parse_architecture(_strip_prompts(text), input_shape, classes)
    except RecursionError:
        raise create_too_long_error() from None


def _parse_architecture(source: str, input_shape: InputShape | None, classes: int | None) -> ParsedCode:
    model, remarks = _select_model(interpret_module(_parse_python(source)))
    words = (
        KERAS_OPS
        if any(call.name in KERAS_OPS and call.name not in TORCH_OPS for call in iter_calls(model.calls))
        else TORCH_OPS
    )
    last = next((call for call in reversed(model.calls) if call.name in _LINEAR_CALL_NAMES), None)
    open_units = {last: classes or _DEFAULT_CLASSES} if last else {}
    assembly = ArchitectureBuilder(
        SourceContext(words, source, open_units, words is TORCH_OPS), (input_shape or _DEFAULT_INPUT_SHAPE).shape
    )
    for call in model.calls:
        assembly.add_call(call)
    assembly.finish()
    if len(assembly.layers) > MAX_LAYERS:
        raise create_too_long_error()
    shape = _infer_input_shape(assembly, input_shape)
    _check_shortcuts(assembly, shape)
    if assembly.problems:
        raise _unsupported_code_error(assembly.problems, words)
    remarks += assembly.notes
    if _TRAINING_CALL_PATTERN.search(source):
        remarks.append("How the code trains (compile, fit, an optimizer) was not read: your settings stay.")
    layers, found_classes = _convert_output_layer(assembly, classes, remarks)
    channels, height, width = shape
    data = {"input": {"channels": channels, "height": height, "width": width}, "classes": found_classes}
    return ParsedCode(Architecture.from_json(data).with_layers(layers), tuple(dict.fromkeys(remarks)))


def _strip_prompts(text: str) -> str:
    """The text without a console's prompts; lines keep their numbers."""
    if len(text) > MAX_CODE_LENGTH:
        raise ArchitectureError(
            f"This code has {len(text):,} characters.",
            expected=f"At most {MAX_CODE_LENGTH:,} are read.",
            fix="Paste the network alone.",
        )
    lines = dedent(text.replace("\r\n", "\n")).split("\n")
    if any(line.startswith(">>> ") for line in lines):
        lines = [line[4:] if line.startswith((">>> ", "... ")) else "" for line in lines]
    return "\n".join(lines)


def _parse_python(source: str) -> ast.Module:
    what = ""
    for candidate in (source, re.sub(r"^([ \t]*)[!%].*", r"\1pass", source, flags=re.MULTILINE)):
        try:
            return ast.parse(candidate)
        except SyntaxError as problem:
            what = f"This is not Python: line {problem.lineno or 1}, {problem.msg}."
        except (ValueError, RecursionError, MemoryError):
            what = "This is not Python that can be read."
    raise ArchitectureError(
        what, expected="PyTorch or Keras code.", fix="Paste the lines that define the network, from first to last."
    )


def _select_model(models: Sequence[TracedModel]) -> tuple[TracedModel, list[str]]:
    """Return the network that the code creates last, and notes on it.

    A network that is part of another one is no candidate. Classifiers come before networks without a linear layer, and
    created networks before those that are only defined.
    """
    candidates = _exclude_parts([model for model in models if model.calls])
    if not candidates:
        raise ArchitectureError(
            "No network was found in this code.",
            expected="An nn.Sequential(...), a class with a forward method, or a Keras Sequential or Model.",
            fix="Paste the lines that define the network too.",
        )
    model = max(reversed(candidates), key=lambda model: (_is_classifier(model), model.is_instantiated))
    used = {call.node for call in iter_calls(model.calls)}
    notes = list(model.notes)
    if any(call.node not in used for other in candidates for call in other.calls):
        notes.append(f"The code has several networks. The last one was imported; it begins on line {model.line}.")
    return model, notes


def _exclude_parts(models: Sequence[TracedModel]) -> list[TracedModel]:
    """Return the networks whose calls do not all belong to another one; of equal networks, the last."""
    nodes = [{call.node for call in iter_calls(model.calls)} for model in models]
    return [
        model
        for index, model in enumerate(models)
        if not any(
            nodes[index] < other or (nodes[index] == other and index < position) for position, other in enumerate(nodes)
        )
    ]


def _is_classifier(model: TracedModel) -> bool:
    return any(call.name in _LINEAR_CALL_NAMES for call in iter_calls(model.calls))


def _infer_input_shape(builder: ArchitectureBuilder, input_shape: InputShape | None) -> Shape:
    """The stated shape; else the given one, or the first usual square, that all sizes in the code agree with."""
    if builder.declared_input_shape:
        builder.notes += builder.find_size_mismatches(builder.declared_input_shape)
        return builder.declared_input_shape
    wanted = (input_shape or _DEFAULT_INPUT_SHAPE).shape
    first = builder.layers[0] if builder.layers else None
    fixed = first.expected_size if first and first.layer.input_requirement == "spatial" else None
    channels = [fixed] if fixed else list(dict.fromkeys([wanted[0], 1, 3]))
    wanted = (channels[0], *wanted[1:])
    shapes = [wanted, *((channel, side, side) for side in _CANDIDATE_IMAGE_SIDES for channel in channels)]
    found = next((shape for shape in shapes if _is_valid_input_shape(builder, shape)), None)
    shape = found or wanted
    if found and any(placed.expected_size for placed in builder.layers if placed.layer.input_requirement != "spatial"):
        builder.notes.append(f"The input's shape follows from the sizes in the code: {format_shape(shape)}.")
    elif input_shape is None or shape != input_shape.shape:
        builder.notes.append(f"The input's size is not written in the code: {format_shape(shape)} is assumed.")
    builder.notes += builder.find_size_mismatches(shape)
    return shape


def _is_valid_input_shape(builder: ArchitectureBuilder, shape: Shape) -> bool:
    if any(True for _ in builder.find_size_mismatches(shape)):
        return False
    for placed in builder.layers:
        if placed.layer.validate_input(shape):
            return False
        shape = placed.layer.compute_output_shape(shape)
    return True


def _check_shortcuts(builder: ArchitectureBuilder, shape: Shape) -> None:
    """A block's way around follows from its shapes here; code with another one is refused."""
    for placed in builder.layers:
        if placed.layer.has_shortcut:
            block = placed.layer.build_torch_calls(shape)[0]
            found = placed.shortcut.build_torch_calls(shape)[0] if placed.shortcut else None
            if block.shortcut != found and not placed.layer.validate_input(shape):
                builder.reject(placed.call, "has a shortcut that is not the one of this program: none, or a 1×1 Conv2d")
        shape = placed.layer.compute_output_shape(shape)


def _convert_output_layer(
    builder: ArchitectureBuilder, classes: int | None, notes: list[str]
) -> tuple[list[Layer], int]:
    """The layers with the last linear one as the output, and the number of classes."""
    layers = [placed.layer for placed in builder.layers]
    last = layers[-1] if layers else None
    if not isinstance(last, Linear):
        notes.append("The code does not end in a linear layer: the network has no output yet.")
        return layers, classes or _DEFAULT_CLASSES
    single = last.out_features == 1
    if last.activation not in ("none", "sigmoid" if single else "none"):
        notes.append(f"The last layer's {last.activation} is left out: the output gives one score a class.")
    if single and builder.has_final_softmax:
        notes.append("The softmax is left out: over a single unit it is always 1. The output has a sigmoid.")
    if not last.bias:
        notes.append("The output always has a bias here.")
    return [*layers[:-1], Output(activation="sigmoid" if single else "softmax")], 2 if single else last.out_features


def _unsupported_code_error(problems: Sequence[str], ops: OpTable) -> ArchitectureError:
    every = list(dict.fromkeys(problems))
    named = every[:_MAX_PROBLEMS]
    if len(every) > len(named):
        named.append(f"And {len(every) - len(named)} more.")
    return ArchitectureError(
        " ".join(["This code cannot be read.", *named]),
        expected=f"Understood are {', '.join(sorted(word for word in ops if word[0].isupper()))}.",
        fix="Take these out, or write them with what is understood.",
    )
