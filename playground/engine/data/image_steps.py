"""Functions of the preprocessing steps. Exported programs contain their source: they use NumPy and Pillow only."""

import numpy as np
from PIL import Image, ImageOps


def decode_reduced(image: Image.Image, height: int, width: int, channels: int) -> Image.Image:
    """Let a JPEG decoder reduce the size, which is fast: twice the final size keeps the quality."""
    side = 2 * max(height, width)
    image.draft("L" if channels == 1 else "RGB", (side, side))
    return image


def turn_upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; damaged EXIF data are ignored."""
    image.load()
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # Pillow raises errors of many types for damaged EXIF data
        return image
    transpose = Image.Transpose
    turns = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_270,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def reduce_bit_depth(image: Image.Image, gray_bits: int) -> Image.Image:
    """Keep the upper 8 of ``gray_bits`` bits of 16-bit gray values; scale 32-bit values and floats by their maximum."""
    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> (gray_bits - 8)).clip(0, 255).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0).clip(0)
    return Image.fromarray((values * (255 / max(float(values.max()), 1.0))).astype(np.uint8))


def reduce_to_used_bits(image: Image.Image) -> Image.Image:
    """Keep the upper 8 of the bits that the largest of 16-bit gray values uses; see ``reduce_bit_depth`` for others."""
    used_bits = int(np.asarray(image).max()).bit_length() if image.mode.startswith("I;16") else 0
    return reduce_bit_depth(image, max(8, used_bits))


def limit_size(image: Image.Image, side: int) -> Image.Image:
    """Reduce an image to at most ``side`` pixels in height and width; more only cost memory."""
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((side, side))
    return image.convert("RGBA") if image.has_transparency_data else image


def crop_and_resize(image: Image.Image, height: int, width: int, channels: int) -> Image.Image:
    """Crop the center to the aspect ratio of the size, and resize it; transparency is kept."""
    mode = "RGBA" if image.has_transparency_data else "L" if channels == 1 else "RGB"
    if image.mode == "LAB":
        image = image.convert("RGB")  # Pillow converts it to no other mode
    return ImageOps.fit(image.convert(mode), (width, height), Image.Resampling.BICUBIC)


def flatten_transparency(image: Image.Image, channels: int) -> Image.Image:
    """Put an image with transparency on white, or on black where it would vanish on white, as white icons do."""
    mode = "L" if channels == 1 else "RGB"
    return composite(image, choose_background(image, mode), mode) if image.mode == "RGBA" else image.convert(mode)


def choose_background(image: Image.Image, mode: str) -> str:
    """Return "black" where an image with transparency cannot be seen on white, but on black, else "white"."""
    on_white, on_black = (np.asarray(composite(image, background, mode)) for background in ("white", "black"))
    return "black" if np.ptp(on_white, (0, 1)).max() < 32 < np.ptp(on_black, (0, 1)).max() else "white"


def composite(image: Image.Image, background: str, mode: str) -> Image.Image:
    """Put an image with transparency on a background."""
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image).convert(mode)
