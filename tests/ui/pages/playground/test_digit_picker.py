"""Uploaded photos: choice of one of several digits, and doubts about what is no digit."""

from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw
from streamlit.testing.v1 import AppTest

from playground.errors import DatasetUnavailableError
from playground.ui import remark
from playground.ui.components.gallery import Tile
from playground.ui.page_states import ImageUpload
from playground.ui.pages.playground import digit_picker
from tests.narrowing import require
from tests.ui.apps import html_of, state_of


def _make_photo(*, has_one: bool = True) -> bytes:
    """A small 1, if ``has_one``, and a large 7 on one sheet."""
    sheet = Image.new("L", (300, 200), 235)
    pen = ImageDraw.Draw(sheet)
    if has_one:
        pen.line(((30, 90), (30, 130)), fill=20, width=6)
    pen.line(((120, 40), (230, 40), (160, 160)), fill=20, width=10, joint="curve")
    content = BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def test_one_of_several_digits_in_a_photo_can_be_chosen(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    selections: list[str] = []
    clicks: list[str] = []

    def click(tiles: Sequence[Tile], *, key: str, size: int, selected: str, on_click: Callable[[str], None]) -> None:
        assert key == "photo-digits"
        assert [tile.name for tile in tiles] == ["0", "1"]
        selections.append(selected)
        if clicks:
            on_click(clicks.pop(0))

    monkeypatch.setattr(digit_picker, "render_gallery", click)
    app.run()
    state_of(app).drawing.upload = ImageUpload("page.png", _make_photo())
    app.run()
    assert "2 digits in the photo" in html_of(app)
    assert "it is the largest of 2 digits in the photo" in html_of(app)
    assert "digit 1 is outlined boldly" in html_of(app)
    clicks.append("1")
    app.run()
    assert require(state_of(app).drawing.upload).digit_index == 1
    app.run()
    assert "it is the largest" not in html_of(app)
    assert "digit 2 is outlined boldly" in html_of(app)
    assert selections == ["0", "0", "1"]


@pytest.mark.parametrize("chosen", [0, 1])
def test_all_digits_are_outlined_in_the_photo_and_the_chosen_one_boldly(chosen: int) -> None:
    image = Image.open(BytesIO(digit_picker._render_outlines("page.png", _make_photo(), chosen)))
    assert image.size == (300, 200)
    red, _, blue = np.moveaxis(np.asarray(image, dtype=np.float32), 2, 0)
    is_outline = red - blue > 100
    on_seven, on_one = int(is_outline[20:180, 105:250].sum()), int(is_outline[70:150, 10:50].sum())
    per_length = on_seven / (2 * (110 + 120)), on_one / (2 * (6 + 40))
    assert min(per_length) > 1
    assert per_length[chosen] > 2 * per_length[1 - chosen]


def test_photo_is_certain_only_after_it_was_compared_with_digits(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the first seconds of a server, before the detector is loaded, and where its images are missing."""

    def find_doubts(_image: object, *, is_photo: bool) -> tuple[str, ...]:
        assert is_photo
        if outcomes:
            return outcomes.pop()
        raise DatasetUnavailableError("MNIST is missing.")

    outcomes: list[tuple[str, ...]] = [("this does not look like a digit",), ()]
    monkeypatch.setattr(remark, "is_detector_ready", lambda: False)
    monkeypatch.setattr(remark, "list_digit_doubts", find_doubts)
    app.run()
    state_of(app).drawing.upload = ImageUpload("page.png", _make_photo(has_one=False))
    app.run()
    assert "certain (" in html_of(app)
    app.run()
    assert "but this does not look like a digit" in html_of(app)
    app.run()
    assert "but it could not be compared with known digits" in html_of(app)
    assert "certain (" not in html_of(app)
