"""From what a person drew, or a picture of it, to what the net sees."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from playground.core.datasets import Dataset
from playground.core.shapes import Shape
from playground.engine.data.batch import Images
from playground.engine.data.feature_extraction import features_of_picture
from playground.engine.data.rasterize import (
    AS_MNIST,
    BOX,
    CENTRE,
    SIZE,
    Array,
    Fitting,
    centre_of_mass,
    fit_canvas,
    render,
)
from playground.errors import DrawingError
from playground.interpret.drawing.photo import drawn_anew, has_usual_lines

Strokes = tuple[tuple[tuple[float, float], ...], ...]

_INK = 0.003


@dataclass(frozen=True)
class Drawing:
    """Strokes as points (x right, y down) on a square canvas of ``canvas_size``, over an optional square picture.

    ``pen_width`` and ``eraser_width`` are in units of the canvas; ``under`` (side, side) holds values 0 (paper) to 1
    (ink). ``erased``: where an eraser went over the picture; what it took of the strokes is no longer among them.
    """

    strokes: Strokes = ()
    canvas_size: float = 280.0
    pen_width: float = 18.0
    under: Array | None = None
    erased: Strokes = ()
    eraser_width: float = 30.0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing on the canvas."""
        return not any(self.strokes) and self.under is None


def net_input(drawing: Drawing, fitting: Fitting = AS_MNIST) -> Array:
    """The image a net gets, (1, 28, 28), values 0 to 1; raises DrawingError for an empty canvas.

    With a step of ``fitting`` left out it can be seen what that step is for.
    """
    if drawing.is_empty:
        raise DrawingError("Nothing is drawn yet.", fix="Draw a digit on the canvas.")
    if drawing.under is None:
        return fit_canvas(drawing.strokes, drawing.canvas_size, drawing.pen_width, fitting)
    side = len(drawing.under)
    scale = side / drawing.canvas_size
    left = drawing.under * (1 - _covered(drawing.erased, drawing.eraser_width, scale, side))
    return fit_image(np.maximum(_covered(drawing.strokes, drawing.pen_width, scale, side), left), fitting)


def _covered(strokes: Strokes, pen_width: float, scale: float, side: int) -> Array:
    """What a pen covers of a square of ``side`` pixels; ``scale`` brings the canvas's units to these."""
    return render(
        [np.asarray(stroke, dtype=np.float64) * scale for stroke in strokes if stroke], pen_width * scale, side
    )


def fit_image(image: Array, fitting: Fitting = AS_MNIST) -> Array:
    """A picture of a digit (height, width), ink 1 on paper 0, as MNIST would have it: (1, 28, 28).

    Lines much wider or narrower than MNIST's are drawn anew, unless the picture is as small as MNIST's own. Raises
    DrawingError for a picture without ink.
    """
    inked = np.argwhere(image > _INK * max(float(image.max()), 1e-6))
    if image.max() <= 0 or len(inked) == 0:
        raise DrawingError("The picture is empty: nothing stands out from its background.")
    if fitting == AS_MNIST and max(image.shape) > SIZE and not has_usual_lines(image):
        return drawn_anew(image)
    (top, left), (bottom, right) = inked.min(axis=0), inked.max(axis=0) + 1
    shrink = SIZE / max(image.shape)
    scale = BOX / max(bottom - top, right - left) if fitting.boxed else shrink
    digit = _resized(image[top:bottom, left:right], scale)
    height, width = digit.shape
    if fitting.centred:
        x, y = np.ceil(CENTRE - 0.5 - centre_of_mass(digit))
    else:
        x, y = (left + right) / 2 * shrink - width / 2, (top + bottom) / 2 * shrink - height / 2
    column, row = int(np.clip(round(x), 0, SIZE - width)), int(np.clip(round(y), 0, SIZE - height))
    fitted = np.zeros((SIZE, SIZE), dtype=np.float32)
    fitted[row : row + height, column : column + width] = digit
    brightest = max(float(fitted.max()), 1e-6)
    scaled: Array = np.clip(fitted[None] / brightest, 0, 1).astype(np.float32)
    return scaled


def _resized(digit: Array, scale: float) -> Array:
    height, width = (min(SIZE, max(1, round(side * scale))) for side in digit.shape)
    if (height, width) == digit.shape:
        return digit
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(digit).resize((width, height), method), dtype=np.float32)


def drawn_over(image: Array, drawing: Drawing) -> Array:
    """An image (channels, height, width), values 0 to 1, with the drawing's strokes white on it, what it erased black.

    Nothing is fitted: for images that are no strokes on paper. ``drawing.under`` is not looked at.
    """
    side = max(image.shape[1:])
    scale = side / drawing.canvas_size
    rows, columns = image.shape[1:]
    erased = _covered(drawing.erased, drawing.eraser_width, scale, side)[:rows, :columns]
    drawn = _covered(drawing.strokes, drawing.pen_width, scale, side)[:rows, :columns]
    found: Array = np.maximum(image * (1 - erased), drawn).astype(np.float32)
    return found


def for_net(picture: Array, dataset: Dataset, shape: Shape) -> Array:
    """A picture (channels, height, width), values 0 to 1, as a net that learnt from ``dataset`` takes it, ``shape``.

    Raises MissingDataError where the net reads features, and what makes them of a picture is not here.
    """
    if dataset.features is not None:
        picture = features_of_picture(dataset.features, picture)
    return as_input(picture, shape)


def as_input(image: Array, shape: Shape) -> Array:
    """An image (channels, height, width), values 0 to 1, at the size and with the channels that a net takes."""
    if image.shape == shape:
        return image
    return Images.of_picture(image).resized(shape).image(0)
