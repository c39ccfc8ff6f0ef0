"""What one call of pasted code comes to here: a layer, or a word to the layers around it."""

from collections.abc import Callable
from dataclasses import dataclass

from playground.code_import.arguments import Arguments, Misread
from playground.core.layers import Activation, Layer
from playground.core.shapes import Shape


@dataclass(frozen=True)
class Part:
    """A layer, with the size of its input (channels, or values in a row) if the code states it."""

    layer: Layer
    expected_size: int | None = None


@dataclass(frozen=True)
class Padding:
    """Pixels around the maps for the window that follows; ``lowest``: of a value that no maximum takes."""

    pixels: int
    lowest: bool = False


@dataclass(frozen=True)
class Squeeze:
    """Global pooling that keeps the axes: a Flatten must follow."""


@dataclass(frozen=True)
class Reorder:
    """Axes in another order, for the Flatten that follows."""


@dataclass(frozen=True)
class Scores:
    """What makes probabilities of scores."""


@dataclass(frozen=True)
class InputSize:
    """The shape of the input, as the code states it."""

    shape: Shape


Piece = Part | Padding | Squeeze | Reorder | Scores | InputSize
Reader = Callable[[Arguments, Shape], list[Piece]]
Words = dict[str, tuple[tuple[str, ...], Reader]]
"""How a call is read by its name: the order of its arguments, and what it comes to on an input of some shape."""

LEAKY_SLOPE = 0.01


def activation(name: str) -> list[Piece]:
    """The layer of a function."""
    return [Part(Activation(activation=name))]


def plain_activation(name: str) -> Reader:
    """A function without figures of its own."""

    def read(arguments: Arguments, shape: Shape) -> list[Piece]:
        arguments.ignore("inplace", "name")
        return activation(name)

    return read


def leaky_relu(arguments: Arguments, default: float) -> list[Piece]:
    """Leaky ReLU, whose slope is fixed here."""
    slope = arguments.number("negative_slope", "alpha", default=default)
    arguments.ignore("inplace", "name")
    if slope != LEAKY_SLOPE:
        arguments.note(f"Leaky ReLU has the slope {LEAKY_SLOPE:g} here, not {slope:g}.")
    return activation("leaky_relu")


def elu(arguments: Arguments, shape: Shape) -> list[Piece]:
    """ELU with alpha 1."""
    if arguments.number("alpha", default=1.0) != 1:
        raise Misread("has another alpha than 1")
    arguments.ignore("inplace", "name")
    return activation("elu")


def scores(arguments: Arguments, shape: Shape) -> list[Piece]:
    """Softmax over the classes; the axis can only be that one."""
    arguments.ignore("dim", "axis", "dtype", "name", "_stacklevel")
    return [Scores()]


def nothing(*ignored: str) -> Reader:
    """A call that changes nothing here."""

    def read(arguments: Arguments, shape: Shape) -> list[Piece]:
        arguments.ignore(*ignored)
        return []

    return read


def left_out(reason: str) -> Reader:
    """A call that belongs elsewhere here."""

    def read(arguments: Arguments, shape: Shape) -> list[Piece]:
        arguments.note(f"{arguments.call.name} is left out: {reason}.")
        arguments.ignore_rest()
        return []

    return read
