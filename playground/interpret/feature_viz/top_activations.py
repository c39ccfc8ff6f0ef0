"""The images that excite a channel most, and the part of each that does it.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014; here with the receptive field
in place of their way back through the net.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from playground.core.architecture import Architecture, Step
from playground.core.shapes import shape_text
from playground.core.summary import summarize
from playground.engine.data.batch import Images, scale_pixels
from playground.engine.model.build import spans
from playground.errors import DataError
from playground.interpret.activations.receptive_field import Box, box_of, steps_up_to
from playground.interpret.model import Model

_AT_ONCE = 100
_AT_LEAST = 200  # images, whatever they cost: fewer are no choice


@dataclass(frozen=True)
class Exemplar:
    """One image: its place in the data, its label, and the channel's largest value for it.

    ``box``: (top, left, bottom, right) of the input, ends exclusive, which is all that this value sees; None where it
    sees everything.
    """

    index: int
    label: int
    value: float
    box: Box | None


@dataclass(frozen=True)
class Exemplars:
    """For every channel of a layer the images with the largest values, best first; ``count`` images were looked at."""

    layer_index: int
    count: int
    top: tuple[tuple[Exemplar, ...], ...]


def exemplars(
    model: Model, data: Images, layer_index: int, *, budget: float = 2e11, most: int = 9
) -> Iterator[tuple[float, Exemplars | None]]:
    """The ``most`` images that excite each channel of a layer most: (progress, None) on the way, then (1.0, result).

    A channel's value is the largest of its map, or the value of its unit in a vector, after the layer's activation; of
    equal values that of the earlier image (and place) counts. So many images are looked at, evenly chosen, that the
    layers up to this one cost at most ``budget`` multiply-adds, but 200 at least. Raises PlaygroundError for a layer
    that is not there or switched off, DataError for images that do not fit the net.
    """
    steps = steps_up_to(model.architecture, layer_index)
    wanted = model.architecture.input.shape
    if len(data) == 0 or tuple(data.images.shape[1:]) != wanted:
        found = shape_text(tuple(data.images.shape[1:]))
        raise DataError(
            f"The net cannot look at these images: {len(data)} of {found}.", expected=f"Some, of {shape_text(wanted)}."
        )
    return _search(model, data, steps, budget, most)


def _search(
    model: Model, data: Images, steps: tuple[Step, ...], budget: float, most: int
) -> Iterator[tuple[float, Exemplars | None]]:
    modules = model.module[: spans(model.architecture)[len(steps) - 1].stop]
    places = _chosen(data, _affordable(model.architecture, steps[-1].index, budget, len(data)))
    best = _Best(most)
    for start in range(0, len(places), _AT_ONCE):
        indices = places[start : start + _AT_ONCE]
        best.add(indices, *_peaks(modules, data.images[indices]))
        yield (start + len(indices)) / len(places), None
    yield 1.0, Exemplars(steps[-1].index, len(places), best.exemplars(data.labels, steps))


def _affordable(architecture: Architecture, layer_index: int, budget: float, available: int) -> int:
    cost = sum(row.multiply_adds for row in summarize(architecture).rows[: layer_index + 1])
    return min(available, max(_AT_LEAST, int(budget // max(cost, 1))))


def _chosen(data: Images, count: int) -> Tensor:
    """The places of the images that ``data.sample`` takes: numbers go the way of the images."""
    return Images(torch.arange(len(data)), data.labels).sample(count).images


def _peaks(modules: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The largest value of every channel, and its place in the map read row by row: (batch, channels) each."""
    with torch.inference_mode():
        values = modules(scale_pixels(images))
        rows = values.flatten(2) if values.dim() > 2 else values.unsqueeze(2)
        places = rows.argmax(dim=2)  # of equal ones the first, which max() does not promise
        return rows.gather(2, places.unsqueeze(2)).squeeze(2), places


class _Best:
    """The images with the largest values so far, for every channel: tensors (at most ``most``, channels)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: tuple[Tensor, Tensor, Tensor] | None = None

    def add(self, indices: Tensor, values: Tensor, places: Tensor) -> None:
        """Images by their places in the data, later than those before, with their (batch, channels) peaks."""
        new = (values, places, indices.unsqueeze(1).expand_as(places))
        joined = new if self._kept is None else tuple(map(torch.cat, zip(self._kept, new, strict=True)))
        # Stable, so that of equal values the earlier image stays ahead; topk promises no order of them.
        order = joined[0].sort(dim=0, descending=True, stable=True).indices[: self._most]
        values, places, indices = (part.gather(0, order) for part in joined)
        self._kept = values, places, indices

    def exemplars(self, labels: Tensor, steps: tuple[Step, ...]) -> tuple[tuple[Exemplar, ...], ...]:
        """What was kept, channel by channel."""
        if self._kept is None:
            return ()
        values, places, indices = self._kept
        width = steps[-1].output_shape[-1]
        boxes = {place: box_of(steps, *divmod(place, width)) for place in set(places.flatten().tolist())}
        columns = (part.T.tolist() for part in (indices, labels[indices], values, places))
        return tuple(
            tuple(
                Exemplar(index, label, value, boxes[place]) for index, label, value, place in zip(*channel, strict=True)
            )
            for channel in zip(*columns, strict=True)
        )
