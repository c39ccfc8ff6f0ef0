"""Accuracy on photos of digits: ``python -m benchmarks.photos [--strokes FILE] [--photos N] [--save]``.

Photos are rendered from pen strokes (``benchmarks/rendered_photos.py``) and read as the app and the command line read
files. Three tables: accuracy per scene and per stroke width; the share of predictions that are called certain, and how
many of these are right, with photos of several digits and of none, of which no prediction may be called certain; and
the accuracy on the pen strokes themselves. Beside a digit, a letter or a word can be taken for the largest digit; the
table has how often the digit is among those that the app lets people choose from. A letter such as O or Z alone cannot
be told from a digit, so that photos of these are counted apart.

FILE: as for ``benchmarks.drawn_digits``; only the ten writers are used whose strokes were kept out of training and
tuning. Without it, the strokes of the twenty other writers are used, which come with the program.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.data import describe_machine, print_table
from benchmarks.rendered_photos import (
    CLUTTER,
    COMPANIONS,
    LOOKALIKE,
    SCENES,
    Photo,
    render_clutter_photo,
    render_companion_photo,
    render_digit_photo,
)
from playground.engine.data.pen_digits import load_pen_drawings
from playground.engine.data.rasterize import rasterize
from playground.engine.runs.repository import load_pretrained_run
from playground.errors import DrawingError
from playground.interpret.drawing.image_files import read_photo
from playground.interpret.drawing.preprocess import preprocess_ink
from playground.interpret.evaluation.out_of_distribution import list_digit_doubts
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model, load_model

_SEED = 1_000_000  # of the reported photos; thresholds were tuned on the known writers with seeds below 100,000
_STROKE_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 40.0)
_RESULTS = Path(__file__).parent / "results" / "photos.json"


class Answer(NamedTuple):
    """The predictions for the digits found in a photo, the largest first, and if that of the largest is certain."""

    photo: Photo
    digits: tuple[int, ...]
    is_certain: bool

    @property
    def digit(self) -> int | None:
        """The predicted digit; None where no ink was found."""
        return self.digits[0] if self.digits else None

    @property
    def is_of_one_digit(self) -> bool:
        """True if the photo shows a single digit and nothing beside it."""
        return len(self.photo.labels) == 1 and not self.photo.companion

    @property
    def is_right(self) -> bool:
        """True if the photo's largest digit was predicted, or nothing was found where there is no digit."""
        return self.digit == (self.photo.labels[0] if self.photo.labels else None)

    @property
    def may_be_certain(self) -> bool:
        """True if the prediction is right and the photo shows a single digit."""
        return self.is_right and len(self.photo.labels) == 1


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=Path)
    parser.add_argument("--photos", type=int, default=600, help="Photos of a single digit.")
    parser.add_argument("--save", action="store_true", help=f"Write {_RESULTS.name} to benchmarks/results.")
    options = parser.parse_args()
    drawings = load_drawings(options.strokes)
    model = load_model(load_pretrained_run())
    answers = [answer_photo(model, photo) for photo in render_photos(drawings, options.photos, _SEED)]
    accuracy = _print_accuracy(answers)
    certainty = _print_certainty(answers)
    stroke_accuracy = _measure_stroke_accuracy(model, drawings)
    print(f"Pen strokes without a photo: {stroke_accuracy:.2%} of {len(drawings):,} are right.")
    if options.save:
        values = {
            "machine": describe_machine(),
            "writers": "held out" if options.strokes else "known",
            "photos": len(answers),
            "accuracy": accuracy,
            "certainty": certainty,
            "stroke_accuracy": stroke_accuracy,
        }
        _RESULTS.write_text(json.dumps(values, indent=1) + "\n")


def load_drawings(path: Path | None) -> list[dict[str, Any]]:
    """Load the drawings of the held-out writers from a file, or the bundled ones of the other writers."""
    if path is None:
        return load_pen_drawings()
    return [drawing for drawing in json.loads(path.read_bytes()) if drawing["writer"] % 3 == 0]


def render_photos(drawings: list[dict[str, Any]], count: int, seed: int) -> Iterable[Photo]:
    """Render ``count`` photos of one digit, and a fifth as many each of several, of none, and of one beside a sign."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(drawings))
    for index in range(count):
        yield render_digit_photo([drawings[order[index % len(order)]]], seed + index, SCENES[index % len(SCENES)])
    for index in range(count // 5):
        chosen = random.integers(0, len(drawings), int(random.integers(2, 6)))
        scene = SCENES[index % len(SCENES)]
        yield render_digit_photo([drawings[number] for number in chosen], seed + count + index, scene)
    for index in range(count // 5):
        kind, scene = CLUTTER[index % len(CLUTTER)], SCENES[index // len(CLUTTER) % len(SCENES)]
        yield render_clutter_photo(kind, seed + 2 * count + index, scene)
    for index in range(count // 5):
        drawing = drawings[order[-1 - index % len(order)]]
        kind, scene = COMPANIONS[index % len(COMPANIONS)], SCENES[index // len(COMPANIONS) % len(SCENES)]
        yield render_companion_photo(drawing, kind, seed + 3 * count + index, scene)
    for index in range(count // 10):
        yield render_clutter_photo(LOOKALIKE, seed + 4 * count + index, SCENES[index % len(SCENES)])


def answer_photo(model: Model, photo: Photo) -> Answer:
    """Predict a photo's largest digit, as the app does."""
    try:
        found = read_photo("photo.jpg", photo.content)
    except DrawingError:
        return Answer(photo, (), is_certain=False)
    images = [preprocess_ink(digit.ink) for digit in found.digits]
    predictions = predict(model, images)
    doubts = found.list_doubts()
    is_certain = predictions[0].is_certain and not doubts and not list_digit_doubts(images[0], is_photo=True)
    return Answer(photo, tuple(one.top_class for one in predictions), is_certain)


def _print_accuracy(answers: list[Answer]) -> dict[str, float]:
    groups: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        labels, width = answer.photo.labels, answer.photo.stroke_width
        if labels and answer.photo.companion:
            groups[f"beside a sign, {answer.photo.companion}: the digit is offered"].append(labels[0] in answer.digits)
        elif len(labels) == 1:
            groups["one digit"].append(answer.is_right)
            groups[answer.photo.scene].append(answer.is_right)
            bounds = next(pair for pair in pairwise(_STROKE_WIDTHS) if width <= pair[1])
            groups[f"strokes of {bounds[0]:g} to {bounds[1]:g} pixels"].append(answer.is_right)
        elif labels:
            groups["several digits: the largest"].append(answer.is_right)
            groups["several digits: reported"].append(len(answer.digits) > 1)
    print_table(
        [("photos", "count", "right")]
        + [(name, str(len(values)), f"{np.mean(values):.1%}") for name, values in sorted(groups.items())]
    )
    return {name: float(np.mean(values)) for name, values in groups.items()}


def _print_certainty(answers: list[Answer]) -> dict[str, float]:
    lookalikes = [answer for answer in answers if answer.photo.companion == LOOKALIKE]
    companions = [answer for answer in answers if answer.photo.labels and answer.photo.companion]
    clutter = [answer for answer in answers if answer.photo.companion in CLUTTER and not answer.photo.labels]
    certain = [answer for answer in answers if answer.is_certain and answer.photo.companion != LOOKALIKE]
    single = [answer for answer in answers if answer.is_of_one_digit]
    certain_single = [answer for answer in single if answer.is_certain]
    values = {
        "certain, of photos of one digit": len(certain_single) / len(single),
        "right, of certain ones of one digit": float(np.mean([one.is_right for one in certain_single])),
        "right, of all certain ones": float(np.mean([one.may_be_certain for one in certain])),
        "certain, of photos of several digits": float(
            np.mean([one.is_certain for one in answers if len(one.photo.labels) > 1])
        ),
        "certain, of photos without a digit": float(np.mean([one.is_certain for one in clutter])),
        "certain and wrong, of photos of a digit beside a sign": float(
            np.mean([one.is_certain and not one.is_right for one in companions])
        ),
        "certain, of letters like digits": float(np.mean([one.is_certain for one in lookalikes])),
    }
    print_table([("predictions", "share"), *((name, f"{value:.1%}") for name, value in values.items())])
    return values


def _measure_stroke_accuracy(model: Model, drawings: list[dict[str, Any]]) -> float:
    right = []
    for start in range(0, len(drawings), 500):
        part = drawings[start : start + 500]
        predictions = predict(model, [rasterize(drawing["strokes"]) for drawing in part])
        right += [one.top_class == drawing["label"] for one, drawing in zip(predictions, part, strict=True)]
    return float(np.mean(right))


if __name__ == "__main__":
    main()
