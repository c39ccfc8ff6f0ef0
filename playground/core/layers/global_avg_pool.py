"""Global average pooling."""

from typing import Literal

from playground.core.layers.base import Layer, LayerProblem, TorchCall, validate_spatial_input
from playground.core.shapes import ReceptiveField, Shape, is_spatial


class GlobalAvgPool(Layer):
    """One number a channel: the mean of its whole map."""

    title = "Global avg-pool"
    description = "Turns each map into its mean: a vector with one value a channel, without any weight."

    kind: Literal["global_avg_pool"] = "global_avg_pool"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(channels,)."""
        return input_shape[:1]

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """Everything that any position of the map sees."""
        return field.expand_to_feature_map(max(input_shape[1:])) if is_spatial(input_shape) else field

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``AdaptiveAvgPool2d(1)`` and ``Flatten``."""
        return (TorchCall("AdaptiveAvgPool2d", {"output_size": 1}), TorchCall("Flatten"))

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """A vector below."""
        return validate_spatial_input(self, input_shape)
