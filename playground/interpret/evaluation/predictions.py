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
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.data.splits import load_test_images
from playground.engine.model.build import expand_to_class_logits
from playground.engine.runs.run import Run
from playground.interpret.model import Model

Array = NDArray[np.float32]
Indices = NDArray[np.intp]

_BATCH_SIZE = 250
_MAX_CACHED_PREDICTIONS = 128
_MAX_PREDICTION_BYTES = 64 * 2**20
_MIN_CACHED_IMAGE_SETS, _MAX_CACHED_IMAGE_SETS = 2, 4  # a page asks for all and for a sample of them
_MAX_IMAGE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class ClassMetrics:
    """Of one class: how many of the images called so are (precision), how many that are were found (recall)."""

    label: int
    support: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class CalibrationBin:
    """Images whose confidence lies between two bounds: how many, how confident on average, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Predictions:
    """``probabilities`` (count, classes) float32 and the true ``labels`` (count,)."""

    probabilities: Array
    labels: Indices

    @cached_property
    def predicted_labels(self) -> Indices:
        """The most probable class of every image."""
        found: Indices = self.probabilities.argmax(1)
        return found

    @cached_property
    def confidence(self) -> Array:
        """The probability of the guess."""
        found: Array = self.probabilities.max(1)
        return found

    @property
    def accuracy(self) -> float:
        """Share of right guesses."""
        return float((self.predicted_labels == self.labels).mean())

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often each class (row) was taken for each class (column)."""
        classes = self.probabilities.shape[1]
        counts = np.bincount(self.labels * classes + self.predicted_labels, minlength=classes**2)
        return counts.reshape(classes, classes)

    def find_confusions(self, label: int, predicted_label: int) -> Indices:
        """The images of a class that were taken for a class, the most confident first."""
        places = np.flatnonzero((self.labels == label) & (self.predicted_labels == predicted_label))
        return places[np.argsort(-self.confidence[places], kind="stable")]

    def find_confident_errors(self, limit: int) -> Indices:
        """The wrong guesses, the most confident first."""
        places = np.flatnonzero(self.predicted_labels != self.labels)
        return places[np.argsort(-self.confidence[places], kind="stable")][:limit]

    def find_smallest_margins(self, limit: int) -> Indices:
        """The images whose first and second guess are closest, whether right or wrong."""
        ordered = np.sort(self.probabilities, axis=1)
        margin = ordered[:, -1] - ordered[:, -2]
        return np.argsort(margin, kind="stable")[:limit]

    def compute_class_metrics(self) -> tuple[ClassMetrics, ...]:
        """Precision, recall and F1 of every class; 0 where there is nothing to divide by."""
        matrix = self.confusion
        right, called, are = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
        found = []
        for name in range(len(matrix)):
            precision = float(right[name] / called[name]) if called[name] else 0.0
            recall = float(right[name] / are[name]) if are[name] else 0.0
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            found.append(ClassMetrics(name, int(are[name]), precision, recall, f1))
        return tuple(found)

    def compute_calibration(self, bins: int = 10) -> tuple[tuple[CalibrationBin, ...], float]:
        """Confidence against accuracy, empty bins left out, and the expected calibration error.

        Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.
        """
        right = self.predicted_labels == self.labels
        which = np.minimum((self.confidence * bins).astype(int), bins - 1)
        found, error = [], 0.0
        for number in range(bins):
            inside = which == number
            count = int(inside.sum())
            if count:
                confidence, accuracy = float(self.confidence[inside].mean()), float(right[inside].mean())
                found.append(CalibrationBin(number / bins, (number + 1) / bins, count, confidence, accuracy))
                error += count / len(right) * abs(confidence - accuracy)
        return tuple(found), error


def predict_dataset(model: Model, data: LabeledImages) -> Iterator[tuple[float, Predictions | None]]:
    """Ask a net for every image of ``images``: (progress 0 to 1, None) while it goes on, at last (1, the verdicts).

    What was said is remembered: the same net is not asked again.
    """
    known = _get_cached_predictions(model, data)
    if known is None:
        parts = []
        for place, batch in enumerate(torch.split(data.images, _BATCH_SIZE)):
            with torch.inference_mode():
                # A net that diverged has no probabilities: it is sure of nothing.
                parts.append(expand_to_class_logits(model.module(scale_pixels(batch))).float().softmax(1).nan_to_num())
            yield min(1.0, (place + 1) * _BATCH_SIZE / len(data)) * 0.999, None
        known = Predictions(torch.cat(parts).numpy(), data.labels.numpy().astype(np.intp))
        _cache_predictions(model, data, known)
    yield 1.0, known


def load_evaluation_images(name: str, count: int | None = None, shape: Shape | None = None) -> LabeledImages:
    """The test images of a data set, or so many of them, always the same ones; as images of ``shape``.

    Raises what ``dataset_tensors`` raises.
    """
    key = (name, count, shape)
    with _lock:
        if key in _image_cache:
            _image_cache.move_to_end(key)
            return _image_cache[key]
    data = load_test_images(name)
    sample = data if count is None or count >= len(data) else data.sample(count)
    found = sample.resize(shape) if shape else sample
    with _lock:
        found = _image_cache.setdefault(key, found)
        while len(_image_cache) > _MIN_CACHED_IMAGE_SETS and (
            len(_image_cache) > _MAX_CACHED_IMAGE_SETS or _count_image_bytes() > _MAX_IMAGE_BYTES
        ):
            _image_cache.popitem(last=False)
    return found


def _count_image_bytes() -> int:
    return sum(images.images.nbytes for images in _image_cache.values())


def load_run_test_images(run: Run, count: int | None = None) -> LabeledImages:
    """The test images that a run's nets are asked about, as large as they take them; errors as ``load_evaluation_images``."""
    return load_evaluation_images(run.record.recipe.dataset, count, run.record.architecture.input.shape)


def find_index(data: LabeledImages, index: int, all_images: LabeledImages) -> int:
    """Where an image of a sample stands among all."""
    if len(data) == len(all_images):
        return index
    same = (all_images.images == data.images[index]).flatten(1).all(1) & (all_images.labels == data.labels[index])
    return int(same.nonzero()[0])


_image_cache: OrderedDict[tuple[str, int | None, Shape | None], LabeledImages] = OrderedDict()
_prediction_cache: OrderedDict[tuple[Model, int], tuple[LabeledImages, Predictions]] = (
    OrderedDict()
)  # by the images' identity, kept alive
_lock = threading.Lock()


def _get_cached_predictions(model: Model, data: LabeledImages) -> Predictions | None:
    key = (model, id(data.images))
    with _lock:
        if key not in _prediction_cache:
            return None
        _prediction_cache.move_to_end(key)
        return _prediction_cache[key][1]


def _cache_predictions(model: Model, data: LabeledImages, predictions: Predictions) -> None:
    with _lock:
        _prediction_cache[(model, id(data.images))] = (data, predictions)
        while len(_prediction_cache) > _MAX_CACHED_PREDICTIONS or (
            len(_prediction_cache) > 1 and _count_cached_bytes() > _MAX_PREDICTION_BYTES
        ):
            _prediction_cache.popitem(last=False)


def _count_cached_bytes() -> int:
    weights = sum(weight.nbytes for model, _ in _prediction_cache for weight in model.module.parameters())
    said = sum(found.probabilities.nbytes for _, found in _prediction_cache.values())
    asked = {id(images.images) for images in _image_cache.values()}
    others = {
        id(data.images): data.images.nbytes for data, _ in _prediction_cache.values() if id(data.images) not in asked
    }
    return weights + said + sum(others.values())
