"""The network as it is trained: the same layers, laid out so that a step has little to do beside the arithmetic.

One update of one buffer instead of one for each weight, one rounding of all weights instead of autocast's of each, and
a ReLU that runs on the pooled map instead of the whole one.
"""

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from playground.engine.model.build import Residual
from playground.engine.model.device import DeviceConfig


class FlatParameters:
    """A model's weights in one buffer, and its layers as a training step runs them.

    The model itself stays in float32, for measuring and saving; its weights become views of ``buffer``. With bfloat16,
    convolutions and linear layers compute with rounded weights. Weights that need no gradient are frozen; ``parameter_groups`` are
    what an optimizer has to update, each a stretch of ``buffer``: "transferred" (weights of these names) and "new".
    """

    def __init__(
        self, model: nn.Sequential, device_config: DeviceConfig, transferred_names: Collection[str] = ()
    ) -> None:
        kinds = _group_trainable_parameters(model, transferred_names)
        learning = [weight for members in kinds.values() for weight in members]
        weights = [*learning, *(weight for weight in model.parameters() if not weight.requires_grad)]
        self.buffer = weights[0].data.new_empty(sum(weight.numel() for weight in weights))
        for weight, view in zip(weights, _split_into_views(self.buffer, weights), strict=True):
            view.copy_(weight.data)
            weight.data = view
        self._bfloat16_buffer = self.buffer.bfloat16() if device_config.is_bfloat16 else None
        rounded = (
            ()
            if self._bfloat16_buffer is None
            else zip(weights, _split_into_views(self._bfloat16_buffer, weights), strict=True)
        )
        self._training_module = _build_training_module(model, dict(rounded))
        sizes = [sum(weight.numel() for weight in members) for members in kinds.values()]
        values = self.buffer[: sum(sizes)]
        gradient = torch.zeros_like(values)
        stretches = zip(kinds, torch.split(values, sizes), torch.split(gradient, sizes), strict=True)
        self.parameter_groups = {
            kind: _make_flat_parameter(own_values, own_gradient) for kind, own_values, own_gradient in stretches
        }
        self._gradient = gradient
        self._weights_by_group = kinds
        self._gradient_views = list(_split_into_views(gradient, learning))
        self._trainable_parameters = learning
        leaves = dict(zip(model.parameters(), self._training_module.parameters(), strict=True))
        self._leaf_parameters = [leaves[weight] for weight in learning]
        for weight, leaf, view in zip(learning, self._leaf_parameters, self._gradient_views, strict=True):
            if leaf is not weight:
                weight.grad = view

    def list_optimizer_groups(self, *, per_weight: bool = False) -> list[list[nn.Parameter]]:
        """Parameters for an optimizer, one list for each of ``parameter_groups``.

        With ``per_weight``, the model's own weights, in their shapes; they share their memory with the flat ones.
        """
        if per_weight:
            return list(self._weights_by_group.values())
        return [[flat] for flat in self.parameter_groups.values()]

    def forward(self, images: Tensor) -> Tensor:
        """The model's output for images (batch, channels, height, width), as float32 of which a loss can be taken."""
        if self._bfloat16_buffer is not None:
            self._bfloat16_buffer.copy_(self.buffer)
            images = images.bfloat16()
        scores: Tensor = self._training_module(images)
        return scores.to(self.buffer.dtype)

    def backward(self, output: Tensor, output_gradient: Tensor | None = None) -> None:
        """Write the gradient of a loss to that of ``parameter_groups``, which the model's weights share.

        ``output`` is the loss itself, or another tensor with the loss's gradient by it in ``output_gradient``.
        """
        for leaf in self._leaf_parameters:
            leaf.grad = None
        output.backward(output_gradient)  # type: ignore[no-untyped-call]
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
    """Contiguous copies on the CPU, with one transfer for all tensors that share a storage."""
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
    """All values in one row, in the order of ``_split_into_views``."""
    return (gradient.permute(0, 2, 3, 1) if gradient.ndim == 4 else gradient).reshape(-1)


def _group_trainable_parameters(model: nn.Module, transferred_names: Collection[str]) -> dict[str, list[nn.Parameter]]:
    """The weights that are not frozen, by the part that they belong to; no part is empty."""
    kinds: dict[str, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            kinds.setdefault("transferred" if name in transferred_names else "new", []).append(weight)
    return kinds


def _make_flat_parameter(values: Tensor, gradient: Tensor) -> nn.Parameter:
    part = nn.Parameter(values)
    part.grad = gradient
    return part


def _split_into_views(buffer: Tensor, weights: Iterable[Tensor]) -> Iterator[Tensor]:
    """Parts of ``buffer`` with the shapes of the weights; a convolution's with its channels last, as it computes."""
    start = 0
    for weight in weights:
        part = buffer[start : start + weight.numel()]
        start += weight.numel()
        if weight.ndim == 4:
            out_channels, in_channels, height, width = weight.shape
            yield part.view(out_channels, height, width, in_channels).permute(0, 3, 1, 2)
        else:
            yield part.view(weight.shape)


def _build_training_module(module: nn.Module, bfloat16_parameters: dict[nn.Parameter, Tensor]) -> nn.Module:
    """The same layers, with rounded weights where there are any; whatever keeps its own weights is shared."""
    match module:
        case nn.Sequential():
            return nn.Sequential(
                *(_build_training_module(part, bfloat16_parameters) for part in _move_relu_after_pooling(module))
            )
        case Residual():
            shortcut = _build_training_module(module.shortcut, bfloat16_parameters)
            return Residual(nn.Sequential(_build_training_module(module.body, bfloat16_parameters)), shortcut)
        case nn.Module() if bfloat16_parameters and _has_weight_matrix(module):
            double = copy.deepcopy(module)
            for name, weight in module.named_parameters():
                setattr(double, name, nn.Parameter(bfloat16_parameters[weight], requires_grad=weight.requires_grad))
            return double
        case nn.Module(running_mean=_, weight=nn.Parameter(requires_grad=False)):
            # With a mode of its own: a frozen one keeps its statistics while the model trains.
            return copy.copy(module).eval()
        case _:
            return module


def _has_weight_matrix(module: nn.Module) -> bool:
    """True for convolutions and linear layers; normalization has one weight per channel."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim > 1


def _move_relu_after_pooling(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """Every ReLU before a max pooling moved behind it: the same maps and gradients, from a fourth of the values.

    The largest of a window is the same before and after a ReLU, and no gradient passes where it is not positive.
    """
    order = list(layers)
    for place in range(len(order) - 1):
        if isinstance(order[place], nn.ReLU) and isinstance(order[place + 1], nn.MaxPool2d):
            order[place], order[place + 1] = order[place + 1], order[place]
    return order
