"""An activation function as a layer of its own."""

from typing import Literal

from pydantic import Field

from playground.core.layers.base import (
    ACTIVATION_HELP,
    ACTIVATION_TITLES,
    ActivationName,
    Layer,
    TorchCall,
    build_activation_calls,
)
from playground.core.shapes import Shape


class Activation(Layer):
    """A function applied to every value, as a layer of its own."""

    title = "Activation"
    description = "A bend applied to every value; what makes a stack of layers more than one linear map."

    kind: Literal["activation"] = "activation"
    activation: ActivationName = Field(default="relu", description=ACTIVATION_HELP)

    def format_arguments(self) -> str:
        """The function."""
        return ACTIVATION_TITLES[self.activation]

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """The activation's module."""
        return build_activation_calls(self.activation)
