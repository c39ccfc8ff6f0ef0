"""Rasterization of strokes with MNIST's preprocessing.

MNIST's digits were scaled to fit a box of 20×20 pixels and placed so that their center of mass is the middle of the
28×28 image (http://yann.lecun.com/exdb/mnist/). A drawing that is only resized is out of distribution. Strokes are
scaled as lines and drawn with MNIST's stroke width, so that no pixel is interpolated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.errors import DrawingError

Array = NDArray[np.float32]
Line = NDArray[np.float64]
Stroke = Sequence[Sequence[float]]

IMAGE_SIZE = 28
BOX_SIZE = 20
MNIST_CENTER = 14.5
"""Center of mass of MNIST's digits, x and y, with the corner of the image at 0."""

MNIST_PEN_WIDTH = 2.4
"""Stroke width in pixels of the 28×28 image, that of MNIST's digits by ``measure_stroke_width``."""

_MIN_SEGMENT_LENGTH = 0.2
_MAX_INTERPOLATED_POINTS = 2000
_MAX_COORDINATE = 1e9
_MIN_EXTENT = 1e-6


@dataclass(frozen=True)
class Preprocessing:
    """Steps of MNIST's preprocessing that are applied to a drawing; without any the canvas is only resized.

    ``fit_box``: scale to the box of 20 pixels. ``normalize_stroke_width``: draw with MNIST's stroke width instead of
    the canvas's pen. ``center_by_mass``: move the center of mass to MNIST's; else keep the position on the canvas.
    """

    fit_box: bool = True
    normalize_stroke_width: bool = True
    center_by_mass: bool = True


MNIST_PREPROCESSING = Preprocessing()
RESIZE_ONLY = Preprocessing(fit_box=False, normalize_stroke_width=False, center_by_mass=False)


def rasterize(strokes: Sequence[Stroke], *, pen_width: float = MNIST_PEN_WIDTH) -> Array:
    """Render strokes in any unit as an MNIST image: (1, 28, 28), values 0 to 1; ``pen_width`` in pixels.

    Raises DrawingError if there is no point, or one that is no pair of finite numbers.
    """
    return _render_placed(_validate_strokes(strokes), pen_width, center=None)


def rasterize_canvas(
    strokes: Sequence[Stroke], canvas_size: float, pen_width: float, preprocessing: Preprocessing = MNIST_PREPROCESSING
) -> Array:
    """Render strokes on a square canvas as a network input (1, 28, 28); raises the errors of ``rasterize``."""
    lines = _validate_strokes(strokes)
    low, high = _compute_bounding_box(lines)
    extent = float((high - low).max())
    shrink = IMAGE_SIZE / canvas_size
    middle = None if preprocessing.center_by_mass else (low + high) / 2 * shrink
    if preprocessing.fit_box:
        # The canvas's pen is scaled with the digit, so that the box holds all of the ink.
        scaled_width = pen_width * BOX_SIZE / (extent + pen_width)
        width = MNIST_PEN_WIDTH if preprocessing.normalize_stroke_width else scaled_width
        return _render_placed(lines, width, center=middle)
    width = MNIST_PEN_WIDTH if preprocessing.normalize_stroke_width else pen_width * shrink
    if middle is not None:
        return render_lines(lines, width, scale=shrink)[None]
    return _render_placed(lines, width, center=None, scale=shrink)


def _render_placed(
    lines: Sequence[Line], pen_width: float, *, center: NDArray[np.float64] | None, scale: float | None = None
) -> Array:
    """Scale lines to the box (or by ``scale``) and center their bounding box, or without ``center`` their mass."""
    low, high = _compute_bounding_box(lines)
    extent = float((high - low).max())
    if scale is None:
        scale = (BOX_SIZE - pen_width) / extent if extent > _MIN_EXTENT else 1.0
    room = np.maximum(
        (IMAGE_SIZE - pen_width - (high - low) * scale) / 2, 0
    )  # keeps the ink of a lopsided drawing inside
    target = np.full(2, IMAGE_SIZE / 2)
    if center is not None:
        target = np.clip(center, IMAGE_SIZE / 2 - room, IMAGE_SIZE / 2 + room)
    moved = [(_thin_line(line, scale) - (low + high) / 2) * scale + target for line in lines]
    if center is not None:
        return _render_segments(moved, pen_width)[None]
    shift = np.clip(MNIST_CENTER - compute_center_of_mass(_render_segments(moved, pen_width)), -room, room)
    return _render_segments([line + shift for line in moved], pen_width)[None]


def _compute_bounding_box(lines: Sequence[Line]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = np.concatenate(list(lines))
    return points.min(axis=0), points.max(axis=0)


def _validate_strokes(strokes: Sequence[Stroke]) -> list[Line]:
    lines = []
    for number, stroke in enumerate(strokes):
        if len(stroke) == 0:
            continue
        try:
            line = np.asarray(stroke, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            line = np.empty(0)
        if line.ndim != 2 or line.shape[1] != 2 or not (np.abs(line) <= _MAX_COORDINATE).all():
            raise DrawingError(
                f"Stroke {number + 1} is invalid.",
                expected=f"A list of [x, y] pairs of numbers with absolute values of at most {_MAX_COORDINATE:g}.",
            )
        lines.append(line)
    if not lines:
        raise DrawingError("The drawing has no stroke.", expected="At least one point.")
    return lines


def render_lines(lines: Sequence[Line], pen_width: float, size: int = IMAGE_SIZE, *, scale: float = 1) -> Array:
    """Draw lines with a round pen; a pixel's value is the share of it that is covered.

    ``scale`` is pixels per unit of the lines; ``pen_width`` is in pixels.
    """
    return _render_segments([_thin_line(line, scale) * scale for line in lines], pen_width, size)


def _render_segments(lines: Sequence[Line], pen_width: float, size: int = IMAGE_SIZE) -> Array:
    """Draw lines of two or more points."""
    if not lines:
        return np.zeros((size, size), dtype=np.float32)
    starts = np.concatenate([line[:-1] for line in lines])
    ends = np.concatenate([line[1:] for line in lines])
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    nearest = np.full(len(pixels), np.inf)
    for first in range(0, len(starts), 256):  # in blocks, to bound the memory for thousands of points
        block = slice(first, first + 256)
        nearest = np.minimum(nearest, _compute_squared_distances(pixels, starts[block], ends[block]).min(axis=1))
    coverage = np.clip(pen_width / 2 - np.sqrt(np.maximum(nearest, 0)) + 0.5, 0, 1)
    image: Array = coverage.reshape(size, size).astype(np.float32)
    return image


def _compute_squared_distances(pixels: Line, starts: Line, ends: Line) -> NDArray[np.float64]:
    """Compute squared distances (pixels, segments) by matrix products."""
    along = ends - starts
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    from_start = (pixels**2).sum(axis=1)[:, None] - 2 * pixels @ starts.T + (starts**2).sum(axis=1)
    forward = pixels @ along.T - (starts * along).sum(axis=1)
    share = np.clip(forward / length, 0, 1)
    distances: NDArray[np.float64] = from_start + share * (share * length - 2 * forward)
    return distances


def erase_from_line(line: Stroke, eraser: Stroke, radius: float) -> list[list[tuple[float, float]]]:
    """Return the pieces of a line that are farther than ``radius`` from an eraser's path."""
    points = _resample_line(np.asarray(line, dtype=np.float64), radius / 4)
    path = _thin_line(np.asarray(eraser, dtype=np.float64))
    starts, ends = path[:-1], path[1:]
    kept = _compute_squared_distances(points, starts, ends).min(axis=1) > radius**2
    if kept.all():
        return [[(float(x), float(y)) for x, y in line]]
    cuts = np.flatnonzero(np.diff(kept)) + 1
    pieces = zip(np.split(points, cuts), np.split(kept, cuts), strict=True)
    return [[(float(x), float(y)) for x, y in piece] for piece, is_kept in pieces if is_kept[0]]


def _resample_line(points: Line, step: float) -> Line:
    """Insert points into a line so that neighbors are at most ``step`` apart."""
    lengths = np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    positions = np.union1d(
        lengths, np.linspace(0, lengths[-1], min(int(lengths[-1] / step), _MAX_INTERPOLATED_POINTS) + 2)
    )
    return np.stack([np.interp(positions, lengths, values) for values in points.T], axis=1)


def measure_stroke_width(image: Array) -> float:
    """Measure the stroke width of an image (height, width; ink 1, paper 0) in pixels; 0 without ink.

    A line of width w and length L has the area w·L and an edge of 2·L; the edge is the sum of gradient norms. Lines
    narrower than two pixels are overestimated.
    """
    down, right = np.gradient(np.pad(image.astype(np.float64), 1))
    edge = float(np.hypot(down, right).sum())
    return 2 * float(image.sum()) / edge if edge > 0 else 0.0


def _thin_line(line: Line, scale: float = 1) -> Line:
    """Leave out points within 0.2 pixels of the last kept one; ``scale`` is pixels per unit of the line.

    The result has two or more points. Points are compared before they are moved to their place in the image: a point
    of the canvas often lies exactly 0.2 pixels from another, and rounding must not decide differently in the browser.
    """
    kept = [line[0]]
    for point in line[1:-1]:
        if np.abs(point - kept[-1]).max() * scale >= _MIN_SEGMENT_LENGTH:
            kept.append(point)
    kept.append(line[-1])
    return np.array(kept)


def compute_center_of_mass(image: Array) -> NDArray[np.float64]:
    """Compute the center of mass (x, y) in pixels, with the corner of the image at (0, 0)."""
    # In float64, so that the browser's twin gets the same shift: a point can be left out of a line by a last bit.
    total = max(float(image.sum(dtype=np.float64)), 1e-9)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] + 0.5
    return np.array([(columns * image).sum() / total, (rows * image).sum() / total])
