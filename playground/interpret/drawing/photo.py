"""Ink extraction from photos of digits: uneven light, paper texture, frames, any stroke width.

Light varies slowly over a photo and ink does not, so a morphological closing with a window wider than a stroke gives
the paper. Strokes much wider or narrower than MNIST's are skeletonized and redrawn. Sources: Otsu, "A Threshold
Selection Method from Gray-Level Histograms", 1979; Zhang and Suen, "A Fast Parallel Algorithm for Thinning Digital
Patterns", 1984.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from playground.engine.data.rasterize import BOX_SIZE, MNIST_PEN_WIDTH, Array, measure_stroke_width, rasterize

Mask = NDArray[np.bool_]

_MAX_WORKING_SIDE = 128
_MAX_LINE_WIDTH = 45  # pixels at the working size: wider dark areas are shadow
_MIN_CONTRAST = 0.1  # of the range from black to white
_MIN_COMPONENT_RATIO = 0.03  # of the largest component: smaller ones are specks
_MIN_FRAME_RATIO = 0.6  # of the image's sides
_STROKE_WIDTH_RANGE = (0.65, 1.5)  # times MNIST's
_SKELETON_SIDE = 56


def extract_ink(gray: Array) -> Array:
    """Extract ink 1 on paper 0 from brightness 0 to 1 (height, width), at most 128 pixels per side.

    Frames and specks are removed. The median of the border is the paper's brightness. Returns all 0 if no ink is found.
    """
    small = _shrink(gray, _MAX_WORKING_SIDE)
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    if np.median(border) <= 0.5:
        small = 1 - small
    paper = -_dilate(-_dilate(small, _MAX_LINE_WIDTH), _MAX_LINE_WIDTH)
    contrast = paper - small
    mask = _remove_specks_and_frame(contrast > max(_MIN_CONTRAST, _compute_otsu_threshold(contrast)))
    if not mask.any():
        return np.zeros_like(small)
    strongest = float(np.quantile(contrast[mask], 0.75))
    edge = _dilate(mask.astype(np.float32), 3) > 0
    ink: Array = np.where(edge, np.clip(contrast / strongest, 0, 1), 0).astype(np.float32)
    return ink


def has_typical_stroke_width(ink: Array) -> bool:
    """Return True if the strokes, scaled to MNIST's box, are 0.65 to 1.5 times as wide as MNIST's."""
    digit = _crop_to_ink(ink)
    width = measure_stroke_width(digit) * BOX_SIZE / max(digit.shape)
    return bool(_STROKE_WIDTH_RANGE[0] <= width / MNIST_PEN_WIDTH <= _STROKE_WIDTH_RANGE[1])


def redraw_skeleton(ink: Array) -> Array:
    """Redraw a digit (height, width; ink 1, paper 0) along its skeleton with MNIST's stroke width: (1, 28, 28)."""
    mask = _skeletonize(np.pad(_shrink(_crop_to_ink(ink), _SKELETON_SIDE) > 0.5, 1))
    lines: list[list[tuple[float, float]]] = [[(x, y)] for y, x in np.argwhere(mask).tolist()]
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        connected = mask & np.roll(mask, (-down, -right), axis=(0, 1))
        lines += [[(x, y), (x + right, y + down)] for y, x in np.argwhere(connected).tolist()]
    return rasterize(lines)


def _crop_to_ink(ink: Array) -> Array:
    ink_pixels = np.argwhere(ink > 0.5 * ink.max())
    (top, left), (bottom, right) = ink_pixels.min(axis=0), ink_pixels.max(axis=0) + 1
    return ink[top:bottom, left:right]


def _shrink(image: Array, max_side: int) -> Array:
    scale = max_side / max(image.shape)
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX), dtype=np.float32)


def _dilate(values: Array, window_size: int) -> Array:
    """Grayscale dilation: the largest value in a square window around each pixel."""
    for axis in (0, 1):
        padding = [(window_size // 2, window_size // 2) if axis == side else (0, 0) for side in (0, 1)]
        values = sliding_window_view(np.pad(values, padding, mode="edge"), window_size, axis=axis).max(axis=-1)
    return values


def _compute_otsu_threshold(values: Array) -> float:
    """Compute Otsu's threshold, which minimizes the variance within two groups."""
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[int(np.nanargmax(between))]) if np.isfinite(between).any() else 0.0


def _remove_specks_and_frame(mask: Mask) -> Mask:
    """Remove specks, and a frame around the other components."""
    components = _find_connected_components(mask)
    frames = [component for component in components if _is_frame(component, components)]
    components = [component for component in components if not any(component is frame for frame in frames)]
    largest = max((int(component.sum()) for component in components), default=0)
    kept = np.zeros_like(mask)
    for component in components:
        if component.sum() >= _MIN_COMPONENT_RATIO * largest:
            kept |= component
    return kept


def _find_connected_components(mask: Mask) -> list[Mask]:
    """Find 8-connected components: the largest number in a component spreads through it."""
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        spread = np.where(mask, _dilate(numbers, 3), 0)
        if np.array_equal(spread, numbers):
            return [numbers == number for number in np.unique(numbers) if number]
        numbers = spread


def _is_frame(component: Mask, components: list[Mask]) -> bool:
    """Return True for ink along all four sides of its bounding box, around other ink."""
    rows, columns = np.flatnonzero(component.any(axis=1)), np.flatnonzero(component.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    height, width = bottom - top, right - left
    if height < _MIN_FRAME_RATIO * component.shape[0] and width < _MIN_FRAME_RATIO * component.shape[1]:
        return False
    high, wide = max(2, height // 8), max(2, width // 8)
    sides = (
        component[top : top + high].any(axis=0).sum() / width,
        component[bottom - high : bottom].any(axis=0).sum() / width,
        component[:, left : left + wide].any(axis=1).sum() / height,
        component[:, right - wide : right].any(axis=1).sum() / height,
    )
    inside = component[top + 1 : bottom - 1, left + 1 : right - 1]
    others = (other for other in components if other is not component)
    around = any(
        other[top + 1 : bottom - 1, left + 1 : right - 1].sum() > _MIN_COMPONENT_RATIO * inside.size for other in others
    )
    return bool(min(sides) > 0.8 and around)


def _skeletonize(mask: Mask) -> Mask:
    """Lines one pixel wide; ``mask`` has an empty margin."""
    mask = mask.copy()
    while True:
        changed = False
        for first in (True, False):
            around = [np.roll(mask, shift, axis=(0, 1)) for shift in _NEIGHBOR_SHIFTS]
            north, east, south, west = around[0], around[2], around[4], around[6]
            neighbours = sum(part.astype(np.int8) for part in around)
            turns = sum(~part & after for part, after in zip(around, [*around[1:], around[0]], strict=True))
            if first:
                open_sides = ~(north & east & south) & ~(east & south & west)
            else:
                open_sides = ~(north & east & west) & ~(north & south & west)
            gone = mask & (neighbours >= 2) & (neighbours <= 6) & (turns == 1) & open_sides
            if gone.any():
                mask &= ~gone
                changed = True
        if not changed:
            return mask


# The eight neighbours from the north on, clockwise, as shifts that bring them onto a pixel.
_NEIGHBOR_SHIFTS = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
