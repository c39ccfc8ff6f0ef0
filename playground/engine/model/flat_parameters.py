"""The network as it is trained: the same layers, laid out so that a step has little to do beside the arithmetic.

One update of one buffer instead of one for each weight, one rounding of all weights instead of autocast's of each, and
a ReLU that runs on the pooled map instead of the whole one.
"""

import copy
from collections.abc import Collection, Iterable, Iterator

import torch
from torch import Tensor, nn

from playground.engine.model.build import Residual
from playground.engine.model.device import Compute


class WorkingCopy:
    """A model's weights in one buffer, and its layers as a training step runs them.

    The model itself stays in float32, for measuring and saving; its weights become views of ``buffer``. With bfloat16,
    convolutions and linear layers compute with rounded weights. Weights that need no gradient are frozen; ``parts`` are
    what an optimizer has to update, each a stretch of ``buffer``: "transferred" (weights of these names) and "new".
    """

    def __init__(self, model: nn.Sequential, compute: Compute, transferred: Collection[str] = ()) -> None:
        kinds = _learning(model, transferred)
        learning = [weight for members in kinds.values() for weight in members]
        weights = [*learning, *(weight for weight in model.parameters() if not weight.requires_grad)]
        self.buffer = weights[0].data.new_empty(sum(weight.numel() for weight in weights))
        for weight, view in zip(weights, _views(self.buffer, weights), strict=True):
            view.copy_(weight.data)
            weight.data = view
        self._rounded = self.buffer.bfloat16() if compute.bfloat16 else None
        rounded = () if self._rounded is None else zip(weights, _views(self._rounded, weights), strict=True)
        self._layers = _working(model, dict(rounded))
        sizes = [sum(weight.numel() for weight in members) for members in kinds.values()]
        values = self.buffer[: sum(sizes)]
        gradient = torch.zeros_like(values)
        stretches = zip(kinds, torch.split(values, sizes), torch.split(gradient, sizes), strict=True)
        self.parts = {kind: _part(own_values, own_gradient) for kind, own_values, own_gradient in stretches}
        self._gradients = list(_views(gradient, learning))
        leaves = dict(zip(model.parameters(), self._layers.parameters(), strict=True))
        self._leaves = [leaves[weight] for weight in learning]
        for weight, leaf, view in zip(learning, self._leaves, self._gradients, strict=True):
            if leaf is not weight:
                weight.grad = view

    def scores(self, images: Tensor) -> Tensor:
        """The model's output for images (batch, channels, height, width), as float32 of which a loss can be taken."""
        if self._rounded is not None:
            self._rounded.copy_(self.buffer)
            images = images.bfloat16()
        scores: Tensor = self._layers(images)
        return scores.to(self.buffer.dtype)

    def backward(self, loss: Tensor) -> None:
        """Leave the gradient of ``loss`` in that of ``parts``, and so in the model's weights."""
        for leaf in self._leaves:
            leaf.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        torch._foreach_copy_(self._gradients, [leaf.grad for leaf in self._leaves if leaf.grad is not None])


def _learning(model: nn.Module, transferred: Collection[str]) -> dict[str, list[nn.Parameter]]:
    """The weights that are not frozen, by the part that they belong to; no part is empty."""
    kinds: dict[str, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            kinds.setdefault("transferred" if name in transferred else "new", []).append(weight)
    return kinds


def _part(values: Tensor, gradient: Tensor) -> nn.Parameter:
    part = nn.Parameter(values)
    part.grad = gradient
    return part


def _views(buffer: Tensor, weights: Iterable[Tensor]) -> Iterator[Tensor]:
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


def _working(module: nn.Module, rounded: dict[nn.Parameter, Tensor]) -> nn.Module:
    """The same layers, with rounded weights where there are any; whatever keeps its own weights is shared."""
    match module:
        case nn.Sequential():
            return nn.Sequential(*(_working(part, rounded) for part in _pooled_first(module)))
        case Residual():
            shortcut = _working(module.shortcut, rounded)
            return Residual(nn.Sequential(_working(module.body, rounded)), shortcut)
        case nn.Conv2d() | nn.Linear() if rounded:
            double = copy.deepcopy(module)
            for name, weight in module.named_parameters():
                setattr(double, name, nn.Parameter(rounded[weight], requires_grad=weight.requires_grad))
            return double
        case nn.BatchNorm1d() | nn.BatchNorm2d() if not module.weight.requires_grad:
            # With a mode of its own: a frozen one keeps its statistics while the model trains.
            return copy.copy(module).eval()
        case _:
            return module


def _pooled_first(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """Every ReLU before a max pooling moved behind it: the same maps and gradients, from a fourth of the values.

    The largest of a window is the same before and after a ReLU, and no gradient passes where it is not positive.
    """
    order = list(layers)
    for place in range(len(order) - 1):
        if isinstance(order[place], nn.ReLU) and isinstance(order[place + 1], nn.MaxPool2d):
            order[place], order[place + 1] = order[place + 1], order[place]
    return order
