"""Depthwise-separable convolution."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.activation_functions import (
    ACTIVATION_HELP,
    OptionalActivation,
    add_keras_activation,
    build_activation_calls,
)
from playground.core.layers.shared.base import (
    ExplanationRule,
    LayerProblem,
    format_activation,
    join_arguments,
    validate_spatial_input,
)
from playground.core.layers.shared.call_import import CallArguments, CallImport, LayerImport, pad_as_in_keras
from playground.core.layers.shared.calls import KerasCall, TorchCall, omit_defaults
from playground.core.layers.shared.convolution_base import MAX_CHANNELS, Convolution, build_convolution_call
from playground.core.shapes import Shape, count_elements, is_spatial


class SeparableConv2d(Convolution):
    """A depthwise convolution, one or more kernels per input channel, followed by a 1×1 (pointwise) convolution.

    Source: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2016.
    """

    title = "Separable conv"
    description = "Filters each channel separately, then mixes the channels: a convolution with far fewer weights."
    menu_order = 20
    input_requirement = "spatial"
    has_weights = True
    can_be_in_block = True
    block_form_fields = ("out_channels", "kernel_size", "stride", "padding", "activation")
    width_field = "out_channels"
    suggested_width_limit = MAX_CHANNELS
    explanation = ExplanationRule("sum", module_index=1)
    diagram_color = "blue"
    states_channels = True
    absorbed_padding = "zeros"

    kind: Literal["separable_conv2d"] = "separable_conv2d"
    depth_multiplier: int = Field(
        default=1, ge=1, le=16, description="Number of kernels for each input channel in the depthwise convolution."
    )
    bias: bool = Field(default=True, description="Adds one learned value to each output channel. Keras: use_bias.")
    activation: OptionalActivation = Field(default="relu", description=ACTIVATION_HELP)

    def format_arguments(self) -> str:
        """Channels, kernel size and values that differ from the defaults."""
        return join_arguments(
            str(self.out_channels),
            self.format_window(),
            f"depth ×{self.depth_multiplier}" if self.depth_multiplier > 1 else "",
            format_activation(self.activation),
        )

    def _count_depthwise_channels(self, input_shape: Shape) -> int:
        return input_shape[0] * self.depth_multiplier

    def count_parameters(self, input_shape: Shape) -> int:
        """depthwise_channels × kernel_size² + out_channels × (depthwise_channels + bias)."""
        depthwise = self._count_depthwise_channels(input_shape)
        return depthwise * self.kernel_size**2 + self.out_channels * (depthwise + int(self.bias))

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """One multiplication per weight at every output position."""
        depthwise = self._count_depthwise_channels(input_shape)
        positions = count_elements(self.compute_output_shape(input_shape)[1:])
        return positions * depthwise * (self.kernel_size**2 + self.out_channels)

    def count_saved_activations(self, input_shape: Shape) -> int:
        """The results of both convolutions."""
        output_shape = self.compute_output_shape(input_shape)
        depthwise = self._count_depthwise_channels(input_shape) * count_elements(output_shape[1:])
        return depthwise + count_elements(output_shape)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """Two ``Conv2d`` modules and the activation; the second convolution has the bias."""
        channels = self._count_depthwise_channels(input_shape)
        depthwise = build_convolution_call(
            input_shape[0],
            channels,
            self.kernel_size,
            stride=self.stride,
            padding=self.torch_padding,
            dilation=self.dilation,
            groups=input_shape[0],
            bias=False,
            trainable=self.trainable,
            label="depthwise",
        )
        pointwise = build_convolution_call(
            channels, self.out_channels, 1, bias=self.bias, trainable=self.trainable, label="pointwise"
        )
        return (depthwise, pointwise, *build_activation_calls(self.activation))

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``SeparableConv2D`` and the activation."""
        arguments = omit_defaults(
            {"depth_multiplier": 1, "use_bias": True}, depth_multiplier=self.depth_multiplier, use_bias=self.bias
        )
        call = KerasCall(
            "SeparableConv2D",
            (self.out_channels, self.kernel_size),
            arguments,
            modules=("0", "1"),
            has_depthwise_kernel=True,
            takes_activation=True,
        )
        return add_keras_activation(self.build_keras_window_calls(call), self.activation)

    def get_channel_module_index(self) -> int | None:
        """The pointwise convolution."""
        return 1

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report a vector input and a kernel that does not fit."""
        if not is_spatial(input_shape):
            return validate_spatial_input(self, input_shape)
        return self.validate_window(input_shape)


def _read_keras_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    layer = SeparableConv2d(
        out_channels=arguments.read_integer("filters", "nb_filter"),
        kernel_size=arguments.read_square("kernel_size"),
        stride=arguments.read_square("strides", "subsample", default=1),
        dilation=arguments.read_square("dilation_rate", default=1),
        depth_multiplier=arguments.read_integer("depth_multiplier", default=1),
        bias=arguments.read_flag("use_bias", "bias"),
        activation="none",
    )
    return pad_as_in_keras(arguments, shape, layer)


_KERAS_ARGUMENTS = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "depth_multiplier"),
    *("activation", "use_bias"),
)
SeparableConv2d.keras_imports = (
    CallImport(
        ("SeparableConv2D", "SeparableConvolution2D"), _KERAS_ARGUMENTS, _read_keras_call, takes_activation=True
    ),
)
