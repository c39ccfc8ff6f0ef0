"""Fully connected (linear) layer."""

from typing import Literal

from pydantic import Field

from playground.core.layers.base import (
    ACTIVATION_HELP,
    ACTIVATION_TITLES,
    Layer,
    LayerProblem,
    OptionalActivation,
    TorchCall,
    build_activation_calls,
    join_arguments,
)
from playground.core.layers.vector_input import expand_to_whole_input, validate_vector_input
from playground.core.shapes import ReceptiveField, Shape, count_elements


class Linear(Layer):
    """Every output is a weighted sum of every input."""

    title = "Linear"
    description = "Every output is a weighted sum of all inputs. Keras: Dense."
    has_weights = True

    kind: Literal["linear"] = "linear"
    out_features: int = Field(
        default=64, ge=1, le=4096, description="How many values the layer puts out. Keras: units."
    )
    bias: bool = Field(default=True, description="Adds one learnt number to each output.")
    activation: OptionalActivation = Field(default="relu", description=ACTIVATION_HELP)

    def format_arguments(self) -> str:
        """Size and activation."""
        return join_arguments(str(self.out_features), ACTIVATION_TITLES.get(self.activation, ""))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(out_features,)."""
        return (self.out_features,)

    def count_parameters(self, input_shape: Shape) -> int:
        """out_features × (in_features + bias)."""
        return self.out_features * (count_elements(input_shape) + int(self.bias))

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """Every weight once."""
        return self.out_features * count_elements(input_shape)

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The whole input."""
        return expand_to_whole_input(field, input_shape)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Linear`` and the activation."""
        arguments: dict[str, int | bool] = {
            "in_features": count_elements(input_shape),
            "out_features": self.out_features,
        }
        if not self.bias:
            arguments["bias"] = False
        return (TorchCall("Linear", arguments, trainable=self.trainable), *build_activation_calls(self.activation))

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Maps that were not flattened."""
        return validate_vector_input(self, input_shape)
