"""Flattening of maps to a vector."""

from typing import Literal

from playground.core.layers.base import Layer, TorchCall
from playground.core.shapes import Shape, count_elements


class Flatten(Layer):
    """All values of all maps, laid in one row."""

    title = "Flatten"
    description = "Lays all values of all maps in one row, as linear layers need them."

    kind: Literal["flatten"] = "flatten"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(channels × height × width,)."""
        return (count_elements(input_shape),)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Flatten``."""
        return (TorchCall("Flatten"),)
