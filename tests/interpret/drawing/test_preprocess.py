"""From strokes and pictures to what the net sees: where the ink lies, and what the net makes of it."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from playground.engine.data.rasterize import (
    BOX_SIZE,
    IMAGE_SIZE,
    MNIST_PEN_WIDTH,
    MNIST_PREPROCESSING,
    RESIZE_ONLY,
    Preprocessing,
    measure_stroke_width,
    rasterize,
    rasterize_canvas,
    render_lines,
)
from playground.engine.data.splits import load_test_images
from playground.engine.runs.repository import load_pretrained_run
from playground.errors import DrawingError
from playground.interpret.drawing.image_files import read_photo
from playground.interpret.drawing.preprocess import Drawing, preprocess_drawing, preprocess_ink
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model, load_model
from tests.strategies import settings

Array = NDArray[np.float32]
STROKES = Path(__file__).parents[4] / "shared" / "data" / "strokes" / "pendigits-tra-strokes.json"

_place = st.tuples(st.floats(0, 280), st.floats(0, 280))
_drawings = st.lists(st.lists(_place, min_size=1, max_size=8), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def pretrained() -> Model:
    return load_model(load_pretrained_run())


def _digits(count: int) -> tuple[list[Array], list[int]]:
    data = load_test_images("mnist")
    images = data.images[:count].to(torch.float32).div(255).numpy()
    return list(images), data.labels[:count].tolist()


def _centre(image: Array) -> NDArray[np.float64]:
    """(x, y) of the ink's centre of mass, the corner of the image being (0, 0)."""
    rows, columns = np.mgrid[0 : image.shape[-2], 0 : image.shape[-1]] + 0.5
    ink = image.reshape(image.shape[-2:]).astype(np.float64)
    return np.array([(columns * ink).sum(), (rows * ink).sum()], dtype=np.float64) / float(ink.sum())


def _right(model: Model, images: list[Array], labels: list[int]) -> float:
    predictions = predict(model, images)
    return float(np.mean([one.top_class == label for one, label in zip(predictions, labels, strict=True)]))


def _off_middle(image: Array) -> float:
    """Pixels from the place where MNIST itself puts the centre of mass: pixel 14, whose middle is at 14.5."""
    return float(np.abs(_centre(image) - 14.5).max())


def test_where_mnist_puts_its_digits() -> None:
    """The figures that the fitting aims at, measured: a box of 20, the centre of mass inside pixel 14."""
    images, _ = _digits(500)
    for image in images:
        assert _off_middle(image) <= 0.5 + 2e-3
        inked = np.argwhere(image[0] > 0)
        assert (inked.max(axis=0) - inked.min(axis=0) + 1).max() == BOX_SIZE
    mean = np.mean([_centre(image) for image in images], axis=0)
    np.testing.assert_allclose(mean, [14.5, 14.5], atol=0.05)


@given(strokes=_drawings)
@settings(max_examples=150)
def test_fitted_strokes_are_an_image(strokes: Any) -> None:
    image = rasterize(strokes)
    assert image.shape == (1, IMAGE_SIZE, IMAGE_SIZE)
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 1
    assert image.max() >= 0.5
    inked = np.argwhere(image[0] > 0.5)
    assert (inked.max(axis=0) - inked.min(axis=0) + 1).max() <= BOX_SIZE + 1


@given(strokes=_drawings)
@settings(max_examples=150)
def test_fitted_strokes_lie_in_the_middle(strokes: Any) -> None:
    image = rasterize(strokes)
    framed = image[0].copy()
    framed[2:-2, 2:-2] = 0
    if framed.max() == 0:  # ink at the frame: a lopsided drawing, see below
        assert _off_middle(image) <= 0.6


@pytest.mark.parametrize("lean", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_lopsided_drawing_keeps_its_ink(lean: tuple[int, int]) -> None:
    """A line and a far dot: the centre of mass is near the line, but the dot must not be pushed out of the image."""
    right, down = lean
    image = rasterize([[(0, down), (1, down)], [(right, 1 - down)]])
    whole = rasterize([[(0, 0), (1, 0)]]).sum() + rasterize([[(0, 0)]]).sum()
    assert image.sum() == pytest.approx(whole, rel=0.04)


@given(
    strokes=_drawings,
    scale=st.floats(0.01, 100),
    shift=st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)),
)
@settings(max_examples=80)
def test_place_and_size_of_a_drawing_do_not_matter(strokes: Any, scale: float, shift: tuple[float, float]) -> None:
    points = np.concatenate([np.array(stroke) for stroke in strokes])
    extent = float((points.max(axis=0) - points.min(axis=0)).max())
    if 0 < extent < 1:
        return  # a blot of less than a pixel, blown up: rounding of the shift would show
    moved = [[(x * scale + shift[0], y * scale + shift[1]) for x, y in stroke] for stroke in strokes]
    np.testing.assert_allclose(rasterize(moved), rasterize(strokes), atol=0.05)


def test_a_dot_and_a_line() -> None:
    dot = rasterize([[(100, 3)]])[0]
    assert dot.sum() == pytest.approx(np.pi * (MNIST_PEN_WIDTH / 2) ** 2, rel=0.25)
    assert _off_middle(dot[None]) <= 0.6
    line = rasterize([[(5, 0), (5, 90)]])[0]
    rows = np.flatnonzero(line.max(axis=1) > 0.5)
    columns = np.flatnonzero(line.max(axis=0) > 0.5)
    assert len(rows) == pytest.approx(BOX_SIZE, abs=1)
    assert len(columns) == pytest.approx(MNIST_PEN_WIDTH, abs=1)
    assert line.sum() == pytest.approx(BOX_SIZE * MNIST_PEN_WIDTH, rel=0.1)
    np.testing.assert_allclose(rasterize([[(0, 0), (90, 0)]])[0], line.T, atol=1e-6)
    one_point_twice = rasterize([[(100, 3), (100, 3)], []])
    np.testing.assert_allclose(one_point_twice[0], dot, atol=1e-6)


def test_a_scribble_of_thousands_of_points() -> None:
    turns = np.linspace(0, 200, 20_000)
    scribble = np.stack([turns * np.cos(turns), turns * np.sin(turns)], axis=1)
    assert rasterize([scribble.tolist()]).mean() > 0.3


@pytest.mark.parametrize(
    "strokes",
    [
        [],
        [[]],
        [[], []],
        [[(0, float("nan"))]],
        [[(float("inf"), 0)]],
        [[(0, 0), (1, 2, 3)]],
        [[(0,)]],
        [[1, 2, 3]],
        [[("a", "b")]],
        [[(0, None)]],
        [[{"x": 1, "y": 2}]],
        [[(10**400, 0)]],
        [[[[0, 0]], [[1, 1]]]],
    ],
)
def test_unreadable_strokes_are_told_so(strokes: Any) -> None:
    with pytest.raises(DrawingError, match=r"[sS]troke"):
        rasterize(strokes)


@pytest.mark.parametrize(
    "strokes",
    [[[(-1e308, 0), (1e308, 5)]], [[(0, 0), (5e-324, 0)]], [[(1e300, 1e300), (1e300, 1.1e300)]]],
)
def test_finite_points_of_any_size_give_an_image_or_an_error(strokes: Any) -> None:
    try:
        image = rasterize(strokes)
    except DrawingError:
        return
    assert np.isfinite(image).all()
    assert image.max() > 0.5


def test_an_empty_canvas_is_told_so() -> None:
    for drawing in (Drawing(), Drawing(strokes=((),))):
        assert drawing.is_empty
        with pytest.raises(DrawingError, match="The canvas is empty"):
            preprocess_drawing(drawing)


def test_without_centring_the_canvas_is_only_shrunk() -> None:
    drawing = Drawing(strokes=(((20.0, 20.0), (20.0, 80.0)),), canvas_size=280, pen_width=20)
    shrunk = preprocess_drawing(drawing, RESIZE_ONLY)
    assert shrunk.shape == (1, 28, 28)
    np.testing.assert_allclose(_centre(shrunk), [2, 5], atol=0.05)
    rows = np.flatnonzero(shrunk[0].max(axis=1) > 0.5)
    assert (rows[0], rows[-1]) == (1, 8)
    centred = preprocess_drawing(drawing)
    np.testing.assert_array_equal(centred, rasterize(drawing.strokes))


def test_strokes_over_a_picture() -> None:
    under = np.zeros((28, 28), dtype=np.float32)
    under[4:24, 13:15] = 1
    drawing = Drawing(strokes=(((100.0, 140.0), (180.0, 140.0)),), background=under)
    shrunk = preprocess_drawing(drawing, RESIZE_ONLY)
    assert shrunk[0, 5, 13] == 1
    assert shrunk[0, 14, 10] > 0.8
    assert _off_middle(preprocess_drawing(drawing)) <= 0.6


def test_an_empty_picture_is_told_so() -> None:
    with pytest.raises(DrawingError, match="empty"):
        preprocess_ink(np.zeros((28, 28), dtype=np.float32))


def _read_ink(content: bytes) -> Array:
    return read_photo("digit.png", content).digits[0].ink


def _png(image: Array, *, inverted: bool = False) -> bytes:
    buffer = BytesIO()
    values = np.round(image * 255).astype(np.uint8)
    Image.fromarray(255 - values if inverted else values).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("inverted", [False, True])
def test_an_mnist_image_comes_back_as_it_is(inverted: bool) -> None:
    """Its own digits are where MNIST puts digits: fitting must find nothing to do, in either polarity."""
    images, _ = _digits(200)
    changed = []
    for number, image in enumerate(images):
        wanted = image[0] / image.max()
        fitted = preprocess_ink(_read_ink(_png(image[0], inverted=inverted)))
        if np.abs(fitted[0] - wanted).max() > 0.01:
            changed.append(number)
    assert len(changed) <= 2, f"{len(changed)} of 200 were changed: {changed[:10]} …"


def test_enlarged_and_off_centre_digits_are_still_right(pretrained: Model) -> None:
    images, labels = _digits(200)
    fitted = []
    for number, image in enumerate(images):
        large = np.asarray(Image.fromarray(image[0]).resize((280, 280), Image.Resampling.BICUBIC))
        paper = np.zeros((400, 420), dtype=np.float32)
        top, left = number * 7 % 120, number * 11 % 140
        paper[top : top + 280, left : left + 280] = np.clip(large, 0, 1)
        fitted.append(preprocess_ink(_read_ink(_png(paper, inverted=number % 2 == 0))))
    assert _right(pretrained, fitted, labels) >= 0.95
    assert max(_off_middle(image) for image in fitted) <= 0.6


def test_pen_drawn_digits_are_right(pretrained: Model) -> None:
    if not STROKES.exists():
        pytest.skip(f"no pen-drawn digits at {STROKES}: they are data for trying, not part of the project")
    drawings = json.loads(STROKES.read_text())[::15][:500]
    assert len(drawings) == 500
    images = [rasterize(drawing["strokes"]) for drawing in drawings]
    right = _right(pretrained, images, [drawing["label"] for drawing in drawings])
    assert right >= 0.9, f"{right:.1%} of {len(drawings)}"
    assert max(_off_middle(image) for image in images) <= 0.7


def _squares(fitting: Preprocessing, pen_width: float, shift: float = 0.0) -> Array:
    """A square of 100 on a canvas of 280, as it reaches the net."""
    corners = [(40, 60), (140, 60), (140, 160), (40, 160), (40, 60)]
    square: Array = rasterize_canvas([[(x + shift, y + shift) for x, y in corners]], 280, pen_width, fitting)[0]
    return square


def _box(image: Array) -> tuple[int, int, int, int]:
    # Pixels that are half covered do not count, whatever their last bit says.
    rows, columns = np.flatnonzero(image.max(axis=1) > 0.51), np.flatnonzero(image.max(axis=0) > 0.51)
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def test_every_step_of_the_fitting_does_what_its_switch_says() -> None:
    shrunk = _squares(RESIZE_ONLY, 20)
    assert _box(shrunk) == (5, 17, 3, 15)  # (60 - 10) / 10 to (160 + 10) / 10, (40 - 10) / 10 to (140 + 10) / 10
    assert _box(_squares(Preprocessing(center_by_mass=False), 20)) == (
        1,
        21,
        0,
        20,
    )  # about its middle on the canvas, kept inside
    boxed = _squares(Preprocessing(normalize_stroke_width=False), 20)
    assert _box(boxed) == (5, 24, 5, 24)  # 20 pixels about 14.5: 4.5 to 24.5
    thick, thin = (
        _squares(Preprocessing(normalize_stroke_width=False), 40),
        _squares(Preprocessing(normalize_stroke_width=False), 10),
    )
    assert measure_stroke_width(thick) > 1.5 * measure_stroke_width(thin)
    assert _box(_squares(Preprocessing(fit_box=False), 20)) == (
        8,
        21,
        8,
        21,
    )  # 10 pixels and MNIST's pen, in the middle


@pytest.mark.parametrize("pen_width", [8, 16, 24, 32, 40])
@pytest.mark.parametrize("shift", [-30, 0, 90])
def test_as_mnist_neither_pen_nor_place_matters(pen_width: float, shift: float) -> None:
    np.testing.assert_allclose(
        _squares(MNIST_PREPROCESSING, pen_width, shift), _squares(MNIST_PREPROCESSING, 18), atol=1e-6
    )


@pytest.mark.parametrize("width", [2.4, 4.0, 7.0])
@pytest.mark.parametrize("turn", [0.0, 0.3, 0.8])
def test_the_width_of_lines_is_measured(width: float, turn: float) -> None:
    across = np.array([np.cos(turn), np.sin(turn)]) * 10
    image = render_lines([np.array([14 - across, 14 + across])], width)
    assert measure_stroke_width(image) == pytest.approx(width, rel=0.2)
    assert measure_stroke_width(np.zeros((5, 5), dtype=np.float32)) == 0


def test_mnist_s_own_lines_are_as_wide_as_the_pen_that_draws_like_it() -> None:
    images, _ = _digits(1000)
    widths = [measure_stroke_width(image[0]) for image in images]
    lines = [np.array([(4.0, 6.0), (22.0, 6.0), (10.0, 24.0)])]
    assert np.median(widths) == pytest.approx(measure_stroke_width(render_lines(lines, MNIST_PEN_WIDTH)), rel=0.1)
