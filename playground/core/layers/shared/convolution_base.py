"""Base class of convolutions: kernel, stride, padding and dilation, and their calls in other frameworks."""

from typing import Annotated, Literal

from pydantic import Field

from playground.core.layers.shared.base import Layer, LayerProblem, LayerReplacement, join_arguments
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall, omit_defaults
from playground.core.shapes import ReceptiveField, Shape, SlidingWindow, compute_output_size, format_shape, is_spatial

MAX_CHANNELS, MAX_STRIDE, MAX_PADDING = 512, 8, 15
_TORCH_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
_KERAS_DEFAULTS = {"strides": 1, "padding": "valid", "dilation_rate": 1}


class Convolution(Layer):
    """Base class of layers that slide kernels over feature maps."""

    out_channels: int = Field(
        default=32,
        ge=1,
        le=MAX_CHANNELS,
        description="Number of output channels (feature maps); each responds to one pattern. Keras: filters.",
    )
    kernel_size: int = Field(
        default=3, ge=1, le=31, description="Side of the square kernel, in pixels of the input feature maps."
    )
    stride: int = Field(
        default=1,
        ge=1,
        le=MAX_STRIDE,
        description="Distance between two positions of the kernel, in pixels. Keras: strides.",
    )
    padding: Annotated[int, Field(ge=0, le=MAX_PADDING)] | Literal["same", "valid"] = Field(
        default=0,
        description="Zeros around the feature maps: a number of pixels, 'valid' for none, 'same' to keep the size "
        "(stride 1).",
    )
    dilation: int = Field(
        default=1,
        ge=1,
        le=8,
        description="Distance between the pixels of the kernel: a larger receptive field with equally many weights.",
    )

    def format_window(self) -> str:
        """The kernel size and values that differ from the defaults."""
        return join_arguments(
            f"{self.kernel_size}×{self.kernel_size}",
            f"stride {self.stride}" if self.stride > 1 else "",
            f"pad {self.padding}" if self.padding not in (0, "valid") else "",
            f"dilation {self.dilation}" if self.dilation > 1 else "",
        )

    @property
    def effective_kernel_size(self) -> int:
        """Side of the kernel in pixels, dilation included."""
        return self.dilation * (self.kernel_size - 1) + 1

    @property
    def window_size(self) -> int | None:
        """Side of the kernel, dilation included."""
        return self.effective_kernel_size

    @property
    def torch_padding(self) -> int | str:
        """The ``padding`` argument of ``Conv2d``."""
        return 0 if self.padding == "valid" else self.padding

    def absorb_subsampling(self, stride: int) -> "Layer | None":
        """A dilated convolution with the stride; Keras needs a second layer for it."""
        can_absorb = (
            self.dilation > 1 and self.stride == 1 and self.padding != "same" and self.activation_name == "none"
        )
        return self.replace(stride=stride) if can_absorb and stride <= MAX_STRIDE else None

    def _compute_output_size(self, size: int) -> int:
        if self.padding == "same":
            return -(-size // self.stride)
        padding = 0 if self.padding == "valid" else self.padding
        return compute_output_size(size, self.kernel_size, self.stride, padding, self.dilation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(out_channels, height, width)."""
        if not is_spatial(input_shape):
            return (self.out_channels, 1, 1)
        return (self.out_channels, *(max(1, self._compute_output_size(size)) for size in input_shape[1:]))

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The receptive field, extended by the kernel."""
        return field.apply_window(self.kernel_size, self.stride, self._compute_left_padding(), self.dilation)

    def _compute_left_padding(self) -> int:
        return compute_left_padding(self.torch_padding, self.effective_kernel_size)

    def build_keras_window_calls(self, call: KerasCall) -> tuple[KerasCall, ...]:
        """Add strides, padding and dilation to ``call``, with the additional layers that Keras needs for them."""
        padding = self.torch_padding
        if padding and self.stride == 1 and padding != "same" and 2 * int(padding) == self.effective_kernel_size - 1:
            padding = "same"
        before = (KerasCall("ZeroPadding2D", (padding,)),) if isinstance(padding, int) and padding else ()
        # Keras rejects strides with dilation: all positions are computed, then subsampled.
        strides = 1 if self.dilation > 1 else self.stride
        window = omit_defaults(
            _KERAS_DEFAULTS,
            strides=strides,
            padding="same" if padding == "same" else "valid",
            dilation_rate=self.dilation,
        )
        after = (KerasCall("MaxPooling2D", (1,), {"strides": self.stride}),) if strides != self.stride else ()
        return (*before, call.with_arguments(**window, **call.arguments), *after)

    def validate_window(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Problems of padding and kernel size on feature maps."""
        return (*self._validate_padding(), *self._validate_kernel_size(input_shape))

    def _validate_padding(self) -> tuple[LayerProblem, ...]:
        if self.padding != "same" or self.stride == 1:
            return ()
        numeric = min(MAX_PADDING, (self.effective_kernel_size - 1) // 2)
        return (
            LayerProblem(
                field="padding",
                what=f"'same' padding cannot keep the size with stride {self.stride}.",
                expected="PyTorch allows 'same' with stride 1 only.",
                fixes=(
                    LayerReplacement(f"Pad {numeric}", (self.replace(padding=numeric),)),
                    LayerReplacement("Use stride 1", (self.replace(stride=1),)),
                ),
            ),
        )

    def _validate_kernel_size(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        height, width = input_shape[1:]
        if self.padding == "same" or min(self._compute_output_size(height), self._compute_output_size(width)) >= 1:
            return ()
        smallest, side = min(height, width), self.effective_kernel_size
        limit = smallest + 2 * self._compute_left_padding()
        smaller = self.replace(kernel_size=min(self.kernel_size, smallest), dilation=1)
        return (
            LayerProblem(
                field="kernel_size",
                what=f"The kernel ({side}×{side}) is larger than its {height}×{width} map.",
                expected=f"With this padding the kernel may be at most {limit} wide.",
                fixes=(
                    LayerReplacement("Use 'same' padding", (self.replace(padding="same", stride=1),)),
                    LayerReplacement(f"Use {format_shape((smaller.kernel_size,) * 2)}", (smaller,)),
                ),
            ),
        )


def compute_left_padding(padding: int | str, effective_kernel_size: int) -> int:
    """Zeros before the first pixel; PyTorch puts the larger half of an odd number of zeros at the end."""
    return (effective_kernel_size - 1) // 2 if padding == "same" else int(padding)


def build_convolution_call(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    trainable: bool = True,
    label: str = "",
) -> TorchCall:
    """The ``Conv2d`` module with its ONNX node and browser operation."""
    extent = dilation * (kernel_size - 1)
    before = compute_left_padding(padding, extent + 1)
    after = extent - before if padding == "same" else before
    arguments = omit_defaults(
        _TORCH_DEFAULTS,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias,
    )
    onnx_attributes = {
        "kernel_shape": [kernel_size] * 2,
        "strides": [stride] * 2,
        "dilations": [dilation] * 2,
        "group": groups,
        "pads": [before, before, after, after],
    }
    js_attributes = {
        "outChannels": out_channels,
        "kernelSize": kernel_size,
        "stride": stride,
        "padding": [before, after],
        "dilation": dilation,
        "groups": groups,
    }
    return TorchCall(
        "Conv2d",
        arguments,
        trainable=trainable,
        positional_count=2,
        has_weights=True,
        window=SlidingWindow(kernel_size, stride, (before, before), dilation),
        label=label,
        onnx_nodes=(OnnxNode("Conv", ("input", "weight", "bias"), onnx_attributes),),
        js_operation=JsOperation("conv2d", js_attributes),
    )
