"""From a pen's strokes to an image as MNIST would have it, by the way in which MNIST itself was made.

MNIST's digits were scaled to fit a box of 20×20 pixels and placed so that their centre of mass is the middle of the
28×28 image (http://yann.lecun.com/exdb/mnist/). A drawing that is merely shrunk looks unlike anything the net has
seen. Strokes are scaled as lines and drawn with a pen as wide as MNIST's, so no pixel is interpolated on the way.
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
"""Where MNIST's digits have their centre of mass, x and y, the corner of the image being 0: it lies in pixel 14."""

MNIST_PEN_WIDTH = 2.4
"""Width of a line in pixels of the 28×28 image; MNIST's own strokes are about as wide (see ``measure_stroke_width``)."""

_MIN_SEGMENT_LENGTH = 0.2
_MAX_INTERPOLATED_POINTS = 2000
_MAX_COORDINATE = 1e9
_MIN_EXTENT = 1e-6


@dataclass(frozen=True)
class Preprocessing:
    """Which of MNIST's own steps a drawing goes through; without any of them the canvas is only shrunk.

    ``boxed``: made as large as the box of 20 pixels. ``thinned``: drawn with a pen as wide as MNIST's, whatever the
    canvas' pen. ``centred``: its centre of mass put where MNIST's are, else left where it is on the canvas.
    """

    boxed: bool = True
    thinned: bool = True
    centred: bool = True


MNIST_PREPROCESSING = Preprocessing()
RESIZE_ONLY = Preprocessing(boxed=False, thinned=False, centred=False)


def rasterize(strokes: Sequence[Stroke], *, pen_width: float = MNIST_PEN_WIDTH) -> Array:
    """Strokes in any unit as MNIST would have them: (1, 28, 28), values 0 to 1; ``pen_width`` in its pixels.

    Raises DrawingError if there is no point, or one that is no pair of finite numbers.
    """
    return _render_placed(_validate_strokes(strokes), pen_width, center=None)


def rasterize_canvas(
    strokes: Sequence[Stroke], canvas_size: float, pen_width: float, preprocessing: Preprocessing = MNIST_PREPROCESSING
) -> Array:
    """Strokes on a square canvas as the net sees them, (1, 28, 28), by the chosen steps; errors as ``rasterize``."""
    lines = _validate_strokes(strokes)
    low, high = _compute_bounding_box(lines)
    extent = float((high - low).max())
    shrink = IMAGE_SIZE / canvas_size
    middle = None if preprocessing.centred else (low + high) / 2 * shrink
    if preprocessing.boxed:
        # Without MNIST's pen the canvas' own grows and shrinks with the digit, and the box holds all of the ink.
        own = pen_width * BOX_SIZE / (extent + pen_width)
        return _render_placed(lines, MNIST_PEN_WIDTH if preprocessing.thinned else own, center=middle)
    width = MNIST_PEN_WIDTH if preprocessing.thinned else pen_width * shrink
    if middle is not None:
        return render_lines([line * shrink for line in lines], width)[None]
    return _render_placed(lines, width, center=None, scale=shrink)


def _render_placed(
    lines: Sequence[Line], pen_width: float, *, center: NDArray[np.float64] | None, scale: float | None = None
) -> Array:
    """Lines scaled to the box, or by ``scale``, their box put around ``center``, or else centred by their ink."""
    low, high = _compute_bounding_box(lines)
    extent = float((high - low).max())
    if scale is None:
        scale = (BOX_SIZE - pen_width) / extent if extent > _MIN_EXTENT else 1.0
    room = np.maximum((IMAGE_SIZE - pen_width - (high - low) * scale) / 2, 0)  # a lopsided drawing keeps its ink inside
    target = np.full(2, IMAGE_SIZE / 2)
    if center is not None:
        target = np.clip(center, IMAGE_SIZE / 2 - room, IMAGE_SIZE / 2 + room)
    placed = [(line - (low + high) / 2) * scale + target for line in lines]
    if center is not None:
        return render_lines(placed, pen_width)[None]
    shift = np.clip(MNIST_CENTER - compute_center_of_mass(render_lines(placed, pen_width)), -room, room)
    return render_lines([line + shift for line in placed], pen_width)[None]


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
                f"Stroke {number + 1} cannot be read.",
                expected=f"A stroke is a list of [x, y] pairs of numbers of at most {_MAX_COORDINATE:g}.",
            )
        lines.append(line)
    if not lines:
        raise DrawingError("There is no stroke.", expected="A drawing has at least one point.")
    return lines


def render_lines(lines: Sequence[Line], pen_width: float, size: int = IMAGE_SIZE) -> Array:
    """Lines in pixels of a square image, drawn with a round pen; each pixel holds the share of it that is covered."""
    segments = [_split_into_segments(line) for line in lines]
    if not segments:
        return np.zeros((size, size), dtype=np.float32)
    starts, ends = (np.concatenate(parts) for parts in zip(*segments, strict=True))
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    nearest = np.full(len(pixels), np.inf)
    for first in range(0, len(starts), 256):  # in blocks: a scribble of thousands of points must not fill the memory
        part = slice(first, first + 256)
        nearest = np.minimum(nearest, _compute_squared_distances(pixels, starts[part], ends[part]).min(axis=1))
    covered = np.clip(pen_width / 2 - np.sqrt(np.maximum(nearest, 0)) + 0.5, 0, 1)
    image: Array = covered.reshape(size, size).astype(np.float32)
    return image


def _compute_squared_distances(pixels: Line, starts: Line, ends: Line) -> NDArray[np.float64]:
    """Of every pixel (rows) from every segment (columns), by products of matrices."""
    along = ends - starts
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    from_start = (pixels**2).sum(axis=1)[:, None] - 2 * pixels @ starts.T + (starts**2).sum(axis=1)
    forward = pixels @ along.T - (starts * along).sum(axis=1)
    share = np.clip(forward / length, 0, 1)
    found: NDArray[np.float64] = from_start + share * (share * length - 2 * forward)
    return found


def erase_from_line(line: Stroke, eraser: Stroke, radius: float) -> list[list[tuple[float, float]]]:
    """What is left of a line where an eraser's middle came no nearer to its own than ``radius``: pieces of it."""
    points = _resample_line(np.asarray(line, dtype=np.float64), radius / 4)
    starts, ends = _split_into_segments(np.asarray(eraser, dtype=np.float64))
    kept = _compute_squared_distances(points, starts, ends).min(axis=1) > radius**2
    if kept.all():
        return [[(float(x), float(y)) for x, y in line]]
    cuts = np.flatnonzero(np.diff(kept)) + 1
    pieces = zip(np.split(points, cuts), np.split(kept, cuts), strict=True)
    return [[(float(x), float(y)) for x, y in piece] for piece, stays in pieces if stays[0]]


def _resample_line(points: Line, step: float) -> Line:
    """A line with more points, none farther from the next than ``step``."""
    lengths = np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    places = np.union1d(
        lengths, np.linspace(0, lengths[-1], min(int(lengths[-1] / step), _MAX_INTERPOLATED_POINTS) + 2)
    )
    return np.stack([np.interp(places, lengths, values) for values in points.T], axis=1)


def measure_stroke_width(image: Array) -> float:
    """How wide the lines of a picture (height, width; ink 1, paper 0) are, in its pixels; 0 without ink.

    A line of width w and length L has the area w·L and an edge of 2·L, and the edge is the sum of all slopes. Lines
    narrower than two pixels are taken for wider than they are.
    """
    down, right = np.gradient(np.pad(image.astype(np.float64), 1))
    edge = float(np.hypot(down, right).sum())
    return 2 * float(image.sum()) / edge if edge > 0 else 0.0


def _split_into_segments(line: Line) -> tuple[Line, Line]:
    """Starts and ends of a line's segments, points closer than a fraction of a pixel to the last kept one left out."""
    kept = [line[0]]
    for point in line[1:-1]:
        if np.abs(point - kept[-1]).max() >= _MIN_SEGMENT_LENGTH:
            kept.append(point)
    kept.append(line[-1])
    points = np.array(kept)
    return points[:-1], points[1:]


def compute_center_of_mass(image: Array) -> NDArray[np.float64]:
    """(x, y) in pixels, the corner of the image being (0, 0)."""
    total = max(float(image.sum()), 1e-9)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] + 0.5
    return np.array([(columns * image).sum() / total, (rows * image).sum() / total])
