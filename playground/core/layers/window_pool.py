"""Base class of pooling layers with a sliding window."""

from typing import ClassVar

from pydantic import Field

from playground.core.layers.base import Layer, LayerFix, LayerProblem, TorchCall, join_arguments, validate_spatial_input
from playground.core.shapes import ReceptiveField, Shape, compute_output_size, is_spatial


class WindowPool(Layer):
    """Pooling with a window that slides over each channel on its own."""

    torch_module: ClassVar[str]

    kernel_size: int = Field(default=2, ge=1, le=31, description="Side of the square window. Keras: pool_size.")
    stride: int | None = Field(
        default=None, ge=1, le=31, description="Pixels from one window to the next; empty: as wide as the window."
    )
    padding: int = Field(default=0, ge=0, le=15, description="Pixels put around the maps; at most half the window.")

    @property
    def effective_stride(self) -> int:
        """The stride in force."""
        return self.stride or self.kernel_size

    def format_arguments(self) -> str:
        """Window and what is unusual."""
        return join_arguments(
            f"{self.kernel_size}×{self.kernel_size}",
            f"stride {self.stride}" if self.stride not in (None, self.kernel_size) else "",
            f"pad {self.padding}" if self.padding else "",
        )

    def _compute_output_size(self, size: int) -> int:
        return compute_output_size(size, self.kernel_size, self.effective_stride, self.padding)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same channels, smaller maps."""
        if not is_spatial(input_shape):
            return input_shape
        return (input_shape[0], *(max(1, self._compute_output_size(size)) for size in input_shape[1:]))

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """Grows by the window."""
        return field.apply_window(self.kernel_size, self.effective_stride, self.padding)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``MaxPool2d`` or ``AvgPool2d``."""
        arguments: dict[str, int] = {"kernel_size": self.kernel_size}
        if self.effective_stride != self.kernel_size:
            arguments["stride"] = self.effective_stride
        if self.padding:
            arguments["padding"] = self.padding
        return (TorchCall(self.torch_module, arguments),)

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """A vector below, too much padding, a window that does not fit."""
        if not is_spatial(input_shape):
            return validate_spatial_input(self, input_shape)
        if self.padding > self.kernel_size // 2:
            half = self.kernel_size // 2
            return (
                LayerProblem(
                    field="padding",
                    what=f"The padding ({self.padding}) is more than half the window ({self.kernel_size}).",
                    expected="Else a window could lie wholly in the padding.",
                    fixes=(LayerFix(f"Pad {half}", (self.replace(padding=half),)),),
                ),
            )
        height, width = input_shape[1:]
        if min(self._compute_output_size(height), self._compute_output_size(width)) >= 1:
            return ()
        smallest = min(height, width)
        repairs = [LayerFix("Remove", ())]
        if smallest >= 2:
            window = 2 if self.kernel_size > 2 else smallest
            smaller = self.replace(kernel_size=window, stride=None, padding=0)
            repairs.insert(0, LayerFix(f"Use {window}×{window}", (smaller,)))
        return (
            LayerProblem(
                field="kernel_size",
                what=f"The window ({self.kernel_size}×{self.kernel_size}) is larger than its {height}×{width} map.",
                expected="Nothing would be left of the map.",
                fixes=tuple(repairs),
            ),
        )
