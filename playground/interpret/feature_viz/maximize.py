"""Activation maximization: optimize an image for a channel, a unit or a class.

Sources: Erhan, Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of a Deep Network", 2009; Olah,
Mordvintsev and Schubert, "Feature Visualization", Distill 2017.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from playground.core.shapes import Shape
from playground.core.summary import summarize
from playground.engine.model.build import Residual, list_module_ranges
from playground.engine.progress import Progress
from playground.engine.rng import make_generator
from playground.errors import PlaygroundError
from playground.interpret.activations.receptive_field import get_steps_up_to
from playground.interpret.feature_viz.adam import Adam
from playground.interpret.model import Model

Array = NDArray[np.float32]
Objective = Literal["channel", "center", "class"]
Parameterization = Literal["fourier", "pixel"]

OBJECTIVES: dict[Objective, tuple[str, str]] = {
    "channel": ("Whole channel", "Maximize the mean of the feature map: the texture that the channel detects."),
    "center": (
        "Center value",
        "Maximize the value in the middle of the feature map: the single pattern that the channel detects.",
    ),
    "class": ("Class", "Maximize the logit of the class: the best example of it for the network."),
}
"""Title and description of every objective."""

_YIELD_EVERY = 8  # steps
_INITIAL_LOGIT = -2.0  # before the sigmoid: nearly black, with a gradient that is not too small
_LOGIT_SCALE = 4.0  # with Adam's usual lr, 128 steps can go from black to white
_INITIAL_NOISE_STD = 0.075
_SIGMOID_LEAK = 0.02
_RELU_LEAK = 0.1
_RELATIVE_EPS = 0.3  # large, else Adam amplifies irrelevant frequencies to noise
_JITTER_DIVISOR = 8  # of the receptive field: larger shifts would blur the pattern


@dataclass(frozen=True)
class MaximizationSettings:
    """Settings of the optimization.

    ``lr`` is Adam's. ``jitter`` is the largest random shift per step in pixels, less for small receptive fields.
    ``total_variation_weight`` and ``sparsity_weight`` (of the image's sum) are in units of the objective's largest
    pixel gradient, so that they have the same effect in every layer. The "fourier" parameterization optimizes
    frequencies, low ones faster, in place of pixels.
    """

    steps: int = 128
    lr: float = 0.05
    jitter: int = 2
    total_variation_weight: float = 0.02
    sparsity_weight: float = 0.02
    parameterization: Parameterization = "fourier"
    seed: int = 0


@dataclass(frozen=True)
class MaximizationResult:
    """Best image so far (channels, height, width), values 0 to 1, after ``step`` of ``steps`` steps.

    ``score`` is its objective without jitter, ``initial_score`` that of the initial noise.
    """

    image: Array
    score: float
    initial_score: float
    step: int
    steps: int


def maximize_activation(
    model: Model,
    layer_index: int,
    channel: int,
    objective: Objective = "channel",
    settings: MaximizationSettings = MaximizationSettings(),
) -> Generator[tuple[Progress, MaximizationResult], None, None]:
    """Optimize an image that maximizes a channel: yields the initial image, then the best so far every few steps.

    The objective is the value before the layer's activation function, whose gradient could be 0: the mean or the
    center of a feature map, the value of a unit, or, for the output layer, the logit of class ``channel`` (−z for
    class 0 of a sigmoid). Raises PlaygroundError for a layer that does not exist or is disabled, an unknown channel or
    class, and invalid settings.
    """
    least = min(settings.jitter, settings.total_variation_weight, settings.sparsity_weight)
    if settings.steps < 1 or settings.lr <= 0 or least < 0 or settings.parameterization not in _PARAMETERIZATIONS:
        raise PlaygroundError(
            f"Invalid settings: {settings}.",
            expected="At least one step, lr above 0, jitter and weights of at least 0; "
            f"{' or '.join(_PARAMETERIZATIONS)}.",
        )
    return _optimize(
        _ObjectiveFunction(model, layer_index, channel, objective), model.architecture.input.shape, settings
    )


def _optimize(
    target: "_ObjectiveFunction", shape: Shape, settings: MaximizationSettings
) -> Generator[tuple[Progress, MaximizationResult], None, None]:
    generator = make_generator("dream", settings.seed)
    parameterization = _PARAMETERIZATIONS[settings.parameterization](shape)
    jitter = min(settings.jitter, target.receptive_field_size // _JITTER_DIVISOR)
    start = _INITIAL_NOISE_STD * torch.randn(parameterization.shape, generator=generator)
    values, adam, half = start, Adam(start, _RELATIVE_EPS), (settings.steps + 1) // 2
    best = parameterization.to_image(start)
    initial_score = score = target.evaluate(best)

    def report(step: int) -> tuple[Progress, MaximizationResult]:
        progress = Progress(f"Activation {score:.4g} after {step} steps", step, settings.steps)
        return progress, MaximizationResult(best[0].numpy().copy(), score, initial_score, step, settings.steps)

    yield report(0)
    for step in range(1, settings.steps + 1):
        if step == half + 1 and score == initial_score:  # no progress with leaky gradients and jitter: restart without
            values, adam, jitter = start, Adam(start, _RELATIVE_EPS), 0
        shift = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
        gradient = _compute_gradient(target, parameterization, values, shift, settings, leaky=step <= half)
        values = values - settings.lr * adam.compute_direction(gradient)
        if step % _YIELD_EVERY == 0 or step == settings.steps:
            image = parameterization.to_image(values)
            image_score = target.evaluate(image)
            if image_score > score:
                best, score = image, image_score
            yield report(step)


def _compute_gradient(
    target: "_ObjectiveFunction",
    parameterization: "_ImageParameterization",
    values: Tensor,
    shift: list[int],
    settings: MaximizationSettings,
    *,
    leaky: bool,
) -> Tensor:
    """Gradient of the loss (penalties minus objective) with respect to ``values``."""
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        image = parameterization.to_image(values)
        shifted = image.detach().roll(shift, dims=(2, 3))
        image_gradient = target.compute_gradient(shifted, leaky=leaky).roll([-pixels for pixels in shift], dims=(2, 3))
        variation = image.diff(dim=2).abs().sum() + image.diff(dim=3).abs().sum()
        penalty = settings.sparsity_weight * image.sum() + settings.total_variation_weight * variation
        # This sum of products has the gradient of the objective, scaled.
        return torch.autograd.grad(penalty - (image_gradient * image).sum(), values)[0]


class _ObjectiveFunction:
    """Objective as a function of an image (1, channels, height, width)."""

    def __init__(self, model: Model, layer_index: int, channel: int, objective: Objective) -> None:
        steps = get_steps_up_to(model.architecture, layer_index)
        layer, span = steps[-1].layer, list_module_ranges(model.architecture)[len(steps) - 1]
        self._is_output = layer.is_output
        if objective not in OBJECTIVES or (objective == "class" and not self._is_output):
            raise PlaygroundError(
                f"Layer {layer_index + 1} has no objective {objective!r}.",
                expected=f"One of: {', '.join(OBJECTIVES)}; class is for the output layer only.",
            )
        count = model.architecture.classes if self._is_output else steps[-1].output_shape[0]
        if not 0 <= channel < count:
            raise PlaygroundError(f"Layer {layer_index + 1} has no channel {channel + 1}.", expected=f"It has {count}.")
        has_activation = layer.activation_name != "none"
        self._modules = model.module[: span.stop - has_activation]
        self._channel, self._objective = channel, objective
        self.receptive_field_size = max(summarize(model.architecture).layers[layer_index].receptive_field)

    def evaluate(self, image: Tensor) -> float:
        """Compute the objective of an image."""
        with torch.inference_mode():
            return float(self._select_value(self._modules(image)))

    def compute_gradient(self, image: Tensor, *, leaky: bool) -> Tensor:
        """Compute the gradient of the objective with respect to the pixels, scaled to a largest magnitude of 1."""
        with torch.enable_grad():
            image = image.detach().requires_grad_()
            values = _forward_leaky(self._modules, image) if leaky else self._modules(image)
            (gradient,) = torch.autograd.grad(self._select_value(values), image)
            return gradient / gradient.abs().max().clamp(min=1e-30)

    def _select_value(self, values: Tensor) -> Tensor:
        if self._is_output and values.shape[1] == 1:
            return values[0, 0] if self._channel else -values[0, 0]
        value = values[0, self._channel]
        if value.dim() == 0:
            return value
        return value[value.shape[0] // 2, value.shape[1] // 2] if self._objective == "center" else value.mean()


def _forward_leaky(module: nn.Module, values: Tensor) -> Tensor:
    """Compute the same values, but with the gradient of a leaky ReLU, so that inactive ReLUs pass a gradient."""
    if isinstance(module, nn.Sequential):
        for part in module:
            values = _forward_leaky(part, values)
        return values
    if isinstance(module, Residual):
        return _forward_leaky(module.body, values) + _forward_leaky(module.shortcut, values)
    result: Tensor = module(values)
    if isinstance(module, nn.ReLU):
        sloped = functional.leaky_relu(values, _RELU_LEAK)
        return sloped + (result - sloped).detach()
    return result


@dataclass(frozen=True)
class _ImageParameterization:
    """Map from values of ``shape`` to an image (1, channels, height, width), 0 to 1."""

    shape: Shape
    to_pixels: Callable[[Tensor], Tensor]

    def to_image(self, values: Tensor) -> Tensor:
        values = _LOGIT_SCALE * self.to_pixels(values) + _INITIAL_LOGIT
        # The second term is 0 but has a gradient, so that saturated pixels can change again.
        return values.sigmoid() + _SIGMOID_LEAK * (values - values.detach())


def _make_fourier_parameterization(shape: Shape) -> _ImageParameterization:
    """Real and imaginary parts of a spectrum, weighted by the wavelength as in natural images."""
    channels, height, width = shape
    rows, columns = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    weights = 1 / (rows[:, None] ** 2 + columns**2).sqrt().clamp(min=1 / max(height, width))
    weights = (weights / weights.square().mean().sqrt() / 2**0.5)[
        ..., None
    ]  # for initial noise as strong as with pixels

    def pixels(values: Tensor) -> Tensor:
        image: Tensor = torch.fft.irfft2(torch.view_as_complex(values * weights), s=[height, width], norm="ortho")
        return image

    return _ImageParameterization((1, channels, height, width // 2 + 1, 2), pixels)


_PARAMETERIZATIONS: dict[str, Callable[[Shape], _ImageParameterization]] = {
    "pixel": lambda shape: _ImageParameterization((1, *shape), lambda values: values),
    "fourier": _make_fourier_parameterization,
}
