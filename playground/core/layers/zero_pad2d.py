"""Zero padding as a separate layer, which can differ between the sides."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.base import Layer, LayerProblem, join_arguments, validate_spatial_input
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall
from playground.core.shapes import ReceptiveField, Shape, SlidingWindow, is_spatial

_SIDE_HELP = "Rows or columns of zeros added at this side of the feature maps."


class ZeroPad2d(Layer):
    """Zeros around the feature maps, a number for each side.

    Keras pads convolutions with stride and ``padding="same"`` more at the right and below; this layer states it.
    """

    title = "Zero-pad"
    description = "Adds rows and columns of zeros around the feature maps, a number for each side."
    menu_order = 85
    input_requirement = "spatial"
    can_be_in_block = True
    block_form_fields = ("left", "right", "top", "bottom")
    diagram_color = "gray"

    kind: Literal["zero_pad2d"] = "zero_pad2d"
    left: int = Field(default=1, ge=0, le=31, description=_SIDE_HELP)
    right: int = Field(default=1, ge=0, le=31, description=_SIDE_HELP)
    top: int = Field(default=1, ge=0, le=31, description=_SIDE_HELP)
    bottom: int = Field(default=1, ge=0, le=31, description=_SIDE_HELP)

    def format_arguments(self) -> str:
        """The padding, of each side where the sides differ."""
        sides = {"left": self.left, "right": self.right, "top": self.top, "bottom": self.bottom}
        if len(set(sides.values())) == 1:
            return f"{self.left} px"
        return join_arguments(*(f"{name} {pixels}" for name, pixels in sides.items() if pixels))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(channels, top + height + bottom, left + width + right)."""
        if not is_spatial(input_shape):
            return input_shape
        channels, height, width = input_shape
        return (channels, self.top + height + self.bottom, self.left + width + self.right)

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The receptive field, moved by the padding before the first pixel."""
        is_wide = is_spatial(input_shape) and input_shape[2] >= input_shape[1]
        return field.apply_window(1, 1, self.left if is_wide else self.top)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``ZeroPad2d``."""
        pads = (0, 0, self.top, self.left, 0, 0, self.bottom, self.right)
        call = TorchCall(
            "ZeroPad2d",
            {"padding": (self.left, self.right, self.top, self.bottom)},
            positional_count=1,
            window=SlidingWindow(1, padding=(self.top, self.left)),
            onnx_nodes=(OnnxNode("Pad", ("input", "pads"), constants={"pads": pads}),),
            js_operation=JsOperation(
                "zeroPad2d", {"left": self.left, "right": self.right, "top": self.top, "bottom": self.bottom}
            ),
        )
        return (call,)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``ZeroPadding2D``."""
        return (KerasCall("ZeroPadding2D", (((self.top, self.bottom), (self.left, self.right)),)),)

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report a vector input."""
        return validate_spatial_input(self, input_shape)
