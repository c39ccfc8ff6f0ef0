"""Weights and normalization parameters of a layer as arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from playground.core.layers import TorchCall
from playground.core.shapes import is_spatial
from playground.engine.model.build import list_module_ranges
from playground.interpret.model import Model

Array = NDArray[np.float32]
ChannelOrder = Literal["number", "norm", "alike"]


@dataclass(frozen=True)
class ModuleWeights:
    """The weights of one module of a layer.

    ``kernels``: (outputs, inputs, height, width) for a convolution, or for a linear layer directly after Flatten,
    whose weights are reshaped to the flattened feature maps; (outputs, inputs, 1, 1) for other linear layers.
    ``bias``: (outputs,) or None. ``is_spatial``: the kernels have the height and width of a window or feature map.
    """

    name: str
    kernels: Array
    bias: Array | None
    kind: Literal["convolution", "linear"]
    is_spatial: bool


@dataclass(frozen=True)
class NormalizationParameters:
    """Scale, shift and running statistics of a normalization module, one value per channel each."""

    name: str
    values: dict[str, Array]


def get_layer_weights(model: Model, layer_index: int) -> tuple[ModuleWeights, ...]:
    """The kernels and weight matrices of a layer, one entry per module; empty for a layer without weights."""
    flattened_shape = _find_flattened_shape(model, layer_index)
    return tuple(
        _read_module_weights(name, module, flattened_shape)
        for name, module in _iter_weight_modules(model, layer_index)
        if _count_weight_axes(module) > 1
    )


def get_normalization_parameters(model: Model, layer_index: int) -> tuple[NormalizationParameters, ...]:
    """The parameters and running statistics of a layer's normalization modules; empty without such modules."""
    return tuple(
        NormalizationParameters(name, _read_normalization(module))
        for name, module in _iter_weight_modules(model, layer_index)
        if _count_weight_axes(module) == 1
    )


def order_channels(kernels: Array, by: ChannelOrder) -> tuple[int, ...]:
    """Order of the output channels: by number, by norm (largest first), or by similarity.

    ``kernels`` (outputs, ...). By similarity: the first channel has the largest norm; each next channel has the
    smallest angle to the one before it.
    """
    rows = kernels.reshape(len(kernels), -1).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    strongest = tuple(int(index) for index in np.argsort(-norms, kind="stable"))
    if by == "number":
        return tuple(range(len(kernels)))
    if by == "norm":
        return strongest
    units = rows / np.maximum(norms, 1e-12)[:, None]
    similarity = np.nan_to_num(units @ units.T)
    chain = [strongest[0]]
    for _ in strongest[1:]:
        similarity[:, chain[-1]] = -np.inf
        chain.append(int(similarity[chain[-1]].argmax()))
    return tuple(chain)


def compute_relative_change(current: Array, reference: Array) -> NDArray[np.float64]:
    """Norm of the change of each output channel's weights, relative to their norm before: (outputs,)."""
    current_rows, reference_rows = (array.reshape(len(array), -1).astype(np.float64) for array in (current, reference))
    change: NDArray[np.float64] = np.linalg.norm(current_rows - reference_rows, axis=1)
    change /= np.maximum(np.linalg.norm(reference_rows, axis=1), 1e-12)
    return change


def _iter_weight_modules(model: Model, layer_index: int) -> Iterator[tuple[str, Any]]:
    """Iterate over the modules of a layer with weights, each with a name that is unique in the layer."""
    for module_range, step in zip(
        list_module_ranges(model.architecture), model.architecture.resolve_layers(), strict=True
    ):
        if step.index == layer_index:
            calls = step.layer.build_torch_calls(step.input_shape)
            for call, module in zip(calls, model.module[module_range.start : module_range.stop], strict=True):
                yield from _iter_call_modules(call, call.label, module)


def _iter_call_modules(call: TorchCall, name: str, module: Any) -> Iterator[tuple[str, Any]]:
    if call.has_weights:
        yield name, module
    for index, inner in enumerate(call.body):
        yield from _iter_call_modules(inner, f"inside {index + 1}", module.body[index])
    if len(call.shortcut) == 1:
        yield from _iter_call_modules(call.shortcut[0], "shortcut", module.shortcut)
    else:
        for index, inner in enumerate(call.shortcut):
            yield from _iter_call_modules(inner, f"shortcut {index + 1}", module.shortcut[index])


def _count_weight_axes(module: Any) -> int:
    return module.weight.ndim if isinstance(getattr(module, "weight", None), Tensor) else 0


def _find_flattened_shape(model: Model, layer_index: int) -> tuple[int, ...] | None:
    """Shape of the feature maps that were flattened directly before a layer; None if there are none."""
    steps = model.architecture.resolve_layers()
    position = next((position for position, step in enumerate(steps) if step.index == layer_index), 0)
    for step in reversed(steps[:position]):
        if step.layer.is_view and is_spatial(step.input_shape):
            return step.input_shape
        if not step.layer.is_passthrough:
            return None
    return None


def _read_module_weights(name: str, module: Any, flattened_shape: tuple[int, ...] | None) -> ModuleWeights:
    weight, bias = _to_array(module.weight), _to_optional_array(module.bias)
    if weight.ndim == 4:
        return ModuleWeights(name, weight, bias, "convolution", is_spatial=True)
    shape = (len(weight), *(flattened_shape or (weight.shape[1], 1, 1)))
    return ModuleWeights(name, weight.reshape(shape), bias, "linear", is_spatial=flattened_shape is not None)


def _read_normalization(module: Any) -> dict[str, Array]:
    parts = {
        "scale": module.weight,
        "shift": module.bias,
        "running mean": getattr(module, "running_mean", None),
        "running variance": getattr(module, "running_var", None),
    }
    return {name: _to_array(tensor) for name, tensor in parts.items() if tensor is not None}


def _to_array(tensor: Tensor) -> Array:
    return tensor.detach().numpy().copy()


def _to_optional_array(tensor: Tensor | None) -> Array | None:
    return None if tensor is None else _to_array(tensor)
