"""Dropout."""

from typing import Literal

from pydantic import Field

from playground.core.layers.base import Layer, TorchCall
from playground.core.shapes import Shape


class Dropout(Layer):
    """Sets a random share of the values to zero while training. Source: Srivastava et al., "Dropout", 2014."""

    title = "Dropout"
    description = "Zeroes a random share of the values while training, so that the net cannot lean on single ones."

    kind: Literal["dropout"] = "dropout"
    p: float = Field(
        default=0.25,
        ge=0,
        le=0.95,
        description="Share of the values set to zero in each training step. Keras: rate.",
        json_schema_extra={"step": 0.05},
    )

    def format_arguments(self) -> str:
        """The share."""
        return f"{self.p:.0%}"

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Dropout``."""
        return (TorchCall("Dropout", {"p": self.p}),)
