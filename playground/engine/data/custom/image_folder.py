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

from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.archive import FoundFile, SkippedFile, open_file_listing
from playground.engine.data.custom.decode import Channels, Pixels, decode_image
from playground.engine.data.custom.layout import FolderLayout, LabeledFile, infer_layout, natural_sort_key
from playground.engine.progress import Progress
from playground.errors import ImageFileError, InvalidDatasetError

MAX_IMAGES = 50_000
MAX_SOURCE_BYTES = 4 * 1000**3
MAX_IMAGES_BYTES = 2 * 1000**3
MAX_SIDE = 256  # pixels, as an Architecture's input
MAX_CLASSES = 1000  # as an Architecture's
MAX_CLASS_NAME_LENGTH = 80  # characters
MIN_IMAGES_PER_CLASS = 2  # of a class: one to train on, one to test with
MAX_REPORTED_SKIPS = 100

_FEWER_IMAGES_FIX = "Bring fewer pictures, or choose smaller images."
_THREADS = min(4, os.cpu_count() or 1)  # Pillow decodes beside the interpreter: two cores take half the time


@dataclass(frozen=True)
class CustomImages:
    """Images to train on, and the test images where the source had some; labels are places in ``class_names``.

    ``skipped``: the first files that were left out, by name; ``skipped_count``: how many there were in all.
    """

    train: LabeledImages
    test: LabeledImages | None
    class_names: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]
    skipped_count: int


def read_image_folder(
    source: Path | BinaryIO,
    *,
    height: int,
    width: int,
    channels: Channels,
    on_progress: Callable[[Progress], object] | None = None,
) -> CustomImages:
    """The images of a folder or ZIP file, laid out as ``infer_layout`` says; DatasetError for what makes no data set.

    ``on_progress`` is called about a hundred times, in the caller's thread; an exception raised there ends the work.
    """
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise InvalidDatasetError(f"Images cannot become {height}×{width}.", expected=f"1 to {MAX_SIDE} pixels a side.")
    with open_file_listing(source) as (files, skipped):
        layout = infer_layout(files)
        _check_classes(layout.class_names, skipped)
        _check_size_limits(layout, channels * height * width)
        used = (*layout.train, *layout.test)
        placed = {file.path for file, _ in used}
        skipped += [
            SkippedFile.from_name(file.name, "is in no class folder") for file in files if file.path not in placed
        ]
        done = count(1)

        def tick() -> None:
            number = next(done)
            if on_progress and number * 100 // len(used) > (number - 1) * 100 // len(used):
                on_progress(Progress("Reading images", number, len(used)))

        shape = (channels, height, width)
        train, test = (_decode_images(part, shape, skipped, tick) for part in (layout.train, layout.test))
    skipped.sort(key=lambda one: natural_sort_key(one.name))
    _check_counts(train, layout.class_names, skipped)
    return CustomImages(
        train=train,
        test=test if len(test) else None,
        class_names=layout.class_names,
        skipped=tuple(skipped[:MAX_REPORTED_SKIPS]),
        skipped_count=len(skipped),
    )


def _check_classes(names: tuple[str, ...], skipped: list[SkippedFile]) -> None:
    if len(names) < 2:
        raise InvalidDatasetError(
            f"There is only one class: {names[0][:MAX_CLASS_NAME_LENGTH]}." if names else "There are no class folders.",
            expected=f"A folder for every class with its pictures: cat/1.jpg, dog/1.jpg, …{_describe_skipped_example(skipped)}",
            fix="Sort the pictures into folders.",
        )
    if len(names) > MAX_CLASSES:
        raise InvalidDatasetError(f"There are {len(names):,} class folders.", expected=f"At most {MAX_CLASSES:,}.")
    longest = max(names, key=len)
    if len(longest) > MAX_CLASS_NAME_LENGTH:
        raise InvalidDatasetError(
            f"The folder's name {longest[:MAX_CLASS_NAME_LENGTH]}… is too long for a class.",
            expected=f"At most {MAX_CLASS_NAME_LENGTH} characters.",
            fix="Rename the folder.",
        )


def _check_size_limits(layout: FolderLayout, image_bytes: int) -> None:
    files = [file for file, _ in (*layout.train, *layout.test)]
    if len(files) > MAX_IMAGES:
        raise InvalidDatasetError(
            f"There are {len(files):,} pictures.", expected=f"At most {MAX_IMAGES:,}.", fix=_FEWER_IMAGES_FIX
        )
    for what, size, most in (
        ("The files take", sum(file.size for file in files), MAX_SOURCE_BYTES),
        ("The images would take", len(files) * image_bytes, MAX_IMAGES_BYTES),
    ):
        if size > most:
            raise InvalidDatasetError(
                f"{what} {size / 10**9:.1f} GB.", expected=f"At most {most // 10**9} GB.", fix=_FEWER_IMAGES_FIX
            )


def _check_counts(train: LabeledImages, class_names: tuple[str, ...], skipped: list[SkippedFile]) -> None:
    counts = train.labels.bincount(minlength=len(class_names)).tolist()
    few = [f"{name} ({found})" for name, found in zip(class_names, counts, strict=True) if found < MIN_IMAGES_PER_CLASS]
    if few:
        raise InvalidDatasetError(
            f"There are classes with hardly a picture to train on: {', '.join(few[:5])}.",
            expected=f"At least {MIN_IMAGES_PER_CLASS} of every class.{_describe_skipped_example(skipped)}",
            fix="Add pictures to their folders, or take the folders away.",
        )


def _describe_skipped_example(skipped: list[SkippedFile]) -> str:
    return f" A file that was left out: {skipped[0].name} {skipped[0].reason}." if skipped else ""


def _decode_images(
    labeled_files: Sequence[LabeledFile],
    shape: tuple[Channels, int, int],
    skipped: list[SkippedFile],
    on_file_done: Callable[[], None],
) -> LabeledImages:
    """What can be used of the files, in their order; the others are added to ``skipped``."""
    images = np.empty((len(labeled_files), *shape), dtype=np.uint8)
    labels: list[int] = []
    with closing(_decode_files([file for file, _ in labeled_files], shape)) as decoded:
        for (_, label), outcome in zip(labeled_files, decoded, strict=True):
            if isinstance(outcome, SkippedFile):
                skipped.append(outcome)
            else:
                images[len(labels)] = outcome
                labels.append(label)
            on_file_done()
    return LabeledImages(torch.from_numpy(images[: len(labels)]), torch.tensor(labels, dtype=torch.int64))


def _decode_files(files: list[FoundFile], shape: tuple[Channels, int, int]) -> Generator[Pixels | SkippedFile]:
    channels, height, width = shape
    reading = Lock()  # a ZIP file is one file, and what it counts of its readers is not safe among threads

    def decode(file: FoundFile) -> Pixels | SkippedFile:
        try:
            with reading:
                content = file.read()
            return decode_image(content, height=height, width=width, channels=channels)
        except ImageFileError as problem:
            return SkippedFile.from_name(file.name, problem.what)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        yield from pool.map(decode, files)
    finally:
        pool.shutdown(cancel_futures=True)
