"""Shapes and the arithmetic of sliding windows, shared by every layer that has one."""

from dataclasses import dataclass
from math import prod

Shape = tuple[int, ...]
"""(channels, height, width) of a map, or (features,) of a vector; the batch dimension is left out."""


def is_spatial(shape: Shape) -> bool:
    """Whether a shape has height and width, as convolutions and pooling need."""
    return len(shape) == 3


def format_shape(shape: Shape) -> str:
    """A shape as people write it: ``32×26×26``."""
    return "×".join(str(size) for size in shape)


def count_elements(shape: Shape) -> int:
    """How many numbers a value of this shape holds."""
    return prod(shape)


def compute_output_size(size: int, kernel_size: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Positions of a window along one axis; zero or less where it does not fit.

    Source: the formula in PyTorch's documentation of ``Conv2d`` and ``MaxPool2d``.
    """
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


@dataclass(frozen=True)
class SlidingWindow:
    """A square window over feature maps, in pixels; ``kernel_size`` None covers the whole map.

    ``padding``: zeros before the first pixel.
    """

    kernel_size: int | None
    stride: int = 1
    padding: int = 0
    dilation: int = 1


@dataclass(frozen=True)
class ReceptiveField:
    """How much of the input one value of a layer sees, per axis, in input pixels.

    ``size`` is the extent of the seen square, ``jump`` the distance between neighbours of the layer, ``start`` the
    input coordinate of the first value's first seen pixel (negative inside the padding). Source: Araujo, Norris, Sim,
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
        """The field of a value that sees every one of ``size`` positions along the axis."""
        return ReceptiveField(size=self.size + (size - 1) * self.jump, jump=self.jump, start=self.start)

    def unite(self, other: "ReceptiveField") -> "ReceptiveField":
        """The field of a sum of two branches with the same jump."""
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return ReceptiveField(size=end - start, jump=max(self.jump, other.jump), start=start)
