"""Photos of digits as people take them are found, read, and doubted where they are not one clear digit."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.photos import Answer, answer_photo
from benchmarks.rendered_photos import CLUTTER, SCENES, render_clutter_photo, render_digit_photo
from playground.engine.data.pen_digits import load_pen_drawings
from playground.engine.data.rasterize import render_lines
from playground.engine.runs.repository import load_pretrained_run
from playground.errors import DrawingError
from playground.interpret.drawing.image_files import read_photo
from playground.interpret.drawing.photo import Photo, find_digits
from playground.interpret.drawing.preprocess import preprocess_ink
from playground.interpret.drawing.ruling import find_ruling, remove_ruling
from playground.interpret.drawing.skeleton import has_thin_strokes, redraw_skeleton, skeletonize
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model, load_model

CASES = Path(__file__).parents[4] / "shared" / "cases" / "files" / "10-sheet-on-a-dark-desk"
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


def _save(gray: Array) -> bytes:
    buffer = BytesIO()
    Image.fromarray((np.clip(gray, 0, 1) * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _guess(model: Model, gray: Array) -> int:
    return predict(model, [preprocess_ink(read_photo("photo.png", _save(gray)).digits[0].ink)])[0].top_class


def _place(photo: Photo, index: int = 0) -> Array:
    """Return top, left, bottom, right of a digit in pixels."""
    height, width = photo.gray.shape
    return np.array(photo.digits[index].area, dtype=np.float32) * np.array([height, width] * 2, dtype=np.float32)


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
    photo = read_photo("photo.png", _save(np.asarray(sheet, dtype=np.float32) / np.float32(255)))
    top, left, bottom, right = _place(photo)
    assert min(top, left) > 40
    assert max(bottom, right) < 250
    assert _guess(pretrained, np.asarray(sheet, dtype=np.float32) / np.float32(255)) == digit


def test_a_lone_zero_as_large_as_the_picture_is_no_box(pretrained: Model) -> None:
    assert _guess(pretrained, 1 - _drawn(0, size=260, corner=(20, 20))) == 0


@pytest.mark.parametrize("digit", DIGITS)
@pytest.mark.parametrize("pen", [4.0, 10.0])
def test_thin_lines_are_drawn_again(digit: int, pen: float, pretrained: Model) -> None:
    ink = _drawn(digit, pen=pen)
    if digit != 1:  # a bare line has no other size than its length
        assert not has_thin_strokes(_drawn(digit))
        assert has_thin_strokes(ink)
    again = redraw_skeleton(ink)
    assert again is not None
    assert again.shape == (1, 28, 28)
    assert not has_thin_strokes(again[0])
    assert _guess(pretrained, 1 - ink) == digit


@pytest.mark.parametrize("side", [30, 64, 100, 160])
@pytest.mark.parametrize("is_round", [False, True])
def test_blobs_without_a_skeleton_are_only_scaled(side: int, is_round: bool) -> None:
    rows, columns = np.mgrid[0:200, 0:200] - 99.5
    distance = np.hypot(rows, columns) if is_round else np.maximum(abs(rows), abs(columns))
    drawing = preprocess_ink((distance < side / 2).astype(np.float32))
    assert 15 <= np.sqrt(drawing.sum()) <= 20 or drawing.max() == 1  # as large as the box, or a line of the pen
    assert drawing.sum() > 3


@pytest.mark.parametrize("pen_ratio", [0.16, 0.2, 0.24])
def test_thick_lines_with_filled_loops_are_read_as_they_are(pen_ratio: float, pretrained: Model) -> None:
    """A skeleton makes a 9 of an 8 whose lower loop is filled; of these drawings it left 64 to 89 % right."""
    drawings = load_pen_drawings(150)
    images = []
    for drawing in drawings:
        points = np.concatenate([np.asarray(stroke, dtype=np.float64) for stroke in drawing["strokes"] if stroke])
        low, scale = points.min(axis=0), 120 / np.ptp(points, axis=0).max()
        lines = [(np.asarray(stroke) - low) * scale + 40 for stroke in drawing["strokes"] if stroke]
        images.append(preprocess_ink(render_lines(lines, pen_ratio * 120, 200)))
    found = predict(pretrained, images)
    right = [one.top_class == drawing["label"] for one, drawing in zip(found, drawings, strict=True)]
    assert np.mean(right) >= 0.9


def test_nothing_stands_out_of_even_or_noisy_paper() -> None:
    assert find_digits(np.full((200, 150), 0.7, dtype=np.float32)) == ()
    noise = np.random.default_rng(0).normal(0.7, 0.01, (200, 150)).astype(np.float32)
    assert find_digits(noise) == ()
    with pytest.raises(DrawingError, match=r"blank\.png: the image is empty"):
        read_photo("blank.png", _save(noise))


@pytest.mark.parametrize("outline", [1, 3, 8])
@pytest.mark.parametrize("side", [28, 100, 300])
@pytest.mark.parametrize("digit", [2, 7])
def test_dark_outline_at_the_edge_does_not_invert_the_paper(
    digit: int, side: int, outline: int, pretrained: Model
) -> None:
    sheet = Image.fromarray(((1 - _drawn(digit)) * 255).astype(np.uint8)).resize((side, side))
    width = max(1, outline * side // 300)
    ImageDraw.Draw(sheet).rectangle((0, 0, side - 1, side - 1), outline=0, width=width)
    assert _guess(pretrained, np.asarray(sheet, dtype=np.float32) / np.float32(255)) == digit


def test_sheets_on_a_dark_desk_are_read(pretrained: Model) -> None:
    if not CASES.exists():
        pytest.skip(f"no photos at {CASES}: they are data for trying, not part of the project")
    files = sorted(CASES.glob("*.png"))
    assert len(files) == 4
    for file in files:
        (digit,) = read_photo(file.name, file.read_bytes()).digits
        assert predict(pretrained, [preprocess_ink(digit.ink)])[0].top_class == 7, file.name


def test_several_digits_are_found_the_largest_first(pretrained: Model) -> None:
    ink = np.maximum(_drawn(3, pen=6, size=60, corner=(40, 40)), _drawn(5, pen=8, size=110, corner=(150, 120)))
    photo = read_photo("photo.png", _save(1 - np.float32(0.9) * ink))
    found = predict(pretrained, [preprocess_ink(digit.ink) for digit in photo.digits])
    assert [prediction.top_class for prediction in found] == [5, 3]
    np.testing.assert_allclose(_place(photo)[:2], (116, 160), atol=6)
    assert photo.list_doubts() == ("it is the largest of 2 digits in the photo",)
    assert photo.list_doubts(0) == photo.list_doubts(1) == ()


def test_digit_cut_by_the_edge_is_doubted() -> None:
    photo = read_photo("photo.png", _save((1 - _drawn(2))[60:, :180]))
    assert "the digit reaches the edge of the photo" in photo.list_doubts()


def test_pale_mark_beside_the_digit_is_a_doubt() -> None:
    ink = np.maximum(
        0.9 * _drawn(7, pen=8, size=110, corner=(30, 60)), 0.3 * _drawn(4, pen=8, size=70, corner=(200, 90))
    )
    assert "there are other marks beside it" in read_photo("photo.png", _save(0.95 - 0.8 * ink)).list_doubts()


@pytest.mark.parametrize("digit", [0, 3, 5])
def test_chalk_in_a_dim_room_is_read_instead_of_its_gaps(digit: int, pretrained: Model) -> None:
    source = np.random.default_rng(digit)
    noise = source.normal(0, 0.008, (SIDE, SIDE)).astype(np.float32)
    board = 0.12 + np.float32(0.3) * _drawn(digit, pen=20, size=100, corner=(60, 50)) + noise
    photo = read_photo("photo.png", _save(board))
    assert len(photo.digits) == 1
    assert _guess(pretrained, board) == digit
    np.testing.assert_allclose(_place(photo)[[0, 2]], (40, 160), atol=8)


@pytest.mark.parametrize("turn", [0, 1])
def test_ruled_lines_are_removed_and_strokes_across_them_kept(turn: int) -> None:
    contrast = np.zeros((200, 240), dtype=np.float32)
    contrast[20:190:30] = 0.3
    contrast[:, 100:108] = 0.8
    contrast = np.rot90(contrast, turn)
    thin = np.where(contrast < 0.5, contrast, 0)
    cleaned = np.rot90(remove_ruling(contrast, find_ruling(thin, 0.05)), -turn)
    assert cleaned[:, 100:108].min() == pytest.approx(0.8)
    assert np.delete(cleaned, range(95, 113), axis=1).max() == 0


@pytest.mark.parametrize("degrees", [-3.5, 0.5, 1.4])
@pytest.mark.parametrize("bend", [0.0, 3.0])
def test_ruled_lines_of_any_slope_on_bent_paper_are_removed(degrees: float, bend: float) -> None:
    rows, columns = np.mgrid[0:240, 0:400]
    heights = rows + np.tan(np.radians(degrees)) * (columns - 200) + bend * ((columns - 200) / 200) ** 2
    lines = np.where(np.abs((heights + 15) % 30 - 15) < 0.5, 0.2, 0).astype(np.float32)
    ink = np.zeros_like(lines)
    ink[40:200, 190:200] = 0.8
    cleaned = remove_ruling(np.maximum(lines, ink), find_ruling(lines, 0.05))
    assert cleaned[:, 190:200][40:200].min() == pytest.approx(0.8)
    inner = np.delete(cleaned, range(185, 205), axis=1)[15:225]  # without lines that leave the image at once
    assert (inner > 0).sum() < 0.01 * (lines > 0).sum()


def test_darker_part_of_a_ruled_line_is_removed_and_ink_along_it_kept() -> None:
    contrast = np.zeros((240, 400), dtype=np.float32)
    contrast[15::30] = 0.12
    contrast[105, 200:260] = 0.23
    contrast[45, 200:230] = 0.6
    cleaned = remove_ruling(contrast, find_ruling(contrast, 0.05))
    assert cleaned[105].max() == 0
    assert cleaned[45, 200:230].min() == pytest.approx(0.6)


def test_two_parallel_strokes_are_no_ruling() -> None:
    contrast = np.zeros((200, 240), dtype=np.float32)
    contrast[[60, 120], 40:200] = 0.5
    np.testing.assert_array_equal(remove_ruling(contrast, find_ruling(contrast, 0.05)), contrast)


def test_skeleton_is_thin_and_connected() -> None:
    ring = np.hypot(*(np.mgrid[0:60, 0:60] - 29.5))
    skeleton = skeletonize((ring > 12) & (ring < 24))
    assert 18 <= np.abs(ring[skeleton]).mean() + 1 <= 20
    block = skeleton[:-1, :-1] & skeleton[1:, :-1] & skeleton[:-1, 1:] & skeleton[1:, 1:]
    assert not block.any()
    np.testing.assert_array_equal(skeletonize(skeleton), skeleton)


@pytest.fixture(scope="module")
def answers(pretrained: Model) -> list[Answer]:
    """42 photos of one digit, 8 of several and 12 of none: ``python -m benchmarks.photos`` in a short form."""
    drawings = load_pen_drawings(97)

    def choose(first: int, count: int) -> list[dict[str, Any]]:
        return [drawings[(first + index) % len(drawings)] for index in range(count)]

    photos = [
        *(render_digit_photo(choose(seed, 1), 500_000 + seed, SCENES[seed % 6], max_side=300) for seed in range(42)),
        *(render_digit_photo(choose(seed, 3), 600_000 + seed, SCENES[seed % 6], max_side=300) for seed in range(8)),
        *(
            render_clutter_photo(CLUTTER[seed % 6], 700_000 + seed, SCENES[seed % 6], max_side=300)
            for seed in range(12)
        ),
    ]
    return [answer_photo(pretrained, photo) for photo in photos]


def test_digits_in_rendered_photos_are_read(answers: list[Answer]) -> None:
    wrong = [
        (index, answer.photo.scene, answer.digit) for index, answer in enumerate(answers[:42]) if not answer.is_right
    ]
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize(
    ("index", "cause"),
    [
        (1, "a stroke wider than the narrow window"),
        (4, "the edge of a shadow across the digit"),
        (9, "the texture of the desk"),
        (15, "ruling between two slopes"),
        (20, "the edge of a shadow beside the digit"),
        (33, "ruling that is darker in a shadow"),
        (38, "the corner of a shadow"),
    ],
)
def test_digit_is_certain_in_spite_of(index: int, cause: str, answers: list[Answer]) -> None:
    assert answers[index].is_right, cause
    assert answers[index].is_certain, cause


def test_only_right_answers_of_single_digits_are_certain(answers: list[Answer]) -> None:
    overconfident = [
        (index, answer.photo.scene, answer.photo.labels, answer.digit)
        for index, answer in enumerate(answers)
        if answer.is_certain and not answer.may_be_certain
    ]
    assert overconfident == []
    assert np.mean([answer.is_certain for answer in answers[:42]]) >= 0.8


@pytest.mark.parametrize("shape", [(1, 80), (130, 1), (2, 400), (400, 3), (5, 66)])
def test_strips_of_a_few_pixels_have_digits_or_none(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).random(shape, dtype=np.float32)
    for gray in (noise, np.ones(shape, dtype=np.float32)):
        assert isinstance(find_digits(gray), tuple)
