"""Base class of pooling layers with a sliding window."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from playground.core.layers.shared.base import (
    Layer,
    LayerProblem,
    LayerReplacement,
    join_arguments,
    validate_spatial_input,
)
from playground.core.layers.shared.call_import import (
    CallArguments,
    CallImport,
    LayerImport,
    Sides,
    UnsupportedCallError,
    has_same_padding,
    read_same_padding,
)
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall
from playground.core.shapes import ReceptiveField, Shape, SlidingWindow, is_spatial


class WindowPool(Layer):
    """Pooling over a window that slides over each channel separately."""

    input_requirement = "spatial"
    diagram_color = "orange"

    torch_module: ClassVar[str]
    onnx_operator: ClassVar[str]
    onnx_attributes: ClassVar[dict[str, Any]] = {}
    js_operation: ClassVar[str]
    keras_layer: ClassVar[str]

    kernel_size: int = Field(default=2, ge=1, le=31, description="Side of the square window. Keras: pool_size.")
    stride: int | None = Field(
        default=None,
        ge=1,
        le=31,
        description="Distance between two windows, in pixels. Empty: the side of the window. Keras: strides.",
    )
    padding: int = Field(
        default=0, ge=0, le=15, description="Pixels added around the feature maps; at most half the window."
    )

    @property
    def effective_stride(self) -> int:
        """The stride, by default the window's size."""
        return self.stride or self.kernel_size

    @property
    def subsampling(self) -> int:
        """The stride of a window of one pixel, which only drops positions; 1 for other windows."""
        return self.effective_stride if self.kernel_size == 1 and not self.padding else 1

    @property
    def window_size(self) -> int | None:
        """Side of the window."""
        return self.kernel_size

    def format_arguments(self) -> str:
        """The window size and values that differ from the defaults."""
        return join_arguments(
            f"{self.kernel_size}×{self.kernel_size}",
            f"stride {self.stride}" if self.stride not in (None, self.kernel_size) else "",
            f"pad {self.padding}" if self.padding else "",
        )

    def _compute_end_padding(self, size: int) -> int:
        """Pixels after the last one of an axis with ``size`` pixels."""
        return self.padding

    def _compute_output_size(self, size: int) -> int:
        return (size + self.padding + self._compute_end_padding(size) - self.kernel_size) // self.effective_stride + 1

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(channels, height, width)."""
        if not is_spatial(input_shape):
            return input_shape
        return (input_shape[0], *(max(1, self._compute_output_size(size)) for size in input_shape[1:]))

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The receptive field, extended by the window."""
        return field.apply_window(self.kernel_size, self.effective_stride, self.padding)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """The pooling module."""
        arguments: dict[str, int | bool] = {"kernel_size": self.kernel_size}
        start = [self.padding] * 2
        end = [self._compute_end_padding(size) for size in input_shape[1:]]
        if self.effective_stride != self.kernel_size:
            arguments["stride"] = self.effective_stride
        if self.padding:
            arguments["padding"] = self.padding
        if end != start:
            arguments["ceil_mode"] = True
        onnx_attributes = {
            "kernel_shape": [self.kernel_size] * 2,
            "strides": [self.effective_stride] * 2,
            "pads": [*start, *end],
            **self.onnx_attributes,
        }
        js_attributes = {"kernelSize": self.kernel_size, "stride": self.effective_stride, "padding": [*start, *end]}
        call = TorchCall(
            self.torch_module,
            arguments,
            positional_count=1,
            window=SlidingWindow(self.kernel_size, self.effective_stride, (self.padding, self.padding)),
            onnx_nodes=(OnnxNode(self.onnx_operator, attributes=onnx_attributes),),
            js_operation=JsOperation(self.js_operation, js_attributes),
        )
        return (call,)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """The pooling layer, after a layer that pads with zeros: Keras leaves its own padding out of the mean."""
        strides = {"strides": self.stride} if self.effective_stride != self.kernel_size else {}
        pooling = KerasCall(self.keras_layer, (self.kernel_size,), strides)
        return (KerasCall("ZeroPadding2D", (self.padding,)), pooling) if self.padding else (pooling,)

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report a vector input, too much padding, and a window that does not fit."""
        if not is_spatial(input_shape):
            return validate_spatial_input(self, input_shape)
        if self.padding > self.kernel_size // 2:
            half = self.kernel_size // 2
            return (
                LayerProblem(
                    field="padding",
                    what=f"The padding ({self.padding}) is more than half the window ({self.kernel_size}).",
                    expected="It may be at most half of it, so that no window lies entirely in the padding.",
                    fixes=(LayerReplacement(f"Pad {half}", (self.replace(padding=half),)),),
                ),
            )
        height, width = input_shape[1:]
        if min(self._compute_output_size(height), self._compute_output_size(width)) >= 1:
            return ()
        smallest = min(height, width)
        fixes = [LayerReplacement("Remove", ())]
        if smallest >= 2:
            window = 2 if self.kernel_size > 2 else smallest
            smaller = self.replace(kernel_size=window, stride=None, padding=0)
            fixes.insert(0, LayerReplacement(f"Use {window}×{window}", (smaller,)))
        return (
            LayerProblem(
                field="kernel_size",
                what=f"The window ({self.kernel_size}×{self.kernel_size}) is larger than its {height}×{width} map.",
                expected="The window must fit into the map.",
                fixes=tuple(fixes),
            ),
        )


def make_torch_pooling_import(
    layer_class: type[WindowPool], names: Sequence[str], arguments: Sequence[str]
) -> CallImport:
    """The import of a PyTorch pooling module or function."""

    def read(arguments: CallArguments, shape: Shape) -> LayerImport:
        kernel_size = arguments.read_square("kernel_size")
        stride = arguments.read_square("stride", default=kernel_size)
        padding = arguments.read_square("padding", default=0)
        if arguments.read_square("dilation", default=1) != 1:
            raise UnsupportedCallError("has a dilation")
        arguments.require_value("return_indices", False)
        fields: dict[str, object] = {"kernel_size": kernel_size, "padding": padding}
        if arguments.read_flag("ceil_mode", default=False):
            if "ceil_mode" in layer_class.model_fields:
                fields["ceil_mode"] = True
            else:
                arguments.mark_shape_dependent()
                if any((size + 2 * padding - kernel_size) % stride for size in shape[1:]):
                    raise UnsupportedCallError("adds a window at the border of these maps (ceil_mode)")
        if padding:
            arguments.require_value("count_include_pad", True)
        arguments.ignore("count_include_pad")
        return LayerImport(layer_class.model_validate(fields | {"stride": None if stride == kernel_size else stride}))

    return CallImport(tuple(names), tuple(arguments), read)


def make_keras_pooling_import(
    layer_class: type[WindowPool], names: Sequence[str], padding_note: str = ""
) -> CallImport:
    """The import of a Keras pooling layer; ``padding_note`` says how its padding differs."""

    def read(arguments: CallArguments, shape: Shape) -> LayerImport:
        kernel_size = arguments.read_square("pool_size", default=2)
        stride = arguments.read_square("strides", default=kernel_size)
        fields = {"kernel_size": kernel_size, "stride": None if stride == kernel_size else stride}
        layer = layer_class.model_validate(fields)
        if has_same_padding(arguments):
            layer = _pad_to_same(layer, read_same_padding(arguments, shape, kernel_size, stride), shape)
        if layer.padding and padding_note:
            arguments.add_note(f"Line {arguments.line}: {padding_note}")
        return LayerImport(layer)

    return CallImport(tuple(names), ("pool_size", "strides", "padding", "data_format"), read)


def _pad_to_same(layer: WindowPool, sides: Sides, shape: Shape) -> WindowPool:
    """The pooling layer with these numbers of pixels at its sides, which Keras leaves out of the result."""
    left, right, top, bottom = sides
    padded = layer.replace(padding=left)
    if left == right == top == bottom:
        return padded
    if left == top and "ceil_mode" in type(layer).model_fields:
        padded = padded.replace(ceil_mode=True)
        output_sizes = tuple(-(-size // layer.effective_stride) for size in shape[1:])
        if padded.compute_output_shape(shape)[1:] == output_sizes:
            return padded
    raise UnsupportedCallError(
        f"pads the sides differently ('same': left {left}, right {right}, top {top}, bottom {bottom}) and leaves the "
        "padding out of the result, which this pooling layer cannot"
    )
