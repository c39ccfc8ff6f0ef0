"""The smallest change of an image that turns the net's guess into another class: what it would take."""

import math
from collections.abc import Iterator
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
"""By how much the class must lead, as a share of the largest score: sums taken in another order must not undo it."""


@dataclass(frozen=True)
class Counterfactual:
    """An image near the one given that the net takes for ``target``, or the nearest to that where ``is_successful`` is False.

    ``image`` (channels, height, width), 0 to 1; ``change`` is it less the image given, signed; ``probability`` the
    net's for ``target`` after the change; ``distance`` the change's L2 norm, in units of one pixel from black to white.
    """

    image: Array
    difference: Array
    target: int
    probability: float
    distance: float
    is_successful: bool


def find_counterfactual(
    model: Model, image: Array, target: int | None = None, *, steps: int = 150, lr: float = 0.02
) -> Iterator[tuple[Progress, Counterfactual]]:
    """Search for the smallest change of ``image`` (channels, height, width), 0 to 1, that makes the guess ``target``.

    Yields the progress and the best so far, every ten steps; the last one is the answer. It is a short way to
    the border between the classes, from a search that only sees slopes: a shorter one may exist. ``target`` None is the
    second guess; where the guess is ``target`` already, the answer is no change. ``lr`` is about how far a pixel moves
    in one of the first steps. Raises PlaygroundError for a class that there is not.

    Source: Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", 2017: ‖change‖² plus a weighted
    hinge on the lead of the other classes, minimised by Adam; here the weight follows the outcome of every step instead
    of being searched for by many runs, and pixels are clamped to 0…1.
    """
    if target is not None and not 0 <= target < model.architecture.classes:
        raise PlaygroundError(
            f"There is no class {target}.", expected=f"The net tells 0 to {model.architecture.classes - 1} apart."
        )
    original = torch.tensor(image, dtype=torch.float32).unsqueeze(0)
    scores = _compute_scores(model.module, original)
    order = scores.argsort(descending=True).tolist()
    slack = _RELATIVE_MIN_MARGIN * float(scores.abs().max())
    question = _SearchProblem(model.module, original, order[1] if target is None else target, slack)
    if order[0] == question.target:
        unchanged = question.to_counterfactual(question.evaluate(original), is_successful=True)
        return iter([(Progress(_STAGE, max(1, steps), max(1, steps)), unchanged)])
    return _search(question, steps, lr)


@dataclass(frozen=True)
class _Candidate:
    """A changed image (1, channels, height, width), by how much the target leads there (negative: trails), how far."""

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
    """What is asked: how to get from ``original`` to where the target leads by more than ``min_margin``."""

    module: nn.Module
    original: Tensor
    target: int
    min_margin: float

    def evaluate(self, pixels: Tensor) -> _Candidate:
        return self._make_candidate(pixels, float(_compute_margin(_compute_scores(self.module, pixels), self.target)))

    def evaluate_with_gradient(self, pixels: Tensor) -> tuple[_Candidate, Tensor]:
        """The attempt at ``pixels``, and the slope of the target's lead there."""
        with torch.enable_grad():
            leaf = pixels.clone().requires_grad_()
            lead = _compute_margin(expand_to_class_logits(self.module(leaf))[0], self.target)
            (slope,) = torch.autograd.grad(lead, leaf)
        return self._make_candidate(pixels, float(lead.detach())), slope

    def _make_candidate(self, pixels: Tensor, margin: float) -> _Candidate:
        distance = float(torch.linalg.vector_norm(pixels - self.original))
        return _Candidate(pixels, margin, distance, reaches_target=margin > self.min_margin)

    def to_counterfactual(self, candidate: _Candidate, *, is_successful: bool) -> Counterfactual:
        probabilities = _compute_scores(self.module, candidate.pixels).double().softmax(0)
        return Counterfactual(
            image=candidate.pixels[0].numpy().copy(),
            difference=(candidate.pixels - self.original)[0].numpy().copy(),
            target=self.target,
            probability=float(probabilities[self.target]),
            distance=candidate.distance,
            is_successful=is_successful,
        )


def _search(problem: _SearchProblem, steps: int, lr: float) -> Iterator[tuple[Progress, Counterfactual]]:
    best = problem.evaluate(problem.original)
    pixels, adam = problem.original, Adam(problem.original)
    weight: float | None = None
    for step in range(steps):
        attempt, slope = problem.evaluate_with_gradient(pixels)
        if attempt.is_better_than(best):
            best = attempt
        if weight is None:  # what a linear net would need, so that it suits nets of small and of large scores
            weight = 2 * (problem.min_margin - attempt.margin) / max(float(slope.square().sum()), 1e-12)
        weight *= _WEIGHT_DECAY if attempt.reaches_target else _WEIGHT_GROWTH
        objective_slope = 2 * (pixels - problem.original) - (0 if attempt.reaches_target else weight) * slope
        # Ever smaller steps, for where the border is nearer than one of ``lr`` goes.
        rate = lr * (1 + math.cos(math.pi * step / steps)) / 2
        pixels = (pixels - rate * adam.compute_direction(objective_slope)).clamp(0, 1)
        if step % _YIELD_EVERY == _YIELD_EVERY - 1 and step < steps - 1:
            yield Progress(_STAGE, step + 1, steps), problem.to_counterfactual(best, is_successful=best.reaches_target)
    if best.reaches_target:
        best = _bisect_to_boundary(problem, best)
    yield (
        Progress(_STAGE, max(1, steps), max(1, steps)),
        problem.to_counterfactual(best, is_successful=best.reaches_target),
    )


def _bisect_to_boundary(problem: _SearchProblem, far: _Candidate) -> _Candidate:
    """The nearest attempt that still flips on the line to one that does, by bisection."""
    low, high, nearest = 0.0, 1.0, far
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2
        attempt = problem.evaluate(problem.original + middle * (far.pixels - problem.original))
        if attempt.reaches_target:
            high, nearest = middle, attempt
        else:
            low = middle
    return nearest


def _compute_margin(scores: Tensor, target: int) -> Tensor:
    """The target's score less the largest of the others'."""
    return scores[target] - torch.cat([scores[:target], scores[target + 1 :]]).max()


def _compute_scores(module: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return expand_to_class_logits(module(pixels))[0]
