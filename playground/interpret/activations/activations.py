"""Activations of every layer for an image, before and after the activation function."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.engine.model.build import list_module_ranges
from playground.interpret.model import Model

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ActivationStatistics:
    """Statistics of a layer's activations.

    ``zero_fraction``: share of exact zeros. ``dead_channels``: number of channels with zeros only.
    """

    minimum: float
    maximum: float
    mean: float
    zero_fraction: float
    dead_channels: int


@dataclass(frozen=True)
class LayerActivations:
    """Activations of one layer for one image: (channels, height, width) or (features,).

    ``pre_activation`` is None where the layer has no activation function.
    """

    layer_index: int
    layer_id: str
    output: Array
    pre_activation: Array | None


def compute_statistics(values: Array) -> ActivationStatistics:
    """Statistics of an array of feature maps or features."""
    per_channel = values.reshape(len(values), -1)
    return ActivationStatistics(
        minimum=float(values.min()),
        maximum=float(values.max()),
        mean=float(values.mean()),
        zero_fraction=float((values == 0).mean()),
        dead_channels=int((per_channel == 0).all(axis=1).sum()),
    )


def compute_activations(model: Model, image: Array) -> tuple[LayerActivations, ...]:
    """Activations of every enabled layer for ``image`` (channels, height, width), values 0 to 1.

    The output layer's activations are logits. The model is in eval mode: no dropout, and batch norm uses running
    statistics.
    """
    activations = []
    values = torch.from_numpy(np.array(image, dtype=np.float32)).unsqueeze(0)
    with torch.inference_mode():
        for module_range in list_module_ranges(model.architecture):
            layer = model.architecture.layers[module_range.layer_index]
            pre_activation: Tensor | None = None
            modules = model.module[module_range.start : module_range.stop]
            for index, module in enumerate(modules):
                if layer.activation_name != "none" and index == len(modules) - 1 and index > 0:
                    pre_activation = values
                values = module(values)
            activations.append(
                LayerActivations(
                    layer_index=module_range.layer_index,
                    layer_id=layer.id,
                    output=_to_array(values),
                    pre_activation=None if pre_activation is None else _to_array(pre_activation),
                )
            )
    return tuple(activations)


def _to_array(values: Tensor) -> Array:
    # A copy: a later in-place activation must not change this result.
    return values[0].numpy().copy()
