"""From a picture file of any usual kind to the values that a net sees: upright, on white, its middle, in one size."""

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
    """A picture as uint8 (channels, height, width); its shorter side fits, the middle of the longer one is taken.

    One channel is the luminance. What is transparent is white; of an animation, the first frame. Raises ImageFileError
    with a reason that ends a sentence which begins with the file's name.
    """
    if not content:
        raise ImageFileError("is empty")
    if content.startswith(_ZIP_SIGNATURE):
        raise ImageFileError("is a ZIP in itself: unpack it first")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ImageFileError(_TOO_LARGE_REASON)
            return _crop_and_resize(opened, height, width, channels)
    except ImageFileError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise ImageFileError(_TOO_LARGE_REASON) from problem
    except UnidentifiedImageError as problem:
        raise ImageFileError(f"is no picture ({', '.join(FORMATS)})") from problem
    except Exception as problem:  # Pillow's readers raise whatever they stumble over
        raise ImageFileError("is damaged or cut off") from problem


def _crop_and_resize(opened: Image.Image, height: int, width: int, channels: Channels) -> Pixels:
    mode = _PIL_MODES[channels]
    enough = 2 * max(height, width)  # what is left to shrink is shrunk well
    opened.draft(mode, (enough, enough))
    ImageOps.exif_transpose(opened, in_place=True)
    picture = _convert_to_8_bit(opened) if opened.mode[0] in "IF" else opened
    layered = picture.has_transparency_data
    small = ImageOps.fit(picture.convert("RGBA" if layered else mode), (width, height), Image.Resampling.BICUBIC)
    if layered:
        small = composite_on_white(small).convert(mode)
    return np.asarray(small).reshape(height, width, channels).transpose(2, 0, 1)


def composite_on_white(image: Image.Image) -> Image.Image:
    """A picture with transparent parts, as it looks on paper."""
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)


def _convert_to_8_bit(image: Image.Image) -> Image.Image:
    """Grey with more than 8 bits a value: 16 bits keep their upper half, others reach from 0 to their largest value."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    return Image.fromarray((values.clip(0) * (255 / max(float(values.max()), 1.0))).astype(np.uint8))
