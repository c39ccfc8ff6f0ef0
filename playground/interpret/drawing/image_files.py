"""Untrusted image files and stroke files as network inputs."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from playground.core.datasets import DATASETS, Dataset
from playground.core.preprocessing import DrawingPreprocessing, ImagePreprocessing
from playground.core.shapes import Shape
from playground.engine.data.custom.decode import FORMATS, MAX_PIXELS, decode_grayscale, decode_image
from playground.engine.data.rasterize import rasterize
from playground.errors import DrawingError, ImageFileError
from playground.interpret.drawing.photo import Photo, segment_photo
from playground.interpret.drawing.preprocess import prepare_input, preprocess_ink, resize_to_input

Array = NDArray[np.float32]

MAX_FILE_BYTES = 20 * 1000**2
_MNIST = DATASETS["mnist"]
_DRAWINGS = DrawingPreprocessing(input_shape=_MNIST.input_shape)


class FileInput(NamedTuple):
    """A network input (channels, height, width), values 0 to 1, and reasons to doubt a prediction for it."""

    image: Array
    doubts: tuple[str, ...] = ()
    is_photo: bool = False


def read_inputs(path: Path, dataset: Dataset = _MNIST, shape: Shape = _MNIST.input_shape) -> list[FileInput]:
    """Read network inputs of ``shape`` from a file with one image, or with one or more drawings as strokes.

    If ``dataset``, which the network was trained on, is drawable, an image is preprocessed as a drawing, and its
    largest digit is used. Raises ImageFileError or DrawingError, which name the file, and the errors of
    ``prepare_input``.
    """
    content = read_file(path)
    if path.suffix.lower() == ".json" or content.lstrip()[:1] in (b"{", b"["):
        inputs = [FileInput(image) for image in _parse_drawings(path, content)]
    elif dataset.is_drawable:
        photo = read_photo(str(path), content)
        inputs = [FileInput(preprocess_ink(photo.digits[0].ink), photo.list_doubts(), photo.is_large)]
    else:
        inputs = [FileInput(read_uploaded_image(str(path), content, ImagePreprocessing.from_dataset(dataset, shape)))]
    return [one._replace(image=prepare_input(one.image, dataset, shape)) for one in inputs]


def read_uploaded_image(name: str, content: bytes, preprocessing: ImagePreprocessing) -> Array:
    """Decode an image to ``input_shape`` of its preprocessing, values 0 to 1; raises ImageFileError."""
    _check_size(name, len(content))
    try:
        pixels = decode_image(content, preprocessing).pixels
    except ImageFileError as error:
        raise ImageFileError(f"{name} {error.what}.", fix="Choose another image.") from None
    return resize_to_input(pixels.astype(np.float32) / np.float32(255), preprocessing.input_shape)


def read_photo(name: str, content: bytes) -> Photo:
    """Decode an image and find its digits; raises ImageFileError for an unusable file, DrawingError without ink."""
    _check_size(name, len(content))
    try:
        return segment_photo(decode_grayscale(content, _DRAWINGS))
    except ImageFileError as error:
        raise ImageFileError(
            f"{name} {error.what}.",
            expected=f"Formats: {', '.join(FORMATS)}, at most {MAX_PIXELS // 10**6} million pixels.",
            fix="Choose another image.",
        ) from error
    except DrawingError as error:
        raise DrawingError(f"{name}: {error.what}", expected=error.expected) from None


def _check_size(name: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ImageFileError(f"{name} is larger than {MAX_FILE_BYTES // 10**6} MB.", fix="Reduce its size.")


def read_file(path: Path) -> bytes:
    """Read a file of at most MAX_FILE_BYTES; raises ImageFileError."""
    try:
        _check_size(str(path), path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise ImageFileError(
            f"{path} cannot be read: {error.strerror}.", expected="An image, or strokes as JSON."
        ) from error


def _parse_drawings(path: Path, content: bytes) -> list[Array]:
    expected = 'A list of drawings: [{"strokes": [[[x, y], ...], ...]}, ...], y down, any unit.'
    try:
        drawings = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DrawingError(f"{path} is not JSON: {error}.", expected=expected) from None
    if isinstance(drawings, dict):  # a personal set, or a single drawing
        drawings = drawings.get("drawings", [drawings])
    if not isinstance(drawings, list):
        raise DrawingError(f"{path} does not contain a list of drawings.", expected=expected)
    if not drawings:
        raise DrawingError(f"{path} contains no drawing.", expected=expected)
    images = []
    for number, drawing in enumerate(drawings):
        strokes = drawing.get("strokes") if isinstance(drawing, dict) else None
        if not isinstance(strokes, list) or not all(isinstance(stroke, list) for stroke in strokes):
            raise DrawingError(f"{path}, drawing {number + 1} has no strokes.", expected=expected)
        try:
            images.append(rasterize(strokes))
        except DrawingError as error:
            raise DrawingError(f"{path}, drawing {number + 1}: {error.what}", expected=error.expected) from None
    return images
