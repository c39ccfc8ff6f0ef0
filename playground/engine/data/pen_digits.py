"""Bundled pen strokes of digits, rendered as training images with several pen widths."""

import hashlib
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from playground.core.datasets.mnist import PEN_DIGIT_COUNT, PEN_VARIANTS_PER_DIGIT
from playground.engine.data.batch import LabeledImages
from playground.engine.data.cache import load_or_create_tensors
from playground.engine.data.rasterize import rasterize
from playground.engine.paths import find_bundled
from playground.engine.progress import Progress, Steps
from playground.engine.rng import derive_seed
from playground.errors import AssetError

_SHA256 = "3e3a965c4bd9754a0e0a9d92505ca66889bc4a00eeaac350ded56165b5acf54b"
_DRAWINGS_PER_STEP = 20
_PEN_WIDTH_RANGE = (1.6, 3.6)  # pixels; the range of MNIST's own lines


def load_pen_images() -> Steps[LabeledImages]:
    """Memory-map the rendered drawings, (count, 1, 28, 28); the first call renders them, which takes some seconds."""
    tensors = yield from load_or_create_tensors(f"pens-{_SHA256[:12]}-{PEN_VARIANTS_PER_DIGIT}", _rasterize_all)
    return LabeledImages(tensors["images"], tensors["labels"])


def load_pen_drawings(stride: int = 1) -> list[dict[str, Any]]:
    """Load every ``stride``-th drawing: ``label``, ``writer`` and ``strokes`` (lists of [x, y], y down)."""
    path = find_bundled("assets/pens") / "strokes.jsonl.xz"
    try:
        content = lzma.decompress(path.read_bytes())
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise _damaged_file_error(path, str(error)) from error
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise _damaged_file_error(path, "its checksum is wrong")
    return [json.loads(line) for line in content.splitlines()[::stride]]


def _rasterize_all() -> Steps[dict[str, Tensor]]:
    yield Progress("Rendering the pen strokes", 0, PEN_DIGIT_COUNT)
    generator = np.random.default_rng(derive_seed("pens"))
    drawings = load_pen_drawings()
    widths = generator.uniform(*_PEN_WIDTH_RANGE, size=(len(drawings), PEN_VARIANTS_PER_DIGIT))
    images = []
    for index, (drawing, row) in enumerate(zip(drawings, widths, strict=True)):
        if index % _DRAWINGS_PER_STEP == 0:
            yield Progress("Rendering the pen strokes", index, len(drawings))
        images += [rasterize(drawing["strokes"], pen_width=float(width)) for width in row]
    labels = torch.tensor([drawing["label"] for drawing in drawings]).repeat_interleave(PEN_VARIANTS_PER_DIGIT)
    return {"images": torch.from_numpy(np.stack(images)).mul(255).round().to(torch.uint8), "labels": labels}


def _damaged_file_error(path: Path, reason: str) -> AssetError:
    return AssetError(
        f"The bundled file {path.name} cannot be used: {reason}.",
        expected="A file with a known checksum, which comes with the program.",
        fix="Install CNN Playground again, or restore assets/pens from the repository.",
    )
