"""Choice of one of several digits in an uploaded photo."""

from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from playground.charts.images import render_image
from playground.engine.cache import cached
from playground.interpret.drawing.photo import Area
from playground.ui import html
from playground.ui.components.gallery import Tile, render_gallery
from playground.ui.model_input import load_photo
from playground.ui.page_states import ImageUpload
from playground.ui.state import get_app_state

_PHOTO_SIDE = 200  # CSS pixels: on a phone, digits of a sheet cannot be told apart in less
_PIXELS_PER_CSS_PIXEL = 2
_OUTLINE_COLOR, _CASING_COLOR = "#f59e0b", "#000000"  # visible on paper and on a blackboard
_OUTLINE_WIDTHS = {False: 2, True: 6}  # pixels, of the chosen digit
_MAX_DIGITS = 12


def render_digit_picker(upload: ImageUpload) -> None:
    """Render the photo with its digits outlined, and the digits to choose from; nothing for a single digit."""
    photo = load_photo(upload)
    count = len(photo.digits)
    if count == 1:
        return
    html.render_hint(
        f"{count} digits in the photo. Choose one{f' of the {_MAX_DIGITS} largest' if count > _MAX_DIGITS else ''}."
    )
    chosen = upload.digit_index or 0
    html.render_photo(
        _render_outlines(upload.name, upload.content, chosen),
        _PHOTO_SIDE,
        f"Photo with {count} digits; digit {chosen + 1} is outlined boldly.",
    )
    tiles = [
        Tile(str(index), render_image(digit.ink[None], size=96), "", f"Use digit {index + 1}")
        for index, digit in enumerate(photo.digits[:_MAX_DIGITS])
    ]
    render_gallery(tiles, key="photo-digits", size=64, selected=str(chosen), on_click=_choose_digit)


def _choose_digit(name: str) -> None:
    drawing = get_app_state().drawing
    if drawing.upload is not None:
        drawing.replace(upload=replace(drawing.upload, digit_index=int(name)))


@cached(max_bytes=2**20)
def _render_outlines(name: str, content: bytes, chosen: int) -> bytes:
    """Render the photo as a JPEG with its digits outlined."""
    photo = load_photo(ImageUpload(name, content))
    image = Image.fromarray((photo.gray * 255).astype(np.uint8)).convert("RGB")
    image.thumbnail((_PHOTO_SIDE * _PIXELS_PER_CSS_PIXEL,) * 2)
    pen = ImageDraw.Draw(image)
    for index, digit in enumerate(photo.digits[:_MAX_DIGITS]):
        _draw_outline(pen, digit.area, image.size, _OUTLINE_WIDTHS[index == chosen])
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _draw_outline(pen: ImageDraw.ImageDraw, area: Area, size: tuple[int, int], width: int) -> None:
    """Draw a line of ``width`` pixels around an area, with a casing of one pixel on both of its sides."""
    top, left, bottom, right = (share * size[(index + 1) % 2] for index, share in enumerate(area))
    for distance, color, line_width in ((width + 2, _CASING_COLOR, width + 2), (width + 1, _OUTLINE_COLOR, width)):
        pen.rectangle(
            (left - distance, top - distance, right + distance, bottom + distance), outline=color, width=line_width
        )
