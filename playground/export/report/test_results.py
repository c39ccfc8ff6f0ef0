"""Test section of a report: metrics per class, confusion matrix, calibration and example images."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch

from playground.charts.images import render_image
from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation
from playground.engine.runs.run import Run
from playground.errors import InvalidDatasetError, PlaygroundError
from playground.export.report.html import Html, element, join, note, section, table, wrap_scrollable
from playground.interpret.evaluation.predictions import load_run_test_images, predict_dataset
from playground.interpret.model import load_model

_MAX_ERRORS, _MAX_CORRECT, _MAX_CONFUSIONS = 24, 12, 5
_MAX_NUMBERED_CLASSES = 20  # classes: with more, the matrix is a picture without numbers
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
    evaluation = next(result for _, result in predict_dataset(model, data) if result)
    return EvaluatedRun(model.step, names, data, evaluation)


def render_test_sections(run: Run) -> Html:
    """Render the evaluation on the test images, or the reason why it is missing."""
    try:
        tested = evaluate_run(run)
    except PlaygroundError as error:
        return section("Test", note(f"The network could not be evaluated on the test images. {error}"))
    evaluation = tested.evaluation
    words = (
        f"{evaluation.accuracy:.2%} of {evaluation.size:,} test images are classified correctly "
        f"with the weights of step {tested.step:,}."
    )
    return join(
        section(
            "Test",
            element("p", words),
            element("div", _render_class_metrics(tested), _render_confusion_matrix(tested), class_="columns"),
            element("p", _describe_top_confusions(tested)),
            element("p", _describe_calibration(evaluation)),
        ),
        _render_examples(tested),
    )


def _render_class_metrics(evaluated: EvaluatedRun) -> Html:
    rows = [
        (name, f"{one.support:,}", f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.1%}")
        for name, one in zip(evaluated.class_names, evaluated.evaluation.compute_class_metrics(), strict=True)
    ]
    return element(
        "div",
        element("h3", "Per class"),
        table("figures", ("class", "images", "precision", "recall", "F1"), rows),
        note(
            "Precision: share of predictions of this class that are correct. Recall: share of this class's images "
            "that are found."
        ),
    )


def _render_confusion_matrix(evaluated: EvaluatedRun) -> Html:
    is_numbered = len(evaluated.class_names) <= _MAX_NUMBERED_CLASSES
    matrix = evaluated.evaluation.confusion_matrix.tolist()
    head = element(
        "tr", element("th"), *(element("th", element("span", name), scope="col") for name in evaluated.class_names)
    )
    body = [
        element("tr", element("th", name, scope="row"), *_render_cells(row, place, is_numbered))
        for place, (name, row) in enumerate(zip(evaluated.class_names, matrix, strict=True))
    ]
    upright = "" if max(map(len, evaluated.class_names)) <= 3 else " upright"
    kind = f"matrix{upright}" if is_numbered else "matrix dense"
    order = "" if is_numbered else " Classes are in the order of the table."
    return element(
        "div",
        element("h3", "Confusion"),
        wrap_scrollable(element("table", element("thead", head), element("tbody", *body), class_=kind)),
        note(f"Rows: true class. Columns: predicted class.{order}"),
    )


def _render_cells(row: Sequence[int], label: int, is_numbered: bool) -> list[Html]:
    """Render cells shaded by the square root of their share of the row, so that rare errors are visible."""
    total = max(1, sum(row))
    return [
        element(
            "td",
            f"{count}" if is_numbered else "",
            class_="right" if column == label else "wrong",
            style=f"--share:{sqrt(count / total):.2f}",
        )
        if count
        else element("td")
        for column, count in enumerate(row)
    ]


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


def _render_examples(evaluated: EvaluatedRun) -> Html:
    evaluation = evaluated.evaluation
    wrong = evaluation.find_confident_errors(_MAX_ERRORS).tolist()
    surest = (evaluation.find_confusions(label, label)[:1].tolist() for label in range(len(evaluated.class_names)))
    right = [place for places in surest for place in places][:_MAX_CORRECT]
    return section(
        "Examples",
        element("h3", "Most confident errors"),
        note("True class → predicted class, and the confidence.") if wrong else note("None."),
        _render_images(evaluated, wrong),
        element("h3", "Most confident correct predictions"),
        note("The most confident correct prediction of each class.") if right else note("None."),
        _render_images(evaluated, right),
    )


def _render_images(evaluated: EvaluatedRun, indices: Sequence[int]) -> Html:
    images = evaluated.images.take(torch.tensor(indices, dtype=torch.int64))
    channels, *sides = images.images.shape[1:]
    scale = min(1.0, _MAX_IMAGE_SIDE / max(sides))
    small = images.resize((channels, *(max(1, round(side * scale)) for side in sides)))
    figures = []
    for number, place in enumerate(indices):
        label, guess = (
            evaluated.class_names[evaluated.evaluation.labels[place]],
            evaluated.class_names[evaluated.evaluation.predicted_labels[place]],
        )
        words = label if label == guess else f"{label} → {guess}"
        png = base64.b64encode(render_image(small.get_image(number), size=1)).decode()
        picture = element("img", src=f"data:image/png;base64,{png}", alt=words)
        caption = element("figcaption", element("b", words), f" {evaluated.evaluation.confidence[place]:.0%}")
        figures.append(element("figure", picture, caption))
    return element("div", *figures, class_="pictures")
