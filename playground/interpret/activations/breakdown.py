"""One channel of a layer with everything that its values are computed from, for every kind of layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from playground.core.architecture import Step
from playground.core.shapes import is_map
from playground.engine.model.build import spans
from playground.errors import PlaygroundError
from playground.interpret.activations.activations import LayerValues, layer_values
from playground.interpret.activations.arithmetic import Channel, Rule, Window
from playground.interpret.activations.receptive_field import Span, seen_along, steps_up_to
from playground.interpret.activations.weights import layer_weights
from playground.interpret.model import Model

Array = NDArray[np.float32]


def channel_count(values: LayerValues) -> int:
    """How many channels a layer's values have: its maps, or its values in a row."""
    return len(values.after)


def look_at_channel(model: Model, image: Array, layer_index: int, channel: int) -> Channel:
    """A channel of a layer for ``image`` (channels, height, width), values 0 to 1; of a vector, one of its values.

    Raises PlaygroundError for a layer that is not there or switched off, or a channel that it does not have.
    """
    steps = steps_up_to(model.architecture, layer_index)
    place = len(steps) - 1
    values = layer_values(model, image)
    if not 0 <= channel < channel_count(values[place]):
        raise PlaygroundError(
            f"Layer {layer_index + 1} has no channel {channel + 1}.",
            expected=f"It has {channel_count(values[place])}.",
        )
    below = values[place - 1].after if place else np.asarray(image, dtype=np.float32)
    return _Maker(model, steps, place, channel, below, values[place]).channel()


class _Maker:
    """Gathers what one channel is made of, by the kind of its layer."""

    def __init__(
        self, model: Model, steps: tuple[Step, ...], place: int, channel: int, below: Array, values: LayerValues
    ) -> None:
        self.model, self.steps, self.place, self.number = model, steps, place, channel
        self.below, self.values = below, values
        self.layer = steps[place].layer
        span = spans(model.architecture)[place]
        self.module: Any = model.module[span.start] if span.start < span.stop else None

    def channel(self) -> Channel:
        makers: dict[str, Callable[[], Channel]] = {
            "conv2d": self._convolution,
            "linear": self._linear,
            "output": self._linear,
            "max_pool2d": lambda: self._pooling("largest"),
            "avg_pool2d": lambda: self._pooling("mean"),
            "global_avg_pool": self._global_pooling,
            "batch_norm": self._batch_norm,
            "residual": self._residual,
            "flatten": self._flatten,
            "activation": lambda: self._alone("function"),
        }
        return makers.get(self.layer.kind, lambda: self._alone("same"))()

    def _made(
        self,
        rule: Rule,
        below: Array,
        window: Window,
        *,
        first_below: int = 0,
        weights: Array | None = None,
        bias: float | None = None,
        numbers: dict[str, float] | None = None,
    ) -> Channel:
        after = _as_map(self.values.after[self.number])
        before = after if self.values.before is None else _as_map(self.values.before[self.number])
        if rule == "function":
            before = below[0]
        own = getattr(self.layer, "activation", "none")
        return Channel(
            layer_index=self.values.layer_index,
            channel=self.number,
            rule=rule,
            window=window,
            below=np.ascontiguousarray(below, dtype=np.float32),
            first_below=first_below,
            weights=weights,
            bias=bias,
            activation="none" if self.layer.kind == "output" else own,
            before=before,
            after=after,
            seen_rows=self._seen(0, after.shape[0]),
            seen_columns=self._seen(1, after.shape[1]),
            numbers=numbers or {},
        )

    def _seen(self, axis: int, size: int) -> tuple[Span, ...]:
        steps, step = self.steps[: self.place + 1], self.steps[self.place]
        if is_map(step.output_shape):
            return tuple(seen_along(steps, place, axis) for place in range(size))
        if step.layer.kind == "flatten" and is_map(step.input_shape):
            place = int(np.unravel_index(self.number, step.input_shape)[1 + axis])
            return (seen_along(steps[:-1], place, axis) if steps[:-1] else (place, place + 1),)
        return ((0, self.steps[0].input_shape[1 + axis]),) if is_map(self.steps[0].input_shape) else ((0, 0),)

    def _convolution(self) -> Channel:
        module = self.module
        group_in, group_out = module.in_channels // module.groups, module.out_channels // module.groups
        first = self.number // group_out * group_in
        (size, _), (stride, _), (dilation, _) = module.kernel_size, module.stride, module.dilation
        # An even kernel cannot be padded evenly to keep the size: torch puts the odd zero to the right and below.
        padding = dilation * (size - 1) // 2 if module.padding == "same" else module.padding[0]
        return self._made(
            "sum",
            self.below[first : first + group_in],
            Window((size, size), stride, (padding, padding), dilation),
            first_below=first,
            weights=_array(module.weight[self.number]),
            bias=None if module.bias is None else float(module.bias[self.number]),
        )

    def _linear(self) -> Channel:
        (weights,) = layer_weights(self.model, self.values.layer_index)
        kernel = weights.kernels[self.number]
        if not weights.on_maps:
            kernel = kernel.reshape(1, 1, -1)
        return self._made(
            "sum",
            self.below.reshape(kernel.shape),
            Window((kernel.shape[1], kernel.shape[2])),
            weights=kernel,
            bias=None if weights.bias is None else float(weights.bias[self.number]),
        )

    def _pooling(self, rule: Rule) -> Channel:
        size, stride, padding = self.module.kernel_size, self.module.stride, self.module.padding
        window = Window((size, size), stride, (padding, padding))
        return self._made(rule, self.below[self.number][None], window, first_below=self.number)

    def _global_pooling(self) -> Channel:
        maps = self.below[self.number][None]
        return self._made("mean", maps, Window((maps.shape[1], maps.shape[2])), first_below=self.number)

    def _batch_norm(self) -> Channel:
        norm = self.module
        names = {"mean": norm.running_mean, "variance": norm.running_var, "scale": norm.weight, "shift": norm.bias}
        numbers = {name: float(tensor[self.number]) for name, tensor in names.items()}
        return self._alone("scale", {**numbers, "eps": norm.eps})

    def _alone(self, rule: Rule, numbers: dict[str, float] | None = None) -> Channel:
        below = _as_map(self.below[self.number])[None]
        return self._made(rule, below, Window(), first_below=self.number, numbers=numbers)

    def _flatten(self) -> Channel:
        shape = self.steps[self.place].input_shape
        if not is_map(shape):
            return self._alone("same")
        channel, row, column = (int(place) for place in np.unravel_index(self.number, shape))
        return self._made("same", self.below[channel][None], Window(padding=(-row, -column)), first_below=channel)

    def _residual(self) -> Channel:
        block = self.module
        with torch.inference_mode():
            maps = torch.from_numpy(self.below)[None]
            ways = [_array(way(maps)[0, self.number]) for way in (block.body, block.shortcut)]
        return self._made("add", np.stack(ways), Window())


def _as_map(values: Array) -> Array:
    """A channel's values as (height, width); a single value is a map of one."""
    return np.asarray(values, dtype=np.float32).reshape(values.shape if values.ndim == 2 else (1, 1))


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().copy()
