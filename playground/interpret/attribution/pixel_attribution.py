"""Pixel attribution: the contribution of each pixel to the logit of one class, computed with captum."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.core.architecture import ResolvedLayer
from playground.core.shapes import is_spatial
from playground.engine.model.build import list_module_ranges
from playground.errors import ArchitectureError, PlaygroundError, UnknownNameError
from playground.interpret.attribution.methods import ATTRIBUTION_METHODS, AttributionInputs
from playground.interpret.model import Model

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Attribution:
    """Contribution of each pixel to the logit of class ``target``: ``values`` (height, width) of the input.

    Positive values support the class. ``layer_attribution``: the map before it was scaled up, (height, width) of the
    layer, for a method that needs a layer; else None.
    """

    method: str
    target: int
    values: Array
    layer_attribution: Array | None


def list_cam_layers(model: Model) -> tuple[int, ...]:
    """Indices in ``architecture.layers`` that a method with a layer can use: convolutions and residual blocks."""
    return tuple(step.index for step in model.architecture.resolve_layers() if _computes_feature_maps(step))


def _computes_feature_maps(step: ResolvedLayer) -> bool:
    return step.layer.has_weights and not step.layer.is_elementwise and is_spatial(step.output_shape)


def attribute(
    model: Model, image: Array, target: int, method: str, *, layer_index: int | None = None, seed: int = 0
) -> Attribution:
    """Attribute the logit of class ``target`` to the pixels of an image.

    Args:
        model: the network.
        image: float (channels, height, width), values 0 to 1.
        target: the class. For a sigmoid's single logit z, class 1 has the logit z and class 0 has −z.
        method: a name in ``ATTRIBUTION_METHODS``.
        layer_index: one of ``list_cam_layers`` (default: the last), for a method that needs a layer.
        seed: seed of a random method.

    Raises:
        PlaygroundError: for an unknown class.
        UnknownNameError: for an unknown method.
        ArchitectureError: for a layer that the method cannot use.
    """
    if not 0 <= target < model.architecture.classes:
        raise PlaygroundError(
            f"There is no class {target}.",
            expected=f"The network has the classes 0 to {model.architecture.classes - 1}.",
        )
    if method not in ATTRIBUTION_METHODS:
        raise UnknownNameError(f"There is no method {method!r}.", expected=f"One of: {', '.join(ATTRIBUTION_METHODS)}.")
    info = ATTRIBUTION_METHODS[method]
    pixels = torch.tensor(image, dtype=torch.float32).unsqueeze(0).requires_grad_()
    layer_end = _find_layer_end(model, _resolve_layer(model, layer_index, info.title)) if info.needs_layer else None
    values = info.compute(
        AttributionInputs(model.module, pixels, target, seed, layer_end), **info.default_arguments
    ).detach()
    if not info.needs_layer:
        return Attribution(method, target, _to_array(values), None)
    resized = nn.functional.interpolate(values[None, None], pixels.shape[2:], mode="bilinear")
    return Attribution(method, target, _to_array(resized[0, 0]), _to_array(values))


def _find_layer_end(model: Model, layer_index: int) -> int:
    return next(span.stop for span in list_module_ranges(model.architecture) if span.layer_index == layer_index)


def _resolve_layer(model: Model, layer_index: int | None, method_title: str) -> int:
    choices = list_cam_layers(model)
    if not choices:
        raise ArchitectureError(
            f"{method_title} needs feature maps, and this network has none.",
            expected="A convolution or a residual block.",
            fix="Choose another method, or add a convolution.",
        )
    if layer_index is None:
        return choices[-1]
    if layer_index not in choices:
        raise ArchitectureError(
            f"{method_title} cannot use layer {layer_index + 1}.",
            expected="An enabled convolution or residual block.",
            fix=f"Choose one of the layers {', '.join(str(index + 1) for index in choices)}.",
        )
    return layer_index


def _to_array(values: Tensor) -> Array:
    return values.numpy().astype(np.float32, copy=True)
