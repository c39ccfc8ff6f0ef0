"""Arithmetic of one value of a layer: contributions, bias and activation."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from playground.core.layers.shared.activation_functions import LEAKY_RELU_SLOPE, build_activation_calls
from playground.core.layers.shared.base import ExplainedOperation
from playground.engine.model.build import expand_to_class_logits
from playground.errors import PlaygroundError
from playground.interpret.activations.receptive_field import Box, Span

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """Sliding window over the input, which starts at position · stride - padding; sizes are (rows, columns)."""

    kernel_size: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1

    def first_position(self, row: int, column: int) -> tuple[int, int]:
        """The first row and column of the input, negative inside the padding."""
        return row * self.stride - self.padding[0], column * self.stride - self.padding[1]

    def box(self, row: int, column: int, height: int, width: int) -> Box:
        """The input patch of a position, clipped to maps of ``height`` x ``width``."""
        top, left = self.first_position(row, column)
        rows, columns = (self.dilation * (size - 1) + 1 for size in self.kernel_size)
        (above, below), (before, after) = _clip_span(top, rows, height), _clip_span(left, columns, width)
        return above, before, below, after


def _clip_span(first: int, count: int, size: int) -> Span:
    """A span of pixels, clipped to the map; empty inside the padding."""
    start = min(max(first, 0), size)
    return start, min(max(first + count, start), size)


@dataclass(frozen=True)
class Contribution:
    """Contribution of one input channel: its patch, weights, mask of positions outside the padding, and total."""

    channel: int
    patch: Array
    weights: Array | None
    inside_mask: NDArray[np.bool_]
    total: float


@dataclass(frozen=True)
class ValueExplanation:
    """One value with its contributions; their totals and the bias give ``pre_activation``."""

    contributions: tuple[Contribution, ...]
    bias: float | None
    pre_activation: float
    activation: str
    output: float
    patch_box: Box
    receptive_box: Box


@dataclass(frozen=True)
class ChannelExplanation:
    """One channel of a layer with the inputs and weights of its values.

    ``inputs`` (channels, height, width): the input channels that the channel depends on; the first is number
    ``first_input_channel`` of the previous layer. ``weights``: (channels, rows, columns). ``pre_activation`` and
    ``output`` (height, width): PyTorch's values before and after the activation, equal without one.
    ``receptive_rows`` and ``receptive_columns``: receptive field of each row and column of the map.
    ``input_name``: name of what ``inputs`` are (``name_inputs`` in breakdown.py). ``norm_parameters``: mean, variance,
    scale, shift and eps of a normalization. ``negative_slope``: that of a leaky ReLU.
    """

    layer_index: int
    channel: int
    operation: ExplainedOperation
    window: Window
    inputs: Array
    first_input_channel: int
    weights: Array | None
    bias: float | None
    activation: str
    pre_activation: Array
    output: Array
    receptive_rows: tuple[Span, ...]
    receptive_columns: tuple[Span, ...]
    input_name: str
    norm_parameters: dict[str, float] = field(default_factory=dict)
    negative_slope: float = LEAKY_RELU_SLOPE

    def explain_value(self, row: int, column: int) -> ValueExplanation:
        """Explain the value at a position; raises PlaygroundError outside the map."""
        height, width = self.output.shape
        if not (0 <= row < height and 0 <= column < width):
            raise PlaygroundError(
                f"There is no value at row {row}, column {column}.",
                expected=f"The feature map has {height}×{width} values.",
            )
        contributions = tuple(self._compute_contribution(index, row, column) for index in range(len(self.inputs)))
        total = self._combine(contributions)
        return ValueExplanation(
            contributions,
            self.bias,
            total,
            self.activation,
            _apply_activation(self.activation, self.negative_slope, total),
            self.window.box(row, column, *self.inputs.shape[1:]),
            self.compute_receptive_box(row, column),
        )

    def compute_receptive_box(self, row: int, column: int) -> Box:
        """The receptive field of the value in the input image."""
        (top, bottom), (left, right) = self.receptive_rows[row], self.receptive_columns[column]
        return top, left, bottom, right

    def _compute_contribution(self, input_index: int, row: int, column: int) -> Contribution:
        values = self.inputs[input_index]
        top, left = self.window.first_position(row, column)
        rows, columns = (np.arange(size) * self.window.dilation for size in self.window.kernel_size)
        down, across = np.meshgrid(rows + top, columns + left, indexing="ij")
        inside = (down >= 0) & (down < values.shape[0]) & (across >= 0) & (across < values.shape[1])
        patch = np.where(inside, values[down.clip(0, values.shape[0] - 1), across.clip(0, values.shape[1] - 1)], 0)
        weights = None if self.weights is None else self.weights[input_index]
        products = patch.astype(np.float64) * (1 if weights is None else weights.astype(np.float64))
        total = patch[inside].max() if self.operation == "largest" else products.sum()
        return Contribution(
            self.first_input_channel + input_index, patch.astype(np.float32), weights, inside, float(total)
        )

    def _combine(self, contributions: tuple[Contribution, ...]) -> float:
        total = sum(contribution.total for contribution in contributions)
        if self.operation == "mean":
            return total / float(np.prod(self.window.kernel_size))
        if self.operation == "scale":
            deviation = math.sqrt(self.norm_parameters["variance"] + self.norm_parameters["eps"])
            return (total - self.norm_parameters["mean"]) / deviation * self.norm_parameters[
                "scale"
            ] + self.norm_parameters["shift"]
        return total + (self.bias or 0.0)


@dataclass(frozen=True)
class SoftmaxStep:
    """Softmax of one class: its logit, the exponential of logit minus the largest logit, and the probability."""

    logit: float
    exponential: float
    probability: float


def compute_softmax_steps(logits: Array) -> tuple[SoftmaxStep, ...]:
    """Softmax step by step for the logits (units,); a sigmoid of z is the softmax of (0, z)."""
    class_logits = expand_to_class_logits(torch.from_numpy(logits.astype(np.float64))[None])[0]
    exponentials = (class_logits - class_logits.max()).exp()
    total = float(exponentials.sum())
    parts = zip(class_logits.tolist(), exponentials.tolist(), strict=True)
    return tuple(SoftmaxStep(logit, exponential, exponential / total) for logit, exponential in parts)


def _apply_activation(name: str, negative_slope: float, value: float) -> float:
    for call in build_activation_calls(name, negative_slope=negative_slope):
        module: nn.Module = getattr(nn, call.name)(**call.arguments)
        return float(module(torch.tensor(value, dtype=torch.float64)))
    return value
