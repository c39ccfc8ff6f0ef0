"""Activation function as a separate layer."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.activation_functions import (
    ACTIVATION_HELP,
    LEAKY_RELU_SLOPE,
    ActivationName,
    add_keras_activation,
    build_activation_calls,
)
from playground.core.layers.shared.base import ExplanationRule, Layer, format_activation, join_arguments
from playground.core.layers.shared.calls import KerasCall, TorchCall
from playground.core.shapes import Shape


class Activation(Layer):
    """An elementwise activation function."""

    title = "Activation"
    description = (
        "A nonlinear function applied to every value. Without one, stacked layers are equal to a single linear layer."
    )
    menu_order = 80
    is_elementwise = True
    can_be_in_block = True
    block_form_fields = ("activation", "negative_slope")
    explanation = ExplanationRule("function")

    kind: Literal["activation"] = "activation"
    activation: ActivationName = Field(default="relu", description=ACTIVATION_HELP)
    negative_slope: float = Field(
        default=LEAKY_RELU_SLOPE,
        ge=0,
        le=1,
        exclude_if=lambda slope: slope == LEAKY_RELU_SLOPE,  # networks with the default keep their digests
        description="Slope of leaky ReLU for negative values; the other functions have none. Keras's default: 0.3.",
        json_schema_extra={"step": 0.01},
    )

    @property
    def inactive_fields(self) -> tuple[str, ...]:
        """The slope of functions that have none."""
        return () if self.activation == "leaky_relu" else ("negative_slope",)

    def format_arguments(self) -> str:
        """The title of the function, and a slope that differs from the default."""
        has_slope = not self.inactive_fields and self.negative_slope != LEAKY_RELU_SLOPE
        return join_arguments(format_activation(self.activation), f"slope {self.negative_slope:g}" if has_slope else "")

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """The module of the activation function."""
        return build_activation_calls(self.activation, negative_slope=self.negative_slope)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``Activation``, or the layer that Keras has for the function."""
        return add_keras_activation((), self.activation, negative_slope=self.negative_slope)
