"""Shapes, sliding windows and receptive fields."""

from dataclasses import dataclass
from math import prod

Shape = tuple[int, ...]
"""(channels, height, width) of feature maps, or (features,) of a vector; the batch dimension is left out."""


def is_spatial(shape: Shape) -> bool:
    """True if a shape has height and width."""
    return len(shape) == 3


def format_shape(shape: Shape) -> str:
    """Format a shape: ``32×26×26``."""
    return "×".join(str(size) for size in shape)


def count_elements(shape: Shape) -> int:
    """Number of values in a tensor of this shape."""
    return prod(shape)


def compute_output_size(size: int, kernel_size: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Positions of a window along one axis; zero or less where it does not fit.

    Source: the formula in PyTorch's documentation of ``Conv2d`` and ``MaxPool2d``.
    """
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


def compute_same_padding(size: int, window_size: int, stride: int) -> tuple[int, int]:
    """Pixels before and after an axis for Keras's padding "same", which gives ⌈size / stride⌉ positions.

    An odd number of pixels has the larger half at the end. Source: TensorFlow's documentation of ``tf.nn`` on padding.
    """
    total = max(0, (-(-size // stride) - 1) * stride + window_size - size)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class SlidingWindow:
    """A square window over feature maps, in pixels; ``kernel_size`` None covers the whole map.

    ``padding``: (rows, columns) before the first pixel.
    """

    kernel_size: int | None
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive field of one value along an axis, in input pixels.

    ``size`` is its extent, ``jump`` the distance between the fields of neighboring values, ``start`` the first
    pixel of the first value's field (negative inside the padding). Source: Araujo, Norris, Sim,
    "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
    """

    size: int = 1
    jump: int = 1
    start: int = 0

    def apply_window(self, kernel_size: int, stride: int, padding: int, dilation: int = 1) -> "ReceptiveField":
        """The field after a sliding window."""
        return ReceptiveField(
            size=self.size + dilation * (kernel_size - 1) * self.jump,
            jump=self.jump * stride,
            start=self.start - padding * self.jump,
        )

    def expand_to_feature_map(self, size: int) -> "ReceptiveField":
        """The field of a value that depends on all ``size`` positions along the axis."""
        return ReceptiveField(size=self.size + (size - 1) * self.jump, jump=self.jump, start=self.start)

    def unite(self, other: "ReceptiveField") -> "ReceptiveField":
        """The field of a sum of two branches with the same jump."""
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return ReceptiveField(size=end - start, jump=max(self.jump, other.jump), start=start)
