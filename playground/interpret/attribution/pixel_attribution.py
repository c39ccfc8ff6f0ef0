"""Why a net answers as it does: how much each pixel counts for the score of one class, five ways, by captum."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.engine.model.build import list_module_ranges
from playground.engine.rng import make_generator
from playground.errors import ArchitectureError, PlaygroundError, UnknownNameError
from playground.interpret.model import Model

Array = NDArray[np.float32]
Method = Literal["saliency", "smoothgrad", "integrated_gradients", "grad_cam", "occlusion"]
ScoreFunction = Callable[[Tensor], Tensor]

_SMOOTHGRAD_SAMPLES, _SMOOTHGRAD_STD = 32, 0.1
_INTEGRATION_STEPS = 64
_OCCLUSION_SIZE = 5
_BATCH_SIZE = 64  # few, so that a server does not grow by their feature maps


@dataclass(frozen=True)
class MethodInfo:
    """A method's name, and one sentence on what its picture shows and what it does not."""

    title: str
    description: str


METHODS: dict[Method, MethodInfo] = {
    "saliency": MethodInfo(
        "Saliency",
        "How strongly a tiny change of each pixel would move the score, up or down: it shows where the net is touchy, "
        "not what made it decide.",
    ),
    "smoothgrad": MethodInfo(
        "SmoothGrad",
        "The slope of the score at each pixel, averaged over 32 noisy copies: more light there would raise (+) or "
        "lower (−) the score a little, which says nothing of large changes.",
    ),
    "integrated_gradients": MethodInfo(
        "Integrated gradients",
        "Each pixel's share of the score's rise from a black image to this one; the shares add up to that "
        "rise, but black pixels get none by definition, however much the net relies on their being black.",
    ),
    "grad_cam": MethodInfo(
        "Grad-CAM",
        "Where the feature maps of one layer speak for this class, scaled up from that layer's few positions: it shows "
        "the region, not the pixels, and leaves out what speaks against.",
    ),
    "occlusion": MethodInfo(
        "Occlusion",
        "How far the score falls when a small black square covers the place: a real experiment, but it only takes "
        "light away, so it cannot tell where darkness matters.",
    ),
}


@dataclass(frozen=True)
class Attribution:
    """What each pixel counts for the score of class ``target``: ``values`` (height, width) of the input, in logits.

    Channels are added up, but for saliency (the largest) and occlusion (covered together). Signed, positive speaks for
    the class; saliency and Grad-CAM are 0 or more. ``layer_attribution``: Grad-CAM's map before it was
    scaled up, (height, width) of the layer; else None.
    """

    method: Method
    target: int
    values: Array
    layer_attribution: Array | None


def list_cam_layers(model: Model) -> tuple[int, ...]:
    """The places among ``architecture.layers`` of what Grad-CAM can look at: convolutions and residual blocks."""
    return tuple(
        step.index for step in model.architecture.resolve_layers() if step.layer.kind in ("conv2d", "residual")
    )


def attribute(
    model: Model, image: Array, target: int, method: Method, *, layer_index: int | None = None, seed: int = 0
) -> Attribution:
    """What each pixel of ``image`` (channels, height, width), values 0 to 1, counts for the score of class ``target``.

    The score is the class's logit. Where a sigmoid's single logit z tells two classes apart, it is z for class 1 and −z
    for class 0 (the log odds of each), so that what speaks for one speaks against the other. ``layer_index`` is of
    Grad-CAM alone: one of ``list_cam_layers``, by default the last; ``seed`` of SmoothGrad alone. Raises PlaygroundError for
    a class or method that there is not, ArchitectureError for a layer that Grad-CAM cannot look at.

    Sources: saliency, Simonyan, Vedaldi and Zisserman 2013 (the largest absolute slope of any channel); SmoothGrad,
    Smilkov et al. 2017 (32 samples, noise 0.1; signed, as there for MNIST); integrated gradients, Sundararajan, Taly
    and Yan 2017 (from black); Grad-CAM, Selvaraju et al. 2017; occlusion, Zeiler and Fergus 2013 (a black square of
    5×5 over all channels, smaller on images under 20 pixels; a pixel's value is the mean over the squares that cover
    it).
    """
    if not 0 <= target < model.architecture.classes:
        raise PlaygroundError(
            f"There is no class {target}.", expected=f"The net tells 0 to {model.architecture.classes - 1} apart."
        )
    if method not in METHODS:
        raise UnknownNameError(f"There is no method {method!r}.", expected=f"One of: {', '.join(METHODS)}.")
    pixels = torch.tensor(image, dtype=torch.float32).unsqueeze(0).requires_grad_()
    if method == "grad_cam":
        raw = _compute_grad_cam(model, pixels, target, layer_index)
        wide = nn.functional.interpolate(raw, pixels.shape[2:], mode="bilinear")
        return Attribution(method, target, _to_array(wide[0, 0]), _to_array(raw[0, 0]))
    values = _PIXEL_METHODS[method](_make_score_function(model.module), pixels, target, seed)
    return Attribution(method, target, _to_array(values), None)


def _make_score_function(module: nn.Module) -> ScoreFunction:
    """Scores of every class, also where there is one unit for two: see ``attribute``."""

    def scores(images: Tensor) -> Tensor:
        logits: Tensor = module(images)
        return logits if logits.shape[1] > 1 else torch.cat([-logits, logits], dim=1)

    return scores


def _import_captum() -> ModuleType:
    """captum.attr, imported only now: a server that shows none of these pictures saves 33 MB and a second."""
    from captum import attr

    module: ModuleType = attr
    return module


def _compute_saliency(scores: ScoreFunction, pixels: Tensor, target: int, _seed: int) -> Tensor:
    slopes: Tensor = _import_captum().Saliency(scores).attribute(pixels, target=target)
    return slopes[0].amax(0)


def _compute_smoothgrad(scores: ScoreFunction, pixels: Tensor, target: int, seed: int) -> Tensor:
    # Not by captum's NoiseTunnel: it draws from the generator that all threads of a server share.
    noise = torch.randn(_SMOOTHGRAD_SAMPLES, *pixels.shape[1:], generator=make_generator("smoothgrad", seed))
    noisy = (pixels.detach() + _SMOOTHGRAD_STD * noise).requires_grad_()
    slopes: Tensor = _import_captum().Saliency(scores).attribute(noisy, target=target, abs=False)
    return slopes.mean(0).sum(0)


def _compute_integrated_gradients(scores: ScoreFunction, pixels: Tensor, target: int, _seed: int) -> Tensor:
    shares: Tensor = (
        _import_captum().IntegratedGradients(scores).attribute(pixels, target=target, n_steps=_INTEGRATION_STEPS)
    )
    return shares[0].sum(0)


def _compute_occlusion(scores: ScoreFunction, pixels: Tensor, target: int, _seed: int) -> Tensor:
    channels, height, width = pixels.shape[1:]
    window = min(_OCCLUSION_SIZE, max(1, min(height, width) // 4))
    falls: Tensor = (
        _import_captum()
        .Occlusion(scores)
        .attribute(
            pixels.detach(),
            sliding_window_shapes=(channels, window, window),
            strides=(channels, 1, 1),
            target=target,
            perturbations_per_eval=_BATCH_SIZE,
        )
    )
    # The channels were covered together, so each of them holds the whole fall: adding them up would count it often.
    return falls[0, 0]


_PIXEL_METHODS: dict[Method, Callable[[ScoreFunction, Tensor, int, int], Tensor]] = {
    "saliency": _compute_saliency,
    "smoothgrad": _compute_smoothgrad,
    "integrated_gradients": _compute_integrated_gradients,
    "occlusion": _compute_occlusion,
}


def _compute_grad_cam(model: Model, pixels: Tensor, target: int, layer_index: int | None) -> Tensor:
    """(1, 1, height, width) of the layer, 0 or more."""
    span = next(
        span
        for span in list_module_ranges(model.architecture)
        if span.layer_index == _resolve_cam_layer(model, layer_index)
    )
    # captum puts its hook on this module of our own: one on the model's would be seen by every thread that uses it.
    end = nn.Identity()
    marked = nn.Sequential(*model.module[: span.stop], end, *model.module[span.stop :])
    found: Tensor = (
        _import_captum()
        .LayerGradCam(_make_score_function(marked), end)
        .attribute(pixels, target=target, relu_attributions=True)
    )
    return found


def _resolve_cam_layer(model: Model, layer_index: int | None) -> int:
    choices = list_cam_layers(model)
    if not choices:
        raise ArchitectureError(
            "Grad-CAM has nothing to look at in this net.",
            expected="It needs the maps of a convolution or a residual block.",
            fix="Choose another method, or give the net a convolution.",
        )
    if layer_index is None:
        return choices[-1]
    if layer_index not in choices:
        raise ArchitectureError(
            f"Grad-CAM cannot look at layer {layer_index + 1}.",
            expected="It needs the maps of a convolution or a residual block that is switched on.",
            fix=f"Choose one of the layers {', '.join(str(index + 1) for index in choices)}.",
        )
    return layer_index


def _to_array(values: Tensor) -> Array:
    return values.detach().numpy().astype(np.float32, copy=True)
