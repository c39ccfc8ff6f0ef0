"""What every layer makes of an image: its values before and after the activation."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.engine.model.build import Residual, spans
from playground.interpret.model import Model

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Statistics:
    """Figures of one layer's values; ``zeros`` is the share that is exactly 0, ``silent`` counts channels of zeros."""

    minimum: float
    maximum: float
    mean: float
    zeros: float
    silent: int


@dataclass(frozen=True)
class LayerValues:
    """One layer's values for one image: (channels, height, width) or (features,).

    ``before`` is None where the layer has no activation of its own.
    """

    layer_index: int
    layer_id: str
    after: Array
    before: Array | None


def statistics(values: Array) -> Statistics:
    """The figures of an array of maps or features."""
    per_channel = values.reshape(len(values), -1)
    return Statistics(
        minimum=float(values.min()),
        maximum=float(values.max()),
        mean=float(values.mean()),
        zeros=float((values == 0).mean()),
        silent=int((per_channel == 0).all(axis=1).sum()),
    )


def layer_values(model: Model, image: Array) -> tuple[LayerValues, ...]:
    """The values of every enabled layer for ``image`` (channels, height, width), values 0 to 1.

    The output layer's are its scores (logits). In eval mode: dropout passes everything, batch norm uses its running
    figures.
    """
    found = []
    values = torch.from_numpy(np.array(image, dtype=np.float32)).unsqueeze(0)
    with torch.inference_mode():
        for span in spans(model.architecture):
            before: Tensor | None = None
            modules = model.module[span.start : span.stop]
            for place, module in enumerate(modules):
                if place == len(modules) - 1 and place > 0 and _is_activation(module):
                    before = values
                values = module(values)
            found.append(
                LayerValues(
                    layer_index=span.layer_index,
                    layer_id=model.architecture.layers[span.layer_index].id,
                    after=_array(values),
                    before=None if before is None else _array(before),
                )
            )
    return tuple(found)


def _is_activation(module: torch.nn.Module) -> bool:
    return not isinstance(module, Residual | torch.nn.Flatten) and not any(True for _ in module.parameters())


def _array(values: Tensor) -> Array:
    # A copy: an in-place activation further on must not change what is shown of this layer.
    return values[0].numpy().copy()
