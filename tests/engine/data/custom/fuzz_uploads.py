"""Fuzzing of uploads: mutated ZIP files and pictures give a dataset, a picture, or an error with a reason.

``python -m tests.engine.data.custom.fuzz_uploads --count 2000`` takes some minutes; the test suite runs a short form.
"""

import argparse
import os
import random
import tempfile
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from playground.core.datasets import DATASETS
from playground.engine.data.custom.decode import Channels
from playground.engine.data.custom.image_folder import read_image_folder
from playground.engine.data.custom.preview import preview_image_folder
from playground.engine.data.custom.store import load_custom_tensors, save_custom_dataset
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import read_inputs
from tests.engine.data.custom.picture_files import FOUR, encoded, zipped

_FOLDERS = (
    "cat",
    "dog",
    "train/cat",
    "train/dog",
    "test/cat",
    "seg_train/cat",
    "seg_test/dog",
    "cat/train",
    "cat/test",
)
_USUAL_NAMES = ("1.png", "2.jpg", "cat.3.jpg", "猫.png", "Ä.png", "\u202e.png", "🐈", "con", "a" * 300)
_NAMES = (*_USUAL_NAMES, "..", "../evil.png", "..\\evil.png", "C:\\x.png", "/evil", "x\0y", "")
_KINDS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")


def make_picture(source: random.Random) -> bytes:
    """A picture of a random kind, mode and size."""
    mode = source.choice(("RGB", "L", "RGBA", "LA", "P", "1", "I;16", "F", "CMYK"))
    longest = source.choice((30, 30, 30, 140))  # images of more than 64 pixels are photos of digits
    size = source.randrange(1, longest), source.randrange(1, longest)
    noise = np.random.default_rng(source.randrange(2**32)).integers(0, 255, (size[1], size[0], 4), np.uint8)
    if source.random() < 0.5:  # strokes on even paper, some of them cut by the edge
        noise //= source.choice((1, 4, 255))
        sheet = Image.fromarray(noise)
        for _ in range(source.randrange(6)):
            corners = [(source.randrange(-9, size[0] + 9), source.randrange(-9, size[1] + 9)) for _ in range(4)]
            ImageDraw.Draw(sheet).line(corners, (source.randrange(256),) * 4, source.randrange(1, 12))
        noise = np.array(sheet)
    image = Image.fromarray(noise)
    if mode == "I;16":
        image = Image.fromarray(noise[..., 0].astype(np.uint16) * source.choice((1, 16, 257)))
    else:
        image = image.convert("RGB").convert(mode) if mode not in ("RGBA", "LA") else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = source.randrange(10)
    try:
        return encoded(image, source.choice(_KINDS), exif=exif)
    except (OSError, ValueError):  # formats that do not have this mode
        return encoded(image.convert("RGB"), source.choice(_KINDS), exif=exif)


def damage(source: random.Random, content: bytes) -> bytes:
    """Change, insert, delete or cut off some bytes, often near the beginning and the end."""
    changed = bytearray(content)
    for _ in range(source.randrange(5)):
        near = min(len(changed), 300)
        place = source.choice((source.randrange(len(changed)), source.randrange(near), len(changed) - near))
        match source.randrange(5):
            case 0:
                del changed[place:]
            case 1:
                del changed[place : place + source.randrange(1, 20)]
            case 2:
                changed[place:place] = source.randbytes(source.randrange(1, 20))
            case _:
                changed[place] = source.randrange(256)
        if not changed:
            break
    return bytes(changed)


def make_zip(source: random.Random) -> bytes:
    """A ZIP file of some pictures, with the names of systems and of attackers, damaged or not."""
    tops = source.choice((("",), ("pets/",), ("train/", "test/"), ("pets/seg_train/", "pets/seg_test/")))
    files = {f"{top}{name}": content for top in tops for name, content in FOUR.items()}
    for _ in range(source.randrange(9)):
        name = f"{source.choice(_FOLDERS)}/{source.randrange(99)}{source.choice(_NAMES)}"
        if source.random() < 0.2:
            name = source.choice((source.choice(_NAMES), name.replace("/", "\\"), f"__MACOSX/{name}", f"{name}/"))
        picture = make_picture(source)
        files[name] = damage(source, picture) if source.random() < 0.5 else picture
    files.pop("", None)  # Python 3.11 writes no empty names
    content = zipped(files, source.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))).getvalue()
    if source.random() < 0.3:  # names in an unknown code page
        content = content.replace("猫".encode(), source.randbytes(3)).replace("Ä".encode(), source.randbytes(2))
    return damage(source, content) if source.random() < 0.6 else content


def upload_zip(source: random.Random) -> None:
    """Preview a ZIP file and create a dataset from it."""
    content = make_zip(source)
    channels: Channels = source.choice((1, 3))
    preview = preview_image_folder(BytesIO(content), height=12, width=12, channels=channels)
    images = read_image_folder(BytesIO(content), height=12, width=12, channels=channels)
    assert images.class_names == preview.class_names
    assert all(one.name.isprintable() and one.reason for one in images.skipped)
    assert len(load_custom_tensors(save_custom_dataset("fuzz", images))["train_images"])


def upload_picture(source: random.Random) -> None:
    """Read a picture for a network of photos and for one of drawings."""
    path = Path("picture.png")
    path.write_bytes(damage(source, make_picture(source)))
    try:
        for name in ("cifar10", "mnist"):
            assert len(read_inputs(path, DATASETS[name], DATASETS[name].input_shape)) == 1
    finally:
        path.unlink()


def fuzz(count: int, seed: int) -> Counter[str]:
    """Upload ``count`` ZIP files and pictures in an empty folder; return the numbers of outcomes.

    Raises AssertionError for a file outside the data folder and for an error without a reason, and every error that is
    not a PlaygroundError.
    """
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder), Path(folder, "a", "b", "home")
        work = root / "a" / "b" / "work"
        work.mkdir(parents=True)
        before_folder, before_home = Path.cwd(), os.environ.get("CNN_PLAYGROUND_HOME")
        os.environ["CNN_PLAYGROUND_HOME"] = str(home)
        os.chdir(work)
        try:
            for number in range(count):
                source = random.Random(f"{seed} {number}")
                upload = upload_zip if number % 2 else upload_picture
                try:
                    upload(source)
                except PlaygroundError as error:
                    outcomes[f"{upload.__name__}: {type(error).__name__}"] += 1
                    reason = error.what
                except Exception as error:
                    error.add_note(f"Input {number} of seed {seed}.")
                    raise
                else:
                    outcomes[f"{upload.__name__}: accepted"] += 1
                    continue
                assert len(reason.split()) > 2, number
            outside = [path for path in root.rglob("*") if path.is_file() and not path.is_relative_to(home)]
            assert not outside, outside
        finally:
            os.chdir(before_folder)
            os.environ.pop("CNN_PLAYGROUND_HOME")
            if before_home is not None:
                os.environ["CNN_PLAYGROUND_HOME"] = before_home
    return outcomes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for outcome, number in sorted(fuzz(arguments.count, arguments.seed).items()):
        print(f"{outcome}: {number:,}")
