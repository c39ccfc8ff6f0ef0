"""Pooling: making maps smaller, and the way from maps to a vector."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.layers.base import Defect, Layer, Repair, TorchCall, joined_detail, needs_map
from playground.core.shapes import ReceptiveField, Shape, is_map, window_output_size


class WindowPool(Layer):
    """What max and average pooling share: a window that slides over each channel by itself."""

    module: ClassVar[str]

    kernel_size: int = Field(default=2, ge=1, le=31, description="Side of the square window. Keras: pool_size.")
    stride: int | None = Field(
        default=None, ge=1, le=31, description="Pixels from one window to the next; empty: as wide as the window."
    )
    padding: int = Field(default=0, ge=0, le=15, description="Pixels put around the maps; at most half the window.")

    @property
    def step(self) -> int:
        """The stride in force."""
        return self.stride or self.kernel_size

    def detail(self) -> str:
        """Window and what is unusual."""
        return joined_detail(
            f"{self.kernel_size}×{self.kernel_size}",
            f"stride {self.stride}" if self.stride not in (None, self.kernel_size) else "",
            f"pad {self.padding}" if self.padding else "",
        )

    def _size(self, size: int) -> int:
        return window_output_size(size, self.kernel_size, self.step, self.padding)

    def output_shape(self, input_shape: Shape) -> Shape:
        """The same channels, smaller maps."""
        if not is_map(input_shape):
            return input_shape
        return (input_shape[0], *(max(1, self._size(size)) for size in input_shape[1:]))

    def receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """Grows by the window."""
        return field.through(self.kernel_size, self.step, self.padding)

    def torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``MaxPool2d`` or ``AvgPool2d``."""
        arguments: dict[str, int] = {"kernel_size": self.kernel_size}
        if self.step != self.kernel_size:
            arguments["stride"] = self.step
        if self.padding:
            arguments["padding"] = self.padding
        return (TorchCall(self.module, arguments),)

    def defects(self, input_shape: Shape) -> tuple[Defect, ...]:
        """A vector below, too much padding, a window that does not fit."""
        if not is_map(input_shape):
            return needs_map(self, input_shape)
        if self.padding > self.kernel_size // 2:
            half = self.kernel_size // 2
            return (
                Defect(
                    field="padding",
                    what=f"The padding ({self.padding}) is more than half the window ({self.kernel_size}).",
                    expected="Else a window could lie wholly in the padding.",
                    repairs=(Repair(f"Pad {half}", (self.changed(padding=half),)),),
                ),
            )
        height, width = input_shape[1:]
        if min(self._size(height), self._size(width)) >= 1:
            return ()
        smallest = min(height, width)
        repairs = [Repair("Remove", ())]
        if smallest >= 2:
            window = 2 if self.kernel_size > 2 else smallest
            smaller = self.changed(kernel_size=window, stride=None, padding=0)
            repairs.insert(0, Repair(f"Use {window}×{window}", (smaller,)))
        return (
            Defect(
                field="kernel_size",
                what=f"The window ({self.kernel_size}×{self.kernel_size}) is larger than its {height}×{width} map.",
                expected="Nothing would be left of the map.",
                repairs=tuple(repairs),
            ),
        )


class MaxPool2d(WindowPool):
    """Keeps the largest value of each window."""

    title = "Max-pool"
    summary = "Keeps the largest value of each window: smaller maps that care less about exact position."
    module = "MaxPool2d"

    kind: Literal["max_pool2d"] = "max_pool2d"


class AvgPool2d(WindowPool):
    """Keeps the mean of each window."""

    title = "Avg-pool"
    summary = "Keeps the mean of each window: smaller, smoother maps."
    module = "AvgPool2d"

    kind: Literal["avg_pool2d"] = "avg_pool2d"


class GlobalAvgPool(Layer):
    """One number a channel: the mean of its whole map."""

    title = "Global avg-pool"
    summary = "Turns each map into its mean: a vector with one value a channel, without any weight."

    kind: Literal["global_avg_pool"] = "global_avg_pool"

    def output_shape(self, input_shape: Shape) -> Shape:
        """(channels,)."""
        return input_shape[:1]

    def receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """Everything that any position of the map sees."""
        return field.whole_map(max(input_shape[1:])) if is_map(input_shape) else field

    def torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``AdaptiveAvgPool2d(1)`` and ``Flatten``."""
        return (TorchCall("AdaptiveAvgPool2d", {"output_size": 1}), TorchCall("Flatten"))

    def defects(self, input_shape: Shape) -> tuple[Defect, ...]:
        """A vector below."""
        return needs_map(self, input_shape)


class Flatten(Layer):
    """All values of all maps, laid in one row."""

    title = "Flatten"
    summary = "Lays all values of all maps in one row, as linear layers need them."

    kind: Literal["flatten"] = "flatten"

    def output_shape(self, input_shape: Shape) -> Shape:
        """(channels × height × width,)."""
        product = 1
        for size in input_shape:
            product *= size
        return (product,)

    def torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Flatten``."""
        return (TorchCall("Flatten"),)
