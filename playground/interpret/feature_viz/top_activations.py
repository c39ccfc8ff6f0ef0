"""Top activations: the images with the largest activation of each channel, and its receptive field in them.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014; here with the receptive field
in place of a deconvolutional network.
"""

import weakref
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from playground.core.architecture import Architecture, ResolvedLayer
from playground.core.shapes import format_shape
from playground.core.summary import summarize
from playground.engine.cache import ByteBoundedCache
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.model.build import list_module_ranges
from playground.engine.progress import Progress, Steps
from playground.errors import DataError
from playground.interpret.activations.receptive_field import Box, compute_box_of_last, get_steps_up_to
from playground.interpret.model import Model

_STAGE = "Running the test images through the layer"
_BATCH_SIZE = 100
_MAX_CACHED_BYTES, _ENTRY_BYTES = 32 * 2**20, 300  # a TopActivation and its four numbers
_MIN_IMAGES = 200  # whatever they cost: fewer would not be representative


@dataclass(frozen=True)
class TopActivation:
    """An image with a large activation: its index in the data, its label and the channel's largest value.

    ``box``: receptive field of this value in the input, (top, left, bottom, right), ends exclusive; None for the whole
    image.
    """

    index: int
    label: int
    value: float
    box: Box | None


@dataclass(frozen=True)
class TopActivations:
    """Images with the largest activations of every channel of a layer, the largest first, out of ``image_count``."""

    layer_index: int
    image_count: int
    per_channel: tuple[tuple[TopActivation, ...], ...]


def find_top_activations(
    model: Model, data: LabeledImages, layer_index: int, *, budget: float = 2e11, k: int = 9
) -> Steps[TopActivations]:
    """Find the ``k`` images with the largest activation of each channel in steps; the results are cached.

    A channel's activation is the maximum of its feature map, or the value of its unit, after the layer's activation
    function; the first of equal values counts. The images are an even sample, at least 200, for which the layers up to
    this one cost at most ``budget`` multiply-adds. Raises PlaygroundError for a layer that does not exist or is
    disabled, DataError for images that do not fit the network.
    """
    steps = get_steps_up_to(model.architecture, layer_index)
    input_shape = model.architecture.input.shape
    if len(data) == 0 or tuple(data.images.shape[1:]) != input_shape:
        raise DataError(
            f"The images do not fit the network: {len(data)} of {format_shape(tuple(data.images.shape[1:]))}.",
            expected=f"At least one image of {format_shape(input_shape)}.",
        )
    key = (model, weakref.ref(data), layer_index, budget, k)  # the cache does not keep the images
    return _cache.get_or_compute_in_steps(key, lambda: _search(model, data, steps, budget, k), is_resumable=True)


_cache: ByteBoundedCache[tuple[Model, weakref.ref[LabeledImages], int, float, int], TopActivations] = ByteBoundedCache(
    _MAX_CACHED_BYTES, lambda found: sum(map(len, found.per_channel)) * _ENTRY_BYTES
)


def _search(
    model: Model, data: LabeledImages, steps: tuple[ResolvedLayer, ...], budget: float, k: int
) -> Steps[TopActivations]:
    modules = model.module[: list_module_ranges(model.architecture)[len(steps) - 1].stop]
    sample = _sample_indices(data, _limit_image_count(model.architecture, steps[-1].index, budget, len(data)))
    best = _TopK(k)
    for start in range(0, len(sample), _BATCH_SIZE):
        yield Progress(_STAGE, start, len(sample))
        indices = sample[start : start + _BATCH_SIZE]
        best.add(indices, *_find_peaks(modules, data.images[indices]))
    return TopActivations(steps[-1].index, len(sample), best.to_top_activations(data.labels, steps))


def _limit_image_count(architecture: Architecture, layer_index: int, budget: float, available: int) -> int:
    cost = sum(row.multiply_adds for row in summarize(architecture).layers[: layer_index + 1])
    return min(available, max(_MIN_IMAGES, int(budget // max(cost, 1))))


def _sample_indices(data: LabeledImages, count: int) -> Tensor:
    """Indices of the images that ``data.sample`` takes."""
    return LabeledImages(torch.arange(len(data)), data.labels).sample(count).images


def _find_peaks(modules: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Largest value of every channel, and its index in the flattened feature map: (batch, channels) each."""
    with torch.inference_mode():
        values = modules(scale_pixels(images))
        rows = values.flatten(2) if values.dim() > 2 else values.unsqueeze(2)
        positions = rows.argmax(dim=2)  # the first of equal values, which max() does not guarantee
        return rows.gather(2, positions.unsqueeze(2)).squeeze(2), positions


class _TopK:
    """Images with the largest values so far, for every channel: tensors (at most ``k``, channels)."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._best: tuple[Tensor, Tensor, Tensor] | None = None

    def add(self, indices: Tensor, values: Tensor, positions: Tensor) -> None:
        """Add images by their indices in the data, in rising order, with their (batch, channels) peaks."""
        new = (values, positions, indices.unsqueeze(1).expand_as(positions))
        joined = new if self._best is None else tuple(map(torch.cat, zip(self._best, new, strict=True)))
        # A stable sort keeps the earlier of equal values first; topk guarantees no order.
        order = joined[0].sort(dim=0, descending=True, stable=True).indices[: self._k]
        values, positions, indices = (part.gather(0, order) for part in joined)
        self._best = values, positions, indices

    def to_top_activations(
        self, labels: Tensor, steps: tuple[ResolvedLayer, ...]
    ) -> tuple[tuple[TopActivation, ...], ...]:
        """Convert to the result, channel by channel."""
        if self._best is None:
            return ()
        values, positions, indices = self._best
        width = steps[-1].output_shape[-1]
        boxes = {
            position: compute_box_of_last(steps, *divmod(position, width))
            for position in set(positions.flatten().tolist())
        }
        columns = (part.T.tolist() for part in (indices, labels[indices], values, positions))
        return tuple(
            tuple(
                TopActivation(index, label, value, boxes[position])
                for index, label, value, position in zip(*channel, strict=True)
            )
            for channel in zip(*columns, strict=True)
        )
