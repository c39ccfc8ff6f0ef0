"""Decoding of image files: upright, on a white background, center-cropped and resized."""

from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from playground.errors import ImageFileError

Channels = Literal[1, 3]
Pixels = NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
MAX_PIXELS = 40 * 1000**2
_PIL_MODES = {1: "L", 3: "RGB"}
_TOO_LARGE_REASON = f"has more than {MAX_PIXELS // 10**6} million pixels"
_ZIP_SIGNATURE = b"PK\x03\x04"


def decode_image(content: bytes, *, height: int, width: int, channels: Channels) -> Pixels:
    """Decode an image to uint8 (channels, height, width), resized to its shorter side and center-cropped.

    One channel is the luminance. Transparent parts become white; of an animation the first frame is used. Raises
    ImageFileError with a reason that completes a sentence which begins with the file's name.
    """
    if not content:
        raise ImageFileError("is empty")
    if content.startswith(_ZIP_SIGNATURE):
        raise ImageFileError("is a ZIP file: unpack it first")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ImageFileError(_TOO_LARGE_REASON)
            return _crop_and_resize(opened, height, width, channels)
    except ImageFileError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(_TOO_LARGE_REASON) from error
    except UnidentifiedImageError as error:
        raise ImageFileError(f"is not an image ({', '.join(FORMATS)})") from error
    except Exception as error:  # Pillow's readers raise errors of many types for damaged files
        raise ImageFileError("is damaged or incomplete") from error


def _crop_and_resize(opened: Image.Image, height: int, width: int, channels: Channels) -> Pixels:
    mode = _PIL_MODES[channels]
    draft_size = 2 * max(height, width)  # the final resize from twice the size keeps the quality
    opened.draft(mode, (draft_size, draft_size))
    ImageOps.exif_transpose(opened, in_place=True)
    image_8_bit = _convert_to_8_bit(opened) if opened.mode[0] in "IF" else opened
    has_alpha = image_8_bit.has_transparency_data
    small = ImageOps.fit(image_8_bit.convert("RGBA" if has_alpha else mode), (width, height), Image.Resampling.BICUBIC)
    if has_alpha:
        small = composite_on_white(small).convert(mode)
    return np.asarray(small).reshape(height, width, channels).transpose(2, 0, 1)


def composite_on_white(image: Image.Image) -> Image.Image:
    """Composite an image with transparency on a white background."""
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)


def _convert_to_8_bit(image: Image.Image) -> Image.Image:
    """Convert grayscale with more than 8 bits: 16-bit values keep the upper byte, others are scaled by the maximum."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    return Image.fromarray((values.clip(0) * (255 / max(float(values.max()), 1.0))).astype(np.uint8))
