"""Two-dimensional convolution."""

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
    LayerReplacement,
    format_activation,
    join_arguments,
    validate_spatial_input,
)
from playground.core.layers.shared.call_import import (
    TORCH_IGNORED_ARGUMENTS,
    CallArguments,
    CallImport,
    LayerImport,
    pad_as_in_keras,
    read_torch_padding,
)
from playground.core.layers.shared.calls import KerasCall, TorchCall, omit_defaults
from playground.core.layers.shared.convolution_base import MAX_CHANNELS, Convolution, build_convolution_call
from playground.core.shapes import Shape, count_elements, is_spatial


class Conv2d(Convolution):
    """Convolution with one kernel per output channel over all input channels of its group."""

    title = "Conv"
    description = "Slides small kernels over the feature maps; every output channel responds to one pattern."
    menu_order = 10
    input_requirement = "spatial"
    has_weights = True
    can_be_in_block = True
    block_form_fields = ("out_channels", "kernel_size", "stride", "padding", "activation")
    has_editable_kernels = True
    width_field = "out_channels"
    suggested_width_limit = MAX_CHANNELS
    explanation = ExplanationRule("sum")
    diagram_color = "blue"
    states_channels = True
    absorbed_padding = "zeros"

    kind: Literal["conv2d"] = "conv2d"
    groups: int = Field(
        default=1,
        ge=1,
        le=512,
        description="Number of groups that the channels are split into. One group per channel is a depthwise "
        "convolution.",
    )
    bias: bool = Field(default=True, description="Adds one learned value to each output channel. Keras: use_bias.")
    activation: OptionalActivation = Field(default="relu", description=ACTIVATION_HELP)

    def format_arguments(self) -> str:
        """Channels, kernel size and values that differ from the defaults."""
        return join_arguments(
            str(self.out_channels),
            self.format_window(),
            f"{self.groups} groups" if self.groups > 1 else "",
            format_activation(self.activation),
        )

    def with_width(self, width: int) -> "Conv2d":
        """The same layer with another number of output channels and one group, which always divides it."""
        return self.replace(out_channels=width, groups=1)

    def _count_weights_per_channel(self, input_shape: Shape) -> int:
        return -(-input_shape[0] // self.groups) * self.kernel_size**2

    def count_parameters(self, input_shape: Shape) -> int:
        """out_channels × (in_channels / groups × kernel_size² + bias)."""
        return self.out_channels * (self._count_weights_per_channel(input_shape) + int(self.bias))

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """One multiplication per weight at every output position."""
        return count_elements(self.compute_output_shape(input_shape)) * self._count_weights_per_channel(input_shape)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Conv2d`` and the activation."""
        convolution = build_convolution_call(
            input_shape[0],
            self.out_channels,
            self.kernel_size,
            stride=self.stride,
            padding=self.torch_padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias,
            trainable=self.trainable,
        )
        return (convolution, *build_activation_calls(self.activation))

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``Conv2D`` and the activation."""
        arguments = omit_defaults({"groups": 1, "use_bias": True}, groups=self.groups, use_bias=self.bias)
        call = KerasCall(
            "Conv2D",
            (self.out_channels, self.kernel_size),
            arguments,
            modules=("0",),
            takes_activation=True,
        )
        return add_keras_activation(self.build_keras_window_calls(call), self.activation)

    def get_channel_module_index(self) -> int | None:
        """The convolution."""
        return 0

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report a vector input, channels that the groups do not divide, and a kernel that does not fit."""
        if not is_spatial(input_shape):
            return validate_spatial_input(self, input_shape)
        return (*self._validate_groups(input_shape[0]), *self.validate_window(input_shape))

    def _validate_groups(self, in_channels: int) -> tuple[LayerProblem, ...]:
        if in_channels % self.groups == 0 and self.out_channels % self.groups == 0:
            return ()
        fixes = [LayerReplacement("Use 1 group", (self.replace(groups=1),))]
        rounded = max(self.groups, self.out_channels // self.groups * self.groups)
        if in_channels % self.groups == 0 and rounded <= 512:
            fixes.insert(0, LayerReplacement(f"Use {rounded} channels", (self.replace(out_channels=rounded),)))
        return (
            LayerProblem(
                field="groups",
                what=f"{self.groups} groups do not divide {in_channels} input and {self.out_channels} output "
                "channels evenly.",
                expected="The number of groups must divide both.",
                fixes=tuple(fixes),
            ),
        )


def _read_torch_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    channels = arguments.read_expected_size("in_channels")
    arguments.require_value("padding_mode", "zeros")
    arguments.ignore(*TORCH_IGNORED_ARGUMENTS)
    layer = Conv2d.model_validate(
        {
            "out_channels": arguments.read_integer("out_channels"),
            "kernel_size": arguments.read_square("kernel_size"),
            "stride": arguments.read_square("stride", default=1),
            "padding": read_torch_padding(arguments),
            "dilation": arguments.read_square("dilation", default=1),
            "groups": arguments.read_integer("groups", default=1),
            "bias": arguments.read_flag("bias"),
            "activation": "none",
        }
    )
    return LayerImport(layer, channels)


def _read_keras_window(
    arguments: CallArguments, shape: Shape, out_channels: int, groups: int, bias: bool
) -> LayerImport:
    layer = Conv2d(
        out_channels=out_channels,
        kernel_size=arguments.read_square("kernel_size"),
        stride=arguments.read_square("strides", "subsample", default=1),
        dilation=arguments.read_square("dilation_rate", default=1),
        groups=groups,
        bias=bias,
        activation="none",
    )
    return pad_as_in_keras(arguments, shape, layer)


def _read_keras_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    _normalize_keras1_kernel(arguments)
    channels, groups = arguments.read_integer("filters", "nb_filter"), arguments.read_integer("groups", default=1)
    return _read_keras_window(arguments, shape, channels, groups, arguments.read_flag("use_bias", "bias"))


def _normalize_keras1_kernel(arguments: CallArguments) -> None:
    """Read ``Convolution2D(32, 3, 3)``: the third number was the kernel's width in Keras 1."""
    match arguments.positional:
        case (_, int() as rows, int() as columns, *_) if arguments.name == "Convolution2D":
            arguments.pop("strides")
            arguments.set_value("kernel_size", (rows, columns))
        case (_, int() as size, int() as stride, *_) if size == stride:
            arguments.add_note(f"Line {arguments.line}: the second {size} is read as the stride, as in Keras 3.")
    rows_by_name = arguments.pop("nb_row")
    if rows_by_name is not None:
        arguments.set_value("kernel_size", (rows_by_name, arguments.pop("nb_col")))


def _read_keras_depthwise_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    arguments.mark_shape_dependent()
    channels = shape[0] * arguments.read_integer("depth_multiplier", default=1)
    return _read_keras_window(arguments, shape, channels, shape[0], arguments.read_flag("use_bias"))


_TORCH_ARGUMENTS = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
_KERAS_ARGUMENTS = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation"),
    "use_bias",
)
_KERAS_DEPTHWISE_ARGUMENTS = (
    *("kernel_size", "strides", "padding", "depth_multiplier", "data_format", "dilation_rate", "activation"),
    "use_bias",
)
Conv2d.torch_imports = (
    CallImport(("Conv2d",), ("in_channels", *_TORCH_ARGUMENTS), _read_torch_call),
    CallImport(("LazyConv2d",), _TORCH_ARGUMENTS, _read_torch_call),
)
Conv2d.keras_imports = (
    CallImport(("Conv2D", "Convolution2D"), _KERAS_ARGUMENTS, _read_keras_call, takes_activation=True),
    CallImport(("DepthwiseConv2D",), _KERAS_DEPTHWISE_ARGUMENTS, _read_keras_depthwise_call, takes_activation=True),
)
