"""Operating on a net: channels scaled or switched off, kernels edited, and what that does to its accuracy."""

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from playground.core.events import Evaluated
from playground.core.summary import summarize
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.model.build import ModuleRange, expand_to_class_logits, list_module_ranges
from playground.engine.runs.imported_weights import create_run_from_weights
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.model import Model

EDITABLE_KINDS = ("conv2d", "linear", "batch_norm", "output")
"""Kinds of layers whose channels have weights of their own to operate on."""

_BATCH_SIZE = 250
_MAX_MULTIPLY_ADDS = 6e10
"""Multiply-adds that one look at the effect may take: about two seconds on a core."""
_MIN_IMAGES = 64
_MAX_ABLATION_IMAGES = 1000
_MAX_CACHED_BYTES = 128 * 2**20


@dataclass(frozen=True)
class ChannelScale:
    """A channel's weights and bias times ``factor``; 0 switches it off."""

    layer_index: int
    channel: int
    factor: float


@dataclass(frozen=True)
class KernelEdit:
    """Other weights from one channel below to one channel: a kernel (rows, columns) of a convolution."""

    layer_index: int
    channel: int
    input_channel: int
    kernel: tuple[tuple[float, ...], ...]


Edit = ChannelScale | KernelEdit


@dataclass(frozen=True)
class EditEffect:
    """Accuracy on ``size`` images, in all and per class (in their order), of the net as it was and as it is now."""

    size: int
    accuracy_before: float
    accuracy_after: float
    per_class_before: tuple[float, ...]
    per_class_after: tuple[float, ...]
    loss_after: float


@dataclass(frozen=True)
class AblationScore:
    """What switching off a channel costs on ``size`` images: the fall of accuracy, as a share, and the loss's rise.

    Negative ones are gains. The loss tells channels apart that cost no single answer.
    """

    channel: int
    accuracy_drop: float
    loss_increase: float
    size: int


def add_edit(edits: tuple[Edit, ...], edit: Edit) -> tuple[Edit, ...]:
    """One edit more; in the place of an earlier one of the same weights, none where it leaves a channel as it was."""

    def target(one: Edit) -> tuple[object, ...]:
        return type(one), one.layer_index, one.channel, getattr(one, "below", None)

    is_none = isinstance(edit, ChannelScale) and edit.factor == 1
    if any(target(one) == target(edit) for one in edits):
        return tuple(
            edit if target(one) == target(edit) else one for one in edits if not is_none or target(one) != target(edit)
        )
    return edits if is_none else (*edits, edit)


@lru_cache(maxsize=4)
def apply_edits(model: Model, edits: tuple[Edit, ...]) -> Model:
    """A copy of the net with the edits done, in their order; the given one stays as it is.

    Raises PlaygroundError for an edit of a layer or channel that is not there or has no weights.
    """
    return _copy_with_edits(model, edits) if edits else model


def _copy_with_edits(model: Model, edits: tuple[Edit, ...]) -> Model:
    module = copy.deepcopy(model.module)
    with torch.no_grad():
        for edit in edits:
            part = module[_find_editable_span(model, edit.layer_index).start]
            weight = part.weight
            if not isinstance(weight, Tensor) or not 0 <= edit.channel < len(weight):
                raise PlaygroundError(
                    f"Layer {edit.layer_index + 1} has no channel {edit.channel + 1} to operate on.",
                    expected="Convolutions, linear layers and batch norm have channels with weights.",
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
            "This kernel cannot be written there.",
            expected=f"The layer's kernels are {'×'.join(map(str, weight.shape[2:])) or 'single weights'}.",
        )
    if not torch.isfinite(kernel).all():
        raise PlaygroundError("A kernel holds finite numbers only.", fix="Fill in the empty cells.")
    weight[edit.channel, edit.input_channel] = kernel


def _find_editable_span(model: Model, layer_index: int) -> ModuleRange:
    span = next((span for span in list_module_ranges(model.architecture) if span.layer_index == layer_index), None)
    if span is None or model.architecture.layers[layer_index].kind not in EDITABLE_KINDS:
        raise PlaygroundError(
            f"Layer {layer_index + 1} cannot be operated on.",
            expected="Convolutions, linear layers and batch norm have channels with weights.",
        )
    return span


def measure_edits(model: Model, edits: tuple[Edit, ...], data: LabeledImages) -> EditEffect:
    """What the edits do to the accuracy on ``images``, or on as many of its images as two seconds allow.

    What the layers below the first edit make of the images does not change, and is remembered where it fits.
    """
    known = next(
        (
            seen
            for net, done, images, seen in list(_effect_cache)
            if net is model and done == edits and images is data.images
        ),
        None,
    )
    if known is not None:
        return known
    first = min(_find_editable_span(model, edit.layer_index).start for edit in edits) if edits else 0
    bench = _get_prefix_cache(model, data, _limit_image_count(model, len(data)), first)
    before = bench.baseline
    after = bench.evaluate(apply_edits(model, edits)) if edits else before
    seen = EditEffect(len(bench.images), before.accuracy, after.accuracy, before.per_class, after.per_class, after.loss)
    _effect_cache.append((model, edits, data.images, seen))
    return seen


def compute_ablation_scores(
    model: Model, layer_index: int, data: LabeledImages
) -> Iterator[tuple[float, tuple[AblationScore, ...]]]:
    """Switch off one channel of a layer after the other: (progress 0 to 1, those known so far, least important first).

    On so many images that all channels together take a few times ``measure_edits``'s budget, 64 to 1,000.
    """
    span = _find_editable_span(model, layer_index)
    weight = model.module[span.start].weight
    channels = len(weight) if isinstance(weight, Tensor) else 0
    count = min(_MAX_ABLATION_IMAGES, _limit_image_count(model, len(data), 4 * _MAX_MULTIPLY_ADDS / max(1, channels)))
    bench = _get_prefix_cache(model, data, count, span.start)
    before = bench.baseline
    found: list[AblationScore] = []
    for channel in range(channels):
        after = bench.evaluate(_copy_with_edits(model, (ChannelScale(layer_index, channel, 0.0),)))
        fall, rise = before.accuracy - after.accuracy, after.loss - before.loss
        found.append(AblationScore(channel, fall, rise, len(bench.images)))
        yield (
            (channel + 1) / channels,
            tuple(sorted(found, key=lambda one: (one.accuracy_drop, one.loss_increase, one.channel))),
        )


def save_edited(
    parent: Run, model: Model, edits: tuple[Edit, ...], effect: EditEffect, *, owner: str | None = None
) -> Run:
    """A run that begins with the operated net's weights; it can be looked into at once, and trained on.

    Raises StoreError where the disk says no.
    """
    weights = {name: value.detach().clone() for name, value in apply_edits(model, edits).module.state_dict().items()}
    return create_run_from_weights(
        model.architecture,
        parent.record.recipe,
        weights,
        Evaluated(
            step=0, elapsed_s=0, split="test", loss=effect.loss_after, accuracy=effect.accuracy_after, size=effect.size
        ),
        name=f"{parent.record.name}, operated",
        owner=owner,
        parent=parent.id,
        parent_step=model.step,
    )


def _limit_image_count(model: Model, count: int, budget: float = _MAX_MULTIPLY_ADDS) -> int:
    cost = max(1, summarize(model.architecture).multiply_adds)
    return min(count, max(_MIN_IMAGES, int(budget / cost)))


@dataclass(eq=False)
class _PrefixCache:
    """Images with what reaches module ``first`` of a net, kept where it fits, and what the net makes of them."""

    model: Model
    data: LabeledImages
    images: LabeledImages
    first_module: int
    prefix_outputs: list[Tensor] | None

    def __post_init__(self) -> None:
        self.baseline = self.evaluate(self.model)

    def evaluate(self, model: Model) -> "_EditMetrics":
        """What a net makes of the images that differs from ``first`` on only."""
        labels = self.images.labels
        with torch.inference_mode():
            inputs = self.prefix_outputs or _iterate_prefix_outputs(self.model, self.images, self.first_module)
            scores = torch.cat([expand_to_class_logits(model.module[self.first_module :](maps)) for maps in inputs])
            right = scores.argmax(1) == labels
            loss = float(functional.cross_entropy(scores, labels))
        classes = model.architecture.classes
        return _EditMetrics(float(right.double().mean()), loss, _compute_class_accuracies(right, labels, classes))


@dataclass(frozen=True)
class _EditMetrics:
    accuracy: float
    loss: float
    per_class: tuple[float, ...]


_prefix_caches: list[_PrefixCache] = []  # at most one: the memory of one is enough
_effect_cache: deque[tuple[Model, tuple[Edit, ...], Tensor, EditEffect]] = deque(
    maxlen=8
)  # pages are drawn again and again


def _get_prefix_cache(model: Model, data: LabeledImages, count: int, first_module: int) -> _PrefixCache:
    for known in tuple(_prefix_caches):  # other pages may put theirs there meanwhile
        same = known.model == model and known.data.images is data.images and known.first_module == first_module
        if same and len(known.images) == min(count, len(data)):
            return known
    images = data if count >= len(data) else data.sample(count)
    _prefix_caches.clear()
    bench = _PrefixCache(model, data, images, first_module, _compute_prefix_outputs(model, images, first_module))
    _prefix_caches[:] = [bench]
    return bench


def _compute_prefix_outputs(model: Model, images: LabeledImages, first_module: int) -> list[Tensor] | None:
    kept, size = [], 0
    with torch.inference_mode():
        for maps in _iterate_prefix_outputs(model, images, first_module):
            size += maps.nbytes
            if size > _MAX_CACHED_BYTES:
                return None
            kept.append(maps)
    return kept


def _iterate_prefix_outputs(model: Model, images: LabeledImages, first_module: int) -> Iterator[Tensor]:
    """What reaches module ``first_module``, in batches."""
    for batch in torch.split(images.images, _BATCH_SIZE):
        yield model.module[:first_module](scale_pixels(batch))


def _compute_class_accuracies(is_correct: Tensor, labels: Tensor, classes: int) -> tuple[float, ...]:
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return tuple((torch.bincount(labels[is_correct], minlength=classes) / counts).tolist())
