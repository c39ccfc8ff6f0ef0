"""Max pooling."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.base import ExplanationRule, join_arguments
from playground.core.layers.shared.calls import KerasCall
from playground.core.layers.shared.window_pool import WindowPool, make_keras_pooling_import, make_torch_pooling_import
from playground.core.shapes import Shape, compute_same_padding


class MaxPool2d(WindowPool):
    """Max pooling over windows of each channel."""

    title = "Max-pool"
    description = "Keeps the largest value of each window: smaller feature maps that depend less on exact positions."
    menu_order = 30
    explanation = ExplanationRule("largest")
    torch_module = "MaxPool2d"
    onnx_operator = "MaxPool"
    js_operation = "maxPool2d"
    keras_layer = "MaxPooling2D"
    absorbed_padding = "negative_infinity"

    kind: Literal["max_pool2d"] = "max_pool2d"

    ceil_mode: bool = Field(
        default=False,
        exclude_if=lambda value: not value,  # networks without it keep their digests
        description="Adds a window at the right and below where the last pixels do not fill one. Keras: "
        'padding="same" of an odd map.',
    )

    def format_arguments(self) -> str:
        """The window size and values that differ from the defaults."""
        return join_arguments(super().format_arguments(), "ceil mode" if self.ceil_mode else "")

    def _compute_end_padding(self, size: int) -> int:
        """Pixels after the last one; PyTorch adds no window that would begin behind the maps."""
        if not self.ceil_mode:
            return self.padding
        steps = -(-(size + 2 * self.padding - self.kernel_size) // self.effective_stride)
        if steps * self.effective_stride >= size + self.padding:
            steps -= 1
        return max(self.padding, steps * self.effective_stride + self.kernel_size - size - self.padding)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """The pooling layer with ``padding="same"`` where that pads equally, else after a padding layer."""
        *_, pooling = super().build_keras_calls(input_shape)
        sides = tuple((self.padding, self._compute_end_padding(size)) for size in input_shape[1:])
        if sides == ((0, 0), (0, 0)):
            return (pooling,)
        if sides == tuple(
            compute_same_padding(size, self.kernel_size, self.effective_stride) for size in input_shape[1:]
        ):
            return (pooling.with_argument("padding", "same"),)
        return (KerasCall("NegativeInfinityPadding2D", (sides,), is_helper=True), pooling)


MaxPool2d.torch_imports = (
    make_torch_pooling_import(
        MaxPool2d,
        ("MaxPool2d", "max_pool2d"),
        ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"),
    ),
)
MaxPool2d.keras_imports = (make_keras_pooling_import(MaxPool2d, ("MaxPooling2D", "MaxPool2D")),)
