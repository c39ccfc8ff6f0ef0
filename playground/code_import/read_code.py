"""READ a network out of PyTorch or Keras code: a tutorial's file, a notebook's cell. The code is never run."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent

from playground.code_import.builder import Assembly, Source
from playground.code_import.interpreter import walk
from playground.code_import.keras_ops import KERAS
from playground.code_import.ops import Words
from playground.code_import.torch_ops import TORCH
from playground.code_import.trace import Model, endless
from playground.code_import.values import every_call
from playground.core.architecture import MAX_LAYERS, Architecture, InputShape
from playground.core.layers import Conv2d, Layer, Linear, Output, Residual
from playground.core.shapes import Shape, shape_text
from playground.errors import ArchitectureError

MOST_CHARACTERS = 100_000
_MOST_PROBLEMS = 12
_DEFAULT_INPUT = InputShape()
_DEFAULT_CLASSES = 10
_TRAINING = re.compile(r"(?<!torch)(?<!re)\.compile\(|\.fit\(|\boptim\.\w+\(|\boptimizers?\.\w+\(")
_LINEAR = ("Linear", "LazyLinear", "Dense")
_USUAL_SIDES = (28, 32, 64, 96, 128, 160, 192, 224, 256)
_SIDES = (*_USUAL_SIDES, *(side for side in range(8, 257) if side not in _USUAL_SIDES))


@dataclass(frozen=True)
class ReadCode:
    """The network, and what a person should know of how it was read: what was assumed, changed or left out."""

    architecture: Architecture
    remarks: tuple[str, ...]


def read_code(text: str, *, input_shape: InputShape | None = None, classes: int | None = None) -> ReadCode:
    """The network in a text of at most 100,000 characters, wherever it stands in it.

    ``input_shape`` and ``classes`` are for code that leaves them open. The network may still have problems of its own,
    which validation finds. Raises ArchitectureError naming every line that cannot be read.
    """
    try:
        return _read(_as_python(text), input_shape, classes)
    except RecursionError:
        raise endless() from None


def _read(source: str, input_shape: InputShape | None, classes: int | None) -> ReadCode:
    model, remarks = _largest(walk(_parsed(source)))
    words = KERAS if any(call.name in KERAS and call.name not in TORCH for call in every_call(model.calls)) else TORCH
    last = next((call for call in reversed(model.calls) if call.name in _LINEAR), None)
    open_units = {last: classes or _DEFAULT_CLASSES} if last else {}
    assembly = Assembly(Source(words, source, open_units, words is TORCH), (input_shape or _DEFAULT_INPUT).shape)
    for call in model.calls:
        assembly.read(call)
    assembly.finish()
    if len(assembly.placed) > MAX_LAYERS:
        raise endless()
    shape = _input_of(assembly, input_shape)
    _check_shortcuts(assembly, shape)
    if assembly.problems:
        raise _unreadable(assembly.problems, words)
    remarks += assembly.remarks
    if _TRAINING.search(source):
        remarks.append("How the code trains (compile, fit, an optimizer) was not read: your settings stay.")
    layers, found_classes = _with_output(assembly, classes, remarks)
    channels, height, width = shape
    data = {"input": {"channels": channels, "height": height, "width": width}, "classes": found_classes}
    return ReadCode(Architecture.read(data).with_layers(layers), tuple(dict.fromkeys(remarks)))


def _as_python(text: str) -> str:
    """The text without a console's prompts; lines keep their numbers."""
    if len(text) > MOST_CHARACTERS:
        raise ArchitectureError(
            f"This code has {len(text):,} characters.",
            expected=f"At most {MOST_CHARACTERS:,} are read.",
            fix="Paste the network alone.",
        )
    lines = dedent(text.replace("\r\n", "\n")).split("\n")
    if any(line.startswith(">>> ") for line in lines):
        lines = [line[4:] if line.startswith((">>> ", "... ")) else "" for line in lines]
    return "\n".join(lines)


def _parsed(source: str) -> ast.Module:
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


def _largest(models: Sequence[Model]) -> tuple[Model, list[str]]:
    """The network with the most layers: the others are parts of it, or a remark."""
    model = max(models, key=lambda model: len(model.calls), default=None)
    if model is None or not model.calls:
        raise ArchitectureError(
            "No network was found in this code.",
            expected="It may be nn.Sequential(...), a class with a forward, or Keras's Sequential or Model.",
            fix="Paste the lines that define the network too.",
        )
    inside = {call.node for call in every_call(model.calls)}
    others = [other for other in models if any(call.node not in inside for call in other.calls)]
    remarks = list(model.guesses)
    if others:
        remarks.append(f"There is more than one network in the code; the largest was read, of line {model.line}.")
    return model, remarks


def _input_of(assembly: Assembly, given: InputShape | None) -> Shape:
    """The stated shape; else the given one, or the first usual square, that all sizes in the code agree with."""
    if assembly.stated:
        assembly.remarks += assembly.misfits(assembly.stated)
        return assembly.stated
    wanted = (given or _DEFAULT_INPUT).shape
    first = assembly.placed[0] if assembly.placed else None
    fixed = first.expected_size if first and isinstance(first.layer, Conv2d) else None
    channels = [fixed] if fixed else list(dict.fromkeys([wanted[0], 1, 3]))
    wanted = (channels[0], *wanted[1:])
    shapes = [wanted, *((channel, side, side) for side in _SIDES for channel in channels)]
    found = next((shape for shape in shapes if _fits(assembly, shape)), None)
    shape = found or wanted
    if found and any(placed.expected_size for placed in assembly.placed if not isinstance(placed.layer, Conv2d)):
        assembly.remarks.append(f"The input's shape follows from the sizes in the code: {shape_text(shape)}.")
    elif given is None or shape != given.shape:
        assembly.remarks.append(f"The input's size is not written in the code: {shape_text(shape)} is assumed.")
    assembly.remarks += assembly.misfits(shape)
    return shape


def _fits(assembly: Assembly, shape: Shape) -> bool:
    if any(True for _ in assembly.misfits(shape)):
        return False
    for placed in assembly.placed:
        if placed.layer.defects(shape):
            return False
        shape = placed.layer.output_shape(shape)
    return True


def _check_shortcuts(assembly: Assembly, shape: Shape) -> None:
    """A block's way around follows from its shapes here; code with another one is refused."""
    for placed in assembly.placed:
        if isinstance(placed.layer, Residual):
            block = placed.layer.torch_calls(shape)[0]
            found = placed.shortcut.torch_calls(shape)[0] if placed.shortcut else None
            if block.shortcut != found and not placed.layer.defects(shape):
                assembly.refuse(
                    placed.call, "has a shortcut that is not the one of this program: none, or a 1×1 Conv2d"
                )
        shape = placed.layer.output_shape(shape)


def _with_output(assembly: Assembly, classes: int | None, remarks: list[str]) -> tuple[list[Layer], int]:
    """The layers with the last linear one as the output, and the number of classes."""
    layers = [placed.layer for placed in assembly.placed]
    last = layers[-1] if layers else None
    if not isinstance(last, Linear):
        remarks.append("The code does not end in a linear layer: the network has no output yet.")
        return layers, classes or _DEFAULT_CLASSES
    single = last.out_features == 1
    if last.activation not in ("none", "sigmoid" if single else "none"):
        remarks.append(f"The last layer's {last.activation} is left out: the output gives one score a class.")
    if single and assembly.ends_in_softmax:
        remarks.append("The softmax is left out: over a single unit it is always 1. The output has a sigmoid.")
    if not last.bias:
        remarks.append("The output always has a bias here.")
    return [*layers[:-1], Output(activation="sigmoid" if single else "softmax")], 2 if single else last.out_features


def _unreadable(problems: Sequence[str], words: Words) -> ArchitectureError:
    every = list(dict.fromkeys(problems))
    named = every[:_MOST_PROBLEMS]
    if len(every) > len(named):
        named.append(f"And {len(every) - len(named)} more.")
    return ArchitectureError(
        " ".join(["This code cannot be read.", *named]),
        expected=f"Understood are {', '.join(sorted(word for word in words if word[0].isupper()))}.",
        fix="Take these out, or write them with what is understood.",
    )
