"""Layer kinds, one file each. A new kind needs only its file here; ``shared`` holds their common code."""

from typing import TYPE_CHECKING

# The classes by name are for users of the Python API; the registry below collects every module.
from playground.core.layers.activation import Activation
from playground.core.layers.avg_pool2d import AvgPool2d
from playground.core.layers.batch_norm import BatchNorm
from playground.core.layers.conv2d import Conv2d
from playground.core.layers.dropout import Dropout
from playground.core.layers.flatten import Flatten
from playground.core.layers.global_avg_pool import GlobalAvgPool
from playground.core.layers.group_norm import GroupNorm
from playground.core.layers.linear import Linear
from playground.core.layers.max_pool2d import MaxPool2d
from playground.core.layers.output import Output
from playground.core.layers.residual import Residual
from playground.core.layers.separable_conv2d import SeparableConv2d
from playground.core.layers.shared.base import ExplanationRule, Layer, LayerProblem, LayerReplacement
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall
from playground.core.layers.zero_pad2d import ZeroPad2d
from playground.core.registry import collect_kinds, import_submodules, make_union

LAYER_KINDS: dict[str, type[Layer]] = dict(
    sorted(collect_kinds(import_submodules(__name__), Layer).items(), key=lambda entry: entry[1].menu_order)
)

if TYPE_CHECKING:
    AnyLayer = Layer
else:
    AnyLayer = make_union(LAYER_KINDS)

__all__ = [
    "LAYER_KINDS",
    "Activation",
    "AnyLayer",
    "AvgPool2d",
    "BatchNorm",
    "Conv2d",
    "Dropout",
    "ExplanationRule",
    "Flatten",
    "GlobalAvgPool",
    "GroupNorm",
    "JsOperation",
    "KerasCall",
    "Layer",
    "LayerProblem",
    "LayerReplacement",
    "Linear",
    "MaxPool2d",
    "OnnxNode",
    "Output",
    "Residual",
    "SeparableConv2d",
    "TorchCall",
    "ZeroPad2d",
]
