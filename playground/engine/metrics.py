"""Evaluation of a classifier and the metrics computed from its logits."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class, each 0 where its denominator is 0.

    ``support`` counts the images of the class. ``precision`` is the share of predictions of this class that are
    correct, ``recall`` the share of its images that are found, ``f1`` their harmonic mean.
    """

    label: int
    support: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class CalibrationBin:
    """Images with a confidence between ``low`` and ``high``: their number, mean confidence and accuracy."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Calibration of the predicted probabilities: the bins that hold images, and the errors over all images.

    ``expected_error`` is the expected calibration error (ECE); ``overconfidence`` is the mean confidence minus the
    accuracy, negative for an under-confident network.
    """

    bins: tuple[CalibrationBin, ...]
    expected_error: float
    overconfidence: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Logits of a network on labeled images, and every metric computed from them.

    ``loss`` is the mean cross-entropy and ``accuracy`` the share of correct predictions. ``logits`` is float32
    (count, classes) on the CPU, ``labels`` (count,).
    """

    loss: float
    accuracy: float
    logits: Tensor
    labels: Indices

    @classmethod
    def from_logits(cls, logits: Tensor, labels: Tensor) -> "Evaluation":
        """Compute loss and accuracy on the tensors' device.

        Args:
            logits: float (count, classes), one column a class.
            labels: int64 (count,).
        """
        loss = functional.cross_entropy(logits, labels).item()
        accuracy = (logits.argmax(1) == labels).double().mean().item()
        return cls(loss, accuracy, logits.cpu(), labels.cpu().numpy().astype(np.intp))

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return int(self.logits.shape[1])

    @cached_property
    def probabilities(self) -> Array:
        """Softmax of the logits, float32 (count, classes); 0 for the logits of a diverged network (NaN)."""
        probabilities: Array = self.logits.softmax(1).nan_to_num().numpy()
        return probabilities

    @cached_property
    def predicted_labels(self) -> Indices:
        """Class with the largest logit, (count,)."""
        return self.logits.argmax(1).numpy().astype(np.intp)

    @cached_property
    def is_correct(self) -> NDArray[np.bool_]:
        """Mask of the correctly classified images, (count,)."""
        is_correct: NDArray[np.bool_] = self.predicted_labels == self.labels
        return is_correct

    @cached_property
    def confidence(self) -> Array:
        """Probability of the predicted class, (count,)."""
        confidence: Array = self.probabilities.max(1)
        return confidence

    @cached_property
    def margins(self) -> Array:
        """Difference of the two largest probabilities, (count,)."""
        ordered = np.sort(self.probabilities, axis=1)
        margins: Array = ordered[:, -1] - ordered[:, -2]
        return margins

    @cached_property
    def confusion_matrix(self) -> NDArray[np.int64]:
        """Number of images of each class (row) that are predicted as each class (column)."""
        classes = self.class_count
        counts = np.bincount(self.labels * classes + self.predicted_labels, minlength=classes**2)
        return counts.reshape(classes, classes)

    @property
    def label_counts(self) -> tuple[int, ...]:
        """Number of images of each class."""
        return tuple(self.confusion_matrix.sum(1).tolist())

    @property
    def predicted_counts(self) -> tuple[int, ...]:
        """Number of predictions of each class."""
        return tuple(self.confusion_matrix.sum(0).tolist())

    @property
    def per_class_accuracy(self) -> tuple[float, ...]:
        """Share of each class's images that are correctly classified (its recall); 0 for a class without images."""
        return tuple(metrics.recall for metrics in self.compute_class_metrics())

    def compute_class_metrics(self) -> tuple[ClassMetrics, ...]:
        """Compute precision, recall and F1 of every class."""
        matrix = self.confusion_matrix
        rows = zip(matrix.diagonal().tolist(), matrix.sum(0).tolist(), matrix.sum(1).tolist(), strict=True)
        class_metrics = []
        for label, (correct, predicted, support) in enumerate(rows):
            precision = correct / predicted if predicted else 0.0
            recall = correct / support if support else 0.0
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            class_metrics.append(ClassMetrics(label, support, precision, recall, f1))
        return tuple(class_metrics)

    def compute_calibration(self, bin_count: int = 10) -> Calibration:
        """Compare confidence with accuracy in bins of equal width.

        Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.
        """
        bin_indices = np.minimum((self.confidence * bin_count).astype(int), bin_count - 1)
        bins = []
        for index in range(bin_count):
            is_inside = bin_indices == index
            count = int(is_inside.sum())
            if count:
                confidence, accuracy = (
                    float(self.confidence[is_inside].mean()),
                    float(self.is_correct[is_inside].mean()),
                )
                bins.append(CalibrationBin(index / bin_count, (index + 1) / bin_count, count, confidence, accuracy))
        gaps = [(one.count / self.size, one.confidence - one.accuracy) for one in bins]
        return Calibration(
            tuple(bins), sum(share * abs(gap) for share, gap in gaps), sum(share * gap for share, gap in gaps)
        )

    def find_confusions(self, label: int, predicted_label: int) -> Indices:
        """Indices of a class's images that are predicted as another (or the same) class, the most confident first."""
        return self._sort_by_confidence(
            np.flatnonzero((self.labels == label) & (self.predicted_labels == predicted_label))
        )

    def find_top_confusions(self, limit: int) -> tuple[tuple[int, int, int], ...]:
        """Most frequent errors as (label, predicted label, count)."""
        cells = [
            (label, predicted, count)
            for label, row in enumerate(self.confusion_matrix.tolist())
            for predicted, count in enumerate(row)
            if count and label != predicted
        ]
        return tuple(sorted(cells, key=lambda cell: -cell[2])[:limit])

    def find_confident_errors(self, limit: int) -> Indices:
        """Indices of the misclassified images, the most confident first."""
        return self._sort_by_confidence(np.flatnonzero(~self.is_correct))[:limit]

    def find_smallest_margins(self, limit: int) -> Indices:
        """Indices of the images with the smallest margins, correct or not."""
        return np.argsort(self.margins, kind="stable")[:limit]

    def _sort_by_confidence(self, indices: Indices) -> Indices:
        return indices[np.argsort(-self.confidence[indices], kind="stable")]


_MIN_SIZE_FOR_PERCENT = 100


def format_accuracy(accuracy: float, size: int) -> str:
    """Format an accuracy as a percentage; on fewer than 100 images as "13 of 15"."""
    return f"{accuracy:.2%}" if size >= _MIN_SIZE_FOR_PERCENT else f"{round(accuracy * size):,} of {size:,}"
