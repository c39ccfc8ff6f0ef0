"""Skeletons of digits, redrawn with MNIST's stroke width.

Source: Zhang and Suen, "A Fast Parallel Algorithm for Thinning Digital Patterns", 1984.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from playground.engine.data.rasterize import BOX_SIZE, MNIST_PEN_WIDTH, Array, measure_stroke_width, rasterize

Mask = NDArray[np.bool_]

_THIN_STROKE_RATIO = 0.65  # of MNIST's stroke width
_WORKING_SIDE = 100  # pixels: thin strokes are enlarged, since a skeleton of few pixels loses loops
_SMOOTHING = 0.08  # of the stroke width: rough edges become spurs
_INK_THRESHOLD = 0.45


def has_thin_strokes(ink: Array) -> bool:
    """Return True if the strokes, scaled to MNIST's box, are less than 0.65 times as wide as MNIST's.

    Thick strokes are not redrawn: their loops are filled, and a skeleton makes a line of what is left of them.
    """
    digit = _crop_to_ink(ink)
    width = measure_stroke_width(digit) * BOX_SIZE / max(digit.shape)
    return bool(width < _THIN_STROKE_RATIO * MNIST_PEN_WIDTH)


def redraw_skeleton(ink: Array) -> Array | None:
    """Redraw a digit (height, width; ink 1, paper 0) along its skeleton with MNIST's stroke width: (1, 28, 28).

    Returns None for a blob that thinning removes.
    """
    digit = np.pad(_crop_to_ink(ink), 2)
    scale = _WORKING_SIDE / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    resampling = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    resized = np.asarray(Image.fromarray(digit).resize((width, height), resampling), dtype=np.float32)
    blurred = ndimage.gaussian_filter(resized, _SMOOTHING * measure_stroke_width(digit) * scale)
    mask = skeletonize(blurred > _INK_THRESHOLD * blurred.max())
    if not mask.any():
        return None
    lines: list[list[tuple[float, float]]] = [[(x, y)] for y, x in np.argwhere(mask).tolist()]
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        connected = mask & np.roll(mask, (-down, -right), axis=(0, 1))
        lines += [[(x, y), (x + right, y + down)] for y, x in np.argwhere(connected).tolist()]
    return rasterize(lines)


def skeletonize(mask: Mask) -> Mask:
    """Thin a mask (height, width) to lines one pixel wide."""
    padded = np.pad(mask, 1)
    while True:
        count = int(padded.sum())
        for is_removable in _REMOVABLE:
            padded &= ~is_removable[ndimage.correlate(padded.astype(np.int32), _NEIGHBOR_BITS, mode="constant")]
        if int(padded.sum()) == count:
            return padded[1:-1, 1:-1]


def _make_removal_table(*, is_first_pass: bool) -> NDArray[np.bool_]:
    """List for each of the 256 neighborhoods of a pixel if a pass removes the pixel."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1 > 0
    north, east, south, west = bits[:, 0], bits[:, 2], bits[:, 4], bits[:, 6]
    turns = (~bits & np.roll(bits, -1, axis=1)).sum(axis=1)
    neighbors = bits.sum(axis=1)
    if is_first_pass:
        has_open_side = ~(north & east & south) & ~(east & south & west)
    else:
        has_open_side = ~(north & east & west) & ~(north & south & west)
    removable: NDArray[np.bool_] = (neighbors >= 2) & (neighbors <= 6) & (turns == 1) & has_open_side
    return removable


_NEIGHBOR_BITS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]])  # the eight neighbors from the north on, clockwise
_REMOVABLE = (_make_removal_table(is_first_pass=True), _make_removal_table(is_first_pass=False))


def _crop_to_ink(ink: Array) -> Array:
    ink_pixels = np.argwhere(ink > 0.5 * ink.max())
    (top, left), (bottom, right) = ink_pixels.min(axis=0), ink_pixels.max(axis=0) + 1
    return ink[top:bottom, left:right]
