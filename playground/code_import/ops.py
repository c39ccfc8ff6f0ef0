"""Operations that calls of PyTorch and Keras are converted to: layers, and modifiers of neighboring layers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from playground.code_import.arguments import Arguments, UnsupportedCallError
from playground.core.layers import LAYER_KINDS, Activation, MaxPool2d
from playground.core.layers.shared.activation_functions import ActivationName
from playground.core.layers.shared.call_import import CallImport, LayerImport, Sides
from playground.core.shapes import Shape, format_shape


@dataclass(frozen=True)
class PaddingOp:
    """Padding of each side before the layer that follows, with zeros or with negative infinity."""

    sides: Sides
    is_negative_infinity: bool = False


@dataclass(frozen=True)
class PermuteOp:
    """Permutation of the axes before Flatten."""


@dataclass(frozen=True)
class SoftmaxOp:
    """Softmax."""


@dataclass(frozen=True)
class SqueezeOp:
    """Removal of an axis of length 1, or of all of them."""

    axis: int | None


@dataclass(frozen=True)
class AxisMeanOp:
    """Mean over the height or the width; over both, one after the other, it is global average pooling."""

    axis: int


@dataclass(frozen=True)
class ScalingOp:
    """Scaling of the pixel values, which the app does itself."""


@dataclass(frozen=True)
class InputShapeOp:
    """Input shape that the code states: a vector, or channels, height and width; None for what it leaves open."""

    shape: tuple[int | None, ...]

    def complete(self, shape: Shape) -> Shape:
        """Return the shape with what is left open taken from another one."""
        if len(self.shape) != len(shape):
            return tuple(size or 1 for size in self.shape)
        return tuple(size if size is not None else other for size, other in zip(self.shape, shape, strict=True))


Op = LayerImport | PaddingOp | PermuteOp | SoftmaxOp | SqueezeOp | AxisMeanOp | ScalingOp | InputShapeOp
OpReader = Callable[[Arguments, Shape], list[Op]]
OpTable = dict[str, tuple[tuple[str, ...], OpReader]]
"""Converters by name of the call: the order of its arguments, and the reader of its operations."""

SCALING_REASON = "pixel values are already scaled to 0–1"
ARITHMETIC_ARGUMENTS = ("operator", "other", "is_reversed")


def make_activation_reader(name: ActivationName) -> OpReader:
    """Return the reader of an activation function without parameters."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        arguments.ignore("inplace", "name")
        return [LayerImport(Activation(activation=name))]

    return read


def read_leaky_relu(arguments: Arguments, default: float) -> list[Op]:
    """Read leaky ReLU, whose default slope differs between the libraries."""
    slope = arguments.read_number("negative_slope", "alpha", default=default)
    arguments.ignore("inplace", "name")
    return [LayerImport(Activation(activation="leaky_relu", negative_slope=slope))]


def read_elu(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read ELU, whose alpha is fixed at 1."""
    if arguments.read_number("alpha", default=1.0) != 1:
        raise UnsupportedCallError("has an unsupported alpha; it must be 1")
    arguments.ignore("inplace", "name")
    return [LayerImport(Activation(activation="elu"))]


def read_softmax(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read softmax over the classes."""
    arguments.ignore("dtype", "name", "_stacklevel")
    axis = arguments.pop("dim", "axis")
    if isinstance(axis, int) and axis not in (1, -1):
        raise UnsupportedCallError(f"is a softmax over axis {axis}, which is not that of the classes")
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


def make_padding_ops(sides: Sequence[object], *, is_negative_infinity: bool = False) -> list[Op]:
    """Return the padding of the four sides: left, right, top and bottom."""
    match sides:
        case [int() as left, int() as right, int() as top, int() as bottom] if min(left, right, top, bottom) >= 0:
            return [PaddingOp((left, right, top, bottom), is_negative_infinity)]
    raise UnsupportedCallError("must pad height and width by whole numbers of pixels")


def read_arithmetic(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read the division of pixel values by 255; other arithmetic is not supported."""
    operator, other, is_reversed = (arguments.pop(name) for name in ("operator", "other", "is_reversed"))
    is_scaling = (operator == "Div" and other in (255, 256)) or (operator == "Mult" and other in (1 / 255, 1 / 256))
    if not isinstance(other, int | float) or not is_scaling or (operator == "Div" and is_reversed):
        raise UnsupportedCallError("contains arithmetic, which is not supported")
    arguments.add_note(f"The scaling of the pixel values is omitted: {SCALING_REASON}.")
    return [ScalingOp()]


def make_global_max_pool_ops(arguments: Arguments, shape: Shape) -> list[Op]:
    """Return a max pooling whose window is the whole map."""
    arguments.mark_shape_dependent()
    if len(set(shape[1:])) != 1:
        raise UnsupportedCallError(f"needs square maps here, and gets {format_shape(shape)}")
    return [LayerImport(MaxPool2d(kernel_size=shape[1]))] if shape[1] > 1 else []


def build_op_table(imports: Iterable[CallImport]) -> OpTable:
    """Return the table of the calls that layer kinds declare."""
    return {name: (item.arguments, _make_layer_reader(item)) for item in imports for name in item.names}


def list_imports(framework: Literal["torch", "keras"]) -> Iterator[CallImport]:
    """Iterate over the calls of PyTorch or Keras that layer kinds declare."""
    for layer_class in LAYER_KINDS.values():
        yield from layer_class.torch_imports if framework == "torch" else layer_class.keras_imports


def _make_layer_reader(item: CallImport) -> OpReader:
    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        imported = item.read(arguments, shape)
        return [imported] if imported else []

    return read
