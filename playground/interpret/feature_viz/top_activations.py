"""The images that excite a channel most, and the part of each that does it.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014; here with the receptive field
in place of their way back through the net.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from playground.core.architecture import Architecture, ResolvedLayer
from playground.core.shapes import format_shape
from playground.core.summary import summarize
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.model.build import list_module_ranges
from playground.engine.progress import Progress
from playground.errors import DataError
from playground.interpret.activations.receptive_field import Box, compute_box_of_last, get_steps_up_to
from playground.interpret.model import Model

_STAGE = "Running the test images through the layer"
_BATCH_SIZE = 100
_MIN_IMAGES = 200  # images, whatever they cost: fewer are no choice


@dataclass(frozen=True)
class TopActivation:
    """One image: its place in the data, its label, and the channel's largest value for it.

    ``box``: (top, left, bottom, right) of the input, ends exclusive, which is all that this value sees; None where it
    sees everything.
    """

    index: int
    label: int
    value: float
    box: Box | None


@dataclass(frozen=True)
class TopActivations:
    """For every channel of a layer the images with the largest values, best first; ``count`` images were looked at."""

    layer_index: int
    image_count: int
    per_channel: tuple[tuple[TopActivation, ...], ...]


def find_top_activations(
    model: Model, data: LabeledImages, layer_index: int, *, budget: float = 2e11, k: int = 9
) -> Iterator[tuple[Progress, TopActivations | None]]:
    """The ``k`` images that excite each channel of a layer most: (progress, None) on the way, then (progress, result).

    A channel's value is the largest of its map, or the value of its unit in a vector, after the layer's activation; of
    equal values that of the earlier image (and place) counts. So many images are looked at, evenly chosen, that the
    layers up to this one cost at most ``budget`` multiply-adds, but 200 at least. Raises PlaygroundError for a layer
    that is not there or switched off, DataError for images that do not fit the net.
    """
    steps = get_steps_up_to(model.architecture, layer_index)
    wanted = model.architecture.input.shape
    if len(data) == 0 or tuple(data.images.shape[1:]) != wanted:
        found = format_shape(tuple(data.images.shape[1:]))
        raise DataError(
            f"The net cannot look at these images: {len(data)} of {found}.",
            expected=f"Some, of {format_shape(wanted)}.",
        )
    return _search(model, data, steps, budget, k)


def _search(
    model: Model, data: LabeledImages, steps: tuple[ResolvedLayer, ...], budget: float, k: int
) -> Iterator[tuple[Progress, TopActivations | None]]:
    modules = model.module[: list_module_ranges(model.architecture)[len(steps) - 1].stop]
    places = _sample_indices(data, _limit_image_count(model.architecture, steps[-1].index, budget, len(data)))
    best = _TopK(k)
    for start in range(0, len(places), _BATCH_SIZE):
        indices = places[start : start + _BATCH_SIZE]
        best.add(indices, *_find_peaks(modules, data.images[indices]))
        yield Progress(_STAGE, start + len(indices), len(places)), None
    yield (
        Progress(_STAGE, len(places), len(places)),
        TopActivations(steps[-1].index, len(places), best.to_top_activations(data.labels, steps)),
    )


def _limit_image_count(architecture: Architecture, layer_index: int, budget: float, available: int) -> int:
    cost = sum(row.multiply_adds for row in summarize(architecture).layers[: layer_index + 1])
    return min(available, max(_MIN_IMAGES, int(budget // max(cost, 1))))


def _sample_indices(data: LabeledImages, count: int) -> Tensor:
    """The places of the images that ``data.sample`` takes: numbers go the way of the images."""
    return LabeledImages(torch.arange(len(data)), data.labels).sample(count).images


def _find_peaks(modules: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The largest value of every channel, and its place in the map read row by row: (batch, channels) each."""
    with torch.inference_mode():
        values = modules(scale_pixels(images))
        rows = values.flatten(2) if values.dim() > 2 else values.unsqueeze(2)
        places = rows.argmax(dim=2)  # of equal ones the first, which max() does not promise
        return rows.gather(2, places.unsqueeze(2)).squeeze(2), places


class _TopK:
    """The images with the largest values so far, for every channel: tensors (at most ``most``, channels)."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._kept: tuple[Tensor, Tensor, Tensor] | None = None

    def add(self, indices: Tensor, values: Tensor, places: Tensor) -> None:
        """Images by their places in the data, later than those before, with their (batch, channels) peaks."""
        new = (values, places, indices.unsqueeze(1).expand_as(places))
        joined = new if self._kept is None else tuple(map(torch.cat, zip(self._kept, new, strict=True)))
        # Stable, so that of equal values the earlier image stays ahead; topk promises no order of them.
        order = joined[0].sort(dim=0, descending=True, stable=True).indices[: self._k]
        values, places, indices = (part.gather(0, order) for part in joined)
        self._kept = values, places, indices

    def to_top_activations(
        self, labels: Tensor, steps: tuple[ResolvedLayer, ...]
    ) -> tuple[tuple[TopActivation, ...], ...]:
        """What was kept, channel by channel."""
        if self._kept is None:
            return ()
        values, places, indices = self._kept
        width = steps[-1].output_shape[-1]
        boxes = {place: compute_box_of_last(steps, *divmod(place, width)) for place in set(places.flatten().tolist())}
        columns = (part.T.tolist() for part in (indices, labels[indices], values, places))
        return tuple(
            tuple(
                TopActivation(index, label, value, boxes[place])
                for index, label, value, place in zip(*channel, strict=True)
            )
            for channel in zip(*columns, strict=True)
        )
