"""From what a person drew to what the net sees, in the way MNIST itself was made.

MNIST's digits were scaled to fit a box of 20×20 pixels and placed so that their centre of mass is the middle of the
28×28 image (http://yann.lecun.com/exdb/mnist/). A drawing that is merely shrunk looks unlike anything the net has
seen. Strokes are scaled as lines and drawn with a pen as wide as MNIST's, so no pixel is interpolated on the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground.errors import DrawingError

Array = NDArray[np.float32]
Stroke = Sequence[Sequence[float]]

SIZE = 28
BOX = 20
CENTRE = 14.5
"""Where MNIST's digits have their centre of mass, x and y, the corner of the image being 0: it lies in pixel 14."""

MNIST_PEN_WIDTH = 2.4
"""Width of a line in pixels of the 28×28 image; MNIST's own strokes are about as wide."""

_INK = 0.003
_FINEST_STEP = 0.2
_LARGEST_COORDINATE = 1e9
_SMALLEST_EXTENT = 1e-6


@dataclass(frozen=True)
class Drawing:
    """Strokes as points (x right, y down) on a square canvas of ``canvas_size``, over an optional 28×28 picture.

    ``pen_width`` is in units of the canvas; ``under`` holds values 0 (paper) to 1 (ink).
    """

    strokes: tuple[tuple[tuple[float, float], ...], ...] = ()
    canvas_size: float = 280.0
    pen_width: float = 18.0
    under: Array | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing on the canvas."""
        return not any(self.strokes) and self.under is None


def net_input(drawing: Drawing, *, centred: bool = True) -> Array:
    """The image a net gets, (1, 28, 28), values 0 to 1; raises DrawingError for an empty canvas.

    ``centred``: fitted as MNIST's digits were; else the canvas is only shrunk, so that the difference can be seen.
    """
    if drawing.is_empty:
        raise DrawingError("Nothing is drawn yet.", fix="Draw a digit on the canvas.")
    if centred and drawing.under is None:
        return fit_strokes(drawing.strokes)
    scale = SIZE / drawing.canvas_size
    lines = [np.asarray(stroke, dtype=np.float64) * scale for stroke in drawing.strokes if len(stroke)]
    image = _render(lines, drawing.pen_width * scale)
    if drawing.under is not None:
        image = np.maximum(image, drawing.under)
    return fit_image(image) if centred else image[None]


def fit_strokes(strokes: Sequence[Stroke]) -> Array:
    """Strokes in any unit as MNIST would have them: (1, 28, 28), values 0 to 1.

    Raises DrawingError if there is no point, or one that is no pair of finite numbers.
    """
    lines = _checked(strokes)
    points = np.concatenate(lines)
    low, high = points.min(axis=0), points.max(axis=0)
    # The box holds the ink, so the pen's own width is inside it.
    extent = float((high - low).max())
    scale = (BOX - MNIST_PEN_WIDTH) / extent if extent > _SMALLEST_EXTENT else 1.0
    placed = [(line - (low + high) / 2) * scale + SIZE / 2 for line in lines]
    # A lopsided drawing is moved only as far as its ink stays inside.
    room = (SIZE - MNIST_PEN_WIDTH - (high - low) * scale) / 2
    shift = np.clip(CENTRE - _centre_of_mass(_render(placed, MNIST_PEN_WIDTH)), -room, room)
    return _render([line + shift for line in placed], MNIST_PEN_WIDTH)[None]


def fit_image(image: Array) -> Array:
    """A picture of a digit (height, width), ink 1 on paper 0, as MNIST would have it: (1, 28, 28).

    Raises DrawingError for a picture without ink.
    """
    inked = np.argwhere(image > _INK * max(float(image.max()), 1e-6))
    if image.max() <= 0 or len(inked) == 0:
        raise DrawingError("The picture is empty: nothing stands out from its background.")
    (top, left), (bottom, right) = inked.min(axis=0), inked.max(axis=0) + 1
    digit = image[top:bottom, left:right]
    scale = BOX / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    if (height, width) != digit.shape:
        method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
        resized = Image.fromarray(digit).resize((width, height), method)
        digit = np.asarray(resized, dtype=np.float32)
    fitted = np.zeros((SIZE, SIZE), dtype=np.float32)
    centre = _centre_of_mass(digit)
    corner = np.ceil(CENTRE - 0.5 - centre).astype(int)
    x = int(np.clip(corner[0], 0, SIZE - width))
    y = int(np.clip(corner[1], 0, SIZE - height))
    fitted[y : y + height, x : x + width] = digit
    brightest = max(float(fitted.max()), 1e-6)
    scaled: Array = np.clip(fitted[None] / brightest, 0, 1).astype(np.float32)
    return scaled


def _checked(strokes: Sequence[Stroke]) -> list[NDArray[np.float64]]:
    lines = []
    for number, stroke in enumerate(strokes):
        if len(stroke) == 0:
            continue
        try:
            line = np.asarray(stroke, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            line = np.empty(0)
        if line.ndim != 2 or line.shape[1] != 2 or not (np.abs(line) <= _LARGEST_COORDINATE).all():
            raise DrawingError(
                f"Stroke {number + 1} cannot be read.",
                expected=f"A stroke is a list of [x, y] pairs of numbers of at most {_LARGEST_COORDINATE:g}.",
            )
        lines.append(line)
    if not lines:
        raise DrawingError("There is no stroke.", expected="A drawing has at least one point.")
    return lines


def _render(lines: Sequence[NDArray[np.float64]], pen_width: float) -> Array:
    """Lines in pixels of a 28×28 image, drawn with a round pen; each pixel holds the share of it that is covered."""
    segments = [_segments(line) for line in lines]
    if not segments:
        return np.zeros((SIZE, SIZE), dtype=np.float32)
    starts, ends = (np.concatenate(parts) for parts in zip(*segments, strict=True))
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    along = ends - starts
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    nearest = np.full(len(pixels), np.inf)
    for first in range(0, len(starts), 256):  # in blocks: a scribble of thousands of points must not fill the memory
        part = slice(first, first + 256)
        offset = pixels[:, None, :] - starts[None, part]
        share = np.clip((offset * along[part]).sum(axis=2) / length[part], 0, 1)
        distance = ((offset - share[..., None] * along[part]) ** 2).sum(axis=2).min(axis=1)
        nearest = np.minimum(nearest, distance)
    covered = np.clip(pen_width / 2 - np.sqrt(nearest) + 0.5, 0, 1)
    image: Array = covered.reshape(SIZE, SIZE).astype(np.float32)
    return image


def _segments(line: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts and ends of a line's segments, points closer than a fraction of a pixel to the last kept one left out."""
    kept = [line[0]]
    for point in line[1:-1]:
        if np.abs(point - kept[-1]).max() >= _FINEST_STEP:
            kept.append(point)
    kept.append(line[-1])
    points = np.array(kept)
    return points[:-1], points[1:]


def _centre_of_mass(image: Array) -> NDArray[np.float64]:
    """(x, y) in pixels, the corner of the image being (0, 0)."""
    total = max(float(image.sum()), 1e-9)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] + 0.5
    return np.array([(columns * image).sum() / total, (rows * image).sum() / total])
