"""A person's own drawings with their labels: kept in the data folder, to be trained on, taken along or thrown away."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from playground.core.json_io import parse_json
from playground.engine.data.rasterize import IMAGE_SIZE, Array, rasterize
from playground.engine.paths import atomic_write, get_data_folder, make_folder
from playground.engine.rng import derive_seed
from playground.errors import DrawingError, StorageError

MAX_DRAWINGS = 500
_PEN_WIDTH_RANGE = (1.8, 3.2)
_FROZEN_CONFIG = ConfigDict(frozen=True, extra="forbid")


class LabeledDrawing(BaseModel):
    """What a drawing is, as its owner says; its strokes if it has any, and the net's input when it was labelled."""

    model_config = _FROZEN_CONFIG

    label: int = Field(ge=0, le=9)
    strokes: tuple[tuple[tuple[float, float], ...], ...] = ()
    pixels: str = Field(max_length=2000)  # base64 of 28×28 bytes

    @classmethod
    def from_image(
        cls, label: int, strokes: tuple[tuple[tuple[float, float], ...], ...], image: Array
    ) -> "LabeledDrawing":
        """From the net's input (1, 28, 28), values 0 to 1."""
        content = np.round(image * 255).astype(np.uint8).tobytes()
        return cls(label=label, strokes=strokes, pixels=base64.b64encode(content).decode())

    def render_images(self, count: int) -> list[Array]:
        """``count`` images (1, 28, 28) of it: strokes with pens of other widths, a picture as it is."""
        if not self.strokes:
            return [self._decode_pixels()] * count
        source = np.random.default_rng(derive_seed("own", self.pixels))
        widths = source.uniform(*_PEN_WIDTH_RANGE, size=count)
        return [rasterize(self.strokes, pen_width=float(width)) for width in widths]

    def _decode_pixels(self) -> Array:
        content = np.frombuffer(base64.b64decode(self.pixels), dtype=np.uint8)
        if content.size != IMAGE_SIZE * IMAGE_SIZE:
            raise DrawingError("A drawing of the personal set is damaged.", fix="Delete the set and draw again.")
        image: Array = content.reshape(1, IMAGE_SIZE, IMAGE_SIZE).astype(np.float32) / np.float32(255)
        return image


class DrawingCollection(BaseModel):
    """The personal set, as it lies in its file."""

    model_config = _FROZEN_CONFIG

    schema_version: int = Field(default=1, alias="schema")
    drawings: tuple[LabeledDrawing, ...] = Field(default=(), max_length=MAX_DRAWINGS)


def load_drawings(owner: str | None) -> DrawingCollection:
    """The set of a person (None: whoever sits at the machine); raises StoreError for a damaged file."""
    try:
        text = _drawings_path(owner).read_text(encoding="utf-8")
    except FileNotFoundError:
        return DrawingCollection()
    except (OSError, UnicodeDecodeError) as problem:
        raise StorageError(f"{_drawings_path(owner)} cannot be read: {problem}.", fix="Delete the set.") from problem
    return parse_json(DrawingCollection, text, StorageError)


def add_drawing(owner: str | None, drawing: LabeledDrawing) -> DrawingCollection:
    """Keep one more; the same picture again takes its new label. Raises StoreError when the set is full."""
    others = [one for one in load_drawings(owner).drawings if one.pixels != drawing.pixels]
    if len(others) >= MAX_DRAWINGS:
        raise StorageError(f"The personal set is full: {MAX_DRAWINGS} drawings.", fix="Download it and delete it.")
    kept = DrawingCollection(drawings=(*others, drawing))
    make_folder(_drawings_path(owner).parent)
    with atomic_write(_drawings_path(owner)) as temporary:
        temporary.write_text(kept.model_dump_json(by_alias=True), encoding="utf-8")
    return kept


def delete_drawings(owner: str | None) -> None:
    """Throw the set away; nothing that was trained on it changes."""
    _drawings_path(owner).unlink(missing_ok=True)


def read_labeled_drawings(name: str, content: bytes) -> tuple[LabeledDrawing, ...]:
    """Labelled strokes from a JSON file; raises DrawingError, naming the file, for anything else."""
    expected = 'A list of drawings: [{"label": 3, "strokes": [[[x, y], ...], ...]}, ...], y down, any unit.'
    try:
        listed = json.loads(content)
        if isinstance(listed, dict):  # the file of a personal set, or a single drawing
            listed = listed.get("drawings", [listed])
        return tuple(_parse_drawing(one) for one in listed[:MAX_DRAWINGS])
    except DrawingError as problem:
        raise DrawingError(f"{name}: {problem.what}", expected=expected) from None
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise DrawingError(f"{name} holds no labelled drawings: {problem}", expected=expected) from None


def _parse_drawing(drawing: dict[str, Any]) -> LabeledDrawing:
    if "pixels" in drawing:
        return LabeledDrawing.model_validate(drawing)
    return LabeledDrawing.from_image(drawing["label"], drawing["strokes"], rasterize(drawing["strokes"]))


def _drawings_path(owner: str | None) -> Path:
    """The file of a person, who may be called anything."""
    name = "mine" if owner is None else hashlib.blake2b(owner.encode(), digest_size=8).hexdigest()
    return get_data_folder() / "drawings" / f"{name}.json"
