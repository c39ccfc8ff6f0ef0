"""Preprocessing of drawings and images of digits to network inputs."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from playground.core.datasets import Dataset
from playground.core.shapes import Shape
from playground.engine.data.batch import LabeledImages
from playground.engine.data.feature_extraction import extract_image_features
from playground.engine.data.rasterize import (
    BOX_SIZE,
    IMAGE_SIZE,
    MNIST_CENTER,
    MNIST_PREPROCESSING,
    Array,
    Preprocessing,
    compute_center_of_mass,
    rasterize_canvas,
    render_lines,
)
from playground.errors import DrawingError

Strokes = tuple[tuple[tuple[float, float], ...], ...]

_INK_THRESHOLD = 0.003


DEFAULT_PEN_WIDTH = 17
"""Pen width on a canvas of 280 units."""


@dataclass(frozen=True)
class Drawing:
    """Strokes as points (x right, y down) on a square canvas of ``canvas_size``, over an optional square image.

    ``pen_width`` and ``eraser_width`` are in canvas units; ``background`` (side, side) holds 0 (paper) to 1 (ink).
    ``eraser_strokes`` erase the background only; erased parts of strokes have been removed from ``strokes`` before.
    """

    strokes: Strokes = ()
    canvas_size: float = 280.0
    pen_width: float = DEFAULT_PEN_WIDTH
    background: Array | None = None
    eraser_strokes: Strokes = ()
    eraser_width: float = 30.0

    @property
    def is_empty(self) -> bool:
        """True if the canvas has neither strokes nor a background image."""
        return not any(self.strokes) and self.background is None


def preprocess_drawing(drawing: Drawing, preprocessing: Preprocessing = MNIST_PREPROCESSING) -> Array:
    """Preprocess a drawing to a network input (1, 28, 28), values 0 to 1; raises DrawingError for an empty canvas."""
    if drawing.is_empty:
        raise DrawingError("The canvas is empty.", expected="At least one stroke.", fix="Draw a digit on the canvas.")
    if drawing.background is None:
        return rasterize_canvas(drawing.strokes, drawing.canvas_size, drawing.pen_width, preprocessing)
    side = len(drawing.background)
    scale = side / drawing.canvas_size
    background = drawing.background * (1 - _render_strokes(drawing.eraser_strokes, drawing.eraser_width, scale, side))
    return preprocess_ink(
        np.maximum(_render_strokes(drawing.strokes, drawing.pen_width, scale, side), background), preprocessing
    )


def _render_strokes(strokes: Strokes, pen_width: float, scale: float, side: int) -> Array:
    """Render strokes on a square of ``side`` pixels; ``scale`` is pixels per canvas unit."""
    lines = [np.asarray(stroke, dtype=np.float64) for stroke in strokes if stroke]
    return render_lines(lines, pen_width * scale, side, scale=scale)


def preprocess_ink(ink: Array, preprocessing: Preprocessing = MNIST_PREPROCESSING) -> Array:
    """Preprocess an image of a digit (height, width), ink 1 on paper 0, as MNIST does: (1, 28, 28).

    Strokes much narrower than MNIST's are redrawn along their skeleton, unless the image is as small as
    MNIST's. Raises DrawingError for an image without ink.
    """
    ink_pixels = np.argwhere(ink > _INK_THRESHOLD * max(float(ink.max()), 1e-6))
    if ink.max() <= 0 or len(ink_pixels) == 0:
        raise DrawingError("The image is empty: nothing stands out from its background.")
    if preprocessing == MNIST_PREPROCESSING and max(ink.shape) > IMAGE_SIZE:
        # Not at the top: it imports SciPy's image functions, which drawings with a pen do not need.
        from playground.interpret.drawing.skeleton import has_thin_strokes, redraw_skeleton

        redrawn = redraw_skeleton(ink) if has_thin_strokes(ink) else None
        if redrawn is not None:
            return redrawn
    (top, left), (bottom, right) = ink_pixels.min(axis=0), ink_pixels.max(axis=0) + 1
    shrink = IMAGE_SIZE / max(ink.shape)
    scale = BOX_SIZE / max(bottom - top, right - left) if preprocessing.fit_box else shrink
    digit = _resize(ink[top:bottom, left:right], scale)
    height, width = digit.shape
    if preprocessing.center_by_mass:
        x, y = np.ceil(MNIST_CENTER - 0.5 - compute_center_of_mass(digit))
    else:
        x, y = (left + right) / 2 * shrink - width / 2, (top + bottom) / 2 * shrink - height / 2
    column, row = int(np.clip(round(x), 0, IMAGE_SIZE - width)), int(np.clip(round(y), 0, IMAGE_SIZE - height))
    fitted = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
    fitted[row : row + height, column : column + width] = digit
    brightest = max(float(fitted.max()), 1e-6)
    scaled: Array = np.clip(fitted[None] / brightest, 0, 1).astype(np.float32)
    return scaled


def _resize(digit: Array, scale: float) -> Array:
    height, width = (min(IMAGE_SIZE, max(1, round(side * scale))) for side in digit.shape)
    if (height, width) == digit.shape:
        return digit
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(digit).resize((width, height), method), dtype=np.float32)


def overlay_drawing(image: Array, drawing: Drawing) -> Array:
    """Draw on an image (channels, height, width), values 0 to 1: strokes become white, erased parts black.

    For images that are not strokes on paper, hence without preprocessing. ``drawing.background`` is ignored.
    """
    side = max(image.shape[1:])
    scale = side / drawing.canvas_size
    rows, columns = image.shape[1:]
    erased = _render_strokes(drawing.eraser_strokes, drawing.eraser_width, scale, side)[:rows, :columns]
    drawn = _render_strokes(drawing.strokes, drawing.pen_width, scale, side)[:rows, :columns]
    combined: Array = np.maximum(image * (1 - erased), drawn).astype(np.float32)
    return combined


def prepare_input(image: Array, dataset: Dataset, shape: Shape) -> Array:
    """Convert an image (channels, height, width), values 0 to 1, to an input of a network trained on ``dataset``.

    Raises DatasetUnavailableError if the network reads features and the weights of the feature extractor are missing.
    """
    if dataset.features is not None:
        image = extract_image_features(dataset.features, image)
    return resize_to_input(image, shape)


def resize_to_input(image: Array, shape: Shape) -> Array:
    """Resize an image (channels, height, width), values 0 to 1, to a network's input shape."""
    if image.shape == shape:
        return image
    return LabeledImages.from_image(image).resize(shape).get_image(0)
