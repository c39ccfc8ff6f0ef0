"""Model editing: scale or ablate channels, edit kernels, and measure the change in accuracy."""

import copy
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.events import Evaluated
from playground.core.summary import summarize
from playground.engine.cache import ByteBoundedCache, cached
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.metrics import Evaluation
from playground.engine.model.build import expand_to_class_logits, list_module_ranges
from playground.engine.progress import Progress, Steps, run_to_end
from playground.engine.runs.imported_weights import create_run_from_weights
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.model import Model

_BATCH_SIZE = 250
_MAX_MULTIPLY_ADDS = 6e10
"""Multiply-adds of one measurement: about two seconds on a core."""
_MIN_IMAGES = 64
_MAX_ABLATION_IMAGES = 1000
_MAX_CACHED_BYTES, _MAX_PREFIX_BYTES = 64 * 2**20, 128 * 2**20


@dataclass(frozen=True)
class ChannelScale:
    """Multiply a channel's weights and bias by ``factor``; 0 switches it off."""

    layer_index: int
    channel: int
    factor: float


@dataclass(frozen=True)
class KernelEdit:
    """Replace the kernel (rows, columns) of a convolution between an input channel and an output channel."""

    layer_index: int
    channel: int
    input_channel: int
    kernel: tuple[tuple[float, ...], ...]


Edit = ChannelScale | KernelEdit


class EditComparison(NamedTuple):
    """Evaluations of a network before and after its edits, on the same images."""

    before: Evaluation
    after: Evaluation


@dataclass(frozen=True)
class AblationScore:
    """Decrease of the accuracy (0 to 1) and increase of the loss on ``size`` images without a channel.

    Negative values are improvements. The loss ranks channels that change no prediction.
    """

    channel: int
    accuracy_drop: float
    loss_increase: float
    size: int


def add_edit(edits: tuple[Edit, ...], edit: Edit) -> tuple[Edit, ...]:
    """Add an edit; it replaces an earlier one of the same weights, and a scale of 1 removes it."""

    def get_target(other: Edit) -> tuple[object, ...]:
        return type(other), other.layer_index, other.channel, getattr(other, "input_channel", None)

    is_identity = isinstance(edit, ChannelScale) and edit.factor == 1
    if any(get_target(other) == get_target(edit) for other in edits):
        return tuple(
            edit if get_target(other) == get_target(edit) else other
            for other in edits
            if not is_identity or get_target(other) != get_target(edit)
        )
    return edits if is_identity else (*edits, edit)


@cached(max_bytes=_MAX_CACHED_BYTES)
def apply_edits(model: Model, edits: tuple[Edit, ...]) -> Model:
    """Apply edits in their order to a copy of the network.

    Raises PlaygroundError for a layer or channel that does not exist or has no weights.
    """
    return _copy_with_edits(model, edits) if edits else model


def _copy_with_edits(model: Model, edits: tuple[Edit, ...]) -> Model:
    module = copy.deepcopy(model.module)
    with torch.no_grad():
        for edit in edits:
            part = module[_find_editable_module(model, edit.layer_index)]
            weight = part.weight
            if not isinstance(weight, Tensor) or not 0 <= edit.channel < len(weight):
                raise PlaygroundError(
                    f"Layer {edit.layer_index + 1} has no editable channel {edit.channel + 1}.",
                    expected="A channel of a convolution, a linear layer, batch norm or the output.",
                )
            if isinstance(edit, ChannelScale):
                weight[edit.channel] *= edit.factor
                if isinstance(part.bias, Tensor):
                    part.bias[edit.channel] *= edit.factor
            else:
                _write_kernel(weight, edit)
    return Model(model.run_id, model.step, model.architecture, module)


def _write_kernel(weight: Tensor, edit: KernelEdit) -> None:
    kernel = torch.tensor(edit.kernel, dtype=weight.dtype)
    if weight.ndim != 4 or not 0 <= edit.input_channel < weight.shape[1] or kernel.shape != weight.shape[2:]:
        raise PlaygroundError(
            "The kernel does not fit the layer.",
            expected=f"Kernels of this layer are {'×'.join(map(str, weight.shape[2:])) or 'single weights'}.",
        )
    if not torch.isfinite(kernel).all():
        raise PlaygroundError(
            "The kernel has empty or non-finite cells.", expected="Finite numbers.", fix="Fill in every cell."
        )
    weight[edit.channel, edit.input_channel] = kernel


def has_editable_channels(architecture: Architecture, layer_index: int) -> bool:
    """True if the channels of a layer have weights that can be scaled."""
    return architecture.layers[layer_index].get_channel_module_index() is not None


def _find_editable_module(model: Model, layer_index: int) -> int:
    """Index, in the network, of the module whose weights the edits of a layer change."""
    ranges = (item for item in list_module_ranges(model.architecture) if item.layer_index == layer_index)
    module_range = next(ranges, None)
    offset = model.architecture.layers[layer_index].get_channel_module_index() if module_range else None
    if module_range is None or offset is None:
        raise PlaygroundError(
            f"Layer {layer_index + 1} cannot be edited.",
            expected="A convolution, a linear layer, batch norm or the output.",
        )
    return module_range.start + offset


def measure_edits(model: Model, edits: tuple[Edit, ...], data: LabeledImages) -> Steps[EditComparison]:
    """Evaluate a network before and after edits, on as many images of ``data`` as fit two seconds, in steps.

    The result is cached, and the outputs of the layers below the first edit where they fit in memory.
    """
    key = (model, edits, weakref.ref(data))  # the caches do not keep the images
    return _comparison_cache.get_or_compute_in_steps(key, lambda: _compare(model, edits, data), is_resumable=True)


def _compare(model: Model, edits: tuple[Edit, ...], data: LabeledImages) -> Steps[EditComparison]:
    first = min(_find_editable_module(model, edit.layer_index) for edit in edits) if edits else 0
    prefix, before = yield from _get_prefix(model, data, _limit_image_count(model, len(data)), first)
    return EditComparison(before, (yield from prefix.evaluate(apply_edits(model, edits))) if edits else before)


def compute_ablation_scores(model: Model, layer_index: int, data: LabeledImages) -> Steps[tuple[AblationScore, ...]]:
    """Ablate the channels of a layer one by one; the scores, least important first, are cached.

    The number of images, 64 to 1,000, is chosen so that all channels together take four times as long as
    ``measure_edits``.
    """
    key = (model, layer_index, weakref.ref(data))  # the cache does not keep the images
    return _ablation_cache.get_or_compute_in_steps(key, lambda: _ablate(model, layer_index, data), is_resumable=True)


def _ablate(model: Model, layer_index: int, data: LabeledImages) -> Steps[tuple[AblationScore, ...]]:
    module_index = _find_editable_module(model, layer_index)
    weight = model.module[module_index].weight
    channels = len(weight) if isinstance(weight, Tensor) else 0
    count = min(_MAX_ABLATION_IMAGES, _limit_image_count(model, len(data), 4 * _MAX_MULTIPLY_ADDS / max(1, channels)))
    prefix, before = yield from _get_prefix(model, data, count, module_index)
    scores: list[AblationScore] = []
    for channel in range(channels):
        yield Progress(f"{channel} of {channels} channels", channel, channels)
        after = run_to_end(prefix.evaluate(_copy_with_edits(model, (ChannelScale(layer_index, channel, 0.0),))))
        scores.append(AblationScore(channel, before.accuracy - after.accuracy, after.loss - before.loss, after.size))
    return tuple(sorted(scores, key=lambda score: (score.accuracy_drop, score.loss_increase, score.channel)))


def save_edited(
    parent: Run, model: Model, edits: tuple[Edit, ...], evaluation: Evaluation, *, owner: str | None = None
) -> Run:
    """Save the edited network as a new run, which can be inspected and trained on.

    ``evaluation`` is the edited network's. Raises StorageError for a failed write.
    """
    weights = {name: value.detach().clone() for name, value in apply_edits(model, edits).module.state_dict().items()}
    history = parent.read_history()
    return create_run_from_weights(
        model.architecture.with_dropout_rates(parent.get_current_architecture(history).dropout_rates),
        parent.get_current_recipe(history),
        weights,
        Evaluated(
            step=0,
            elapsed_s=0,
            split="test",
            loss=evaluation.loss,
            accuracy=evaluation.accuracy,
            size=evaluation.size,
        ),
        name=f"{parent.record.name} › edited",
        owner=owner,
        parent=parent.id,
        parent_step=model.step,
    )


def _limit_image_count(model: Model, count: int, budget: float = _MAX_MULTIPLY_ADDS) -> int:
    cost = max(1, summarize(model.architecture).multiply_adds)
    return min(count, max(_MIN_IMAGES, int(budget / cost)))


@dataclass(frozen=True, eq=False)
class _Prefix:
    """Images, and the inputs of module ``first_module`` for them (None where they do not fit in memory)."""

    model: Model
    images: LabeledImages
    first_module: int
    outputs: list[Tensor] | None

    def evaluate(self, model: Model) -> Steps[Evaluation]:
        """Evaluate a network that is the same below ``first_module``."""
        inputs = self.outputs or _iterate_prefix_outputs(self.model, self.images, self.first_module)
        logits: list[Tensor] = []
        for maps in inputs:
            yield Progress("Measuring", sum(map(len, logits)), len(self.images))
            with torch.inference_mode():
                logits.append(expand_to_class_logits(model.module[self.first_module :](maps)))
        return Evaluation.from_logits(torch.cat(logits), self.images.labels)


_comparison_cache: ByteBoundedCache[tuple[Model, tuple[Edit, ...], weakref.ref[LabeledImages]], EditComparison] = (
    ByteBoundedCache(_MAX_CACHED_BYTES)
)
_ablation_cache: ByteBoundedCache[tuple[Model, int, weakref.ref[LabeledImages]], tuple[AblationScore, ...]] = (
    ByteBoundedCache(2**20)
)
_prefix_cache: ByteBoundedCache[tuple[Model, weakref.ref[LabeledImages], int, int], tuple[_Prefix, Evaluation]] = (
    ByteBoundedCache(_MAX_PREFIX_BYTES)
)


def _get_prefix(model: Model, data: LabeledImages, count: int, first_module: int) -> Steps[tuple[_Prefix, Evaluation]]:
    """Compute the inputs of a module, and the evaluation of the network that they belong to."""
    count = min(count, len(data))

    def compute() -> Steps[tuple[_Prefix, Evaluation]]:
        _prefix_cache.clear()  # frees the memory of another one before this one is computed
        images = data.sample(count) if count < len(data) else data
        outputs = yield from _compute_prefix_outputs(model, images, first_module)
        prefix = _Prefix(model, images, first_module, outputs)
        return prefix, (yield from prefix.evaluate(model))

    return _prefix_cache.get_or_compute_in_steps((model, weakref.ref(data), count, first_module), compute)


def _compute_prefix_outputs(model: Model, images: LabeledImages, first_module: int) -> Steps[list[Tensor] | None]:
    outputs: list[Tensor] = []
    size = 0
    yield Progress("Measuring", 0, len(images))
    for maps in _iterate_prefix_outputs(model, images, first_module):
        size += maps.nbytes
        if size > _MAX_PREFIX_BYTES:
            return None
        outputs.append(maps)
        yield Progress("Measuring", sum(map(len, outputs)), len(images))
    return outputs


def _iterate_prefix_outputs(model: Model, images: LabeledImages, first_module: int) -> Iterator[Tensor]:
    """Compute the inputs of module ``first_module``, batch by batch."""
    for batch in torch.split(images.images, _BATCH_SIZE):
        with torch.inference_mode():
            maps = model.module[:first_module](scale_pixels(batch))
        yield maps
