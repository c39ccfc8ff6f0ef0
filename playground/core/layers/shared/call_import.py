"""Import of PyTorch and Keras calls: the names and arguments that a layer kind declares for pasted code."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from playground.core.shapes import Shape, compute_same_padding, is_spatial

if TYPE_CHECKING:
    from playground.core.layers.shared.base import Layer
    from playground.core.layers.shared.convolution_base import Convolution

TORCH_IGNORED_ARGUMENTS = ("device", "dtype")
Sides = tuple[int, int, int, int]
"""Pixels at the left, right, top and bottom, in the order of PyTorch's ``ZeroPad2d``."""


class UnsupportedCallError(Exception):
    """Error for a call that cannot be imported; the message completes a sentence that begins with the call."""


class CallArguments(Protocol):
    """Arguments of one call. Each is read once, by its type; the readers raise UnsupportedCallError."""

    add_note: Callable[[str], None]

    @property
    def name(self) -> str:
        """The name of the called class or function."""

    @property
    def line(self) -> int:
        """The line of the call, from 1."""

    @property
    def positional(self) -> tuple[object, ...]:
        """The positional arguments."""

    def pop(self, *names: str) -> object:
        """The value of the first given argument of these names; None without one."""

    def set_value(self, name: str, value: object) -> None:
        """Set an argument under another name, or in another form."""

    def read_integer(self, *names: str, default: int | None = None) -> int:
        """Read an integer."""

    def read_square(self, *names: str, default: int | None = None) -> int:
        """Read one integer for both axes, or the same integer twice."""

    def read_units(self, *names: str) -> int:
        """Read the size of a linear layer; the size of the last layer may be an unknown variable."""

    def read_expected_size(self, *names: str) -> int | None:
        """Read the input size; None if the code does not state it."""

    def read_number(self, *names: str, default: float | None = None) -> float:
        """Read a number."""

    def read_flag(self, *names: str, default: bool = True) -> bool:
        """Read a boolean."""

    def require_value(self, name: str, *allowed: object) -> None:
        """Raise UnsupportedCallError if an argument has another value than these."""

    def ignore(self, *names: str) -> None:
        """Skip arguments that have no effect here."""

    def mark_shape_dependent(self) -> None:
        """Record that the imported layer holds only for this input shape."""


@dataclass(frozen=True)
class LayerImport:
    """An imported layer, and its input size (channels, or values of a vector) if the code states it.

    ``needs_flatten``: the call keeps height and width of 1, and only the Flatten after it completes the layer.
    ``zero_padding``: zeros at each side that come before the layer.
    """

    layer: "Layer"
    expected_size: int | None = None
    needs_flatten: bool = False
    zero_padding: Sides | None = None


@dataclass(frozen=True)
class CallImport:
    """Names of a class or function, its arguments in the order of the signature, and the layer it becomes, if any.

    ``takes_activation``: a Keras layer with an ``activation`` argument, which is read for it.
    """

    names: tuple[str, ...]
    arguments: tuple[str, ...]
    read: Callable[[CallArguments, Shape], LayerImport | None]
    takes_activation: bool = False


def read_torch_padding(arguments: CallArguments) -> int | str:
    """The ``padding`` of a PyTorch convolution: pixels or ``"same"``."""
    value = arguments.pop("padding")
    if isinstance(value, str):
        return 0 if value == "valid" else value
    arguments.set_value("padding", value)
    return arguments.read_square("padding", default=0)


def has_same_padding(arguments: CallArguments) -> bool:
    """True if a Keras layer pads to ``"same"``."""
    value = arguments.pop("padding", "border_mode")
    if value is not None and (not isinstance(value, str) or value.lower() not in ("valid", "same")):
        raise UnsupportedCallError("has a padding that is neither 'valid' nor 'same'")
    return value is not None and value.lower() == "same"


def read_same_padding(arguments: CallArguments, shape: Shape, window_size: int, stride: int) -> Sides:
    """Pixels that Keras's "same" adds at each side of maps of this shape."""
    arguments.mark_shape_dependent()
    if not is_spatial(shape):
        return 0, 0, 0, 0
    (top, bottom), (left, right) = (compute_same_padding(size, window_size, stride) for size in shape[1:])
    return left, right, top, bottom


def pad_as_in_keras(arguments: CallArguments, shape: Shape, layer: "Convolution") -> LayerImport:
    """The convolution with its ``padding``, or after a layer that pads the sides differently."""
    if not has_same_padding(arguments):
        return LayerImport(layer)
    if layer.stride == 1:
        return LayerImport(layer.replace(padding="same"))
    sides = read_same_padding(arguments, shape, layer.effective_kernel_size, layer.stride)
    if len(set(sides)) == 1:
        return LayerImport(layer.replace(padding=sides[0]))
    return LayerImport(layer, zero_padding=sides)
