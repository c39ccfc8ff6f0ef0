"""The image that a channel, a unit or a class reacts to most: activation maximisation.

Sources: Erhan, Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of a Deep Network", 2009; Olah,
Mordvintsev and Schubert, "Feature Visualization", Distill 2017.
"""

from collections.abc import Callable, Iterator
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
Objective = Literal["channel", "centre", "class"]
Parameterization = Literal["fourier", "pixel"]

OBJECTIVES: dict[Objective, tuple[str, str]] = {
    "channel": ("Whole channel", "The mean of the channel's map is to grow: what it looks for, all over the image."),
    "centre": ("Middle value", "The value in the middle of the map is to grow: the one pattern that is looked for."),
    "class": ("Class", "The score of the class is to grow: what the net takes for the best example of it."),
}
"""Title and one sentence."""

_YIELD_EVERY = 8  # steps from one look at the image to the next
_INITIAL_LOGIT = -2.0  # before the sigmoid: nearly black, and steep enough to come away from
_LOGIT_SCALE = (
    4.0  # so far does a value reach before the sigmoid: with Adam's usual lr, 128 steps go from black to white
)
_INITIAL_NOISE_STD = 0.075
_SIGMOID_LEAK = 0.02
_RELU_LEAK = 0.1
_RELATIVE_EPS = (
    0.3  # in place of Adam's epsilon, in units of the usual slope: else waves that do not matter become noise
)
_JITTER_DIVISOR = 8  # a pattern is shifted by at most such a part of its size: a small one would be smeared


@dataclass(frozen=True)
class MaximizationSettings:
    """How the image is sought.

    ``lr`` is Adam's, ``jitter`` the most pixels of random shift in each step (fewer where a value sees under 16 of
    them). ``total_variation_weight`` and ``sparsity_weight`` are prices, of differences between neighbours (total variation) and of ink, in
    units of the objective's steepest slope, so that they mean the same in every layer. "fourier" changes waves in
    place of single pixels, the long ones faster.
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
    """The best image so far (channels, height, width), values 0 to 1, after ``step`` of ``steps`` steps.

    ``score`` is its objective, not shifted; ``initial_score`` that of the faint noise that it began as.
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
) -> Iterator[tuple[Progress, MaximizationResult]]:
    """An image that makes a channel large: the start, then the best so far every few steps; the last is the answer.

    What grows is the value before the layer's activation, where there is one: an activation that is shut has no slope
    to climb. Of maps it is the mean, or the middle value; of a vector the unit's value; of the output layer, with any
    objective, the logit of class ``channel``, which is −z for class 0 of a sigmoid. A first convolution's mean adds up
    pixels, with no place for a pattern: there the middle value shows more. Raises PlaygroundError for a layer that is
    not there or switched off, a channel or class that it does not have, and settings out of bounds.
    """
    least = min(settings.jitter, settings.total_variation_weight, settings.sparsity_weight)
    if settings.steps < 1 or settings.lr <= 0 or least < 0 or settings.parameterization not in _PARAMETERIZATIONS:
        raise PlaygroundError(
            f"These settings cannot be used: {settings}.",
            expected=f"One step at least, lr above 0, nothing below 0; {' or '.join(_PARAMETERIZATIONS)}.",
        )
    return _optimize(
        _ObjectiveFunction(model, layer_index, channel, objective), model.architecture.input.shape, settings
    )


def _optimize(
    target: "_ObjectiveFunction", shape: Shape, settings: MaximizationSettings
) -> Iterator[tuple[Progress, MaximizationResult]]:
    dice = make_generator("dream", settings.seed)
    paint = _PARAMETERIZATIONS[settings.parameterization](shape)
    jitter = min(settings.jitter, target.receptive_field_size // _JITTER_DIVISOR)
    start = _INITIAL_NOISE_STD * torch.randn(paint.shape, generator=dice)
    values, adam, half = start, Adam(start, _RELATIVE_EPS), (settings.steps + 1) // 2
    best = paint.to_image(start)
    first_score = score = target.evaluate(best)

    def report(step: int) -> tuple[Progress, MaximizationResult]:
        progress = Progress(f"Activation {score:.4g} after {step} steps", step, settings.steps)
        return progress, MaximizationResult(best[0].numpy().copy(), score, first_score, step, settings.steps)

    yield report(0)
    for step in range(1, settings.steps + 1):
        if step == half + 1 and score == first_score:  # leaks and shifts led nowhere: straight on
            values, adam, jitter = start, Adam(start, _RELATIVE_EPS), 0
        shift = torch.randint(-jitter, jitter + 1, (2,), generator=dice).tolist()
        slope = _compute_gradient(target, paint, values, shift, settings, leaky=step <= half)
        values = values - settings.lr * adam.compute_direction(slope)
        if step % _YIELD_EVERY == 0 or step == settings.steps:
            image = paint.to_image(values)
            reached = target.evaluate(image)
            if reached > score:
                best, score = image, reached
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
    """How the loss, which is to fall, grows with each of ``values``."""
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        image = parameterization.to_image(values)
        shifted = image.detach().roll(shift, dims=(2, 3))
        gain = target.compute_gradient(shifted, leaky=leaky).roll([-pixels for pixels in shift], dims=(2, 3))
        variation = image.diff(dim=2).abs().sum() + image.diff(dim=3).abs().sum()
        price = settings.sparsity_weight * image.sum() + settings.total_variation_weight * variation
        # The slope of this sum of products is that of the objective itself, scaled.
        return torch.autograd.grad(price - (gain * image).sum(), values)[0]


class _ObjectiveFunction:
    """The number that is to grow, as a function of an image (1, channels, height, width)."""

    def __init__(self, model: Model, layer_index: int, channel: int, objective: Objective) -> None:
        steps = get_steps_up_to(model.architecture, layer_index)
        layer, span = steps[-1].layer, list_module_ranges(model.architecture)[len(steps) - 1]
        self._is_output = layer.kind == "output"
        if objective not in OBJECTIVES or (objective == "class" and not self._is_output):
            raise PlaygroundError(
                f"Layer {layer_index + 1} has no objective {objective!r}.",
                expected=f"One of: {', '.join(OBJECTIVES)}; classes are the output layer's.",
            )
        count = model.architecture.classes if self._is_output else steps[-1].output_shape[0]
        if not 0 <= channel < count:
            raise PlaygroundError(f"Layer {layer_index + 1} has no channel {channel + 1}.", expected=f"It has {count}.")
        has_activation = not self._is_output and getattr(layer, "activation", "none") != "none"
        self._modules = model.module[: span.stop - has_activation]
        self._channel, self._objective = channel, objective
        self.receptive_field_size = max(summarize(model.architecture).layers[layer_index].receptive_field)

    def evaluate(self, image: Tensor) -> float:
        """The objective of an image as it is."""
        with torch.inference_mode():
            return float(self._select_value(self._modules(image)))

    def compute_gradient(self, image: Tensor, *, leaky: bool) -> Tensor:
        """How the objective grows with each pixel, the steepest slope scaled to 1."""
        with torch.enable_grad():
            image = image.detach().requires_grad_()
            values = _forward_leaky(self._modules, image) if leaky else self._modules(image)
            (found,) = torch.autograd.grad(self._select_value(values), image)
            return found / found.abs().max().clamp(min=1e-30)

    def _select_value(self, values: Tensor) -> Tensor:
        if self._is_output and values.shape[1] == 1:
            return values[0, 0] if self._channel else -values[0, 0]
        value = values[0, self._channel]
        if value.dim() == 0:
            return value
        return value[value.shape[0] // 2, value.shape[1] // 2] if self._objective == "centre" else value.mean()


def _forward_leaky(module: nn.Module, values: Tensor) -> Tensor:
    """The same values, but a ReLU that is shut lets a part of the slope through, which shows how to open it."""
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
    """From values of this shape to an image (1, channels, height, width), 0 to 1."""

    shape: Shape
    to_pixels: Callable[[Tensor], Tensor]

    def to_image(self, values: Tensor) -> Tensor:
        values = _LOGIT_SCALE * self.to_pixels(values) + _INITIAL_LOGIT
        # Adds nothing but a slope, so that a pixel that went all black or white can come back.
        return values.sigmoid() + _SIGMOID_LEAK * (values - values.detach())


def _make_fourier_parameterization(shape: Shape) -> _ImageParameterization:
    """The values are a spectrum's real and imaginary parts, weighted by the wavelength as in natural images."""
    channels, height, width = shape
    down, across = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    weights = 1 / (down[:, None] ** 2 + across**2).sqrt().clamp(min=1 / max(height, width))
    weights = (weights / weights.square().mean().sqrt() / 2**0.5)[..., None]  # so the noise is as strong as of pixels

    def pixels(values: Tensor) -> Tensor:
        found: Tensor = torch.fft.irfft2(torch.view_as_complex(values * weights), s=[height, width], norm="ortho")
        return found

    return _ImageParameterization((1, channels, height, width // 2 + 1, 2), pixels)


_PARAMETERIZATIONS: dict[str, Callable[[Shape], _ImageParameterization]] = {
    "pixel": lambda shape: _ImageParameterization((1, *shape), lambda values: values),
    "fourier": _make_fourier_parameterization,
}
