"""The arithmetic behind one value of a layer, down to the single products; it adds up to the number that torch has."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from playground.core.layers.base import activation_calls
from playground.engine.model.build import class_scores
from playground.errors import PlaygroundError
from playground.interpret.activations.receptive_field import Box, Span

Array = NDArray[np.float32]
Rule = Literal["sum", "largest", "mean", "scale", "function", "same", "add"]
"""How a value comes from the patch below: weights times values, the largest, the mean, batch norm's shift and scale,
the activation alone, nothing at all, or a residual block's two ways added."""


@dataclass(frozen=True)
class Window:
    """Which values below belong to a place: it begins at place · stride - padding; (rows, columns) each."""

    kernel_size: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """The first row and column below, negative inside the padding."""
        return row * self.stride - self.padding[0], column * self.stride - self.padding[1]

    def box(self, row: int, column: int, height: int, width: int) -> Box:
        """What lies below, cut at the edges of maps of ``height`` x ``width``."""
        top, left = self.corner(row, column)
        rows, columns = (self.dilation * (size - 1) + 1 for size in self.kernel_size)
        (above, below), (before, after) = _cut(top, rows, height), _cut(left, columns, width)
        return above, before, below, after


def _cut(first: int, count: int, size: int) -> Span:
    """A stretch of pixels, cut at the edges; empty where it lies in the padding."""
    start = min(max(first, 0), size)
    return start, min(max(first + count, start), size)


@dataclass(frozen=True)
class Term:
    """One channel below: its patch, what each value counts, which places are not padding, and what it adds up to."""

    channel: int
    patch: Array
    weights: Array | None
    is_inside: NDArray[np.bool_]
    total: float


@dataclass(frozen=True)
class Arithmetic:
    """A value in all its parts: the terms' totals and the bias give ``total``, the activation makes it ``result``."""

    terms: tuple[Term, ...]
    bias: float | None
    total: float
    activation: str
    result: float
    patch_box: Box
    field_box: Box


@dataclass(frozen=True)
class Channel:
    """One channel of a layer and all that its values are computed from.

    ``below`` (channels, height, width): the channels that it looks at, the first of them number ``first_below`` of the
    layer below; ``weights`` (channels, rows, columns) where it has some; ``before`` and ``after`` (height, width):
    torch's values around the activation (the same where there is none). ``seen_rows`` and ``seen_columns``: which of
    the input each row and column of the map sees. ``numbers``: batch norm's.
    """

    layer_index: int
    channel: int
    rule: Rule
    window: Window
    below: Array
    first_below: int
    weights: Array | None
    bias: float | None
    activation: str
    before: Array
    after: Array
    seen_rows: tuple[Span, ...]
    seen_columns: tuple[Span, ...]
    numbers: dict[str, float] = field(default_factory=dict)

    def explain(self, row: int, column: int) -> Arithmetic:
        """The arithmetic of the value at a place; raises PlaygroundError outside of the map."""
        height, width = self.after.shape
        if not (0 <= row < height and 0 <= column < width):
            raise PlaygroundError(
                f"There is no value at row {row}, column {column}.", expected=f"The map has {height}×{width} values."
            )
        terms = tuple(self._term(number, row, column) for number in range(len(self.below)))
        total = self._total(terms)
        return Arithmetic(
            terms,
            self.bias,
            total,
            self.activation,
            _activate(self.activation, total),
            self.window.box(row, column, *self.below.shape[1:]),
            self.field_box(row, column),
        )

    def field_box(self, row: int, column: int) -> Box:
        """What the value sees of the input."""
        (top, bottom), (left, right) = self.seen_rows[row], self.seen_columns[column]
        return top, left, bottom, right

    def _term(self, number: int, row: int, column: int) -> Term:
        values = self.below[number]
        top, left = self.window.corner(row, column)
        rows, columns = (np.arange(size) * self.window.dilation for size in self.window.kernel_size)
        down, across = np.meshgrid(rows + top, columns + left, indexing="ij")
        inside = (down >= 0) & (down < values.shape[0]) & (across >= 0) & (across < values.shape[1])
        patch = np.where(inside, values[down.clip(0, values.shape[0] - 1), across.clip(0, values.shape[1] - 1)], 0)
        weights = None if self.weights is None else self.weights[number]
        products = patch.astype(np.float64) * (1 if weights is None else weights.astype(np.float64))
        total = patch[inside].max() if self.rule == "largest" else products.sum()
        return Term(self.first_below + number, patch.astype(np.float32), weights, inside, float(total))

    def _total(self, terms: tuple[Term, ...]) -> float:
        added = sum(term.total for term in terms)
        if self.rule == "mean":
            return added / float(np.prod(self.window.kernel_size))
        if self.rule == "scale":
            deviation = math.sqrt(self.numbers["variance"] + self.numbers["eps"])
            return (added - self.numbers["mean"]) / deviation * self.numbers["scale"] + self.numbers["shift"]
        return added + (self.bias or 0.0)


@dataclass(frozen=True)
class ClassStep:
    """From a class's score to its probability: the score, e to the power of it (less the largest score), the share."""

    score: float
    exponential: float
    probability: float


def class_steps(scores: Array) -> tuple[ClassStep, ...]:
    """Softmax in its steps, for the scores (units,) of an output layer; a sigmoid's z is softmax of (0, z)."""
    found = class_scores(torch.from_numpy(scores.astype(np.float64))[None])[0]
    exponentials = (found - found.max()).exp()
    total = float(exponentials.sum())
    parts = zip(found.tolist(), exponentials.tolist(), strict=True)
    return tuple(ClassStep(score, power, power / total) for score, power in parts)


def _activate(name: str, value: float) -> float:
    for call in activation_calls(name):
        module: nn.Module = getattr(nn, call.name)()
        return float(module(torch.tensor(value, dtype=torch.float64)))
    return value
