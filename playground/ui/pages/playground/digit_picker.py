"""Choice of one of several digits in an uploaded photo."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from playground.charts.images import render_image
from playground.engine.cache import cached
from playground.interpret.drawing.photo import Area, Photo
from playground.ui import html
from playground.ui.components.gallery import Tile, render_gallery
from playground.ui.model_input import load_photo
from playground.ui.page_states import ImageUpload
from playground.ui.state import get_app_state

_PREVIEW_SIDE = 144  # pixels
_MAX_DIGITS = 12
_PHOTO = "photo"


def render_digit_picker(upload: ImageUpload) -> None:
    """Render the photo with the chosen digit outlined, and its digits to choose from; nothing for a single digit."""
    photo = load_photo(upload)
    if len(photo.digits) == 1:
        return
    html.render_hint(f"{len(photo.digits)} digits in the photo. Choose one.")
    chosen = upload.digit_index or 0
    tiles = [
        Tile(
            _PHOTO, _render_preview(upload.name, upload.content), "", "Photo", box=_compute_preview_box(photo, chosen)
        ),
        *(
            Tile(str(index), render_image(digit.ink[None], size=96), "", f"Use digit {index + 1}")
            for index, digit in enumerate(photo.digits[:_MAX_DIGITS])
        ),
    ]
    render_gallery(tiles, key="photo-digits", size=64, selected=str(chosen), on_click=_choose_digit)


def _choose_digit(name: str) -> None:
    drawing = get_app_state().drawing
    if name != _PHOTO and drawing.upload is not None:
        drawing.replace(upload=replace(drawing.upload, digit_index=int(name)))


def _compute_preview_box(photo: Photo, chosen: int) -> Area:
    """Compute a digit's place in the preview, which is square."""
    height, width = (side / max(photo.gray.shape) for side in photo.gray.shape)
    top, left, bottom, right = photo.digits[chosen].area
    above, before = (1 - height) / 2, (1 - width) / 2
    return above + top * height, before + left * width, above + bottom * height, before + right * width


@cached(max_bytes=2**20)
def _render_preview(name: str, content: bytes) -> bytes:
    image = Image.fromarray(load_photo(ImageUpload(name, content)).gray)
    square: NDArray[np.float32] = np.asarray(ImageOps.pad(image, (_PREVIEW_SIDE,) * 2), dtype=np.float32)
    return render_image(square[None], size=_PREVIEW_SIDE)
