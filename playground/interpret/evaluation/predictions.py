"""What a net says of a whole data set: its mistakes, how they group, and how far its confidence can be trusted."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from playground.core.shapes import Shape
from playground.engine.data.batch import Images, scale_pixels
from playground.engine.data.splits import load_test
from playground.engine.model.build import class_scores
from playground.engine.runs.run import Run
from playground.interpret.model import Model

Array = NDArray[np.float32]
Places = NDArray[np.intp]

_AT_ONCE = 250
_MOST_KEPT = 128
_MOST_KEPT_BYTES = 64 * 2**20
_FEWEST_ASKED, _MOST_ASKED = 2, 4  # a page asks for all and for a sample of them
_MOST_ASKED_BYTES = 256 * 2**20


@dataclass(frozen=True)
class ClassFigures:
    """Of one class: how many of the images called so are (precision), how many that are were found (recall)."""

    name: int
    count: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies between two bounds: how many, how confident on average, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Verdicts:
    """``probabilities`` (count, classes) float32 and the true ``labels`` (count,)."""

    probabilities: Array
    labels: Places

    @cached_property
    def guesses(self) -> Places:
        """The most probable class of every image."""
        found: Places = self.probabilities.argmax(1)
        return found

    @cached_property
    def confidence(self) -> Array:
        """The probability of the guess."""
        found: Array = self.probabilities.max(1)
        return found

    @property
    def accuracy(self) -> float:
        """Share of right guesses."""
        return float((self.guesses == self.labels).mean())

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often each class (row) was taken for each class (column)."""
        classes = self.probabilities.shape[1]
        counts = np.bincount(self.labels * classes + self.guesses, minlength=classes**2)
        return counts.reshape(classes, classes)

    def cell(self, label: int, guess: int) -> Places:
        """The images of a class that were taken for a class, the most confident first."""
        places = np.flatnonzero((self.labels == label) & (self.guesses == guess))
        return places[np.argsort(-self.confidence[places], kind="stable")]

    def confident_errors(self, most: int) -> Places:
        """The wrong guesses, the most confident first."""
        places = np.flatnonzero(self.guesses != self.labels)
        return places[np.argsort(-self.confidence[places], kind="stable")][:most]

    def torn(self, most: int) -> Places:
        """The images whose first and second guess are closest, whether right or wrong."""
        ordered = np.sort(self.probabilities, axis=1)
        margin = ordered[:, -1] - ordered[:, -2]
        return np.argsort(margin, kind="stable")[:most]

    def per_class(self) -> tuple[ClassFigures, ...]:
        """Precision, recall and F1 of every class; 0 where there is nothing to divide by."""
        matrix = self.confusion
        right, called, are = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
        found = []
        for name in range(len(matrix)):
            precision = float(right[name] / called[name]) if called[name] else 0.0
            recall = float(right[name] / are[name]) if are[name] else 0.0
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            found.append(ClassFigures(name, int(are[name]), precision, recall, f1))
        return tuple(found)

    def reliability(self, bins: int = 10) -> tuple[tuple[Bin, ...], float]:
        """Confidence against accuracy, empty bins left out, and the expected calibration error.

        Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.
        """
        right = self.guesses == self.labels
        which = np.minimum((self.confidence * bins).astype(int), bins - 1)
        found, error = [], 0.0
        for number in range(bins):
            inside = which == number
            count = int(inside.sum())
            if count:
                confidence, accuracy = float(self.confidence[inside].mean()), float(right[inside].mean())
                found.append(Bin(number / bins, (number + 1) / bins, count, confidence, accuracy))
                error += count / len(right) * abs(confidence - accuracy)
        return tuple(found), error


def judge(model: Model, data: Images) -> Iterator[tuple[float, Verdicts | None]]:
    """Ask a net for every image of ``data``: (progress 0 to 1, None) while it goes on, at last (1, the verdicts).

    What was said is remembered: the same net is not asked again.
    """
    known = _remembered(model, data)
    if known is None:
        parts = []
        for place, batch in enumerate(torch.split(data.images, _AT_ONCE)):
            with torch.inference_mode():
                # A net that diverged has no probabilities: it is sure of nothing.
                parts.append(class_scores(model.module(scale_pixels(batch))).float().softmax(1).nan_to_num())
            yield min(1.0, (place + 1) * _AT_ONCE / len(data)) * 0.999, None
        known = Verdicts(torch.cat(parts).numpy(), data.labels.numpy().astype(np.intp))
        _remember(model, data, known)
    yield 1.0, known


def asked_images(name: str, count: int | None = None, shape: Shape | None = None) -> Images:
    """The test images of a data set, or so many of them, always the same ones; as images of ``shape``.

    Raises what ``dataset_tensors`` raises.
    """
    key = (name, count, shape)
    with _lock:
        if key in _asked:
            _asked.move_to_end(key)
            return _asked[key]
    data = load_test(name)
    sample = data if count is None or count >= len(data) else data.sample(count)
    found = sample.resized(shape) if shape else sample
    with _lock:
        found = _asked.setdefault(key, found)
        while len(_asked) > _FEWEST_ASKED and (len(_asked) > _MOST_ASKED or _bytes_asked() > _MOST_ASKED_BYTES):
            _asked.popitem(last=False)
    return found


def _bytes_asked() -> int:
    return sum(images.images.nbytes for images in _asked.values())


def images_of(run: Run, count: int | None = None) -> Images:
    """The test images that a run's nets are asked about, as large as they take them; errors as ``asked_images``."""
    return asked_images(run.record.recipe.dataset, count, run.record.architecture.input.shape)


def place_among(data: Images, place: int, every: Images) -> int:
    """Where an image of a sample stands among all."""
    if len(data) == len(every):
        return place
    same = (every.images == data.images[place]).flatten(1).all(1) & (every.labels == data.labels[place])
    return int(same.nonzero()[0])


_asked: OrderedDict[tuple[str, int | None, Shape | None], Images] = OrderedDict()
_known: OrderedDict[tuple[Model, int], tuple[Images, Verdicts]] = OrderedDict()  # by the images' identity, kept alive
_lock = threading.Lock()


def _remembered(model: Model, data: Images) -> Verdicts | None:
    key = (model, id(data.images))
    with _lock:
        if key not in _known:
            return None
        _known.move_to_end(key)
        return _known[key][1]


def _remember(model: Model, data: Images, found: Verdicts) -> None:
    with _lock:
        _known[(model, id(data.images))] = (data, found)
        while len(_known) > _MOST_KEPT or (len(_known) > 1 and _bytes_kept() > _MOST_KEPT_BYTES):
            _known.popitem(last=False)


def _bytes_kept() -> int:
    weights = sum(weight.nbytes for model, _ in _known for weight in model.module.parameters())
    said = sum(found.probabilities.nbytes for _, found in _known.values())
    asked = {id(images.images) for images in _asked.values()}
    others = {id(data.images): data.images.nbytes for data, _ in _known.values() if id(data.images) not in asked}
    return weights + said + sum(others.values())
