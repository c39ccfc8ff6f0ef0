"""Convolution: the layer this playground is about."""

from typing import Annotated, Literal

from pydantic import Field

from playground.core.layers.base import (
    ACTIVATION_HELP,
    ACTIVATION_TITLES,
    Defect,
    Layer,
    OptionalActivation,
    Repair,
    TorchCall,
    activation_calls,
    changed_arguments,
    joined_detail,
    needs_map,
)
from playground.core.shapes import ReceptiveField, Shape, element_count, is_map, shape_text, window_output_size

_TORCH_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}


class Conv2d(Layer):
    """A small kernel slides over all input channels; each output channel has kernels of its own."""

    title = "Conv"
    summary = "Slides small kernels over the maps; every output channel looks for one pattern."
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

    def detail(self) -> str:
        """Channels, kernel and what is unusual."""
        return joined_detail(
            str(self.out_channels),
            f"{self.kernel_size}×{self.kernel_size}",
            f"stride {self.stride}" if self.stride > 1 else "",
            f"pad {self.padding}" if self.padding not in (0, "valid") else "",
            f"dilation {self.dilation}" if self.dilation > 1 else "",
            f"{self.groups} groups" if self.groups > 1 else "",
            ACTIVATION_TITLES.get(self.activation, ""),
        )

    @property
    def extent(self) -> int:
        """Pixels from the kernel's first to its last, dilation included."""
        return self.dilation * (self.kernel_size - 1) + 1

    def _size(self, size: int) -> int:
        if self.padding == "same":
            return -(-size // self.stride)
        padding = 0 if self.padding == "valid" else self.padding
        return window_output_size(size, self.kernel_size, self.stride, padding, self.dilation)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(out_channels, height, width)."""
        if not is_map(input_shape):
            return (self.out_channels, 1, 1)
        return (self.out_channels, *(max(1, self._size(size)) for size in input_shape[1:]))

    def _weights_per_channel(self, input_shape: Shape) -> int:
        return -(-input_shape[0] // self.groups) * self.kernel_size**2

    def parameters(self, input_shape: Shape) -> int:
        """out_channels × (in_channels / groups × kernel_size² + bias)."""
        return self.out_channels * (self._weights_per_channel(input_shape) + int(self.bias))

    def multiply_adds(self, input_shape: Shape) -> int:
        """Every weight once at every position."""
        return element_count(self.output_shape(input_shape)) * self._weights_per_channel(input_shape)

    def receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """Grows by the kernel's extent."""
        return field.through(self.kernel_size, self.stride, self._left_padding(), self.dilation)

    def _left_padding(self) -> int:
        if isinstance(self.padding, int):
            return self.padding
        return 0 if self.padding == "valid" else (self.extent - 1) // 2

    def torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Conv2d`` and the activation."""
        arguments = changed_arguments(
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
        return (TorchCall("Conv2d", arguments, trainable=self.trainable), *activation_calls(self.activation))

    def defects(self, input_shape: Shape) -> tuple[Defect, ...]:
        """A vector below, channels that groups do not divide, a kernel that does not fit."""
        if not is_map(input_shape):
            return needs_map(self, input_shape)
        return (*self._group_defects(input_shape[0]), *self._padding_defects(), *self._size_defects(input_shape))

    def _group_defects(self, in_channels: int) -> tuple[Defect, ...]:
        if in_channels % self.groups == 0 and self.out_channels % self.groups == 0:
            return ()
        repairs = [Repair("Use 1 group", (self.changed(groups=1),))]
        rounded = max(self.groups, self.out_channels // self.groups * self.groups)
        if in_channels % self.groups == 0 and rounded <= 512:
            repairs.insert(0, Repair(f"Use {rounded} channels", (self.changed(out_channels=rounded),)))
        return (
            Defect(
                field="groups",
                what=f"{self.groups} groups cannot share {in_channels} channels in and {self.out_channels} out evenly.",
                expected="The number of groups must divide both.",
                repairs=tuple(repairs),
            ),
        )

    def _padding_defects(self) -> tuple[Defect, ...]:
        if self.padding != "same" or self.stride == 1:
            return ()
        numeric = min(15, (self.extent - 1) // 2)
        return (
            Defect(
                field="padding",
                what=f"'same' padding cannot keep the size with stride {self.stride}.",
                expected="PyTorch allows 'same' with stride 1 only.",
                repairs=(
                    Repair(f"Pad {numeric}", (self.changed(padding=numeric),)),
                    Repair("Use stride 1", (self.changed(stride=1),)),
                ),
            ),
        )

    def _size_defects(self, input_shape: Shape) -> tuple[Defect, ...]:
        height, width = input_shape[1:]
        if self.padding == "same" or min(self._size(height), self._size(width)) >= 1:
            return ()
        smallest = min(height, width)
        smaller = self.changed(kernel_size=min(self.kernel_size, smallest), dilation=1)
        return (
            Defect(
                field="kernel_size",
                what=f"The kernel ({self.extent}×{self.extent}) is larger than its {height}×{width} map.",
                expected=f"With this padding the kernel may be at most {smallest + 2 * self._left_padding()} wide.",
                repairs=(
                    Repair("Use 'same' padding", (self.changed(padding="same", stride=1),)),
                    Repair(f"Use {shape_text((smaller.kernel_size,) * 2)}", (smaller,)),
                ),
            ),
        )
