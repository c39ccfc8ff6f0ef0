"""What one call of pasted code comes to here: a layer, or a word to the layers around it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from playground.code_import.arguments import Arguments, UnsupportedCallError
from playground.core.layers import LAYER_KINDS, Activation
from playground.core.layers.shared.call_import import CallImport, LayerImport
from playground.core.shapes import Shape


@dataclass(frozen=True)
class PaddingOp:
    """Pixels around the maps for the window that follows; ``is_negative_infinity``: of a value that no maximum takes."""

    pixels: int
    is_negative_infinity: bool = False


@dataclass(frozen=True)
class PermuteOp:
    """Axes in another order, for the Flatten that follows."""


@dataclass(frozen=True)
class SoftmaxOp:
    """What makes probabilities of scores."""


@dataclass(frozen=True)
class InputShapeOp:
    """The shape of the input, as the code states it."""

    shape: Shape


Op = LayerImport | PaddingOp | PermuteOp | SoftmaxOp | InputShapeOp
OpReader = Callable[[Arguments, Shape], list[Op]]
OpTable = dict[str, tuple[tuple[str, ...], OpReader]]
"""How a call is read by its name: the order of its arguments, and what it comes to on an input of some shape."""

LEAKY_RELU_SLOPE = 0.01


def make_activation_ops(name: str) -> list[Op]:
    """The layer of a function."""
    return [LayerImport(Activation(activation=name))]


def make_activation_reader(name: str) -> OpReader:
    """A function without figures of its own."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        arguments.ignore("inplace", "name")
        return make_activation_ops(name)

    return read


def read_leaky_relu(arguments: Arguments, default: float) -> list[Op]:
    """Leaky ReLU, whose slope is fixed here."""
    slope = arguments.read_number("negative_slope", "alpha", default=default)
    arguments.ignore("inplace", "name")
    if slope != LEAKY_RELU_SLOPE:
        arguments.add_note(f"Leaky ReLU has the slope {LEAKY_RELU_SLOPE:g} here, not {slope:g}.")
    return make_activation_ops("leaky_relu")


def read_elu(arguments: Arguments, shape: Shape) -> list[Op]:
    """ELU with alpha 1."""
    if arguments.read_number("alpha", default=1.0) != 1:
        raise UnsupportedCallError("has another alpha than 1")
    arguments.ignore("inplace", "name")
    return make_activation_ops("elu")


def read_softmax(arguments: Arguments, shape: Shape) -> list[Op]:
    """Softmax over the classes; the axis can only be that one."""
    arguments.ignore("dim", "axis", "dtype", "name", "_stacklevel")
    return [SoftmaxOp()]


def make_identity_reader(*ignored: str) -> OpReader:
    """A call that changes nothing here."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        arguments.ignore(*ignored)
        return []

    return read


def make_skip_reader(reason: str) -> OpReader:
    """A call that belongs elsewhere here."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        arguments.add_note(f"{arguments.call.name} is left out: {reason}.")
        arguments.ignore_remaining()
        return []

    return read


def build_op_table(imports: Iterable[CallImport]) -> OpTable:
    """The calls that layer kinds declare."""
    return {name: (item.arguments, _make_layer_reader(item)) for item in imports for name in item.names}


def list_imports(framework: Literal["torch", "keras"]) -> Iterator[CallImport]:
    """The calls of PyTorch or Keras that layer kinds declare."""
    for layer_class in LAYER_KINDS.values():
        yield from layer_class.torch_imports if framework == "torch" else layer_class.keras_imports


def _make_layer_reader(item: CallImport) -> OpReader:
    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        return [item.read(arguments, shape)]

    return read
