"""Registry of the pixel attribution methods: title, description, source, default arguments and implementation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

import torch
from torch import Tensor, nn

from playground.engine.rng import make_generator

_BATCH_SIZE = 64  # small, since a server keeps the memory of the feature maps

LogitsFunction = Callable[[Tensor], Tensor]
"""Maps images (count, channels, height, width) to logits (count, classes)."""


@dataclass(frozen=True)
class AttributionInputs:
    """Inputs of an attribution method.

    ``pixels`` (1, channels, height, width), values 0 to 1, requires a gradient. ``layer_end`` is the number of modules
    up to the end of the chosen layer, for methods that need one.
    """

    module: nn.Sequential
    pixels: Tensor
    target: int
    seed: int
    layer_end: int | None = None

    @property
    def compute_logits(self) -> LogitsFunction:
        """Logits function of the whole network."""
        return make_logits_function(self.module)


AttributionFunction = Callable[..., Tensor]
"""Takes ``AttributionInputs`` and the method's arguments by keyword; returns (height, width) of the input or layer."""


@dataclass(frozen=True)
class AttributionMethod:
    """A pixel attribution method.

    ``description`` says what the result shows and what it does not. ``needs_layer`` is True for a method that
    attributes to the feature maps of a layer; its result has their height and width. ``is_signed`` is False if all
    values are 0 or more.
    """

    name: str
    title: str
    description: str
    source: str
    compute: AttributionFunction
    needs_layer: bool = False
    is_signed: bool = True
    default_arguments: Mapping[str, float] = field(default_factory=dict)


METHODS: dict[str, AttributionMethod] = {}
"""Every attribution method by name, in the order of the screens."""


def register_method(
    name: str,
    *,
    title: str,
    description: str,
    source: str,
    needs_layer: bool = False,
    is_signed: bool = True,
    default_arguments: Mapping[str, float] | None = None,
) -> Callable[[AttributionFunction], AttributionFunction]:
    """Add the decorated function to ``METHODS``."""

    def add_to_registry(compute: AttributionFunction) -> AttributionFunction:
        METHODS[name] = AttributionMethod(
            name, title, description, source, compute, needs_layer, is_signed, dict(default_arguments or {})
        )
        return compute

    return add_to_registry


def make_logits_function(module: nn.Module) -> LogitsFunction:
    """Make a function that gives one logit a class: a sigmoid's single logit z becomes (−z, z), the log odds."""

    def compute_logits(images: Tensor) -> Tensor:
        logits: Tensor = module(images)
        return logits if logits.shape[1] > 1 else torch.cat([-logits, logits], dim=1)

    return compute_logits


def _import_captum() -> ModuleType:
    """captum.attr, imported on first use: it takes 33 MB and a second."""
    from captum import attr

    module: ModuleType = attr
    return module


@register_method(
    "saliency",
    title="Saliency",
    description="The absolute gradient of the class score at each pixel: where the network is sensitive to small "
    "changes, not why it decided.",
    source="Simonyan, Vedaldi and Zisserman 2013; the maximum over channels",
    is_signed=False,
)
def _compute_saliency(inputs: AttributionInputs) -> Tensor:
    gradients: Tensor = _import_captum().Saliency(inputs.compute_logits).attribute(inputs.pixels, target=inputs.target)
    return gradients[0].amax(0)


@register_method(
    "smoothgrad",
    title="SmoothGrad",
    description="The gradient averaged over 32 noisy copies of the image: a little more light raises (+) or lowers (−) "
    "the class score. It says nothing about large changes.",
    source="Smilkov et al. 2017; signed, as there for MNIST",
    default_arguments={"sample_count": 32, "noise_std": 0.1},
)
def _compute_smoothgrad(inputs: AttributionInputs, *, sample_count: float, noise_std: float) -> Tensor:
    # captum's NoiseTunnel draws from the global generator, which all threads of a server share.
    generator = make_generator("smoothgrad", inputs.seed)
    noise = torch.randn(int(sample_count), *inputs.pixels.shape[1:], generator=generator)
    noisy = (inputs.pixels.detach() + noise_std * noise).requires_grad_()
    gradients: Tensor = (
        _import_captum().Saliency(inputs.compute_logits).attribute(noisy, target=inputs.target, abs=False)
    )
    return gradients.mean(0).sum(0)


@register_method(
    "integrated_gradients",
    title="Integrated gradients",
    description="Each pixel's contribution to the change of the class score from a black image to this one; the "
    "contributions sum to that change. Black pixels always get 0, even if the network relies on them.",
    source="Sundararajan, Taly and Yan 2017; the baseline is black",
    default_arguments={"step_count": 64},
)
def _compute_integrated_gradients(inputs: AttributionInputs, *, step_count: float) -> Tensor:
    contributions: Tensor = (
        _import_captum()
        .IntegratedGradients(inputs.compute_logits)
        .attribute(inputs.pixels, target=inputs.target, n_steps=int(step_count))
    )
    return contributions[0].sum(0)


@register_method(
    "grad_cam",
    title="Grad-CAM",
    description="The region where one layer's feature maps support the class, scaled up from the layer's resolution. "
    "It leaves out evidence against the class.",
    source="Selvaraju et al. 2017",
    needs_layer=True,
    is_signed=False,
)
def _compute_grad_cam(inputs: AttributionInputs) -> Tensor:
    # A hook on the model itself would run in every thread that uses it, so captum gets an own module to hook.
    layer_output = nn.Identity()
    module = nn.Sequential(*inputs.module[: inputs.layer_end], layer_output, *inputs.module[inputs.layer_end :])
    heatmap: Tensor = (
        _import_captum()
        .LayerGradCam(make_logits_function(module), layer_output)
        .attribute(inputs.pixels, target=inputs.target, relu_attributions=True)
    )
    return heatmap[0, 0]


@register_method(
    "occlusion",
    title="Occlusion",
    description="The decrease of the class score when a small black square covers each position. It only removes "
    "light, so it cannot show where darkness matters.",
    source="Zeiler and Fergus 2013; a pixel's value is the mean over the squares that cover it, and the square has at "
    "most a quarter of the image's side",
    default_arguments={"window_size": 5},
)
def _compute_occlusion(inputs: AttributionInputs, *, window_size: float) -> Tensor:
    channels, height, width = inputs.pixels.shape[1:]
    window = min(int(window_size), max(1, min(height, width) // 4))
    decreases: Tensor = (
        _import_captum()
        .Occlusion(inputs.compute_logits)
        .attribute(
            inputs.pixels.detach(),
            sliding_window_shapes=(channels, window, window),
            strides=(channels, 1, 1),
            target=inputs.target,
            perturbations_per_eval=_BATCH_SIZE,
        )
    )
    # The channels are covered together, so each of them holds the whole decrease.
    return decreases[0, 0]
