"""Pictures of digits as people take them: shadows, paper, boxes, thick and thin pens; the shipped model reads them."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from playground.engine.data.rasterize import render_lines
from playground.engine.runs.repository import load_pretrained_run
from playground.interpret.drawing.image_files import read_uploaded_input
from playground.interpret.drawing.photo import extract_ink, has_typical_stroke_width, redraw_skeleton
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model, load_model

Array = NDArray[np.float32]
SIDE = 300

# Digits as polylines in a box of 100, drawn plainly.
DIGITS: dict[int, list[list[tuple[float, float]]]] = {
    0: [[(50, 0), (20, 20), (12, 50), (20, 80), (50, 100), (80, 80), (88, 50), (80, 20), (50, 0)]],
    1: [[(50, 0), (50, 100)]],
    2: [[(15, 25), (30, 5), (60, 0), (80, 20), (70, 50), (15, 100), (85, 100)]],
    3: [[(15, 10), (50, 0), (80, 20), (70, 42), (45, 48), (75, 58), (85, 80), (55, 100), (12, 90)]],
    4: [[(60, 0), (10, 65), (90, 65)], [(65, 40), (65, 100)]],
    5: [[(80, 0), (25, 0), (20, 42), (55, 38), (82, 60), (75, 90), (45, 100), (12, 90)]],
    7: [[(12, 2), (88, 2), (40, 100)]],
}


@pytest.fixture(scope="module")
def pretrained() -> Model:
    return load_model(load_pretrained_run())


def _drawn(digit: int, *, pen: float = 18.0, size: float = 150, corner: tuple[float, float] = (70, 60)) -> Array:
    """Ink 0 to 1 on a sheet of 300 × 300."""
    lines = [np.array(line) / 100 * size + np.array(corner) for line in DIGITS[digit]]
    return render_lines(lines, pen, SIDE)


def _guess(model: Model, grey: Array) -> int:
    buffer = BytesIO()
    Image.fromarray((np.clip(grey, 0, 1) * 255).astype(np.uint8)).save(buffer, "PNG")
    return predict(model, [read_uploaded_input("photo.png", buffer.getvalue())])[0].top_class


@pytest.mark.parametrize("digit", DIGITS)
@pytest.mark.parametrize("dark", [False, True])
def test_a_plain_picture_in_either_polarity(digit: int, dark: bool, pretrained: Model) -> None:
    ink = _drawn(digit)
    assert _guess(pretrained, ink if dark else 1 - ink) == digit


@pytest.mark.parametrize("digit", DIGITS)
def test_a_shadow_across_textured_paper(digit: int, pretrained: Model) -> None:
    source = np.random.default_rng(digit)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    light = 0.9 - 0.5 * columns - 0.15 * rows + source.normal(0, 0.02, (SIDE, SIDE))
    assert _guess(pretrained, (light * (1 - 0.75 * _drawn(digit))).astype(np.float32)) == digit


@pytest.mark.parametrize("digit", [2, 3, 5, 7])
def test_a_box_around_the_digit_and_specks_are_no_part_of_it(digit: int, pretrained: Model) -> None:
    sheet = Image.fromarray(((1 - _drawn(digit)) * 255).astype(np.uint8))
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((20, 20, 280, 280), outline=0, width=4)
    for x, y in ((35, 250), (260, 40), (250, 255)):
        pen.ellipse((x, y, x + 4, y + 4), fill=60)
    ink = extract_ink(np.asarray(sheet, dtype=np.float32) / 255)
    inked = np.argwhere(ink > 0.5)
    assert (inked.min(axis=0) > 15).all()
    assert (inked.max(axis=0) < 110).all()
    assert _guess(pretrained, np.asarray(sheet, dtype=np.float32) / 255) == digit


def test_a_lone_zero_as_large_as_the_picture_is_no_box(pretrained: Model) -> None:
    assert _guess(pretrained, 1 - _drawn(0, size=260, corner=(20, 20))) == 0
    square = Image.new("L", (SIDE, SIDE), 255)
    ImageDraw.Draw(square).rectangle((20, 20, 280, 280), outline=0, width=12)
    assert extract_ink(np.asarray(square, dtype=np.float32) / 255).any()


@pytest.mark.parametrize("digit", DIGITS)
@pytest.mark.parametrize("pen", [4.0, 10.0, 44.0])
def test_thin_and_thick_lines_are_drawn_anew(digit: int, pen: float, pretrained: Model) -> None:
    ink = _drawn(digit, pen=pen)
    if digit != 1:  # a bare line has no other size than its length
        assert has_typical_stroke_width(_drawn(digit))
        assert not has_typical_stroke_width(ink)
    again = redraw_skeleton(ink)
    assert again.shape == (1, 28, 28)
    assert has_typical_stroke_width(again[0])
    assert _guess(pretrained, 1 - ink) == digit


def test_nothing_stands_out_of_an_even_or_a_noisy_sheet() -> None:
    assert not extract_ink(np.full((200, 150), 0.7, dtype=np.float32)).any()
    noise = np.random.default_rng(0).normal(0.7, 0.01, (200, 150)).astype(np.float32)
    assert not extract_ink(noise).any()
