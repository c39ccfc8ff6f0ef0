"""Activation function as a separate layer."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.activation_functions import (
    ACTIVATION_HELP,
    ActivationName,
    add_keras_activation,
    build_activation_calls,
)
from playground.core.layers.shared.base import ExplanationRule, Layer, format_activation
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
    block_form_fields = ("activation",)
    explanation = ExplanationRule("function")

    kind: Literal["activation"] = "activation"
    activation: ActivationName = Field(default="relu", description=ACTIVATION_HELP)

    def format_arguments(self) -> str:
        """The title of the function."""
        return format_activation(self.activation)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """The module of the activation function."""
        return build_activation_calls(self.activation)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``Activation``, or the layer that Keras has for the function."""
        return add_keras_activation((), self.activation)
