"""Digits in a photo: on paper or on a sheet on a desk, dark on light or light on dark, one or several.

Source of the threshold: Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground.errors import DrawingError

if TYPE_CHECKING:
    from playground.interpret.drawing.segmentation import InkGroup

Array = NDArray[np.float32]
Area = tuple[float, float, float, float]
"""Top, left, bottom, right as shares of the photo's height and width."""

_MAX_SMALL_SIDE = 64  # pixels: smaller images are no photos and are used whole
_MAX_SMALL_OUTLINE = 3  # pixels
_WHOLE: Area = (0.0, 0.0, 1.0, 1.0)
_WORKING_SIDES = (200, 400)  # pixels: smaller images are enlarged, larger ones reduced
_UNMISTAKABLE_QUALITY = 0.15
_LIGHT_INK_FACTOR = 0.6  # dark ink on light paper is far more common
_MAX_DESK_BRIGHTNESS = 0.6  # of the sheet's
_MAX_SHEET_AREA = 0.85  # of the photo: a larger sheet is the whole view
_MIN_SHEET_SIDE = 0.12
_MIN_SHEET_CONTRAST = 0.1
_MIN_SIZE_RATIO = 0.3  # of the largest digit: smaller signs are specks
_MIN_QUALITY_RATIO, _MIN_CONTRAST_RATIO = 0.12, 0.5  # of the best digit's
_MIN_MARK_RATIO = 0.25  # of the best digit's side and contrast: other marks may belong to it, or be digits
_MIN_MARK_QUALITY_RATIO = 0.06  # shadows, edges of a desk and traces of ruling are below
_MIN_CERTAIN_QUALITY = 0.05
_MARGIN_RATIO = 0.2  # of the digit's side, around it


@dataclass(frozen=True, eq=False)
class DigitRegion:
    """A digit in a photo: ``ink`` (side, side) with ink 1 on paper 0, its place in the photo, and reasons for doubt."""

    ink: Array
    area: Area = _WHOLE
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Photo:
    """Brightness 0 to 1 (height, width) of a photo, and its digits, at least one, the largest first.

    ``is_large``: False for images of a few pixels, which have no background.
    """

    gray: Array
    digits: tuple[DigitRegion, ...]
    is_large: bool = True

    def list_doubts(self, digit_index: int | None = None) -> tuple[str, ...]:
        """List the reasons to doubt a digit; None is the largest one, which nobody chose among several."""
        doubts = self.digits[digit_index or 0].doubts
        if digit_index is None and len(self.digits) > 1:
            return (f"it is the largest of {len(self.digits)} digits in the photo", *doubts)
        return doubts


def segment_photo(gray: Array) -> Photo:
    """Find the digits in brightness 0 to 1 (height, width), without paper, ruling, desk, frame, shadow and specks.

    Images of at most 64 pixels are no photos: all of their ink is one digit. Raises DrawingError without ink.
    """
    is_large = max(gray.shape) > _MAX_SMALL_SIDE
    if is_large:
        digits = find_digits(gray)
    else:
        ink = extract_small_ink(gray)
        digits = (DigitRegion(_pad_to_square(ink)),) if ink.any() else ()
    if not digits:
        raise DrawingError(
            "the image is empty: nothing stands out from its background.",
            expected="A digit on paper, dark on light or light on dark.",
        )
    return Photo(gray, digits, is_large)


def extract_small_ink(gray: Array) -> Array:
    """Extract ink 1 on paper 0 from a small image's brightness 0 to 1 (height, width), dark on light or light on dark.

    The paper's brightness is the median of the border, inside an outline.
    """
    gray = _remove_outline(gray)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    paper = float(np.median(border))
    ink = np.clip(paper - gray, 0, None) if paper > 0.5 else np.clip(gray - paper, 0, None)
    # Uneven paper (a photo, a JPEG) leaves faint traces, which are below a multiple of the border's deviation.
    uneven = border[np.abs(border - paper) < 0.2]
    texture = 4 * float(np.std(uneven)) if len(uneven) else 0.0  # half of the border may be dark, and half light
    ink = np.where(ink > texture, ink, 0)
    strongest = float(ink.max())
    return np.asarray(ink / strongest if strongest > 0.05 else ink * 0, dtype=np.float32)


def _remove_outline(gray: Array) -> Array:
    """Paint over an outline of up to three pixels along the image's edge."""
    for inset in range(min(_MAX_SMALL_OUTLINE, (min(gray.shape) - 4) // 2), 0, -1):
        is_outside = np.ones(gray.shape, dtype=np.bool_)
        is_outside[inset:-inset, inset:-inset] = False
        inner = gray[inset:-inset, inset:-inset]
        ring = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
        outline, paper = gray[is_outside], float(np.median(ring))
        if np.ptp(outline) < 0.15 and abs(float(np.median(outline)) - paper) > 0.3:
            return np.where(is_outside, np.float32(paper), gray)
    return gray


def _pad_to_square(ink: Array) -> Array:
    height, width = ink.shape
    square = np.zeros((max(ink.shape),) * 2, dtype=np.float32)
    top, left = (len(square) - height) // 2, (len(square) - width) // 2
    square[top : top + height, left : left + width] = ink
    return square


def find_digits(gray: Array) -> tuple[DigitRegion, ...]:
    """Find the digits in brightness 0 to 1 (height, width), the largest first; returns none if nothing stands out."""
    # Only photos need SciPy's image functions, which take a third of a second to import.
    from playground.interpret.drawing.segmentation import compute_score, find_ink

    best_score, best_view = 0.0, _WHOLE
    best_groups: list[InkGroup] = []
    for brightness, is_negative in ((gray, False), (1 - gray, True)):
        if best_groups and best_groups[0].quality > _UNMISTAKABLE_QUALITY:
            break  # light gaps between dark ink are never that even
        sheet = _find_sheet(brightness)
        for view in (_WHOLE, sheet) if sheet else (_WHOLE,):
            working = _resize(_crop(brightness, view))
            groups = find_ink(working, is_negative=is_negative)
            # In pixels of the photo, so that a digit does not count more when it is enlarged.
            scale = max((view[2] - view[0]) * gray.shape[0], (view[3] - view[1]) * gray.shape[1]) / max(working.shape)
            score = scale * compute_score(groups[0]) * (_LIGHT_INK_FACTOR if is_negative else 1) if groups else 0.0
            if score > best_score:
                best_score, best_groups, best_view = score, groups, view
                best_shape = working.shape
    if not best_groups:
        return ()
    best = best_groups[0]
    digits = [
        group
        for group in best_groups
        if group.side >= _MIN_SIZE_RATIO * best.side
        and group.legibility >= _MIN_QUALITY_RATIO * best.legibility
        and group.contrast >= _MIN_CONTRAST_RATIO * best.contrast
    ]
    digits.sort(key=lambda group: group.side, reverse=True)
    has_other_marks = any(
        group.side >= _MIN_MARK_RATIO * best.side
        and group.contrast >= _MIN_MARK_RATIO * best.contrast
        and group.quality >= _MIN_MARK_QUALITY_RATIO * best.legibility
        for group in best_groups
        if group not in digits
    )
    return tuple(_make_region(group, best_view, best_shape, has_other_marks=has_other_marks) for group in digits)


def _list_doubts(group: InkGroup, *, has_other_marks: bool) -> tuple[str, ...]:
    """List reasons to doubt that the ink is one whole digit. Measured by ``python -m benchmarks.photos``."""
    doubts = (
        ("the digit reaches the edge of the photo", group.is_cut),
        ("a part of it may be missing", group.is_broken),
        ("it hardly stands out from the paper", group.legibility < _MIN_CERTAIN_QUALITY),
        ("there are other marks beside it", has_other_marks),
    )
    return tuple(text for text, applies in doubts if applies)


def _make_region(group: InkGroup, view: Area, shape: tuple[int, ...], *, has_other_marks: bool) -> DigitRegion:
    margin = max(2, round(_MARGIN_RATIO * group.side))
    square = np.zeros((group.side + 2 * margin,) * 2, dtype=np.float32)
    height, width = group.ink.shape
    top, left = (len(square) - height) // 2, (len(square) - width) // 2
    square[top : top + height, left : left + width] = group.ink
    scale = np.array([view[2] - view[0], view[3] - view[1]] * 2) / np.array([*shape, *shape])
    start = np.array([view[0], view[1]] * 2)
    first, second, third, fourth = (float(value) for value in start + np.array(group.box) * scale)
    return DigitRegion(square, (first, second, third, fourth), _list_doubts(group, has_other_marks=has_other_marks))


def _find_sheet(gray: Array) -> Area | None:
    """Find the bounding box of a bright sheet on a much darker desk."""
    from scipy import ndimage

    small = gray[:: max(1, max(gray.shape) // 100), :: max(1, max(gray.shape) // 100)]
    surface = ndimage.grey_closing(small, size=(9, 9), mode="nearest")
    if np.ptp(surface) < _MIN_SHEET_CONTRAST:
        return None
    is_bright = surface > _compute_otsu_threshold(surface)
    if surface[~is_bright].mean() > _MAX_DESK_BRIGHTNESS * surface[is_bright].mean():
        return None
    labels, count = ndimage.label(is_bright)
    largest = int(np.argmax(ndimage.sum_labels(is_bright, labels, range(1, count + 1))))
    rows, columns = ndimage.find_objects(labels)[largest]
    height, width = small.shape
    top, left, bottom, right = rows.start / height, columns.start / width, rows.stop / height, columns.stop / width
    if (bottom - top) * (right - left) > _MAX_SHEET_AREA or min(bottom - top, right - left) < _MIN_SHEET_SIDE:
        return None
    return top, left, bottom, right


def _compute_otsu_threshold(values: Array) -> float:
    """Compute Otsu's threshold, which minimizes the variance within two groups."""
    counts, edges = np.histogram(values, bins=64)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[int(np.nanargmax(between))])


def _crop(image: Array, area: Area) -> Array:
    height, width = image.shape
    top, left, bottom, right = area
    return image[int(top * height) : int(np.ceil(bottom * height)), int(left * width) : int(np.ceil(right * width))]


def _resize(image: Array) -> Array:
    side = max(image.shape)
    scale = float(np.clip(side, *_WORKING_SIDES)) / side
    if scale == 1:
        return image
    height, width = (max(1, round(length * scale)) for length in image.shape)
    resampling = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((width, height), resampling), dtype=np.float32)
