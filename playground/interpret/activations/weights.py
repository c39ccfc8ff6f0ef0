"""The weights of a layer as arrays that can be drawn."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.core.shapes import is_map
from playground.engine.model.build import Residual, spans
from playground.interpret.model import Model

Array = NDArray[np.float32]
Order = Literal["number", "norm", "alike"]


@dataclass(frozen=True)
class Weights:
    """The weights of one module of a layer.

    ``kernels``: (outputs, inputs, height, width) for a convolution, or a linear layer right after Flatten, whose
    weights can be laid back onto the maps they came from; (outputs, inputs, 1, 1) for other linear layers.
    ``bias``: (outputs,) or None. ``on_maps``: the kernels lie on the maps below, as (height, width) of theirs.
    """

    name: str
    kernels: Array
    bias: Array | None
    kind: Literal["convolution", "linear"]
    on_maps: bool


def layer_weights(model: Model, layer_index: int) -> tuple[Weights, ...]:
    """The weights of a layer; several for a residual block, none for a layer that learns none that can be drawn."""
    span = next((span for span in spans(model.architecture) if span.layer_index == layer_index), None)
    if span is None:
        return ()
    found: list[Weights] = []
    for module in model.module[span.start : span.stop]:
        if isinstance(module, Residual):
            found.extend(_named(module))
        else:
            found.extend(_weights("", module, _maps_before(model, layer_index)))
    return tuple(found)


def norm_figures(model: Model, layer_index: int) -> dict[str, Array]:
    """What a batch norm layer has learnt and measured, a number a channel each; empty for other layers."""
    span = next((span for span in spans(model.architecture) if span.layer_index == layer_index), None)
    module = model.module[span.start] if span and span.start < span.stop else None
    if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return {}
    parts = {
        "scale": module.weight,
        "shift": module.bias,
        "running mean": module.running_mean,
        "running variance": module.running_var,
    }
    return {name: _array(tensor) for name, tensor in parts.items() if tensor is not None}


def ordered(kernels: Array, by: Order) -> tuple[int, ...]:
    """The output channels in an order: as they come, the strongest first, or each beside the one most like it.

    ``kernels`` (outputs, ...). Alike: from the strongest on, always the one next with the smallest angle to the last.
    """
    rows = kernels.reshape(len(kernels), -1).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    strongest = tuple(int(place) for place in np.argsort(-norms, kind="stable"))
    if by == "number":
        return tuple(range(len(kernels)))
    if by == "norm":
        return strongest
    units = rows / np.maximum(norms, 1e-12)[:, None]
    likeness = np.nan_to_num(units @ units.T)
    chain = [strongest[0]]
    for _ in strongest[1:]:
        likeness[:, chain[-1]] = -np.inf
        chain.append(int(likeness[chain[-1]].argmax()))
    return tuple(chain)


def relative_change(now: Array, then: Array) -> NDArray[np.float64]:
    """How far each output channel's weights have moved, as a share of how long they were: (outputs,)."""
    rows_now, rows_then = (array.reshape(len(array), -1).astype(np.float64) for array in (now, then))
    moved: NDArray[np.float64] = np.linalg.norm(rows_now - rows_then, axis=1)
    moved /= np.maximum(np.linalg.norm(rows_then, axis=1), 1e-12)
    return moved


def _named(block: Residual) -> list[Weights]:
    named = [(f"inside {place + 1}", module) for place, module in enumerate(block.body)]
    named.append(("way around", block.shortcut))
    return [weights for name, module in named for weights in _weights(name, module, None)]


def _maps_before(model: Model, layer_index: int) -> tuple[int, ...] | None:
    """The shape of the maps that a Flatten laid in a row just before a layer."""
    steps = model.architecture.steps()
    place = next(place for place, step in enumerate(steps) if step.index == layer_index)
    while place > 0:
        place -= 1
        kind = steps[place].layer.kind
        if kind == "flatten" and is_map(steps[place].input_shape):
            return steps[place].input_shape
        if kind != "dropout":
            return None
    return None


def _weights(name: str, module: nn.Module, maps: tuple[int, ...] | None) -> list[Weights]:
    if isinstance(module, nn.Conv2d):
        return [Weights(name, _array(module.weight), _optional(module.bias), "convolution", on_maps=True)]
    if isinstance(module, nn.Linear):
        weight = _array(module.weight)
        shape = (len(weight), *(maps or (weight.shape[1], 1, 1)))
        return [Weights(name, weight.reshape(shape), _optional(module.bias), "linear", on_maps=maps is not None)]
    return []


def _array(tensor: Tensor) -> Array:
    return tensor.detach().numpy().copy()


def _optional(tensor: Tensor | None) -> Array | None:
    return None if tensor is None else _array(tensor)
