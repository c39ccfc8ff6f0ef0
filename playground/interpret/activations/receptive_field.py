"""Exact receptive field of one value, traced back through every sliding window.

The formula of ``core.shapes.ReceptiveField`` is not exact for branches of a block with different strides, and for
pooling that drops a row.
"""

from collections.abc import Sequence

import numpy as np

from playground.core.architecture import Architecture, ResolvedLayer
from playground.core.layers import TorchCall
from playground.core.shapes import SlidingWindow, is_spatial
from playground.errors import PlaygroundError

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels of the input, the ends exclusive."""
Span = tuple[int, int]
"""The first pixel along an axis and the one after the last; equal if only padding contributes."""


def compute_receptive_box(architecture: Architecture, layer_index: int, row: int, column: int) -> Box | None:
    """The input box that a value of a layer's feature maps depends on.

    None for the whole input, or for a layer without feature maps. Raises PlaygroundError for a missing layer.
    """
    return compute_box_of_last(get_steps_up_to(architecture, layer_index), row, column)


def get_steps_up_to(architecture: Architecture, layer_index: int) -> tuple[ResolvedLayer, ...]:
    """The enabled layers up to one of them; raises PlaygroundError for a missing or disabled layer."""
    steps = architecture.resolve_layers()
    for position, step in enumerate(steps):
        if step.index == layer_index:
            return steps[: position + 1]
    raise PlaygroundError(
        f"There is no layer {layer_index + 1} in this network.", expected="An enabled layer of the network."
    )


def compute_box_of_last(steps: Sequence[ResolvedLayer], row: int, column: int) -> Box | None:
    """The input box of a value of the last of these layers."""
    if not is_spatial(steps[-1].output_shape):
        return None
    (top, bottom), (left, right) = compute_receptive_span(steps, row, 0), compute_receptive_span(steps, column, 1)
    whole = ((0, steps[0].input_shape[1]), (0, steps[0].input_shape[2]))
    return None if ((top, bottom), (left, right)) == whole else (top, left, bottom, right)


def compute_receptive_span(steps: Sequence[ResolvedLayer], position: int, axis: int) -> Span:
    """The receptive field of a position of the last layer along an axis (0: rows, 1: columns)."""
    positions: tuple[int, int] | None = (position, position)
    for step in reversed(steps):
        positions = _trace_back(step.layer.build_torch_calls(step.input_shape), positions, axis)
        if positions is not None:
            first, last = max(positions[0], 0), min(positions[1], step.input_shape[1 + axis] - 1)
            positions = (first, last) if first <= last else None
    return (0, 0) if positions is None else (positions[0], positions[1] + 1)


def list_receptive_spans(steps: Sequence[ResolvedLayer], axis: int, *, channel: int = 0) -> tuple[Span, ...]:
    """The receptive field of every row (axis 0) or column (axis 1) of a channel of the last layer.

    A value of a vector has one span: all pixels, or those of the value that a view such as Flatten passes on.
    """
    step = steps[-1]
    if is_spatial(step.output_shape):
        return tuple(compute_receptive_span(steps, position, axis) for position in range(step.output_shape[1 + axis]))
    if step.layer.is_view and is_spatial(step.input_shape):
        position = int(np.unravel_index(channel, step.input_shape)[1 + axis])
        return (compute_receptive_span(steps[:-1], position, axis) if steps[:-1] else (position, position + 1),)
    return ((0, steps[0].input_shape[1 + axis]),) if is_spatial(steps[0].input_shape) else ((0, 0),)


def _trace_back(calls: Sequence[TorchCall], positions: tuple[int, int] | None, axis: int) -> tuple[int, int] | None:
    """The first and last input position of these modules for a range of output positions, along one axis."""
    for call in reversed(calls):
        if positions is None:
            return None
        if call.body:
            body = _trace_back(call.body, positions, axis)
            shortcut = _trace_back(call.shortcut, positions, axis)
            if body and shortcut:
                positions = min(body[0], shortcut[0]), max(body[1], shortcut[1])
        elif call.window:
            positions = _trace_through_window(call.window, positions, axis)
    return positions


def _trace_through_window(window: SlidingWindow, positions: tuple[int, int], axis: int) -> tuple[int, int]:
    if window.kernel_size is None:
        return 0, 10**9
    first, last = (position * window.stride - window.padding[axis] for position in positions)
    return first, last + window.dilation * (window.kernel_size - 1)
