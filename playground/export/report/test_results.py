"""The half of a report that asks the network: figures a class, the confusion matrix, and images it got wrong."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch

from playground.charts.images import single_image
from playground.engine.data.batch import Images
from playground.engine.runs.run import Run
from playground.errors import DatasetError, PlaygroundError
from playground.export.report.html import Html, element, joined, note, scrolled, section, table
from playground.interpret.evaluation.predictions import Verdicts, images_of, judge
from playground.interpret.model import load_model

_MOST_MISTAKES, _MOST_RIGHT, _MOST_CONFUSIONS = 24, 12, 5
_MOST_NUMBERED = 20  # classes: with more, the matrix is a picture without numbers
_LARGEST_SIDE = 64  # pixels of an example, so that photographs do not make the file large
_SURE = 0.9


@dataclass(frozen=True)
class Tested:
    """What the network of a run's newest snapshot says of the test images."""

    step: int
    names: Sequence[str]
    data: Images
    verdicts: Verdicts


def ask(run: Run) -> Tested:
    """Ask the network; raises PlaygroundError where weights or test images are missing."""
    model = load_model(run)
    data = images_of(run)
    names = run.dataset().class_names
    if len(names) != run.record.architecture.classes:
        raise DatasetError(
            f"The data set has {len(names)} classes by now, the network knows {run.record.architecture.classes}."
        )
    verdicts = next(found for _, found in judge(model, data) if found)
    return Tested(model.step, names, data, verdicts)


def test_sections(run: Run) -> Html:
    """What the network says of the test images, or a sentence that says why that is missing."""
    try:
        tested = ask(run)
    except PlaygroundError as problem:
        return section("Test", note(f"What the network says of single images is left out. {problem}"))
    right = tested.verdicts.guesses == tested.verdicts.labels
    words = (
        f"{right.mean():.2%} of {len(right):,} test images are named rightly, with the weights of step {tested.step:,}."
    )
    return joined(
        section(
            "Test",
            element("p", words),
            element("div", _per_class(tested), _confusion(tested), class_="columns"),
            element("p", _confused(tested)),
            element("p", _reliability(tested.verdicts)),
        ),
        _examples(tested),
    )


def _per_class(tested: Tested) -> Html:
    rows = [
        (name, f"{one.count:,}", f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.1%}")
        for name, one in zip(tested.names, tested.verdicts.per_class(), strict=True)
    ]
    return element(
        "div",
        element("h3", "Per class"),
        table("figures", ("class", "images", "precision", "recall", "F1"), rows),
        note("Precision: how many of those called so are. Recall: how many of those that are were found."),
    )


def _confusion(tested: Tested) -> Html:
    is_numbered = len(tested.names) <= _MOST_NUMBERED
    matrix = tested.verdicts.confusion.tolist()
    head = element("tr", element("th"), *(element("th", element("span", name), scope="col") for name in tested.names))
    body = [
        element("tr", element("th", name, scope="row"), *_cells(row, place, is_numbered))
        for place, (name, row) in enumerate(zip(tested.names, matrix, strict=True))
    ]
    upright = "" if max(map(len, tested.names)) <= 3 else " upright"
    kind = f"matrix{upright}" if is_numbered else "matrix dense"
    order = "" if is_numbered else " Classes are in the order of the table."
    return element(
        "div",
        element("h3", "Confusion"),
        scrolled(element("table", element("thead", head), element("tbody", *body), class_=kind)),
        note(f"Rows: what an image is. Columns: what the network takes it for.{order}"),
    )


def _cells(row: Sequence[int], place: int, is_numbered: bool) -> list[Html]:
    """Shaded by the root of the share of the row, so that rare mistakes are seen too."""
    total = max(1, sum(row))
    return [
        element(
            "td",
            f"{count}" if is_numbered else "",
            class_="right" if column == place else "wrong",
            style=f"--share:{sqrt(count / total):.2f}",
        )
        if count
        else element("td")
        for column, count in enumerate(row)
    ]


def _confused(tested: Tested) -> str:
    cells = [
        (count, label, guess)
        for label, row in enumerate(tested.verdicts.confusion.tolist())
        for guess, count in enumerate(row)
        if count and label != guess
    ]
    most = sorted(cells, key=lambda cell: -cell[0])[:_MOST_CONFUSIONS]
    words = (f"{tested.names[label]} for {tested.names[guess]} ({count:,})" for count, label, guess in most)
    return (
        f"Most often one is taken for another: {', '.join(words)}."
        if most
        else "No test image is taken for another class."
    )


def _reliability(verdicts: Verdicts) -> str:
    bins, error = verdicts.reliability()
    over = sum(one.count * (one.confidence - one.accuracy) for one in bins)
    tendency = "surer than it should be" if over > 0 else "less sure than it could be"
    words = (
        f"How sure it is and how often it is right differ by {error:.1%} on average (calibration error); "
        f"on the whole it is {tendency}."
    )
    sure = verdicts.confidence >= _SURE
    if not sure.any():
        return f"{words} It is at least {_SURE:.0%} sure of no image."
    right = float((verdicts.guesses == verdicts.labels)[sure].mean())
    return f"{words} Of the {int(sure.sum()):,} images that it is at least {_SURE:.0%} sure of, {right:.1%} are right."


def _examples(tested: Tested) -> Html:
    verdicts = tested.verdicts
    wrong = verdicts.confident_errors(_MOST_MISTAKES).tolist()
    surest = (verdicts.cell(label, label)[:1].tolist() for label in range(len(tested.names)))
    right = [place for places in surest for place in places][:_MOST_RIGHT]
    return section(
        "Examples",
        element("h3", "Most confident mistakes"),
        note("What it is → what the network says, and how sure it is.") if wrong else note("There is none."),
        _pictures(tested, wrong),
        element("h3", "Right and sure"),
        note("The image of a class that it is surest of.") if right else note("There is none."),
        _pictures(tested, right),
    )


def _pictures(tested: Tested, places: Sequence[int]) -> Html:
    images = tested.data.take(torch.tensor(places, dtype=torch.int64))
    channels, *sides = images.images.shape[1:]
    scale = min(1.0, _LARGEST_SIDE / max(sides))
    small = images.resized((channels, *(max(1, round(side * scale)) for side in sides)))
    figures = []
    for number, place in enumerate(places):
        label, guess = tested.names[tested.verdicts.labels[place]], tested.names[tested.verdicts.guesses[place]]
        words = label if label == guess else f"{label} → {guess}"
        png = base64.b64encode(single_image(small.image(number), size=1)).decode()
        picture = element("img", src=f"data:image/png;base64,{png}", alt=words)
        caption = element("figcaption", element("b", words), f" {tested.verdicts.confidence[place]:.0%}")
        figures.append(element("figure", picture, caption))
    return element("div", *figures, class_="pictures")
