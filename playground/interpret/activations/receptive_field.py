"""What a value of a layer sees of the input: back through every window, place by place.

Exact also where the formula of a receptive field (``spec.shapes.ReceptiveField``) is not: where two ways of a block
have unlike strides, or pooling leaves out a row that padding then stands for.
"""

from collections.abc import Sequence

from playground.core.architecture import Architecture, Step
from playground.core.layers.base import TorchCall
from playground.core.shapes import is_map
from playground.errors import PlaygroundError

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels of the input, the ends exclusive."""
Span = tuple[int, int]
"""The first pixel along an axis, and the one after the last; equal if only padding is seen."""


def receptive_box(architecture: Architecture, layer_index: int, row: int, column: int) -> Box | None:
    """What the value at a place of a layer's maps sees of the input.

    None if that is the whole input, or the layer has no maps. Raises PlaygroundError for a layer that is not there.
    """
    return box_of(steps_up_to(architecture, layer_index), row, column)


def steps_up_to(architecture: Architecture, layer_index: int) -> tuple[Step, ...]:
    """The enabled layers up to one of them; raises PlaygroundError for a layer that is not there or switched off."""
    steps = architecture.steps()
    for place, step in enumerate(steps):
        if step.index == layer_index:
            return steps[: place + 1]
    raise PlaygroundError(
        f"There is no layer {layer_index + 1} to look into.", expected="A layer of the network that is switched on."
    )


def box_of(steps: Sequence[Step], row: int, column: int) -> Box | None:
    """The same for the last of these layers."""
    if not is_map(steps[-1].output_shape):
        return None
    (top, bottom), (left, right) = seen_along(steps, row, 0), seen_along(steps, column, 1)
    whole = ((0, steps[0].input_shape[1]), (0, steps[0].input_shape[2]))
    return None if ((top, bottom), (left, right)) == whole else (top, left, bottom, right)


def seen_along(steps: Sequence[Step], place: int, axis: int) -> Span:
    """What a place of the last of these layers' maps sees along an axis (0: rows, 1: columns)."""
    places: tuple[int, int] | None = (place, place)
    for step in reversed(steps):
        places = _below(step.layer.torch_calls(step.input_shape), places)
        if places is not None:
            first, last = max(places[0], 0), min(places[1], step.input_shape[1 + axis] - 1)
            places = (first, last) if first <= last else None
    return (0, 0) if places is None else (places[0], places[1] + 1)


def _below(calls: Sequence[TorchCall], places: tuple[int, int] | None) -> tuple[int, int] | None:
    """Along one axis: the first and last place before these modules that the places after them, both ends, see."""
    for call in reversed(calls):
        if places is None:
            return None
        if call.name == "Residual":
            inner, around = _below(call.body, places), _below((call.shortcut,) if call.shortcut else (), places)
            if inner and around:
                places = min(inner[0], around[0]), max(inner[1], around[1])
        elif call.name == "AdaptiveAvgPool2d":
            places = 0, 10**9
        elif "kernel_size" in call.arguments:
            places = _through_window(call, places)
    return places


def _through_window(call: TorchCall, places: tuple[int, int]) -> tuple[int, int]:
    size = call.arguments["kernel_size"]
    stride = call.arguments.get("stride", 1 if call.name == "Conv2d" else size)
    extent = call.arguments.get("dilation", 1) * (size - 1)
    padding = call.arguments.get("padding", 0)
    if padding == "same":  # of an odd number of zeros torch puts the larger half at the end
        padding = extent // 2
    return places[0] * stride - padding, places[1] * stride - padding + extent
