"""The pen strokes that come with the program, as images to train on: each digit several times, with other pens."""

import hashlib
import json
import lzma
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from playground.core.datasets import PEN_COPIES
from playground.engine.data.cache import cached_tensors
from playground.engine.data.rasterize import fit_strokes
from playground.engine.paths import bundled
from playground.engine.rng import mixed_seed
from playground.errors import AssetError

_SHA256 = "3e3a965c4bd9754a0e0a9d92505ca66889bc4a00eeaac350ded56165b5acf54b"
_PEN_WIDTHS = (1.6, 3.6)  # in pixels of 28; MNIST's own lines lie between


@lru_cache(maxsize=1)
def pen_images() -> dict[str, Tensor]:
    """``images`` uint8 (count, 1, 28, 28) and ``labels`` int64 (count,); drawn the first time, which takes a while."""
    return cached_tensors(f"pens-{_SHA256[:12]}-{PEN_COPIES}", _draw)


def pen_drawings(every: int = 1) -> list[dict[str, Any]]:
    """The drawings, or every so-many-th: ``label``, ``writer`` and ``strokes`` (lists of [x, y], y down)."""
    path = bundled("assets/pens") / "strokes.jsonl.xz"
    try:
        content = lzma.decompress(path.read_bytes())
    except (OSError, lzma.LZMAError, EOFError) as problem:
        raise _damaged(path, str(problem)) from problem
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise _damaged(path, "its checksum is wrong")
    return [json.loads(line) for line in content.splitlines()[::every]]


def _draw() -> dict[str, Tensor]:
    source = np.random.default_rng(mixed_seed("pens"))
    drawings = pen_drawings()
    widths = source.uniform(*_PEN_WIDTHS, size=(len(drawings), PEN_COPIES))
    images = [
        fit_strokes(drawing["strokes"], pen_width=float(width))
        for drawing, row in zip(drawings, widths, strict=True)
        for width in row
    ]
    labels = torch.tensor([drawing["label"] for drawing in drawings]).repeat_interleave(PEN_COPIES)
    return {"images": torch.from_numpy(np.stack(images)).mul(255).round().to(torch.uint8), "labels": labels}


def _damaged(path: Path, reason: str) -> AssetError:
    return AssetError(
        f"The bundled file {path.name} cannot be used: {reason}.",
        expected="The pen strokes come with the program.",
        fix="Install CNN Playground again, or restore assets/pens from the repository.",
    )
