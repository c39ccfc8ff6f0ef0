"""Two-dimensional convolution."""

from typing import Annotated, Literal

from pydantic import Field

from playground.core.layers.base import (
    ACTIVATION_HELP,
    ACTIVATION_TITLES,
    Layer,
    LayerFix,
    LayerProblem,
    OptionalActivation,
    TorchCall,
    build_activation_calls,
    join_arguments,
    omit_defaults,
    validate_spatial_input,
)
from playground.core.shapes import ReceptiveField, Shape, compute_output_size, count_elements, format_shape, is_spatial

_TORCH_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}


class Conv2d(Layer):
    """A small kernel slides over all input channels; each output channel has kernels of its own."""

    title = "Conv"
    description = "Slides small kernels over the maps; every output channel looks for one pattern."
    has_weights = True

    kind: Literal["conv2d"] = "conv2d"
    out_channels: int = Field(
        default=32,
        ge=1,
        le=512,
        description="How many patterns the layer looks for: the number of maps it puts out. Keras: filters.",
    )
    kernel_size: int = Field(
        default=3, ge=1, le=31, description="Side of the square kernel, in pixels of the maps below."
    )
    stride: int = Field(
        default=1, ge=1, le=8, description="Pixels from one position of the kernel to the next. Keras: strides."
    )
    padding: Annotated[int, Field(ge=0, le=15)] | Literal["same", "valid"] = Field(
        default=0,
        description="Zeros around the maps: a number of pixels, 'valid' for none, 'same' to keep the size (stride 1).",
    )
    dilation: int = Field(
        default=1, ge=1, le=8, description="Distance between the kernel's pixels: sees further with as many weights."
    )
    groups: int = Field(
        default=1,
        ge=1,
        le=512,
        description="Channels are split into so many groups; as many groups as channels is a depthwise convolution.",
    )
    bias: bool = Field(default=True, description="Adds one learnt number to each output channel.")
    activation: OptionalActivation = Field(default="relu", description=ACTIVATION_HELP)

    def format_arguments(self) -> str:
        """Channels, kernel and what is unusual."""
        return join_arguments(
            str(self.out_channels),
            f"{self.kernel_size}×{self.kernel_size}",
            f"stride {self.stride}" if self.stride > 1 else "",
            f"pad {self.padding}" if self.padding not in (0, "valid") else "",
            f"dilation {self.dilation}" if self.dilation > 1 else "",
            f"{self.groups} groups" if self.groups > 1 else "",
            ACTIVATION_TITLES.get(self.activation, ""),
        )

    @property
    def effective_kernel_size(self) -> int:
        """Pixels from the kernel's first to its last, dilation included."""
        return self.dilation * (self.kernel_size - 1) + 1

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

    def _count_weights_per_channel(self, input_shape: Shape) -> int:
        return -(-input_shape[0] // self.groups) * self.kernel_size**2

    def count_parameters(self, input_shape: Shape) -> int:
        """out_channels × (in_channels / groups × kernel_size² + bias)."""
        return self.out_channels * (self._count_weights_per_channel(input_shape) + int(self.bias))

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """Every weight once at every position."""
        return count_elements(self.compute_output_shape(input_shape)) * self._count_weights_per_channel(input_shape)

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """Grows by the kernel's extent."""
        return field.apply_window(self.kernel_size, self.stride, self._compute_left_padding(), self.dilation)

    def _compute_left_padding(self) -> int:
        if isinstance(self.padding, int):
            return self.padding
        return 0 if self.padding == "valid" else (self.effective_kernel_size - 1) // 2

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Conv2d`` and the activation."""
        arguments = omit_defaults(
            _TORCH_DEFAULTS,
            in_channels=input_shape[0],
            out_channels=self.out_channels,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=0 if self.padding == "valid" else self.padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias,
        )
        return (TorchCall("Conv2d", arguments, trainable=self.trainable), *build_activation_calls(self.activation))

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """A vector below, channels that groups do not divide, a kernel that does not fit."""
        if not is_spatial(input_shape):
            return validate_spatial_input(self, input_shape)
        return (
            *self._validate_groups(input_shape[0]),
            *self._validate_padding(),
            *self._validate_kernel_size(input_shape),
        )

    def _validate_groups(self, in_channels: int) -> tuple[LayerProblem, ...]:
        if in_channels % self.groups == 0 and self.out_channels % self.groups == 0:
            return ()
        repairs = [LayerFix("Use 1 group", (self.replace(groups=1),))]
        rounded = max(self.groups, self.out_channels // self.groups * self.groups)
        if in_channels % self.groups == 0 and rounded <= 512:
            repairs.insert(0, LayerFix(f"Use {rounded} channels", (self.replace(out_channels=rounded),)))
        return (
            LayerProblem(
                field="groups",
                what=f"{self.groups} groups cannot share {in_channels} channels in and {self.out_channels} out evenly.",
                expected="The number of groups must divide both.",
                fixes=tuple(repairs),
            ),
        )

    def _validate_padding(self) -> tuple[LayerProblem, ...]:
        if self.padding != "same" or self.stride == 1:
            return ()
        numeric = min(15, (self.effective_kernel_size - 1) // 2)
        return (
            LayerProblem(
                field="padding",
                what=f"'same' padding cannot keep the size with stride {self.stride}.",
                expected="PyTorch allows 'same' with stride 1 only.",
                fixes=(
                    LayerFix(f"Pad {numeric}", (self.replace(padding=numeric),)),
                    LayerFix("Use stride 1", (self.replace(stride=1),)),
                ),
            ),
        )

    def _validate_kernel_size(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        height, width = input_shape[1:]
        if self.padding == "same" or min(self._compute_output_size(height), self._compute_output_size(width)) >= 1:
            return ()
        smallest = min(height, width)
        smaller = self.replace(kernel_size=min(self.kernel_size, smallest), dilation=1)
        return (
            LayerProblem(
                field="kernel_size",
                what=f"The kernel ({self.effective_kernel_size}×{self.effective_kernel_size}) is larger than its {height}×{width} map.",
                expected=f"With this padding the kernel may be at most {smallest + 2 * self._compute_left_padding()} wide.",
                fixes=(
                    LayerFix("Use 'same' padding", (self.replace(padding="same", stride=1),)),
                    LayerFix(f"Use {format_shape((smaller.kernel_size,) * 2)}", (smaller,)),
                ),
            ),
        )
