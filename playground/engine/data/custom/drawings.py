"""Personal set of labeled drawings, stored in the data folder for fine-tuning, download and deletion."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from playground.core.json_io import parse_json
from playground.engine.data.rasterize import IMAGE_SIZE, Array, rasterize
from playground.engine.file_lock import acquire_lock
from playground.engine.paths import atomic_write, get_data_folder, make_folder, make_write_error
from playground.engine.rng import derive_seed
from playground.errors import DrawingError, StorageError

MAX_DRAWINGS = 500
_PEN_WIDTH_RANGE = (1.8, 3.2)
_LOCK_TIMEOUT_S = 10.0
_FROZEN_CONFIG = ConfigDict(frozen=True, extra="forbid")


class LabeledDrawing(BaseModel):
    """Drawing with its label, its strokes (none for an image), and the network input when it was labeled."""

    model_config = _FROZEN_CONFIG

    label: int = Field(ge=0, le=9)
    strokes: tuple[tuple[tuple[float, float], ...], ...] = ()
    pixels: str = Field(max_length=2000)  # base64 of 28×28 bytes

    @classmethod
    def from_image(
        cls, label: int, strokes: tuple[tuple[tuple[float, float], ...], ...], image: Array
    ) -> "LabeledDrawing":
        """Create from a network input (1, 28, 28), values 0 to 1."""
        content = np.round(image * 255).astype(np.uint8).tobytes()
        return cls(label=label, strokes=strokes, pixels=base64.b64encode(content).decode())

    def render_images(self, count: int) -> list[Array]:
        """Render ``count`` images (1, 28, 28): strokes with random pen widths, an image unchanged."""
        if not self.strokes:
            return [self._decode_pixels()] * count
        generator = np.random.default_rng(derive_seed("own", self.pixels))
        widths = generator.uniform(*_PEN_WIDTH_RANGE, size=count)
        return [rasterize(self.strokes, pen_width=float(width)) for width in widths]

    def _decode_pixels(self) -> Array:
        content = np.frombuffer(base64.b64decode(self.pixels), dtype=np.uint8)
        if content.size != IMAGE_SIZE * IMAGE_SIZE:
            raise DrawingError(
                "A drawing of the personal set is damaged.", fix="Delete the personal set and draw again."
            )
        image: Array = content.reshape(1, IMAGE_SIZE, IMAGE_SIZE).astype(np.float32) / np.float32(255)
        return image


class DrawingCollection(BaseModel):
    """Content of the personal set's file."""

    model_config = _FROZEN_CONFIG

    schema_version: int = Field(default=1, alias="schema")
    drawings: tuple[LabeledDrawing, ...] = Field(default=(), max_length=MAX_DRAWINGS)


def load_drawings(owner: str | None) -> DrawingCollection:
    """Load a person's set (None: the local user); raises StorageError for a damaged file."""
    try:
        text = _drawings_path(owner).read_text(encoding="utf-8")
    except FileNotFoundError:
        return DrawingCollection()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{_drawings_path(owner)} cannot be read: {error}.", fix="Delete the personal set."
        ) from error
    return parse_json(DrawingCollection, text, StorageError)


def add_drawing(owner: str | None, drawing: LabeledDrawing) -> DrawingCollection:
    """Add a drawing, or relabel the same image; raises StorageError if the set is full or cannot be written."""
    with _lock_collection(owner):
        others = [one for one in load_drawings(owner).drawings if one.pixels != drawing.pixels]
        if len(others) >= MAX_DRAWINGS:
            raise StorageError(
                f"The personal set is full: {MAX_DRAWINGS} drawings.", fix="Download the personal set, then delete it."
            )
        collection = DrawingCollection(drawings=(*others, drawing))
        with atomic_write(_drawings_path(owner)) as temporary:
            temporary.write_text(collection.model_dump_json(by_alias=True), encoding="utf-8")
        return collection


@contextmanager
def _lock_collection(owner: str | None) -> Iterator[None]:
    """Serialize changes of a set among threads and processes."""
    path = _drawings_path(owner).with_suffix(".lock")
    make_folder(path.parent)
    try:
        lock = acquire_lock(path, timeout_s=_LOCK_TIMEOUT_S)
    except OSError as error:
        raise make_write_error(path, error) from error
    if lock is None:
        raise StorageError("The personal set is being changed by another program.", fix="Try again.")
    try:
        yield
    finally:
        lock.release()


def delete_drawings(owner: str | None) -> None:
    """Delete a set; networks that were trained on it do not change."""
    with _lock_collection(owner):
        _drawings_path(owner).unlink(missing_ok=True)


def read_labeled_drawings(name: str, content: bytes) -> tuple[LabeledDrawing, ...]:
    """Parse labeled drawings from JSON; raises DrawingError, which names the file, for other content."""
    expected = 'A list of drawings: [{"label": 3, "strokes": [[[x, y], ...], ...]}, ...], y down, any unit.'
    try:
        drawings = json.loads(content)
        if isinstance(drawings, dict):  # a personal set, or a single drawing
            drawings = drawings.get("drawings", [drawings])
        return tuple(_parse_drawing(one) for one in drawings[:MAX_DRAWINGS])
    except DrawingError as error:
        raise DrawingError(f"{name}: {error.what}", expected=expected) from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DrawingError(f"{name} contains no labeled drawings: {error}", expected=expected) from None


def _parse_drawing(drawing: dict[str, Any]) -> LabeledDrawing:
    if "pixels" in drawing:
        return LabeledDrawing.model_validate(drawing)
    return LabeledDrawing.from_image(drawing["label"], drawing["strokes"], rasterize(drawing["strokes"]))


def _drawings_path(owner: str | None) -> Path:
    """Return the path of a person's file; the name is hashed, since it may contain any character."""
    name = "mine" if owner is None else hashlib.blake2b(owner.encode(), digest_size=8).hexdigest()
    return get_data_folder() / "drawings" / f"{name}.json"
