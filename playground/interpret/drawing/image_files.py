"""Untrusted image files and stroke files as network inputs."""

import json
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from playground.core.datasets import DATASETS, Dataset
from playground.core.image_formats import describe_unreadable_image
from playground.core.preprocessing import ImagePreprocessing
from playground.core.shapes import Shape
from playground.engine.data.custom.decode import FORMATS, MAX_PIXELS, decode_image
from playground.engine.data.image_steps import flatten_transparency
from playground.engine.data.rasterize import rasterize
from playground.errors import DrawingError, ImageFileError
from playground.interpret.drawing.photo import extract_ink
from playground.interpret.drawing.preprocess import prepare_input, preprocess_ink, resize_to_input

Array = NDArray[np.float32]

MAX_FILE_BYTES = 20 * 1000**2
_MNIST = DATASETS["mnist"]
_MAX_DECODED_SIDE = 1024
_MAX_SMALL_SIDE = 64  # pixels: smaller images are no photos and are used without ink extraction


def read_inputs(path: Path, dataset: Dataset = _MNIST, shape: Shape = _MNIST.input_shape) -> list[Array]:
    """Read network inputs of ``shape`` from a file with one image, or with one or more drawings as strokes.

    If ``dataset``, which the network was trained on, is drawable, an image is preprocessed as a drawing. Raises
    ImageFileError or DrawingError, which name the file, and the errors of ``prepare_input``.
    """
    content = read_file(path)
    if path.suffix.lower() == ".json" or content.lstrip()[:1] in (b"{", b"["):
        images = _parse_drawings(path, content)
    elif dataset.is_drawable:
        images = [read_uploaded_input(str(path), content)]
    else:
        images = [read_uploaded_image(str(path), content, ImagePreprocessing.from_dataset(dataset, shape))]
    return [prepare_input(image, dataset, shape) for image in images]


def read_uploaded_input(name: str, content: bytes) -> Array:
    """Decode an image of a drawing as a network input (1, 28, 28); raises the errors of ``read_inputs``."""
    try:
        return preprocess_ink(read_uploaded_ink(name, content))
    except DrawingError as error:
        raise DrawingError(f"{name}: {error.what}", expected=error.expected, fix=error.fix) from None


def read_uploaded_image(name: str, content: bytes, preprocessing: ImagePreprocessing) -> Array:
    """Decode an image to ``input_shape`` of its preprocessing, values 0 to 1; raises ImageFileError."""
    _check_size(name, len(content))
    try:
        pixels = decode_image(content, preprocessing).pixels
    except ImageFileError as error:
        raise ImageFileError(f"{name} {error.what}.", fix="Choose another image.") from None
    return resize_to_input(pixels.astype(np.float32) / np.float32(255), preprocessing.input_shape)


def read_uploaded_ink(name: str, content: bytes) -> Array:
    """Decode an image of a drawing as ink 1 on paper 0 on a square, without frame, shadow and specks.

    Raises ImageFileError for an unusable file, DrawingError for an image without ink.
    """
    _check_size(name, len(content))
    ink = decode_ink(name, content)
    if not ink.any():
        raise DrawingError(f"{name}: the image is empty: nothing stands out from its background.")
    height, width = ink.shape
    square = np.zeros((max(ink.shape),) * 2, dtype=np.float32)
    top, left = (len(square) - height) // 2, (len(square) - width) // 2
    square[top : top + height, left : left + width] = ink
    return square


def decode_ink(path: Path | str, content: bytes) -> Array:
    """Decode an image file as ink 1 on paper 0, (height, width), upright, from dark on light or light on dark.

    The paper's brightness is the median of the border. Raises ImageFileError for an unusable file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            gray = _decode_grayscale(path, content)
    except ImageFileError:
        raise
    except Exception as error:  # Pillow's readers raise errors of many types
        is_unknown = isinstance(error, UnidentifiedImageError)
        reason = describe_unreadable_image(content) if is_unknown else "is damaged or incomplete"
        raise ImageFileError(
            f"{path} {reason}.",
            expected=f"Formats: {', '.join(FORMATS)}, at most {MAX_PIXELS // 10**6} million pixels.",
        ) from error
    if max(gray.shape) > _MAX_SMALL_SIDE:
        return extract_ink(gray)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    paper = float(np.median(border))
    ink = np.clip(paper - gray, 0, None) if paper > 0.5 else np.clip(gray - paper, 0, None)
    # Uneven paper (a photo, a JPEG) leaves faint traces, which are below a multiple of the border's deviation.
    texture = 4 * float(np.std(border[np.abs(border - paper) < 0.2]))
    ink = np.where(ink > texture, ink, 0)
    strongest = float(ink.max())
    return np.asarray(ink / strongest if strongest > 0.05 else ink * 0, dtype=np.float32)


def _decode_grayscale(path: Path | str, content: bytes) -> Array:
    """Brightness 0 to 1, (height, width), upright, transparent parts white."""
    with Image.open(BytesIO(content), formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise ImageFileError(
                f"{path} has {opened.width}×{opened.height} pixels.",
                expected=f"At most {MAX_PIXELS // 10**6} million.",
                fix="Reduce its size.",
            )
        opened.draft("L", (_MAX_DECODED_SIDE, _MAX_DECODED_SIDE))
        opened.thumbnail((_MAX_DECODED_SIDE, _MAX_DECODED_SIDE))  # more pixels only cost memory
        upright = ImageOps.exif_transpose(opened)
        if upright.has_transparency_data:
            upright = flatten_transparency(upright.convert("RGBA"), channels=1)
        if upright.mode in ("I;16", "I", "F"):
            deep = np.asarray(upright, dtype=np.float32)
            return np.asarray(deep / max(float(deep.max()), 1.0), dtype=np.float32)
        return np.asarray(upright.convert("L"), dtype=np.float32) / np.float32(255)


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
