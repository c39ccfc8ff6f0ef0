"""Removal of the ruling of lined and squared paper from an image of contrasts.

A ruled line is straight, thin and much longer than a stroke, and there are several in parallel. Along such a line the
smallest contrast of consecutive segments stays high: a Radon transform with the minimum instead of the sum.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]

_SLOPES = np.tan(np.radians(np.arange(-10, 10.1, 0.5)))
_BLOCKS = 48  # columns of the image in which lines are searched
_BLOCKS_PER_SEGMENT = 3
_MIN_LENGTH_RATIO = 0.4  # of the image's side
_MIN_LINES = 3  # digits have up to two straight strokes in parallel
_MAX_SLOPE_DEVIATION = 0.05
_MARGIN_RATIO = 0.06  # of the image's side: lines nearer to its edge may be an outline, and prove no ruling
_MIN_SPACING = 6  # pixels
_HALF_BAND = 5  # pixels around a line that are examined
_TRACED_SEGMENTS = 16  # of the image's width: the line's place is read in a window of that size
_MAX_TRACE_DEVIATION = 1.5  # pixels
_CONTRAST_SEGMENTS = 8  # of the image's width: the line's contrast is read in a window of that size
_MAX_DARKER_PART = 2  # times the line's usual contrast
_OVER_LINE = 1.35  # times the line's contrast: more is ink on it


class _Line(NamedTuple):
    contrast: float
    row: int
    """Row in the middle of the image, where it can be outside of it."""
    slope: float


class Ruling(NamedTuple):
    """Ruled lines: near-horizontal ones, and near-vertical ones as rows of the transposed image."""

    thin_contrast: Array
    threshold: float
    rows: tuple[_Line, ...]
    columns: tuple[_Line, ...]


def find_ruling(thin_contrast: Array, threshold: float) -> Ruling:
    """Find ruled lines of at least ``threshold`` in an image of the contrasts of thin lines (height, width)."""
    rows, columns = (_find_lines(np.ascontiguousarray(image), threshold) for image in (thin_contrast, thin_contrast.T))
    return Ruling(thin_contrast, threshold, tuple(rows), tuple(columns))


def remove_ruling(contrast: Array, ruling: Ruling) -> Array:
    """Remove ruled lines from contrasts (height, width), keeping ink that crosses them."""
    for lines, is_transposed in ((ruling.rows, False), (ruling.columns, True)):
        image, thin = (contrast.T, ruling.thin_contrast.T) if is_transposed else (contrast, ruling.thin_contrast)
        cleaned = image.copy()
        for line in lines:
            _remove_line(line, image, thin, ruling.threshold, cleaned)
        contrast = cleaned.T if is_transposed else cleaned
    return contrast


def _find_lines(thin_contrast: Array, threshold: float) -> list[_Line]:
    """Find near-horizontal parallel lines; returns none if there are fewer than three."""
    height, width = thin_contrast.shape
    block_width = max(1, width // _BLOCKS)
    segments = width // block_width // _BLOCKS_PER_SEGMENT
    if not segments:  # a strip of a few pixels
        return []
    blocks = segments * _BLOCKS_PER_SEGMENT
    means = thin_contrast[:, : blocks * block_width].reshape(height, blocks, block_width).mean(axis=2)
    across = (np.arange(blocks) + 0.5) * block_width - width / 2
    length = max(3, round(_MIN_LENGTH_RATIO * segments))
    outside = int(_SLOPES.max() * width / 2)  # a line can leave the image before its middle
    rows = np.arange(-outside, height + outside)[:, None]
    support = np.zeros((len(_SLOPES), len(rows)), dtype=np.float32)
    for index, slope in enumerate(_SLOPES):
        shifted = rows + np.round(slope * across).astype(int)
        along = np.where(
            (shifted >= 0) & (shifted < height), means[np.clip(shifted, 0, height - 1), np.arange(blocks)], 0
        )
        per_segment = along.reshape(len(rows), segments, _BLOCKS_PER_SEGMENT).mean(axis=2)
        support[index] = ndimage.minimum_filter1d(per_segment, length, axis=1, mode="constant").max(axis=1)
    is_peak = (support == ndimage.maximum_filter(support, size=(len(_SLOPES), 7))) & (support > threshold)
    peaks = [_Line(float(support[i, row]), int(row) - outside, float(_SLOPES[i])) for i, row in np.argwhere(is_peak)]
    lines: list[_Line] = []
    for peak in sorted(peaks, key=lambda line: line.contrast, reverse=True):  # a wide bar has a plateau of peaks
        if all(abs(peak.row - line.row) >= _MIN_SPACING for line in lines):
            lines.append(peak)
    margin = _MARGIN_RATIO * height
    inner = [line for line in lines if margin <= line.row < height - margin]
    if len(inner) < _MIN_LINES:
        return []
    slope, contrast = (float(np.median([getattr(line, name) for line in inner])) for name in ("slope", "contrast"))

    def is_ruling(line: _Line) -> bool:
        return abs(line.slope - slope) < _MAX_SLOPE_DEVIATION and line.contrast > 0.4 * contrast

    return list(filter(is_ruling, lines)) if sum(map(is_ruling, inner)) >= _MIN_LINES else []


def _trace_line(line: _Line, thin_contrast: Array) -> NDArray[np.int_]:
    """Follow a line exactly: its row in each column. A degree between two slopes is some pixels at the image's edge."""
    width = thin_contrast.shape[1]
    across = np.arange(width) - width / 2
    straight = line.row + line.slope * across
    # The line's own contrast is the upper limit, since ink that crosses it is darker and must not attract it.
    band = np.minimum(_read_band(thin_contrast, np.round(straight).astype(int)), line.contrast)
    smoothed = ndimage.uniform_filter1d(band, max(3, width // _TRACED_SEGMENTS), axis=1)
    offsets = smoothed.argmax(axis=0) - _HALF_BAND + np.round(straight) - straight
    is_seen = smoothed.max(axis=0) > 0.4 * line.contrast
    bend = np.zeros(3)
    for _ in range(2):  # the second time without columns that lie apart from the first curve
        if is_seen.sum() < _MIN_LENGTH_RATIO * width:
            break
        bend = np.polyfit(across[is_seen], offsets[is_seen], 2)
        is_seen &= np.abs(offsets - np.polyval(bend, across)) < _MAX_TRACE_DEVIATION
    shift = np.clip(np.polyval(bend, across), -_HALF_BAND, _HALF_BAND)
    curve: NDArray[np.int_] = np.round(straight + shift).astype(int)
    return curve


def _read_band(image: Array, base: NDArray[np.int_]) -> Array:
    """Read the rows around ``base`` (width,): (2 · _HALF_BAND + 1, width), 0 outside of the image."""
    rows = base + np.arange(-_HALF_BAND, _HALF_BAND + 1)[:, None]
    is_inside = (rows >= 0) & (rows < len(image))
    return np.where(is_inside, image[np.clip(rows, 0, len(image) - 1), np.arange(image.shape[1])], 0)


def _remove_line(line: _Line, contrast: Array, thin_contrast: Array, threshold: float, cleaned: Array) -> None:
    """Remove one line from ``cleaned``, except where ink is darker than it or continues on both of its sides."""
    height, width = contrast.shape
    columns = np.arange(width)
    base = _trace_line(line, thin_contrast)
    rows = base + np.arange(-_HALF_BAND, _HALF_BAND + 1)[:, None]
    is_inside = (rows >= 0) & (rows < height)
    band = _read_band(thin_contrast, base)
    core = slice(_HALF_BAND - 2, _HALF_BAND + 3)
    is_present = ndimage.median_filter(band[core].max(axis=0), max(3, width // 10)) > 0.4 * line.contrast
    if not is_present.any():
        return
    profile = np.median(band[:, is_present], axis=1)
    is_dark = profile > 0.25 * profile.max()
    center = core.start + int(np.argmax(profile[core]))
    first = last = center
    while first > 0 and is_dark[first - 1]:
        first -= 1
    while last < 2 * _HALF_BAND and is_dark[last + 1]:
        last += 1
    first, last = max(first - 1, 0), min(last + 1, 2 * _HALF_BAND)

    def get_row(offset: int) -> Array:
        row: Array = contrast[np.clip(base + offset - _HALF_BAND, 0, height - 1), columns]
        return row

    bridge = np.minimum(*(ndimage.maximum_filter1d(get_row(offset), 3) for offset in (first - 1, last + 1)))
    # A print, or the compression of the photo, makes parts of a line darker; ink along a line is darker still.
    usual = float(np.quantile(band[center][is_present], 0.6))
    local = ndimage.median_filter(band[first : last + 1].max(axis=0), max(3, width // _CONTRAST_SEGMENTS))
    line_contrast = np.clip(local, usual, _MAX_DARKER_PART * usual)
    for offset in range(first, last + 1):
        values = get_row(offset)
        ink = np.where(values > _OVER_LINE * line_contrast + threshold / 2, values, 0)
        selected = is_inside[offset] & is_present
        kept = np.maximum(ink, np.minimum(bridge, values))[selected]
        place = rows[offset][selected], columns[selected]
        cleaned[place] = np.minimum(cleaned[place], kept)
