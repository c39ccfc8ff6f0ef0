"""Picture files and stroke files from outside, read with suspicion."""

import json
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from playground.core.datasets import DATASETS, Dataset
from playground.core.shapes import Shape
from playground.engine.data.custom.decode import FORMATS, MAX_PIXELS, composite_on_white, decode_image
from playground.engine.data.rasterize import rasterize
from playground.errors import DrawingError, ImageFileError
from playground.interpret.drawing.photo import extract_ink
from playground.interpret.drawing.preprocess import prepare_input, preprocess_ink, resize_to_input

Array = NDArray[np.float32]

MAX_FILE_BYTES = 20 * 1000**2
_MNIST = DATASETS["mnist"]
_MAX_DECODED_SIDE = 1024
_MAX_SMALL_SIDE = 64  # pixels: up to that a picture is no photo, and every pixel of it counts


def read_inputs(path: Path, dataset: Dataset = _MNIST, shape: Shape = _MNIST.input_shape) -> list[Array]:
    """What a file holds, as inputs of a net, ``shape`` each: one picture, or one or more drawings as strokes.

    Where ``dataset``, from which the net learnt, is of drawings, a picture is one of a drawing. Raises ImageFileError
    or DrawingError, naming the file, MissingDataError as ``prepare_input``.
    """
    content = read_file(path)
    if path.suffix.lower() == ".json" or content.lstrip()[:1] in (b"{", b"["):
        pictures = _parse_drawings(path, content)
    elif dataset.is_drawable:
        pictures = [read_uploaded_input(str(path), content)]
    else:
        pictures = [read_uploaded_image(str(path), content, get_image_shape(dataset, shape))]
    return [prepare_input(picture, dataset, shape) for picture in pictures]


def get_image_shape(dataset: Dataset, shape: Shape) -> Shape:
    """Of the pictures that become inputs of ``shape``: the same, unless features are made of them first."""
    return dataset.features.image_shape if dataset.features else shape


def read_uploaded_input(name: str, content: bytes) -> Array:
    """A picture that came as bytes, as the input of a net, (1, 28, 28); errors as ``read_inputs``, naming ``name``."""
    try:
        return preprocess_ink(read_uploaded_ink(name, content))
    except DrawingError as problem:
        raise DrawingError(f"{name}: {problem.what}", expected=problem.expected, fix=problem.fix) from None


def read_uploaded_image(name: str, content: bytes, shape: Shape) -> Array:
    """A picture that came as bytes, as an image of ``shape``, values 0 to 1: its middle, in grey or in colour.

    Raises ImageFileError for what is no usable picture.
    """
    _check_size(name, len(content))
    channels, height, width = shape
    try:
        values = decode_image(content, height=height, width=width, channels=1 if channels == 1 else 3)
    except ImageFileError as problem:
        raise ImageFileError(f"{name} {problem.what}.", fix="Choose another picture.") from None
    return resize_to_input(values.astype(np.float32) / np.float32(255), shape)


def read_uploaded_ink(name: str, content: bytes) -> Array:
    """A picture that came as bytes, as ink 1 on paper 0 on a square: a digit's, without box, shadow and dirt.

    Raises ImageFileError for what is no usable picture, DrawingError for one on which nothing stands out.
    """
    _check_size(name, len(content))
    ink = decode_ink(name, content)
    if not ink.any():
        raise DrawingError(f"{name}: the picture is empty: nothing stands out from its background.")
    height, width = ink.shape
    square = np.zeros((max(ink.shape),) * 2, dtype=np.float32)
    top, left = (len(square) - height) // 2, (len(square) - width) // 2
    square[top : top + height, left : left + width] = ink
    return square


def decode_ink(path: Path | str, content: bytes) -> Array:
    """A picture file as ink 1 on paper 0, (height, width): grey, turned upright, either polarity.

    The border tells the paper's brightness: most of it is paper. Raises ImageFileError for what is no usable picture.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            grey = _decode_grayscale(path, content)
    except ImageFileError:
        raise
    except Exception as problem:  # Pillow's readers raise whatever they stumble over; none of it is ours to sort
        raise ImageFileError(
            f"{path} is no picture that can be read.",
            expected=f"Formats: {', '.join(FORMATS)}, at most {MAX_PIXELS // 10**6} million pixels.",
        ) from problem
    if max(grey.shape) > _MAX_SMALL_SIDE:
        return extract_ink(grey)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = float(np.median(border))
    ink = np.clip(paper - grey, 0, None) if paper > 0.5 else np.clip(grey - paper, 0, None)
    # Paper that is not of one brightness (a photo, a JPEG) leaves faint traces everywhere; clean paper leaves none.
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
                fix="Make it smaller.",
            )
        opened.draft("L", (_MAX_DECODED_SIDE, _MAX_DECODED_SIDE))
        opened.thumbnail((_MAX_DECODED_SIDE, _MAX_DECODED_SIDE))  # a photo's further pixels would only cost memory
        upright = ImageOps.exif_transpose(opened)
        if upright.has_transparency_data:
            upright = composite_on_white(upright)
        if upright.mode in ("I;16", "I", "F"):
            deep = np.asarray(upright, dtype=np.float32)
            return np.asarray(deep / max(float(deep.max()), 1.0), dtype=np.float32)
        return np.asarray(upright.convert("L"), dtype=np.float32) / np.float32(255)


def _check_size(name: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ImageFileError(f"{name} is larger than {MAX_FILE_BYTES // 10**6} MB.", fix="Make it smaller.")


def read_file(path: Path) -> bytes:
    """What a file of a bearable size holds; raises ImageFileError, naming it."""
    try:
        _check_size(str(path), path.stat().st_size)
        return path.read_bytes()
    except OSError as problem:
        raise ImageFileError(
            f"{path} cannot be read: {problem.strerror}.", expected="A picture, or strokes as JSON."
        ) from problem


def _parse_drawings(path: Path, content: bytes) -> list[Array]:
    expected = 'A list of drawings: [{"strokes": [[[x, y], ...], ...]}, ...], y down, any unit.'
    try:
        drawings = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise DrawingError(f"{path} is not JSON: {problem}.", expected=expected) from None
    if isinstance(drawings, dict):  # a set that the app saved, or a single drawing
        drawings = drawings.get("drawings", [drawings])
    if not isinstance(drawings, list):
        raise DrawingError(f"{path} holds no list of drawings.", expected=expected)
    if not drawings:
        raise DrawingError(f"{path} holds no drawing.", expected=expected)
    found = []
    for number, drawing in enumerate(drawings):
        strokes = drawing.get("strokes") if isinstance(drawing, dict) else None
        if not isinstance(strokes, list) or not all(isinstance(stroke, list) for stroke in strokes):
            raise DrawingError(f"{path}, drawing {number + 1}: there are no strokes.", expected=expected)
        try:
            found.append(rasterize(strokes))
        except DrawingError as problem:
            raise DrawingError(f"{path}, drawing {number + 1}: {problem.what}", expected=problem.expected) from None
    return found
