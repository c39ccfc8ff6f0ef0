"""Drawings rasterized in the browser have the pixels of those rasterized in Python."""

from pathlib import Path

import numpy as np
import pytest

from playground.core.shapes import Shape
from playground.engine.data.rasterize import MNIST_PREPROCESSING, Stroke
from tests.web.compare_strokes import PEN_WIDTHS, SWITCHES, StrokeCase, make_cases, measure_errors

TOLERANCE = 0.01 / 255
"""Drawings without rounding to bytes are equal to within the last bits."""

LINE: Stroke = ((60, 40), (61.5, 80.25), (200, 260))


def test_pen_strokes_have_pythons_pixels(tmp_path: Path) -> None:
    cases = make_cases(192)
    assert {case.pen_width for case in cases} == set(PEN_WIDTHS)
    assert {case.preprocessing for case in cases} == set(SWITCHES)
    assert max(measure_errors(cases, tmp_path)) < TOLERANCE


@pytest.mark.parametrize(
    "strokes",
    [
        pytest.param((((140, 140),),), id="dot"),
        pytest.param((((3, 5),), ((270, 260),)), id="two dots"),
        pytest.param((((140, 140), (140, 140)),), id="repeated point"),
        pytest.param((((-9, 10), (289, 270)),), id="outside of the canvas"),
        pytest.param(((), LINE), id="empty stroke"),
        pytest.param((LINE,) * 200, id="200 strokes"),
        pytest.param((((0, 0), (0, 280)), ((0, 280), (1, 280))), id="lopsided"),
        # On a canvas of 280 a pixel is 10 units: these points lie exactly 0.2 pixels apart.
        pytest.param((tuple((40 + 2.0 * step, 40 + 2.0 * (step % 2)) for step in range(90)),), id="exactly 0.2 pixels"),
    ],
)
def test_unusual_strokes_have_pythons_pixels(strokes: tuple[Stroke, ...], tmp_path: Path) -> None:
    cases = [StrokeCase(strokes, pen, switches) for pen in PEN_WIDTHS for switches in SWITCHES]
    assert max(measure_errors(cases, tmp_path)) < TOLERANCE


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 48), (1, 20, 14), (4, 28, 28), (2, 224, 224)])
def test_input_of_another_shape_has_pythons_pixels(shape: Shape, tmp_path: Path) -> None:
    cases = [StrokeCase(case.strokes, 18, MNIST_PREPROCESSING, shape) for case in make_cases(12)]
    assert max(measure_errors(cases, tmp_path)) < 1.01 / 255


@pytest.mark.parametrize(
    ("image_shape", "shape"),
    [((3, 32, 32), (3, 32, 32)), ((3, 40, 28), (1, 28, 28)), ((1, 16, 16), (3, 32, 24)), ((3, 32, 32), (3, 64, 64))],
)
def test_strokes_on_an_image_have_pythons_pixels(image_shape: Shape, shape: Shape, tmp_path: Path) -> None:
    image = np.random.default_rng(2).random(image_shape).astype(np.float32)
    eraser = (((20, 250), (260, 30)),)
    cases = [
        StrokeCase(case.strokes, pen, MNIST_PREPROCESSING, shape, image, eraser)
        for case in make_cases(4)
        for pen in PEN_WIDTHS
    ]
    assert max(measure_errors(cases, tmp_path)) < (TOLERANCE if image_shape == shape else 1.01 / 255)
