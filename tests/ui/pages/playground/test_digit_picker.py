"""Choice of one of several digits in an uploaded photo."""

from collections.abc import Callable, Sequence
from io import BytesIO

import pytest
from PIL import Image, ImageDraw
from streamlit.testing.v1 import AppTest

from playground.ui.components.gallery import Tile
from playground.ui.page_states import ImageUpload
from playground.ui.pages.playground import digit_picker
from tests.ui.apps import html_of, state_of


def _make_photo() -> bytes:
    """A small 1 and a large 7 on one sheet."""
    sheet = Image.new("L", (300, 200), 235)
    pen = ImageDraw.Draw(sheet)
    pen.line(((30, 90), (30, 130)), fill=20, width=6)
    pen.line(((120, 40), (230, 40), (160, 160)), fill=20, width=10, joint="curve")
    content = BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _get_upload(app: AppTest) -> ImageUpload:
    upload = state_of(app).drawing.upload
    assert upload is not None
    return upload


def test_one_of_several_digits_in_a_photo_can_be_chosen(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    selections: list[str] = []
    clicks = ["photo", "1"]

    def click(tiles: Sequence[Tile], *, key: str, size: int, selected: str, on_click: Callable[[str], None]) -> None:
        assert key == "photo-digits"
        assert [tile.name for tile in tiles] == ["photo", "0", "1"]
        assert tiles[0].box is not None
        selections.append(selected)
        if clicks:
            on_click(clicks.pop(0))

    monkeypatch.setattr(digit_picker, "render_gallery", click)
    app.run()
    state_of(app).drawing.upload = ImageUpload("page.png", _make_photo())
    app.run()
    assert "2 digits in the photo" in html_of(app)
    assert "the photo shows 2 digits, and the largest is used" in html_of(app)
    assert _get_upload(app).digit_index is None
    app.run()
    assert _get_upload(app).digit_index == 1
    app.run()
    assert "the largest is used" not in html_of(app)
    assert selections == ["0", "0", "1"]
