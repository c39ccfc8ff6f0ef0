"""What every layer makes of an image: its values before and after the activation."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.engine.model.build import Residual, list_module_ranges
from playground.interpret.model import Model

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ActivationStatistics:
    """Figures of one layer's values; ``zero_fraction`` is the share that is exactly 0, ``dead_channels`` counts channels of zeros."""

    minimum: float
    maximum: float
    mean: float
    zero_fraction: float
    dead_channels: int


@dataclass(frozen=True)
class LayerActivations:
    """One layer's values for one image: (channels, height, width) or (features,).

    ``before`` is None where the layer has no activation of its own.
    """

    layer_index: int
    layer_id: str
    output: Array
    pre_activation: Array | None


def compute_statistics(values: Array) -> ActivationStatistics:
    """The figures of an array of maps or features."""
    per_channel = values.reshape(len(values), -1)
    return ActivationStatistics(
        minimum=float(values.min()),
        maximum=float(values.max()),
        mean=float(values.mean()),
        zero_fraction=float((values == 0).mean()),
        dead_channels=int((per_channel == 0).all(axis=1).sum()),
    )


def compute_activations(model: Model, image: Array) -> tuple[LayerActivations, ...]:
    """The values of every enabled layer for ``image`` (channels, height, width), values 0 to 1.

    The output layer's are its scores (logits). In eval mode: dropout passes everything, batch norm uses its running
    figures.
    """
    found = []
    values = torch.from_numpy(np.array(image, dtype=np.float32)).unsqueeze(0)
    with torch.inference_mode():
        for span in list_module_ranges(model.architecture):
            before: Tensor | None = None
            modules = model.module[span.start : span.stop]
            for place, module in enumerate(modules):
                if place == len(modules) - 1 and place > 0 and _is_activation(module):
                    before = values
                values = module(values)
            found.append(
                LayerActivations(
                    layer_index=span.layer_index,
                    layer_id=model.architecture.layers[span.layer_index].id,
                    output=_to_array(values),
                    pre_activation=None if before is None else _to_array(before),
                )
            )
    return tuple(found)


def _is_activation(module: torch.nn.Module) -> bool:
    return not isinstance(module, Residual | torch.nn.Flatten) and not any(True for _ in module.parameters())


def _to_array(values: Tensor) -> Array:
    # A copy: an in-place activation further on must not change what is shown of this layer.
    return values[0].numpy().copy()
