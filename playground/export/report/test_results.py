"""Test section of a report: metrics per class, confusion matrix, calibration and example images."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch

from playground.charts.images import render_image
from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation
from playground.engine.progress import run_to_end
from playground.engine.runs.run import Run
from playground.errors import InvalidDatasetError
from playground.interpret.evaluation.dataset_predictions import load_run_test_images, predict_dataset
from playground.interpret.model import load_model

_MAX_ERRORS, _MAX_CORRECT, _MAX_CONFUSIONS = 24, 12, 5
_MAX_NUMBERED_CLASSES = 20  # classes: with more, the matrix is a picture without numbers
_MAX_HORIZONTAL_NAME = 3  # characters of a column heading that does not stand upright
_MAX_IMAGE_SIDE = 64  # pixels of an example, so that photographs do not make the file large
_HIGH_CONFIDENCE = 0.9


@dataclass(frozen=True)
class EvaluatedRun:
    """Evaluation of a run's newest snapshot on the test images."""

    step: int
    class_names: Sequence[str]
    images: LabeledImages
    evaluation: Evaluation


def evaluate_run(run: Run) -> EvaluatedRun:
    """Predict the test images; raises PlaygroundError if weights or test images are missing."""
    model = load_model(run)
    data = load_run_test_images(run)
    names = run.get_dataset().class_names
    if len(names) != run.record.architecture.classes:
        raise InvalidDatasetError(
            f"The dataset now has {len(names)} classes; the network has {run.record.architecture.classes}."
        )
    evaluation = run_to_end(predict_dataset(model, data))
    return EvaluatedRun(model.step, names, data, evaluation)


@dataclass(frozen=True)
class MatrixCell:
    """Images of one true and one predicted class; ``shade`` is from 0 to 1."""

    count: int
    is_correct: bool
    shade: str


@dataclass(frozen=True)
class ConfusionMatrix:
    """Rows of a confusion matrix with the names of their true classes.

    A matrix of many classes is a picture without numbers; long names stand upright.
    """

    class_names: Sequence[str]
    rows: tuple[tuple[str, tuple[MatrixCell, ...]], ...]

    @property
    def is_numbered(self) -> bool:
        """True if the cells show their numbers."""
        return len(self.class_names) <= _MAX_NUMBERED_CLASSES

    @property
    def is_upright(self) -> bool:
        """True if the column headings stand upright."""
        return max(map(len, self.class_names)) > _MAX_HORIZONTAL_NAME


@dataclass(frozen=True)
class ExampleImage:
    """A test image as PNG, its classes and the confidence, as text."""

    png_base64: str
    classes: str
    confidence: str


@dataclass(frozen=True)
class Examples:
    """Test images under a heading."""

    title: str
    remark: str
    images: tuple[ExampleImage, ...]


@dataclass(frozen=True)
class TestSection:
    """Metrics and example images of an evaluated run."""

    summary: str
    class_rows: tuple[tuple[str, ...], ...]
    matrix: ConfusionMatrix
    top_confusions: str
    calibration: str
    examples: tuple[Examples, ...]


def make_test_section(evaluated: EvaluatedRun) -> TestSection:
    """Collect the metrics and example images of an evaluated run."""
    evaluation = evaluated.evaluation
    return TestSection(
        f"{evaluation.accuracy:.2%} of {evaluation.size:,} test images are classified correctly "
        f"with the weights of step {evaluated.step:,}.",
        tuple(
            (name, f"{one.support:,}", f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.1%}")
            for name, one in zip(evaluated.class_names, evaluation.compute_class_metrics(), strict=True)
        ),
        _make_matrix(evaluated),
        _describe_top_confusions(evaluated),
        _describe_calibration(evaluation),
        _select_examples(evaluated),
    )


def _make_matrix(evaluated: EvaluatedRun) -> ConfusionMatrix:
    matrix = evaluated.evaluation.confusion_matrix.tolist()
    return ConfusionMatrix(
        evaluated.class_names,
        tuple(
            (name, _make_cells(row, label))
            for label, (name, row) in enumerate(zip(evaluated.class_names, matrix, strict=True))
        ),
    )


def _make_cells(row: Sequence[int], label: int) -> tuple[MatrixCell, ...]:
    """Make cells shaded by the square root of their share of the row, so that rare errors are visible."""
    total = max(1, sum(row))
    return tuple(MatrixCell(count, column == label, f"{sqrt(count / total):.2f}") for column, count in enumerate(row))


def _describe_top_confusions(evaluated: EvaluatedRun) -> str:
    most = evaluated.evaluation.find_top_confusions(_MAX_CONFUSIONS)
    words = (
        f"{evaluated.class_names[label]} as {evaluated.class_names[guess]} ({count:,})" for label, guess, count in most
    )
    return (
        f"Most frequent confusions (true class as predicted class): {', '.join(words)}."
        if most
        else "No test image is misclassified."
    )


def _describe_calibration(evaluation: Evaluation) -> str:
    calibration = evaluation.compute_calibration()
    tendency = "overconfident" if calibration.overconfidence > 0 else "underconfident"
    words = (
        f"Confidence and accuracy differ by {calibration.expected_error:.1%} on average (expected calibration error); "
        f"the network is {tendency}."
    )
    sure = evaluation.confidence >= _HIGH_CONFIDENCE
    if not sure.any():
        return f"{words} No prediction has a confidence of at least {_HIGH_CONFIDENCE:.0%}."
    right = float(evaluation.is_correct[sure].mean())
    return (
        f"{words} Of the {int(sure.sum()):,} predictions with a confidence of at least {_HIGH_CONFIDENCE:.0%}, "
        f"{right:.1%} are correct."
    )


def _select_examples(evaluated: EvaluatedRun) -> tuple[Examples, ...]:
    evaluation = evaluated.evaluation
    wrong = evaluation.find_confident_errors(_MAX_ERRORS).tolist()
    surest = (evaluation.find_confusions(label, label)[:1].tolist() for label in range(len(evaluated.class_names)))
    right = [place for places in surest for place in places][:_MAX_CORRECT]
    return (
        Examples(
            "Most confident errors",
            "True class → predicted class, and the confidence." if wrong else "None.",
            _encode_images(evaluated, wrong),
        ),
        Examples(
            "Most confident correct predictions",
            "The most confident correct prediction of each class." if right else "None.",
            _encode_images(evaluated, right),
        ),
    )


def _encode_images(evaluated: EvaluatedRun, indices: Sequence[int]) -> tuple[ExampleImage, ...]:
    images = evaluated.images.take(torch.tensor(indices, dtype=torch.int64))
    channels, *sides = images.images.shape[1:]
    scale = min(1.0, _MAX_IMAGE_SIDE / max(sides))
    small = images.resize((channels, *(max(1, round(side * scale)) for side in sides)))
    encoded = []
    for number, place in enumerate(indices):
        label, guess = (
            evaluated.class_names[evaluated.evaluation.labels[place]],
            evaluated.class_names[evaluated.evaluation.predicted_labels[place]],
        )
        png = base64.b64encode(render_image(small.get_image(number), size=1)).decode()
        classes = label if label == guess else f"{label} → {guess}"
        encoded.append(ExampleImage(png, classes, f"{evaluated.evaluation.confidence[place]:.0%}"))
    return tuple(encoded)
