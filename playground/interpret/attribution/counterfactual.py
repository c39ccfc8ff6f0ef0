"""Counterfactuals: the smallest change of an image that changes the predicted class."""

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.engine.model.build import expand_to_class_logits
from playground.engine.progress import Progress
from playground.errors import PlaygroundError
from playground.interpret.feature_viz.adam import Adam
from playground.interpret.model import Model

Array = NDArray[np.float32]

_STAGE = "Searching for the smallest change"
_YIELD_EVERY = 10  # steps
_WEIGHT_GROWTH, _WEIGHT_DECAY = 1.1, 0.9
_BISECTION_STEPS = 12
_RELATIVE_MIN_MARGIN = 1e-5
"""Margin of the target, as a share of the largest logit: more than the rounding error of other batch sizes."""


@dataclass(frozen=True)
class Counterfactual:
    """Image that is predicted as ``target``, or the closest attempt if ``is_successful`` is False.

    ``image`` (channels, height, width), 0 to 1; ``difference`` is it minus the original; ``probability`` is the
    target's; ``distance`` is the L2 norm of the difference, where one pixel from black to white is 1.
    """

    image: Array
    difference: Array
    target: int
    probability: float
    distance: float
    is_successful: bool


def find_counterfactual(
    model: Model, image: Array, target: int | None = None, *, steps: int = 150, lr: float = 0.02
) -> Generator[tuple[Progress, Counterfactual], None, None]:
    """Search for the smallest change of ``image`` (channels, height, width), 0 to 1, that makes it ``target``.

    Yields the progress and the best result so far, every ten steps; the last one is final. The search is local, so a
    smaller change may exist. ``target`` None is the second most probable class; an image that is predicted as
    ``target`` is returned unchanged. ``lr`` is Adam's. Raises PlaygroundError for an unknown class.

    Source: Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", 2017: ‖difference‖² plus a
    weighted hinge on the margin of the other classes, minimized by Adam; here the weight is adapted at every step
    instead of by a binary search, and pixels are clamped to 0…1.
    """
    if target is not None and not 0 <= target < model.architecture.classes:
        raise PlaygroundError(
            f"There is no class {target}.",
            expected=f"The network has the classes 0 to {model.architecture.classes - 1}.",
        )
    original = torch.tensor(image, dtype=torch.float32).unsqueeze(0)
    logits = _compute_logits(model.module, original)
    order = logits.argsort(descending=True).tolist()
    min_margin = _RELATIVE_MIN_MARGIN * float(logits.abs().max())
    problem = _SearchProblem(model.module, original, order[1] if target is None else target, min_margin)
    if order[0] == problem.target:
        unchanged = problem.to_counterfactual(problem.evaluate(original), is_successful=True)
        return (step for step in [(Progress(_STAGE, max(1, steps), max(1, steps)), unchanged)])
    return _search(problem, steps, lr)


@dataclass(frozen=True)
class _Candidate:
    """Changed image (1, channels, height, width), the target's margin over the other classes, and its distance."""

    pixels: Tensor
    margin: float
    distance: float
    reaches_target: bool

    def is_better_than(self, other: "_Candidate") -> bool:
        if self.reaches_target and other.reaches_target:
            return self.distance < other.distance
        return self.reaches_target if self.reaches_target != other.reaches_target else self.margin > other.margin


@dataclass(frozen=True)
class _SearchProblem:
    """Search for an image near ``original`` whose target has more than ``min_margin``."""

    module: nn.Module
    original: Tensor
    target: int
    min_margin: float

    def evaluate(self, pixels: Tensor) -> _Candidate:
        return self._make_candidate(pixels, float(_compute_margin(_compute_logits(self.module, pixels), self.target)))

    def evaluate_with_gradient(self, pixels: Tensor) -> tuple[_Candidate, Tensor]:
        """Evaluate ``pixels``, and compute the gradient of the target's margin there."""
        with torch.enable_grad():
            leaf = pixels.clone().requires_grad_()
            margin = _compute_margin(expand_to_class_logits(self.module(leaf))[0], self.target)
            (gradient,) = torch.autograd.grad(margin, leaf)
        return self._make_candidate(pixels, float(margin.detach())), gradient

    def _make_candidate(self, pixels: Tensor, margin: float) -> _Candidate:
        distance = float(torch.linalg.vector_norm(pixels - self.original))
        return _Candidate(pixels, margin, distance, reaches_target=margin > self.min_margin)

    def to_counterfactual(self, candidate: _Candidate, *, is_successful: bool) -> Counterfactual:
        probabilities = _compute_logits(self.module, candidate.pixels).double().softmax(0)
        return Counterfactual(
            image=candidate.pixels[0].numpy().copy(),
            difference=(candidate.pixels - self.original)[0].numpy().copy(),
            target=self.target,
            probability=float(probabilities[self.target]),
            distance=candidate.distance,
            is_successful=is_successful,
        )


def _search(problem: _SearchProblem, steps: int, lr: float) -> Generator[tuple[Progress, Counterfactual], None, None]:
    best = problem.evaluate(problem.original)
    pixels, adam = problem.original, Adam(problem.original)
    weight: float | None = None
    for step in range(steps):
        candidate, gradient = problem.evaluate_with_gradient(pixels)
        if candidate.is_better_than(best):
            best = candidate
        if weight is None:  # the exact weight for a linear network, so that the scale of the logits does not matter
            weight = 2 * (problem.min_margin - candidate.margin) / max(float(gradient.square().sum()), 1e-12)
        weight *= _WEIGHT_DECAY if candidate.reaches_target else _WEIGHT_GROWTH
        objective_gradient = 2 * (pixels - problem.original) - (0 if candidate.reaches_target else weight) * gradient
        # Decreasing steps, for a decision boundary that is closer than one step of ``lr``.
        rate = lr * (1 + math.cos(math.pi * step / steps)) / 2
        pixels = (pixels - rate * adam.compute_direction(objective_gradient)).clamp(0, 1)
        if step % _YIELD_EVERY == _YIELD_EVERY - 1 and step < steps - 1:
            yield Progress(_STAGE, step + 1, steps), problem.to_counterfactual(best, is_successful=best.reaches_target)
    if best.reaches_target:
        best = _bisect_to_boundary(problem, best)
    yield (
        Progress(_STAGE, max(1, steps), max(1, steps)),
        problem.to_counterfactual(best, is_successful=best.reaches_target),
    )


def _bisect_to_boundary(problem: _SearchProblem, far: _Candidate) -> _Candidate:
    """Find the nearest candidate that reaches the target on the line to ``far``, by bisection."""
    low, high, nearest = 0.0, 1.0, far
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2
        candidate = problem.evaluate(problem.original + middle * (far.pixels - problem.original))
        if candidate.reaches_target:
            high, nearest = middle, candidate
        else:
            low = middle
    return nearest


def _compute_margin(logits: Tensor, target: int) -> Tensor:
    """Logit of the target minus the largest other logit."""
    return logits[target] - torch.cat([logits[:target], logits[target + 1 :]]).max()


def _compute_logits(module: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return expand_to_class_logits(module(pixels))[0]
