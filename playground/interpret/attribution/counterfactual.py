"""The smallest change of an image that turns the net's guess into another class: what it would take."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.engine.model.build import class_scores
from playground.errors import PlaygroundError
from playground.interpret.feature_viz.adam import Adam
from playground.interpret.model import Model

Array = NDArray[np.float32]

_YIELD_EVERY = 10  # steps
_RISE, _FALL = 1.1, 0.9
_HALVINGS = 12
_SLACK = 1e-5
"""By how much the class must lead, as a share of the largest score: sums taken in another order must not undo it."""


@dataclass(frozen=True)
class Counterfactual:
    """An image near the one given that the net takes for ``target``, or the nearest to that where ``found`` is False.

    ``image`` (channels, height, width), 0 to 1; ``change`` is it less the image given, signed; ``probability`` the
    net's for ``target`` after the change; ``distance`` the change's L2 norm, in units of one pixel from black to white.
    """

    image: Array
    change: Array
    target: int
    probability: float
    distance: float
    found: bool


def counterfactual(
    model: Model, image: Array, target: int | None = None, *, steps: int = 150, lr: float = 0.02
) -> Iterator[tuple[float, Counterfactual]]:
    """Search for the smallest change of ``image`` (channels, height, width), 0 to 1, that makes the guess ``target``.

    Yields the progress, up to 1, and the best so far, every ten steps; the last one is the answer. It is a short way to
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
    scores = _scores(model.module, original)
    order = scores.argsort(descending=True).tolist()
    slack = _SLACK * float(scores.abs().max())
    question = _Question(model.module, original, order[1] if target is None else target, slack)
    if order[0] == question.target:
        return iter([(1.0, question.answer(question.attempt(original), found=True))])
    return _search(question, steps, lr)


@dataclass(frozen=True)
class _Attempt:
    """A changed image (1, channels, height, width), by how much the target leads there (negative: trails), how far."""

    pixels: Tensor
    lead: float
    distance: float
    flips: bool

    def is_better_than(self, other: "_Attempt") -> bool:
        if self.flips and other.flips:
            return self.distance < other.distance
        return self.flips if self.flips != other.flips else self.lead > other.lead


@dataclass(frozen=True)
class _Question:
    """What is asked: how to get from ``original`` to where the target leads by more than ``slack``."""

    module: nn.Module
    original: Tensor
    target: int
    slack: float

    def attempt(self, pixels: Tensor) -> _Attempt:
        return self._judged(pixels, float(_lead(_scores(self.module, pixels), self.target)))

    def attempt_with_slope(self, pixels: Tensor) -> tuple[_Attempt, Tensor]:
        """The attempt at ``pixels``, and the slope of the target's lead there."""
        with torch.enable_grad():
            leaf = pixels.clone().requires_grad_()
            lead = _lead(class_scores(self.module(leaf))[0], self.target)
            (slope,) = torch.autograd.grad(lead, leaf)
        return self._judged(pixels, float(lead.detach())), slope

    def _judged(self, pixels: Tensor, lead: float) -> _Attempt:
        distance = float(torch.linalg.vector_norm(pixels - self.original))
        return _Attempt(pixels, lead, distance, flips=lead > self.slack)

    def answer(self, attempt: _Attempt, *, found: bool) -> Counterfactual:
        probabilities = _scores(self.module, attempt.pixels).double().softmax(0)
        return Counterfactual(
            image=attempt.pixels[0].numpy().copy(),
            change=(attempt.pixels - self.original)[0].numpy().copy(),
            target=self.target,
            probability=float(probabilities[self.target]),
            distance=attempt.distance,
            found=found,
        )


def _search(question: _Question, steps: int, lr: float) -> Iterator[tuple[float, Counterfactual]]:
    best = question.attempt(question.original)
    pixels, adam = question.original, Adam(question.original)
    weight: float | None = None
    for step in range(steps):
        attempt, slope = question.attempt_with_slope(pixels)
        if attempt.is_better_than(best):
            best = attempt
        if weight is None:  # what a linear net would need, so that it suits nets of small and of large scores
            weight = 2 * (question.slack - attempt.lead) / max(float(slope.square().sum()), 1e-12)
        weight *= _FALL if attempt.flips else _RISE
        objective_slope = 2 * (pixels - question.original) - (0 if attempt.flips else weight) * slope
        # Ever smaller steps, for where the border is nearer than one of ``lr`` goes.
        rate = lr * (1 + math.cos(math.pi * step / steps)) / 2
        pixels = (pixels - rate * adam.direction(objective_slope)).clamp(0, 1)
        if step % _YIELD_EVERY == _YIELD_EVERY - 1 and step < steps - 1:
            yield (step + 1) / steps, question.answer(best, found=best.flips)
    if best.flips:
        best = _shortened(question, best)
    yield 1.0, question.answer(best, found=best.flips)


def _shortened(question: _Question, far: _Attempt) -> _Attempt:
    """The nearest attempt that still flips on the line to one that does, by bisection."""
    low, high, nearest = 0.0, 1.0, far
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        attempt = question.attempt(question.original + middle * (far.pixels - question.original))
        if attempt.flips:
            high, nearest = middle, attempt
        else:
            low = middle
    return nearest


def _lead(scores: Tensor, target: int) -> Tensor:
    """The target's score less the largest of the others'."""
    return scores[target] - torch.cat([scores[:target], scores[target + 1 :]]).max()


def _scores(module: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return class_scores(module(pixels))[0]
