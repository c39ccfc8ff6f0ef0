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
from playground.engine.data.batch import Images, scale_pixels
from playground.engine.model.build import Span, class_scores, spans
from playground.engine.runs.imported_weights import run_of_weights
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.model import Model

OPERABLE = ("conv2d", "linear", "batch_norm", "output")
"""Kinds of layers whose channels have weights of their own to operate on."""

_AT_ONCE = 250
_BUDGET = 6e10
"""Multiply-adds that one look at the effect may take: about two seconds on a core."""
_FEWEST = 64
_MOST_RANKED_ON = 1000
_MOST_CACHED_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Scaled:
    """A channel's weights and bias times ``factor``; 0 switches it off."""

    layer_index: int
    channel: int
    factor: float


@dataclass(frozen=True)
class Rewritten:
    """Other weights from one channel below to one channel: a kernel (rows, columns) of a convolution."""

    layer_index: int
    channel: int
    below: int
    kernel: tuple[tuple[float, ...], ...]


Edit = Scaled | Rewritten


@dataclass(frozen=True)
class Effect:
    """Accuracy on ``size`` images, in all and per class (in their order), of the net as it was and as it is now."""

    size: int
    before: float
    after: float
    per_class_before: tuple[float, ...]
    per_class_after: tuple[float, ...]
    loss_after: float


@dataclass(frozen=True)
class Importance:
    """What switching off a channel costs on ``size`` images: the fall of accuracy, as a share, and the loss's rise.

    Negative ones are gains. The loss tells channels apart that cost no single answer.
    """

    channel: int
    fall: float
    loss_rise: float
    size: int


def with_edit(edits: tuple[Edit, ...], edit: Edit) -> tuple[Edit, ...]:
    """One edit more; in the place of an earlier one of the same weights, none where it leaves a channel as it was."""

    def target(one: Edit) -> tuple[object, ...]:
        return type(one), one.layer_index, one.channel, getattr(one, "below", None)

    is_none = isinstance(edit, Scaled) and edit.factor == 1
    if any(target(one) == target(edit) for one in edits):
        return tuple(
            edit if target(one) == target(edit) else one for one in edits if not is_none or target(one) != target(edit)
        )
    return edits if is_none else (*edits, edit)


@lru_cache(maxsize=4)
def operated(model: Model, edits: tuple[Edit, ...]) -> Model:
    """A copy of the net with the edits done, in their order; the given one stays as it is.

    Raises PlaygroundError for an edit of a layer or channel that is not there or has no weights.
    """
    return _copy(model, edits) if edits else model


def _copy(model: Model, edits: tuple[Edit, ...]) -> Model:
    module = copy.deepcopy(model.module)
    with torch.no_grad():
        for edit in edits:
            part = module[_span(model, edit.layer_index).start]
            weight = part.weight
            if not isinstance(weight, Tensor) or not 0 <= edit.channel < len(weight):
                raise PlaygroundError(
                    f"Layer {edit.layer_index + 1} has no channel {edit.channel + 1} to operate on.",
                    expected="Convolutions, linear layers and batch norm have channels with weights.",
                )
            if isinstance(edit, Scaled):
                weight[edit.channel] *= edit.factor
                if isinstance(part.bias, Tensor):
                    part.bias[edit.channel] *= edit.factor
            else:
                _rewrite(weight, edit)
    return Model(model.run_id, model.step, model.architecture, module)


def _rewrite(weight: Tensor, edit: Rewritten) -> None:
    kernel = torch.tensor(edit.kernel, dtype=weight.dtype)
    if weight.ndim != 4 or not 0 <= edit.below < weight.shape[1] or kernel.shape != weight.shape[2:]:
        raise PlaygroundError(
            "This kernel cannot be written there.",
            expected=f"The layer's kernels are {'×'.join(map(str, weight.shape[2:])) or 'single weights'}.",
        )
    if not torch.isfinite(kernel).all():
        raise PlaygroundError("A kernel holds finite numbers only.", fix="Fill in the empty cells.")
    weight[edit.channel, edit.below] = kernel


def _span(model: Model, layer_index: int) -> Span:
    span = next((span for span in spans(model.architecture) if span.layer_index == layer_index), None)
    if span is None or model.architecture.layers[layer_index].kind not in OPERABLE:
        raise PlaygroundError(
            f"Layer {layer_index + 1} cannot be operated on.",
            expected="Convolutions, linear layers and batch norm have channels with weights.",
        )
    return span


def effect(model: Model, edits: tuple[Edit, ...], data: Images) -> Effect:
    """What the edits do to the accuracy on ``data``, or on as many of its images as two seconds allow.

    What the layers below the first edit make of the images does not change, and is remembered where it fits.
    """
    known = next(
        (
            seen
            for net, done, images, seen in list(_effects)
            if net is model and done == edits and images is data.images
        ),
        None,
    )
    if known is not None:
        return known
    first = min(_span(model, edit.layer_index).start for edit in edits) if edits else 0
    bench = _bench(model, data, _affordable(model, len(data)), first)
    before = bench.before
    after = bench.asked(operated(model, edits)) if edits else before
    seen = Effect(len(bench.images), before.accuracy, after.accuracy, before.per_class, after.per_class, after.loss)
    _effects.append((model, edits, data.images, seen))
    return seen


def importances(model: Model, layer_index: int, data: Images) -> Iterator[tuple[float, tuple[Importance, ...]]]:
    """Switch off one channel of a layer after the other: (progress 0 to 1, those known so far, least important first).

    On so many images that all channels together take a few times ``effect``'s budget, 64 to 1,000.
    """
    span = _span(model, layer_index)
    weight = model.module[span.start].weight
    channels = len(weight) if isinstance(weight, Tensor) else 0
    count = min(_MOST_RANKED_ON, _affordable(model, len(data), 4 * _BUDGET / max(1, channels)))
    bench = _bench(model, data, count, span.start)
    before = bench.before
    found: list[Importance] = []
    for channel in range(channels):
        after = bench.asked(_copy(model, (Scaled(layer_index, channel, 0.0),)))
        fall, rise = before.accuracy - after.accuracy, after.loss - before.loss
        found.append(Importance(channel, fall, rise, len(bench.images)))
        yield (channel + 1) / channels, tuple(sorted(found, key=lambda one: (one.fall, one.loss_rise, one.channel)))


def save_operated(parent: Run, model: Model, edits: tuple[Edit, ...], seen: Effect, *, owner: str | None = None) -> Run:
    """A run that begins with the operated net's weights; it can be looked into at once, and trained on.

    Raises StoreError where the disk says no.
    """
    weights = {name: value.detach().clone() for name, value in operated(model, edits).module.state_dict().items()}
    return run_of_weights(
        model.architecture,
        parent.record.recipe,
        weights,
        Evaluated(step=0, elapsed_s=0, split="test", loss=seen.loss_after, accuracy=seen.after, size=seen.size),
        name=f"{parent.record.name}, operated",
        owner=owner,
        parent=parent.id,
        parent_step=model.step,
    )


def _affordable(model: Model, count: int, budget: float = _BUDGET) -> int:
    cost = max(1, summarize(model.architecture).multiply_adds)
    return min(count, max(_FEWEST, int(budget / cost)))


@dataclass(eq=False)
class _Bench:
    """Images with what reaches module ``first`` of a net, kept where it fits, and what the net makes of them."""

    model: Model
    data: Images
    images: Images
    first: int
    maps: list[Tensor] | None

    def __post_init__(self) -> None:
        self.before = self.asked(self.model)

    def asked(self, model: Model) -> "_Answers":
        """What a net makes of the images that differs from ``first`` on only."""
        labels = self.images.labels
        with torch.inference_mode():
            inputs = self.maps or _inputs(self.model, self.images, self.first)
            scores = torch.cat([class_scores(model.module[self.first :](maps)) for maps in inputs])
            right = scores.argmax(1) == labels
            loss = float(functional.cross_entropy(scores, labels))
        classes = model.architecture.classes
        return _Answers(float(right.double().mean()), loss, _per_class(right, labels, classes))


@dataclass(frozen=True)
class _Answers:
    accuracy: float
    loss: float
    per_class: tuple[float, ...]


_benches: list[_Bench] = []  # at most one: the memory of one is enough
_effects: deque[tuple[Model, tuple[Edit, ...], Tensor, Effect]] = deque(maxlen=8)  # pages are drawn again and again


def _bench(model: Model, data: Images, count: int, first: int) -> _Bench:
    for known in tuple(_benches):  # other pages may put theirs there meanwhile
        same = known.model == model and known.data.images is data.images and known.first == first
        if same and len(known.images) == min(count, len(data)):
            return known
    images = data if count >= len(data) else data.sample(count)
    _benches.clear()
    bench = _Bench(model, data, images, first, _kept_inputs(model, images, first))
    _benches[:] = [bench]
    return bench


def _kept_inputs(model: Model, images: Images, first: int) -> list[Tensor] | None:
    kept, size = [], 0
    with torch.inference_mode():
        for maps in _inputs(model, images, first):
            size += maps.nbytes
            if size > _MOST_CACHED_BYTES:
                return None
            kept.append(maps)
    return kept


def _inputs(model: Model, images: Images, first: int) -> Iterator[Tensor]:
    """What reaches module ``first``, in batches."""
    for batch in torch.split(images.images, _AT_ONCE):
        yield model.module[:first](scale_pixels(batch))


def _per_class(right: Tensor, labels: Tensor, classes: int) -> tuple[float, ...]:
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return tuple((torch.bincount(labels[right], minlength=classes) / counts).tolist())
