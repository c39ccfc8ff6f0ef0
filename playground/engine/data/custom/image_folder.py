"""Images that somebody brings, a folder for every class, as a data set: from a folder on the disk or from a ZIP file.

Nothing in the source is trusted: files are read in memory, up to limits, and one that cannot be used is left out with
a reason. The same files give the same images in the same order, wherever they lay in the ZIP.
"""

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
import torch

from playground.engine.data.batch import Images
from playground.engine.data.custom.archive import FoundFile, Skipped, listed_files
from playground.engine.data.custom.decode import Channels, Values, picture_values
from playground.engine.data.custom.layout import Labelled, Layout, layout_of, natural_key
from playground.errors import DatasetError, ImageFileError

MAX_IMAGES = 50_000
MAX_SOURCE_BYTES = 4 * 1000**3
MAX_IMAGES_BYTES = 2 * 1000**3
MAX_SIDE = 256  # pixels, as an Architecture's input
MAX_CLASSES = 1000  # as an Architecture's
MAX_CLASS_NAME = 80  # characters
MIN_IMAGES = 2  # of a class: one to train on, one to test with
MAX_SKIPPED = 100

_FEWER = "Bring fewer pictures, or choose smaller images."
_THREADS = min(4, os.cpu_count() or 1)  # Pillow decodes beside the interpreter: two cores take half the time


@dataclass(frozen=True)
class OwnImages:
    """Images to train on, and the test images where the source had some; labels are places in ``class_names``.

    ``skipped``: the first files that were left out, by name; ``skipped_count``: how many there were in all.
    """

    images: Images
    test: Images | None
    class_names: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    skipped_count: int


def read_own_images(
    source: Path | BinaryIO,
    *,
    height: int,
    width: int,
    channels: Channels,
    progress: Callable[[int, int], None] | None = None,
) -> OwnImages:
    """The images of a folder or ZIP file, laid out as ``layout_of`` says; DatasetError for what makes no data set.

    ``progress`` is told (done, of how many) about a hundred times, in the caller's thread; raising there ends the work.
    """
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise DatasetError(f"Images cannot become {height}×{width}.", expected=f"1 to {MAX_SIDE} pixels a side.")
    with listed_files(source) as (files, skipped):
        layout = layout_of(files)
        _check_classes(layout.class_names, skipped)
        _check_room(layout, channels * height * width)
        used = (*layout.train, *layout.test)
        placed = {file.path for file, _ in used}
        skipped += [Skipped.of(file.name, "is in no class folder") for file in files if file.path not in placed]
        done = count(1)

        def tick() -> None:
            number = next(done)
            if progress and number * 100 // len(used) > (number - 1) * 100 // len(used):
                progress(number, len(used))

        shape = (channels, height, width)
        train, test = (_images(part, shape, skipped, tick) for part in (layout.train, layout.test))
    skipped.sort(key=lambda one: natural_key(one.name))
    _check_counts(train, layout.class_names, skipped)
    return OwnImages(
        images=train,
        test=test if len(test) else None,
        class_names=layout.class_names,
        skipped=tuple(skipped[:MAX_SKIPPED]),
        skipped_count=len(skipped),
    )


def _check_classes(names: tuple[str, ...], skipped: list[Skipped]) -> None:
    if len(names) < 2:
        raise DatasetError(
            f"There is only one class: {names[0][:MAX_CLASS_NAME]}." if names else "There are no class folders.",
            expected=f"A folder for every class with its pictures: cat/1.jpg, dog/1.jpg, …{_example(skipped)}",
            fix="Sort the pictures into folders.",
        )
    if len(names) > MAX_CLASSES:
        raise DatasetError(f"There are {len(names):,} class folders.", expected=f"At most {MAX_CLASSES:,}.")
    longest = max(names, key=len)
    if len(longest) > MAX_CLASS_NAME:
        raise DatasetError(
            f"The folder's name {longest[:MAX_CLASS_NAME]}… is too long for a class.",
            expected=f"At most {MAX_CLASS_NAME} characters.",
            fix="Rename the folder.",
        )


def _check_room(layout: Layout, image_bytes: int) -> None:
    files = [file for file, _ in (*layout.train, *layout.test)]
    if len(files) > MAX_IMAGES:
        raise DatasetError(f"There are {len(files):,} pictures.", expected=f"At most {MAX_IMAGES:,}.", fix=_FEWER)
    for what, size, most in (
        ("The files take", sum(file.size for file in files), MAX_SOURCE_BYTES),
        ("The images would take", len(files) * image_bytes, MAX_IMAGES_BYTES),
    ):
        if size > most:
            raise DatasetError(f"{what} {size / 10**9:.1f} GB.", expected=f"At most {most // 10**9} GB.", fix=_FEWER)


def _check_counts(train: Images, class_names: tuple[str, ...], skipped: list[Skipped]) -> None:
    counts = train.labels.bincount(minlength=len(class_names)).tolist()
    few = [f"{name} ({found})" for name, found in zip(class_names, counts, strict=True) if found < MIN_IMAGES]
    if few:
        raise DatasetError(
            f"There are classes with hardly a picture to train on: {', '.join(few[:5])}.",
            expected=f"At least {MIN_IMAGES} of every class.{_example(skipped)}",
            fix="Add pictures to their folders, or take the folders away.",
        )


def _example(skipped: list[Skipped]) -> str:
    return f" A file that was left out: {skipped[0].name} {skipped[0].reason}." if skipped else ""


def _images(
    labelled: Sequence[Labelled], shape: tuple[Channels, int, int], skipped: list[Skipped], tick: Callable[[], None]
) -> Images:
    """What can be used of the files, in their order; the others are added to ``skipped``."""
    images = np.empty((len(labelled), *shape), dtype=np.uint8)
    labels: list[int] = []
    with closing(_decoded([file for file, _ in labelled], shape)) as decoded:
        for (_, label), outcome in zip(labelled, decoded, strict=True):
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
            else:
                images[len(labels)] = outcome
                labels.append(label)
            tick()
    return Images(torch.from_numpy(images[: len(labels)]), torch.tensor(labels, dtype=torch.int64))


def _decoded(files: list[FoundFile], shape: tuple[Channels, int, int]) -> Generator[Values | Skipped]:
    channels, height, width = shape
    reading = Lock()  # a ZIP file is one file, and what it counts of its readers is not safe among threads

    def decode(file: FoundFile) -> Values | Skipped:
        try:
            with reading:
                content = file.read()
            return picture_values(content, height=height, width=width, channels=channels)
        except ImageFileError as problem:
            return Skipped.of(file.name, problem.what)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        yield from pool.map(decode, files)
    finally:
        pool.shutdown(cancel_futures=True)
