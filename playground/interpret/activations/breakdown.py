"""Explanation of one channel: inputs, weights and window, by the explanation rule of its layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from playground.core.architecture import ResolvedLayer
from playground.core.layers.shared.activation_functions import LEAKY_RELU_SLOPE
from playground.core.layers.shared.base import ExplainedOperation
from playground.core.shapes import is_spatial
from playground.engine.model.build import list_module_ranges
from playground.errors import PlaygroundError
from playground.interpret.activations.activations import LayerActivations
from playground.interpret.activations.arithmetic import ChannelExplanation, Window
from playground.interpret.activations.receptive_field import get_steps_up_to, list_receptive_spans
from playground.interpret.activations.weights import get_layer_weights
from playground.interpret.inference import infer
from playground.interpret.model import Model

Array = NDArray[np.float32]
INPUT_NAME = "input"
"""Name of the image where a layer reads it."""


def count_channels(values: LayerActivations) -> int:
    """Number of channels of a layer's activations: feature maps, or values of a vector."""
    return len(values.output)


def explain_channel(model: Model, image: Array, layer_index: int, channel: int) -> ChannelExplanation:
    """Explain a channel (one value of a vector) for ``image`` (channels, height, width), values 0 to 1.

    Raises PlaygroundError for a missing or disabled layer, or a missing channel.
    """
    steps = get_steps_up_to(model.architecture, layer_index)
    position = len(steps) - 1
    values = infer(model, image).activations
    if not 0 <= channel < count_channels(values[position]):
        raise PlaygroundError(
            f"Layer {layer_index + 1} has no channel {channel + 1}.",
            expected=f"It has {count_channels(values[position])}.",
        )
    inputs = values[position - 1].output if position else np.asarray(image, dtype=np.float32)
    return _ChannelExplainer(model, steps, position, channel, inputs, values[position]).explain()


def name_inputs(steps: Sequence[ResolvedLayer]) -> str:
    """Name the values that the last layer is explained by: the input, the layer below, or the inside of the layer."""
    layer = steps[-1].layer
    if layer.explanation.operation == "add" or layer.explanation.module_index > 0:
        return f"inside {layer.title}"
    return steps[-2].layer.title if len(steps) > 1 else INPUT_NAME


class _ChannelExplainer:
    """Inputs, weights and window of one channel, by the explanation rule of its layer."""

    def __init__(
        self,
        model: Model,
        steps: tuple[ResolvedLayer, ...],
        position: int,
        channel_index: int,
        inputs: Array,
        activations: LayerActivations,
    ) -> None:
        self.model, self.steps, self.position, self.channel_index = model, steps, position, channel_index
        self.inputs, self.activations = inputs, activations
        self.layer = steps[position].layer
        self.rule = self.layer.explanation
        module_range = list_module_ranges(model.architecture)[position]
        modules = model.module[module_range.start : module_range.stop]
        self.module: Any = modules[self.rule.module_index] if len(modules) else None
        if self.rule.module_index:
            with torch.inference_mode():
                self.inputs = _to_array(modules[: self.rule.module_index](torch.tensor(inputs)[None])[0])

    def explain(self) -> ChannelExplanation:
        match self.rule.operation:
            case "sum":
                return self._explain_convolution() if self.module.weight.ndim == 4 else self._explain_linear()
            case "largest" | "mean" as operation:
                return self._explain_pooling(operation)
            case "scale":
                return self._explain_normalization()
            case "add":
                return self._explain_residual()
            case "same" if not is_spatial(self.steps[self.position].output_shape):
                return self._explain_flatten()
            case operation:
                return self._explain_elementwise(operation)

    def _build_explanation(
        self,
        operation: ExplainedOperation,
        inputs: Array,
        window: Window,
        *,
        first_input_channel: int = 0,
        weights: Array | None = None,
        bias: float | None = None,
        norm_parameters: dict[str, float] | None = None,
    ) -> ChannelExplanation:
        after = _to_map(self.activations.output[self.channel_index])
        before = (
            after
            if self.activations.pre_activation is None
            else _to_map(self.activations.pre_activation[self.channel_index])
        )
        if operation == "function":
            before = inputs[0]
        return ChannelExplanation(
            layer_index=self.activations.layer_index,
            channel=self.channel_index,
            operation=operation,
            window=window,
            inputs=np.ascontiguousarray(inputs, dtype=np.float32),
            first_input_channel=first_input_channel,
            weights=weights,
            bias=bias,
            activation=self.layer.activation_name,
            pre_activation=before,
            output=after,
            receptive_rows=list_receptive_spans(self.steps, 0, channel=self.channel_index),
            receptive_columns=list_receptive_spans(self.steps, 1, channel=self.channel_index),
            input_name=name_inputs(self.steps),
            norm_parameters=norm_parameters or {},
            negative_slope=getattr(self.layer, "negative_slope", LEAKY_RELU_SLOPE),
        )

    def _explain_convolution(self) -> ChannelExplanation:
        module = self.module
        group_in, group_out = module.in_channels // module.groups, module.out_channels // module.groups
        first = self.channel_index // group_out * group_in
        (size, _), (stride, _), (dilation, _) = module.kernel_size, module.stride, module.dilation
        # PyTorch pads "same" for an even kernel with one more zero to the right and below.
        padding = dilation * (size - 1) // 2 if module.padding == "same" else module.padding[0]
        return self._build_explanation(
            "sum",
            self.inputs[first : first + group_in],
            Window((size, size), stride, (padding, padding), dilation),
            first_input_channel=first,
            weights=_to_array(module.weight[self.channel_index]),
            bias=None if module.bias is None else float(module.bias[self.channel_index]),
        )

    def _explain_linear(self) -> ChannelExplanation:
        weights = get_layer_weights(self.model, self.activations.layer_index)[-1]
        kernel = weights.kernels[self.channel_index]
        if not weights.is_spatial:
            kernel = kernel.reshape(1, 1, -1)
        return self._build_explanation(
            "sum",
            self.inputs.reshape(kernel.shape),
            Window((kernel.shape[1], kernel.shape[2])),
            weights=kernel,
            bias=None if weights.bias is None else float(weights.bias[self.channel_index]),
        )

    def _explain_pooling(self, operation: ExplainedOperation) -> ChannelExplanation:
        inputs = self.inputs[self.channel_index][None]
        window = Window((inputs.shape[1], inputs.shape[2]))
        if hasattr(self.module, "kernel_size"):
            size, stride, padding = self.module.kernel_size, self.module.stride, self.module.padding
            window = Window((size, size), stride, (padding, padding))
        return self._build_explanation(operation, inputs, window, first_input_channel=self.channel_index)

    def _explain_normalization(self) -> ChannelExplanation:
        norm, index = self.module, self.channel_index
        if self.rule.has_group_statistics:
            values = self.inputs.reshape(norm.num_groups, -1)[index // (len(self.inputs) // norm.num_groups)]
            mean, variance = float(values.mean(dtype=np.float64)), float(values.var(dtype=np.float64))
        else:
            mean, variance = float(norm.running_mean[index]), float(norm.running_var[index])
        scale = 1.0 if norm.weight is None else float(norm.weight[index])
        shift = 0.0 if norm.bias is None else float(norm.bias[index])
        parameters = {"mean": mean, "variance": variance, "scale": scale, "shift": shift, "eps": float(norm.eps)}
        return self._explain_elementwise("scale", parameters)

    def _explain_elementwise(
        self, operation: ExplainedOperation, norm_parameters: dict[str, float] | None = None
    ) -> ChannelExplanation:
        inputs = _to_map(self.inputs[self.channel_index])[None]
        calls = self.layer.build_torch_calls(self.steps[self.position].input_shape)
        padding = calls[0].window.padding if operation == "same" and calls and calls[0].window else (0, 0)
        return self._build_explanation(
            operation,
            inputs,
            Window(padding=padding),
            first_input_channel=self.channel_index,
            norm_parameters=norm_parameters,
        )

    def _explain_flatten(self) -> ChannelExplanation:
        shape = self.steps[self.position].input_shape
        if not is_spatial(shape):
            return self._explain_elementwise("same")
        channel, row, column = (int(index) for index in np.unravel_index(self.channel_index, shape))
        return self._build_explanation(
            "same", self.inputs[channel][None], Window(padding=(-row, -column)), first_input_channel=channel
        )

    def _explain_residual(self) -> ChannelExplanation:
        block = self.module
        with torch.inference_mode():
            maps = torch.tensor(self.inputs)[None]
            branches = [_to_array(branch(maps)[0, self.channel_index]) for branch in (block.body, block.shortcut)]
        return self._build_explanation("add", np.stack(branches), Window())


def _to_map(values: Array) -> Array:
    """A channel's values as (height, width); a single value becomes a 1×1 map."""
    return np.asarray(values, dtype=np.float32).reshape(values.shape if values.ndim == 2 else (1, 1))


def _to_array(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().copy()
