"""Operations that calls of PyTorch and Keras are converted to: layers, and modifiers of neighboring layers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from playground.code_import.arguments import Arguments, UnsupportedCallError
from playground.core.layers import LAYER_KINDS, Activation
from playground.core.layers.shared.call_import import CallImport, LayerImport
from playground.core.shapes import Shape


@dataclass(frozen=True)
class PaddingOp:
    """Padding of the layer that follows, in pixels, with zeros or with negative infinity."""

    pixels: int
    is_negative_infinity: bool = False


@dataclass(frozen=True)
class PermuteOp:
    """Permutation of the axes before Flatten."""


@dataclass(frozen=True)
class SoftmaxOp:
    """Softmax."""


@dataclass(frozen=True)
class InputShapeOp:
    """Input shape that the code states."""

    shape: Shape


Op = LayerImport | PaddingOp | PermuteOp | SoftmaxOp | InputShapeOp
OpReader = Callable[[Arguments, Shape], list[Op]]
OpTable = dict[str, tuple[tuple[str, ...], OpReader]]
"""Converters by name of the call: the order of its arguments, and the reader of its operations."""

LEAKY_RELU_SLOPE = 0.01


def make_activation_ops(name: str) -> list[Op]:
    """Return the operations of an activation function."""
    return [LayerImport(Activation(activation=name))]


def make_activation_reader(name: str) -> OpReader:
    """Return the reader of an activation function without parameters."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        arguments.ignore("inplace", "name")
        return make_activation_ops(name)

    return read


def read_leaky_relu(arguments: Arguments, default: float) -> list[Op]:
    """Read Leaky ReLU, whose slope is fixed."""
    slope = arguments.read_number("negative_slope", "alpha", default=default)
    arguments.ignore("inplace", "name")
    if slope != LEAKY_RELU_SLOPE:
        arguments.add_note(f"Leaky ReLU is imported with slope {LEAKY_RELU_SLOPE:g} instead of {slope:g}.")
    return make_activation_ops("leaky_relu")


def read_elu(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read ELU, whose alpha is fixed at 1."""
    if arguments.read_number("alpha", default=1.0) != 1:
        raise UnsupportedCallError("has an unsupported alpha; it must be 1")
    arguments.ignore("inplace", "name")
    return make_activation_ops("elu")


def read_softmax(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read softmax; its axis is always that of the classes."""
    arguments.ignore("dim", "axis", "dtype", "name", "_stacklevel")
    return [SoftmaxOp()]


def make_identity_reader(*ignored: str) -> OpReader:
    """Return the reader of a call without effect on the network."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        arguments.ignore(*ignored)
        return []

    return read


def make_skip_reader(reason: str) -> OpReader:
    """Return the reader of a call that is omitted with a note."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        arguments.add_note(f"{arguments.call.name} is omitted: {reason}.")
        arguments.ignore_remaining()
        return []

    return read


def build_op_table(imports: Iterable[CallImport]) -> OpTable:
    """Return the table of the calls that layer kinds declare."""
    return {name: (item.arguments, _make_layer_reader(item)) for item in imports for name in item.names}


def list_imports(framework: Literal["torch", "keras"]) -> Iterator[CallImport]:
    """Iterate over the calls of PyTorch or Keras that layer kinds declare."""
    for layer_class in LAYER_KINDS.values():
        yield from layer_class.torch_imports if framework == "torch" else layer_class.keras_imports


def _make_layer_reader(item: CallImport) -> OpReader:
    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        return [item.read(arguments, shape)]

    return read
