"""Accuracy on drawn digits: ``python -m benchmarks.drawn_digits --strokes FILE [RUN ...] [--writers held-out]``.

Pen strokes of people are drawn on a canvas of 320 pixels with pens of several widths, large in the middle and small in
a corner. Each drawing is preprocessed in three ways: resized only, fitted and centered with its stroke width unchanged,
and as this project does it. By default only the ten writers are used whose strokes were kept out of training and
tuning. The last table is the share of digits and of other images that out-of-distribution detection reports.

FILE: ``pendigits-tra-strokes.json``, of which ``assets/pens/README.md`` names the source, or ``strokes.jsonl.xz``.
RUN: as on the command line; the pretrained model by default.
"""

import argparse
import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from benchmarks.data import print_table
from playground.engine.data.rasterize import (
    MNIST_PREPROCESSING,
    RESIZE_ONLY,
    Preprocessing,
    rasterize,
    rasterize_canvas,
)
from playground.engine.data.splits import load_test_images
from playground.engine.runs.repository import find_run
from playground.interpret.drawing.preprocess import preprocess_ink
from playground.interpret.evaluation.out_of_distribution import compute_ood_score
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model, load_model

_CANVAS_SIZE = 320.0
_PEN_WIDTHS = (8, 16, 24, 32, 40)
_PREPROCESSING_VARIANTS = {
    "resized": RESIZE_ONLY,
    "fitted and centered": Preprocessing(normalize_stroke_width=False),
    "ours": MNIST_PREPROCESSING,
}
_PLACEMENTS = {
    "large in the middle": (0.75, 0.5),
    "small in a corner": (0.25, 0.0),
}  # share of the canvas, and position

ImageArray = NDArray[np.float32]


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", default=["pretrained"])
    parser.add_argument("--strokes", type=Path, required=True)
    parser.add_argument("--writers", choices=("held-out", "known", "all"), default="held-out")
    parser.add_argument(
        "--limit", type=int, default=10**6, help="Number of drawings, and of images of each other kind."
    )
    options = parser.parse_args()
    drawings = [drawing for drawing in _read_drawings(options.strokes) if _is_selected(drawing, options.writers)]
    drawings = drawings[: options.limit]
    for name in options.runs:
        _report_accuracy(
            load_model(find_run(name)), drawings, f"{name}, {len(drawings):,} drawings, {options.writers} writers"
        )
    _report_out_of_distribution(drawings, options.limit)


def _read_drawings(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    if path.suffix == ".xz":
        return [json.loads(line) for line in lzma.decompress(content).splitlines()]
    drawings: list[dict[str, Any]] = json.loads(content)
    return drawings


def _report_out_of_distribution(drawings: list[dict[str, Any]], limit: int) -> None:
    source = np.random.default_rng(0)
    kinds = {
        "MNIST's test digits": list(load_test_images("mnist").images[:2000].numpy().astype(np.float32) / 255),
        "the drawings above": [rasterize(drawing["strokes"]) for drawing in drawings],
        "letters that resemble no digit": [_render_letter(letter) for letter in "ABDEFGHKMNPQRTWXadefghkmnptwx"],
        "scribbles of 8 corners": [rasterize([source.uniform(0, 100, (8, 2)).tolist()]) for _ in range(200)],
        "scribbles of 25 corners": [rasterize([source.uniform(0, 100, (25, 2)).tolist()]) for _ in range(200)],
        "noise": [source.uniform(0, 1, (1, 28, 28)).astype(np.float32) for _ in range(50)],
    }
    rows: list[tuple[str, ...]] = [("reported as out of distribution", "")]
    for kind, images in kinds.items():
        rows.append(
            (kind, f"{np.mean([not compute_ood_score(image).is_in_distribution for image in images[:limit]]):.1%}")
        )
    print_table(rows)


def _render_letter(letter: str) -> ImageArray:
    sheet = Pillow.new("L", (120, 120))
    ImageDraw.Draw(sheet).text((20, 5), letter, fill=255, font=ImageFont.load_default(size=80))
    return preprocess_ink(np.asarray(sheet, dtype=np.float32) / np.float32(255))


def _is_selected(drawing: dict[str, Any], writers: str) -> bool:
    held_out = drawing["writer"] % 3 == 0
    return writers == "all" or held_out == (writers == "held-out")


def _report_accuracy(model: Model, drawings: list[dict[str, Any]], title: str) -> None:
    labels = np.array([drawing["label"] for drawing in drawings])
    rows: list[tuple[str, ...]] = [(title, *_PREPROCESSING_VARIANTS)]
    predictions: dict[str, NDArray[np.int64]] = {}
    for placement, (share, position) in _PLACEMENTS.items():
        for pen in _PEN_WIDTHS:
            canvases = [_place_on_canvas(drawing["strokes"], pen, share, position) for drawing in drawings]
            cells = []
            for variant, preprocessing in _PREPROCESSING_VARIANTS.items():
                predictions[variant] = _predict_digits(
                    model, [rasterize_canvas(strokes, _CANVAS_SIZE, pen, preprocessing) for strokes in canvases]
                )
                cells.append(f"{np.mean(predictions[variant] == labels):.1%}")
            rows.append((f"{placement}, pen {pen}", *cells))
    print_table(rows)
    ours = predictions["ours"]
    print_table(
        [("digit", *map(str, range(10))), ("ours", *(f"{np.mean(ours[labels == n] == n):.1%}" for n in range(10)))]
    )
    wrong = Counter(zip(labels[ours != labels].tolist(), ours[ours != labels].tolist(), strict=True))
    print(
        "most frequent confusions:",
        ", ".join(f"{a} for {b} ({count})" for (a, b), count in wrong.most_common(12)),
        "\n",
    )


def _place_on_canvas(
    strokes: list[list[list[float]]], pen_width: float, size_fraction: float, position_fraction: float
) -> list[list[list[float]]]:
    """Scale strokes to a share of the canvas and place them in its middle (0.5) or its top left corner (0)."""
    points = np.concatenate([np.asarray(stroke, dtype=np.float64) for stroke in strokes])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (size_fraction * _CANVAS_SIZE - pen_width) / max(float((high - low).max()), 1e-6)
    room = _CANVAS_SIZE - pen_width - (high - low) * scale
    return [
        ((np.asarray(stroke) - low) * scale + pen_width / 2 + room * position_fraction).tolist() for stroke in strokes
    ]


def _predict_digits(model: Model, images: list[ImageArray]) -> NDArray[np.int64]:
    predictions = (predict(model, images[start : start + 500]) for start in range(0, len(images), 500))
    return np.array([prediction.top_class for batch in predictions for prediction in batch])


if __name__ == "__main__":
    main()
