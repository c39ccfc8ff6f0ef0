"""Batch normalization of maps and vectors."""

from typing import Literal

from pydantic import Field

from playground.core.layers.base import Layer, TorchCall, omit_defaults
from playground.core.shapes import Shape, is_spatial


class BatchNorm(Layer):
    """Shifts and scales each channel to mean 0 and variance 1 over the batch, then by two learnt numbers.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015.
    """

    title = "Batch norm"
    description = "Brings each channel to mean 0 and spread 1 over the batch: training gets steadier and faster."
    has_weights = True

    kind: Literal["batch_norm"] = "batch_norm"
    momentum: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Share of the newest batch in the running mean and variance. Keras counts the other way: 0.9.",
        json_schema_extra={"step": 0.01},
    )
    eps: float = Field(
        default=1e-5,
        gt=0,
        le=0.1,
        description="Added to the variance so that a constant channel does not divide by zero.",
        json_schema_extra={"step": 1e-5, "format": "%.0e"},
    )

    def count_parameters(self, input_shape: Shape) -> int:
        """A scale and a shift a channel."""
        return 2 * input_shape[0]

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``BatchNorm2d`` on maps, ``BatchNorm1d`` on a vector."""
        arguments = {
            "num_features": input_shape[0],
            **omit_defaults({"eps": 1e-5, "momentum": 0.1}, eps=self.eps, momentum=self.momentum),
        }
        name = "BatchNorm2d" if is_spatial(input_shape) else "BatchNorm1d"
        return (TorchCall(name, arguments, trainable=self.trainable),)
