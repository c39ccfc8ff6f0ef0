"""Rasterization in JavaScript against that in Python: ``python -m tests.web.compare_strokes`` prints the largest error.

The long form compares 3,000 of the bundled pen strokes, with all switches and several pens.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np

from playground.core.shapes import Shape
from playground.engine.data.pen_digits import load_pen_drawings
from playground.engine.data.rasterize import Preprocessing, Stroke
from playground.interpret.drawing.preprocess import Drawing, overlay_drawing, preprocess_drawing, resize_to_input
from tests.web.engine_runner import Array, run_node

CANVAS_SIZE = 280.0
PEN_WIDTHS = (4, 11.5, 18, 40)
SWITCHES = tuple(Preprocessing(*switches) for switches in product((False, True), repeat=3))
_SCRIPT = Path(__file__).parent / "rasterize_strokes.mjs"


@dataclass(frozen=True)
class StrokeCase:
    """Strokes on the canvas with a pen, the switches, and the input shape of the network.

    With an ``image`` (channels, height, width), strokes and eraser are drawn on it without preprocessing.
    """

    strokes: tuple[Stroke, ...]
    pen_width: float
    preprocessing: Preprocessing
    shape: Shape = (1, 28, 28)
    image: Array | None = None
    eraser_strokes: tuple[Stroke, ...] = ()

    @property
    def drawing(self) -> Drawing:
        """The drawing on the canvas."""
        strokes, eraser_strokes = (
            tuple(tuple((float(x), float(y)) for x, y in stroke) for stroke in part)
            for part in (self.strokes, self.eraser_strokes)
        )
        return Drawing(strokes, CANVAS_SIZE, self.pen_width, eraser_strokes=eraser_strokes)


def make_cases(count: int) -> list[StrokeCase]:
    """Make ``count`` cases of pen strokes at different places and sizes; pens and switches take turns."""
    stride = max(1, len(load_pen_drawings()) // count)
    variants = list(product(PEN_WIDTHS, SWITCHES))
    cases = []
    for number, drawing in enumerate(load_pen_drawings(stride)[:count]):
        scale, left, top = (0.75, 0.3, 0.5)[number % 3], 20 + number % 60, 10 + number % 45
        points = np.concatenate([np.asarray(stroke, dtype=np.float64) for stroke in drawing["strokes"]])
        low, extent = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1.0)
        placed = [
            np.round((np.asarray(stroke) - low) / extent * scale * CANVAS_SIZE + (left, top), 2).tolist()
            for stroke in drawing["strokes"]
        ]
        cases.append(StrokeCase(tuple(placed), *variants[number % len(variants)]))
    return cases


def rasterize_in_node(cases: Sequence[StrokeCase], folder: Path) -> list[Array]:
    """Rasterize in JavaScript: an image of the network's input shape for each case."""
    drawings = [
        {
            "strokes": case.strokes,
            "canvasSize": CANVAS_SIZE,
            "penWidth": case.pen_width,
            "preprocessing": {
                "fitBox": case.preprocessing.fit_box,
                "normalizeStrokeWidth": case.preprocessing.normalize_stroke_width,
                "centerByMass": case.preprocessing.center_by_mass,
            },
            "shape": case.shape,
            "eraserStrokes": case.eraser_strokes,
            "eraserWidth": case.drawing.eraser_width,
            "imageShape": None if case.image is None else case.image.shape,
            "image": None if case.image is None else case.image.ravel().tolist(),
        }
        for case in cases
    ]
    assert len(asdict(cases[0].preprocessing)) == 3  # a new switch needs a name in JavaScript
    (folder / "drawings.json").write_text(json.dumps(drawings), encoding="utf-8")
    run_node(_SCRIPT, folder)
    values = np.frombuffer((folder / "images").read_bytes(), dtype="<f4")
    ends = np.cumsum([int(np.prod(case.shape)) for case in cases])
    return [image.reshape(case.shape) for image, case in zip(np.split(values, ends)[: len(cases)], cases, strict=True)]


def rasterize_in_python(case: StrokeCase) -> Array:
    """Rasterize as the server does."""
    if case.image is None:
        image = preprocess_drawing(case.drawing, case.preprocessing)
    else:
        image = overlay_drawing(case.image, case.drawing)
    return resize_to_input(image, case.shape)


def measure_errors(cases: Sequence[StrokeCase], folder: Path) -> list[float]:
    """Measure the largest difference of a pixel for each case."""
    images = rasterize_in_node(cases, folder)
    return [float(np.abs(image - rasterize_in_python(case)).max()) for image, case in zip(images, cases, strict=True)]


def main() -> None:
    """Print the largest difference, in steps of 1/255."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="Number of drawings.")
    cases = make_cases(parser.parse_args().count)
    with tempfile.TemporaryDirectory() as folder:
        errors = measure_errors(cases, Path(folder))
    sys.stdout.write(
        f"{len(cases):,} drawings: at most {max(errors) * 255:.2g}/255, mean {np.mean(errors) * 255:.2g}\n"
    )


if __name__ == "__main__":
    main()
