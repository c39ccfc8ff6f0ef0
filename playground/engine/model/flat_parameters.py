"""Flat parameter buffer and training layout of a model, for fewer kernels per step.

The optimizer updates one buffer instead of every weight, one conversion to bfloat16 replaces autocast's per layer, and
a ReLU before max pooling runs after it, on a quarter of the values.
"""

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from playground.engine.model.build import Residual
from playground.engine.model.device import DeviceConfig


class FlatParameters:
    """A model's weights in one buffer, and its layers as a training step runs them.

    The model stays in float32 for evaluation and snapshots; its weights become views of ``buffer``. In bfloat16,
    convolutions and linear layers compute with converted weights. ``parameter_groups`` are the optimizer's flat
    parameters, slices of ``buffer``: "transferred" (weights in ``transferred_names``) and "new". Frozen weights
    (``requires_grad`` False) belong to no group.
    """

    def __init__(
        self, model: nn.Sequential, device_config: DeviceConfig, transferred_names: Collection[str] = ()
    ) -> None:
        groups = _group_trainable_parameters(model, transferred_names)
        trainable = [weight for members in groups.values() for weight in members]
        weights = [*trainable, *(weight for weight in model.parameters() if not weight.requires_grad)]
        self.buffer = weights[0].data.new_empty(sum(weight.numel() for weight in weights))
        for weight, view in zip(weights, _split_into_views(self.buffer, weights), strict=True):
            view.copy_(weight.data)
            weight.data = view
        self._bfloat16_buffer = self.buffer.bfloat16() if device_config.is_bfloat16 else None
        bfloat16_views = (
            ()
            if self._bfloat16_buffer is None
            else zip(weights, _split_into_views(self._bfloat16_buffer, weights), strict=True)
        )
        self._training_module = _build_training_module(model, dict(bfloat16_views))
        sizes = [sum(weight.numel() for weight in members) for members in groups.values()]
        values = self.buffer[: sum(sizes)]
        gradient = torch.zeros_like(values)
        slices = zip(groups, torch.split(values, sizes), torch.split(gradient, sizes), strict=True)
        self.parameter_groups = {
            name: _make_flat_parameter(group_values, group_gradient) for name, group_values, group_gradient in slices
        }
        self._gradient = gradient
        self._weights_by_group = groups
        self._gradient_views = list(_split_into_views(gradient, trainable))
        self._trainable_parameters = trainable
        leaves = dict(zip(model.parameters(), self._training_module.parameters(), strict=True))
        self._leaf_parameters = [leaves[weight] for weight in trainable]
        for weight, leaf, view in zip(trainable, self._leaf_parameters, self._gradient_views, strict=True):
            if leaf is not weight:
                weight.grad = view

    def list_optimizer_groups(self, *, per_weight: bool = False) -> list[list[nn.Parameter]]:
        """List the optimizer's parameters, one list per entry of ``parameter_groups``.

        With ``per_weight``, the model's own weights, in their shapes; they share their memory with the flat ones.
        """
        if per_weight:
            return list(self._weights_by_group.values())
        return [[flat] for flat in self.parameter_groups.values()]

    def forward(self, images: Tensor) -> Tensor:
        """Compute the model's output for images (batch, channels, height, width), in the buffer's precision."""
        if self._bfloat16_buffer is not None:
            self._bfloat16_buffer.copy_(self.buffer)
            images = images.bfloat16()
        output: Tensor = self._training_module(images)
        return output.to(self.buffer.dtype)

    def backward(self, output: Tensor, output_gradient: Tensor | None = None) -> None:
        """Write the gradient of a loss to that of ``parameter_groups``, which the model's weights share.

        ``output`` is the loss itself, or another tensor with the loss's gradient by it in ``output_gradient``.
        """
        for leaf in self._leaf_parameters:
            leaf.grad = None
        output.backward(output_gradient)
        gradients = [leaf.grad for leaf in self._leaf_parameters if leaf.grad is not None]
        if output.device.type == "cuda" and len({gradient.dtype for gradient in gradients}) == 1:
            # One kernel over the whole GPU; a foreach copy gives each 65,536 values to a single multiprocessor.
            self._gradient.copy_(torch.cat([_flatten_in_buffer_order(gradient) for gradient in gradients]))
        else:
            torch._foreach_copy_(self._gradient_views, gradients)

    def attach_gradient_views(self) -> None:
        """Set ``grad`` of the model's trainable weights to views of the gradient of ``parameter_groups``."""
        for weight, view in zip(self._trainable_parameters, self._gradient_views, strict=True):
            weight.grad = view


def copy_to_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, with one transfer for all tensors that share a storage."""
    buffers: dict[tuple[int, torch.dtype], Tensor] = {}
    copies = {}
    for name, value in tensors.items():
        storage = value.untyped_storage()
        key = storage.data_ptr(), value.dtype
        if key not in buffers:
            buffers[key] = torch.empty(0, dtype=value.dtype, device=value.device).set_(storage).cpu()
        view = buffers[key].as_strided(value.size(), value.stride(), value.storage_offset())
        copies[name] = view.contiguous().clone()
    return copies


def _flatten_in_buffer_order(gradient: Tensor) -> Tensor:
    """Flatten a gradient in the order of ``_split_into_views``."""
    return (gradient.permute(0, 2, 3, 1) if gradient.ndim == 4 else gradient).reshape(-1)


def _group_trainable_parameters(model: nn.Module, transferred_names: Collection[str]) -> dict[str, list[nn.Parameter]]:
    """Group the trainable weights by parameter group; no group is empty."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault("transferred" if name in transferred_names else "new", []).append(weight)
    return groups


def _make_flat_parameter(values: Tensor, gradient: Tensor) -> nn.Parameter:
    parameter = nn.Parameter(values)
    parameter.grad = gradient
    return parameter


def _split_into_views(buffer: Tensor, weights: Iterable[Tensor]) -> Iterator[Tensor]:
    """Split a buffer into views shaped like the weights; kernels of convolutions lie in channels-last order."""
    start = 0
    for weight in weights:
        values = buffer[start : start + weight.numel()]
        start += weight.numel()
        if weight.ndim == 4:
            out_channels, in_channels, height, width = weight.shape
            yield values.view(out_channels, height, width, in_channels).permute(0, 3, 1, 2)
        else:
            yield values.view(weight.shape)


def _build_training_module(module: nn.Module, bfloat16_parameters: dict[nn.Parameter, Tensor]) -> nn.Module:
    """Build the module that is trained: bfloat16 weights for convolutions and linear layers, other layers shared."""
    match module:
        case nn.Sequential():
            return nn.Sequential(
                *(_build_training_module(part, bfloat16_parameters) for part in _move_relu_after_pooling(module))
            )
        case Residual():
            shortcut = _build_training_module(module.shortcut, bfloat16_parameters)
            return Residual(nn.Sequential(_build_training_module(module.body, bfloat16_parameters)), shortcut)
        case nn.Module() if bfloat16_parameters and _has_weight_matrix(module):
            converted = copy.deepcopy(module)
            for name, weight in module.named_parameters():
                setattr(converted, name, nn.Parameter(bfloat16_parameters[weight], requires_grad=weight.requires_grad))
            return converted
        case nn.Module(running_mean=_, weight=nn.Parameter(requires_grad=False)):
            # A copy in eval mode: frozen batch norm keeps its running statistics while the model trains.
            return copy.copy(module).eval()
        case _:
            return module


def _has_weight_matrix(module: nn.Module) -> bool:
    """True for convolutions and linear layers; normalization has one weight per channel."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim > 1


def _move_relu_after_pooling(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """Move every ReLU that precedes max pooling behind it: same feature maps and gradients, fewer values.

    Exact because ReLU is monotonic: the maximum of a window commutes with it, and no gradient passes where the
    maximum is not positive.
    """
    order = list(layers)
    for index in range(len(order) - 1):
        if isinstance(order[index], nn.ReLU) and isinstance(order[index + 1], nn.MaxPool2d):
            order[index], order[index + 1] = order[index + 1], order[index]
    return order
