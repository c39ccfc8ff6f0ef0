"""The layer kinds. A new kind is one class in this folder and its name in ``AnyLayer``."""

from typing import Annotated, get_args

from pydantic import Field

from playground.core.layers.activation import Activation
from playground.core.layers.avg_pool2d import AvgPool2d
from playground.core.layers.base import Layer, LayerFix, LayerProblem, TorchCall
from playground.core.layers.batch_norm import BatchNorm
from playground.core.layers.conv2d import Conv2d
from playground.core.layers.dropout import Dropout
from playground.core.layers.flatten import Flatten
from playground.core.layers.global_avg_pool import GlobalAvgPool
from playground.core.layers.linear import Linear
from playground.core.layers.max_pool2d import MaxPool2d
from playground.core.layers.output import Output
from playground.core.layers.residual import Residual

AnyLayer = Annotated[
    Conv2d
    | MaxPool2d
    | AvgPool2d
    | GlobalAvgPool
    | BatchNorm
    | Dropout
    | Activation
    | Flatten
    | Linear
    | Residual
    | Output,
    Field(discriminator="kind"),
]

LAYER_KINDS: dict[str, type[Layer]] = {
    layer.model_fields["kind"].default: layer for layer in get_args(get_args(AnyLayer)[0])
}

__all__ = [
    "LAYER_KINDS",
    "Activation",
    "AnyLayer",
    "AvgPool2d",
    "BatchNorm",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Layer",
    "LayerFix",
    "LayerProblem",
    "Linear",
    "MaxPool2d",
    "Output",
    "Residual",
    "TorchCall",
]
