"""Decoding of untrusted image files by the steps of ``core.preprocessing``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from playground.core.image_formats import IMAGE_SUFFIXES, describe_unreadable_image
from playground.core.preprocessing import DrawingPreprocessing, ImagePreprocessing
from playground.engine.data import image_steps
from playground.errors import ImageFileError

Channels = Literal[1, 3]
Pixels = NDArray[np.uint8]

FORMATS = tuple(IMAGE_SUFFIXES)
MAX_PIXELS = 40 * 1000**2
_MAX_UNIFORM_CONTRAST = 2  # that of a uniform JPEG
_TOO_LARGE_REASON = f"has more than {MAX_PIXELS // 10**6} million pixels"
_ZIP_SIGNATURE = b"PK\x03\x04"


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """Pixels uint8 (channels, height, width), and what the file says of them.

    ``used_bits``: bits of the largest of its 16-bit gray values, 0 for other files. ``is_on_black``: its transparent
    parts became black.
    """

    pixels: Pixels
    used_bits: int = 0
    is_on_black: bool = False

    @property
    def is_uniform(self) -> bool:
        """True if nothing can be seen in the image, because it has a single color."""
        return int(np.ptp(self.pixels, axis=(1, 2)).max()) <= _MAX_UNIFORM_CONTRAST


def decode_image(content: bytes, preprocessing: ImagePreprocessing) -> DecodedImage:
    """Decode an image to ``image_shape`` of its preprocessing; of an animation the first frame is used.

    Raises ImageFileError with a reason that completes a sentence which begins with the file's name.
    """
    with _open_image(content) as opened:
        image, used_bits, is_on_black = opened, 0, False
        for step in preprocessing.steps:
            before, image = image, getattr(image_steps, step.function)(image, **step.arguments)
            if before.mode.startswith("I;16") and image.mode == "L":
                used_bits = int(np.asarray(before).max()).bit_length()
            if before.mode == "RGBA" and image.mode != "RGBA":
                is_on_black = image_steps.choose_background(before, image.mode) == "black"
        channels, height, width = preprocessing.image_shape
        pixels = np.array(image).reshape(height, width, channels).transpose(2, 0, 1)
    return DecodedImage(pixels, used_bits, is_on_black)


def decode_grayscale(content: bytes, preprocessing: DrawingPreprocessing) -> NDArray[np.float32]:
    """Decode an image of a drawing to brightness 0 to 1 (height, width); raises the errors of ``decode_image``."""
    with _open_image(content) as opened:
        image = opened
        for step in preprocessing.image_steps:
            image = getattr(image_steps, step.function)(image, **step.arguments)
        return np.asarray(image, dtype=np.float32) / np.float32(255)


@contextmanager
def _open_image(content: bytes) -> Iterator[Image.Image]:
    if not content:
        raise ImageFileError("is empty")
    if content.startswith(_ZIP_SIGNATURE):
        raise ImageFileError("is a ZIP file: unpack it first")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ImageFileError(_TOO_LARGE_REASON)
            yield opened
    except ImageFileError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(_TOO_LARGE_REASON) from error
    except UnidentifiedImageError as error:
        raise ImageFileError(describe_unreadable_image(content)) from error
    except Exception as error:  # Pillow's readers raise errors of many types for damaged files
        raise ImageFileError("is damaged or incomplete") from error
