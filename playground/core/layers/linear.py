"""Fully connected (linear) layer."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.activation_functions import (
    ACTIVATION_HELP,
    OptionalActivation,
    add_keras_activation,
    build_activation_calls,
)
from playground.core.layers.shared.base import ExplanationRule, Layer, LayerProblem, format_activation, join_arguments
from playground.core.layers.shared.call_import import TORCH_IGNORED_ARGUMENTS, CallArguments, CallImport, LayerImport
from playground.core.layers.shared.calls import KerasCall, TorchCall, omit_defaults
from playground.core.layers.shared.vector_input import build_linear_call, expand_to_whole_input, validate_vector_input
from playground.core.shapes import ReceptiveField, Shape, count_elements


class Linear(Layer):
    """Fully connected layer: every output is a weighted sum of all inputs."""

    title = "Linear"
    description = "Every output is a weighted sum of all inputs. Keras: Dense."
    menu_order = 100
    input_requirement = "vector"
    has_weights = True
    width_field = "out_features"
    suggested_width_limit = 2048
    explanation = ExplanationRule("sum")
    diagram_color = "purple"

    kind: Literal["linear"] = "linear"
    out_features: int = Field(default=64, ge=1, le=4096, description="Number of output values. Keras: units.")
    bias: bool = Field(default=True, description="Adds one learned value to each output. Keras: use_bias.")
    activation: OptionalActivation = Field(default="relu", description=ACTIVATION_HELP)

    def format_arguments(self) -> str:
        """Number of outputs and activation."""
        return join_arguments(str(self.out_features), format_activation(self.activation))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(out_features,)."""
        return (self.out_features,)

    def count_parameters(self, input_shape: Shape) -> int:
        """out_features × (in_features + bias)."""
        return self.out_features * (count_elements(input_shape) + int(self.bias))

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """One multiplication per weight."""
        return self.out_features * count_elements(input_shape)

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The whole input."""
        return expand_to_whole_input(field, input_shape)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Linear`` and the activation."""
        linear = build_linear_call(
            count_elements(input_shape), self.out_features, bias=self.bias, trainable=self.trainable
        )
        return (linear, *build_activation_calls(self.activation))

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``Dense`` and the activation."""
        call = KerasCall(
            "Dense",
            (self.out_features,),
            omit_defaults({"use_bias": True}, use_bias=self.bias),
            modules=("0",),
            takes_activation=True,
        )
        return add_keras_activation((call,), self.activation)

    def get_channel_module_index(self) -> int | None:
        """The linear module."""
        return 0

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report feature maps that were not flattened."""
        return validate_vector_input(self, input_shape)


def _read_torch_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    size = arguments.read_expected_size("in_features")
    layer = Linear(
        out_features=arguments.read_units("out_features"), bias=arguments.read_flag("bias"), activation="none"
    )
    arguments.ignore(*TORCH_IGNORED_ARGUMENTS)
    return LayerImport(layer, size)


def _read_keras_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    bias = arguments.read_flag("use_bias", "bias")
    return LayerImport(Linear(out_features=arguments.read_units("units", "output_dim"), bias=bias, activation="none"))


Linear.torch_imports = (
    CallImport(("Linear",), ("in_features", "out_features", "bias"), _read_torch_call),
    CallImport(("LazyLinear",), ("out_features", "bias"), _read_torch_call),
)
Linear.keras_imports = (
    CallImport(("Dense",), ("units", "activation", "use_bias"), _read_keras_call, takes_activation=True),
)
