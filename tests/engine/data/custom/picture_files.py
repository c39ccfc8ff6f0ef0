"""Picture files, ZIP files and folders of them, made for tests."""

import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(picture: Image.Image | NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def plain(shade: int, kind: str = "PNG") -> bytes:
    """A grey picture by which an image can be told from others."""
    return encoded(Image.new("L", (8, 8), shade), kind)


def zipped(files: Mapping[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> BytesIO:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer


def unpacked(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


FOUR = {"cat/1.png": plain(10), "cat/2.png": plain(20), "dog/1.png": plain(30), "dog/2.png": plain(40)}


def noise(seed: int, kind: str = "PNG") -> bytes:
    """A picture that is like no other."""
    return encoded(np.random.default_rng(seed).integers(0, 255, (8, 8), np.uint8), kind)


VARIED = {f"{name}/{number}.png": noise(10 * number + len(name)) for name in ("ant", "bear") for number in range(3)}
"""Six pictures of two classes, all of which differ."""
