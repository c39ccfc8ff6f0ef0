"""The weights of a layer as arrays that can be drawn."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.core.shapes import is_spatial
from playground.engine.model.build import Residual, list_module_ranges
from playground.interpret.model import Model

Array = NDArray[np.float32]
ChannelOrder = Literal["number", "norm", "alike"]


@dataclass(frozen=True)
class ModuleWeights:
    """The weights of one module of a layer.

    ``kernels``: (outputs, inputs, height, width) for a convolution, or a linear layer right after Flatten, whose
    weights can be laid back onto the maps they came from; (outputs, inputs, 1, 1) for other linear layers.
    ``bias``: (outputs,) or None. ``is_spatial``: the kernels lie on the maps below, as (height, width) of theirs.
    """

    name: str
    kernels: Array
    bias: Array | None
    kind: Literal["convolution", "linear"]
    is_spatial: bool


def get_layer_weights(model: Model, layer_index: int) -> tuple[ModuleWeights, ...]:
    """The weights of a layer; several for a residual block, none for a layer that learns none that can be drawn."""
    span = next((span for span in list_module_ranges(model.architecture) if span.layer_index == layer_index), None)
    if span is None:
        return ()
    found: list[ModuleWeights] = []
    for module in model.module[span.start : span.stop]:
        if isinstance(module, Residual):
            found.extend(_get_residual_weights(module))
        else:
            found.extend(_get_module_weights("", module, _find_flattened_shape(model, layer_index)))
    return tuple(found)


def get_batch_norm_parameters(model: Model, layer_index: int) -> dict[str, Array]:
    """What a batch norm layer has learnt and measured, a number a channel each; empty for other layers."""
    span = next((span for span in list_module_ranges(model.architecture) if span.layer_index == layer_index), None)
    module = model.module[span.start] if span and span.start < span.stop else None
    if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return {}
    parts = {
        "scale": module.weight,
        "shift": module.bias,
        "running mean": module.running_mean,
        "running variance": module.running_var,
    }
    return {name: _to_array(tensor) for name, tensor in parts.items() if tensor is not None}


def order_channels(kernels: Array, by: ChannelOrder) -> tuple[int, ...]:
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


def compute_relative_change(current: Array, reference: Array) -> NDArray[np.float64]:
    """How far each output channel's weights have moved, as a share of how long they were: (outputs,)."""
    rows_now, rows_then = (array.reshape(len(array), -1).astype(np.float64) for array in (current, reference))
    moved: NDArray[np.float64] = np.linalg.norm(rows_now - rows_then, axis=1)
    moved /= np.maximum(np.linalg.norm(rows_then, axis=1), 1e-12)
    return moved


def _get_residual_weights(block: Residual) -> list[ModuleWeights]:
    named = [(f"inside {place + 1}", module) for place, module in enumerate(block.body)]
    named.append(("way around", block.shortcut))
    return [weights for name, module in named for weights in _get_module_weights(name, module, None)]


def _find_flattened_shape(model: Model, layer_index: int) -> tuple[int, ...] | None:
    """The shape of the maps that a Flatten laid in a row just before a layer."""
    steps = model.architecture.resolve_layers()
    place = next(place for place, step in enumerate(steps) if step.index == layer_index)
    while place > 0:
        place -= 1
        kind = steps[place].layer.kind
        if kind == "flatten" and is_spatial(steps[place].input_shape):
            return steps[place].input_shape
        if kind != "dropout":
            return None
    return None


def _get_module_weights(name: str, module: nn.Module, map_shape: tuple[int, ...] | None) -> list[ModuleWeights]:
    if isinstance(module, nn.Conv2d):
        return [
            ModuleWeights(
                name, _to_array(module.weight), _to_optional_array(module.bias), "convolution", is_spatial=True
            )
        ]
    if isinstance(module, nn.Linear):
        weight = _to_array(module.weight)
        shape = (len(weight), *(map_shape or (weight.shape[1], 1, 1)))
        return [
            ModuleWeights(
                name, weight.reshape(shape), _to_optional_array(module.bias), "linear", is_spatial=map_shape is not None
            )
        ]
    return []


def _to_array(tensor: Tensor) -> Array:
    return tensor.detach().numpy().copy()


def _to_optional_array(tensor: Tensor | None) -> Array | None:
    return None if tensor is None else _to_array(tensor)
