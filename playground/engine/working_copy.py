"""The network as it is trained: the same layers, laid out so that a step has little to do beside the arithmetic.

One update of one buffer instead of one for each weight, one rounding of all weights instead of autocast's of each, and
a ReLU that runs on the pooled map instead of the whole one.
"""

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from playground.engine.build import Residual
from playground.engine.precision import Compute


class WorkingCopy:
    """A model's weights in one buffer, and its layers as a training step runs them.

    The model itself stays in float32, for measuring and saving; its weights become views of ``buffer``. ``parts`` are
    what an optimizer has to update, each a stretch of it: "transferred" weights (those of these names) and "new" ones;
    frozen weights lie before them. With bfloat16, convolutions and linear layers compute with rounded weights.
    """

    def __init__(self, model: nn.Sequential, compute: Compute, transferred: Collection[str] = ()) -> None:
        kinds: dict[str, list[nn.Parameter]] = {"frozen": [], "transferred": [], "new": []}
        for name, weight in model.named_parameters():
            learning = "transferred" if name in transferred else "new"
            kinds[learning if weight.requires_grad else "frozen"].append(weight)
        weights = [weight for members in kinds.values() for weight in members]
        sizes = [sum(weight.numel() for weight in members) for members in kinds.values()]
        self.buffer = weights[0].data.new_empty(sum(sizes))
        gradient = torch.zeros_like(self.buffer)
        for weight, view in zip(weights, _views(self.buffer, weights), strict=True):
            view.copy_(weight.data)
            weight.data = view
        self._rounded = self.buffer.bfloat16() if compute.bfloat16 else None
        rounded = () if self._rounded is None else zip(weights, _views(self._rounded, weights), strict=True)
        self._layers = _working(model, dict(rounded))
        self.parts: dict[str, nn.Parameter] = {}
        for kind, values, slope in zip(kinds, self.buffer.split(sizes), gradient.split(sizes), strict=True):
            if kind != "frozen" and kinds[kind]:
                self.parts[kind] = nn.Parameter(values)
                self.parts[kind].grad = slope
        leaves = dict(zip(model.parameters(), self._layers.parameters(), strict=True))
        views = dict(zip(weights, _views(gradient, weights), strict=True))
        self._gradients = [(leaf, views[weight]) for weight, leaf in leaves.items() if weight.requires_grad]
        for weight, leaf in leaves.items():
            if leaf is not weight and weight.requires_grad:
                weight.grad = views[weight]

    def scores(self, images: Tensor) -> Tensor:
        """The model's output for images (batch, channels, height, width), as float32 of which a loss can be taken."""
        if self._rounded is not None:
            self._rounded.copy_(self.buffer.data)
            images = images.bfloat16()
        scores: Tensor = self._layers(images)
        return scores.to(self.buffer.dtype)

    def backward(self, loss: Tensor) -> None:
        """Leave the gradient of ``loss`` in ``buffer.grad``, and so in the model's weights."""
        for leaf in self._leaves:
            leaf.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        torch._foreach_copy_(self._gradients, [leaf.grad for leaf in self._leaves if leaf.grad is not None])


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
                setattr(double, name, nn.Parameter(rounded[weight]))
            return double
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
