"""Import of image folders: one folder per class, from the disk or a ZIP file.

The source is untrusted: files are read in memory, up to limits, and unusable ones are skipped with a reason. The same
files give the same images in the same order, independent of their order in the ZIP.
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
MIN_IMAGES_PER_CLASS = 2  # one to train on, one to test with
MAX_REPORTED_SKIPS = 100

_FEWER_IMAGES_FIX = "Use fewer images, or choose a smaller image size."
_THREADS = min(4, os.cpu_count() or 1)  # Pillow releases the interpreter's lock while it decodes


@dataclass(frozen=True)
class CustomImages:
    """Training images, and test images if the source has a test split; labels are indices of ``class_names``.

    ``skipped``: the first skipped files by name; ``skipped_count``: the number of all of them.
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
    """Read the images of a folder or ZIP file with the layout of ``infer_layout``; raises InvalidDatasetError.

    ``on_progress`` is called about a hundred times, in the caller's thread; an exception raised there ends the work.
    """
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise InvalidDatasetError(
            f"The image size {height}×{width} is not supported.", expected=f"1 to {MAX_SIDE} pixels per side."
        )
    with open_file_listing(source) as (files, skipped):
        layout = infer_layout(files)
        _check_classes(layout.class_names, skipped)
        _check_size_limits(layout, channels * height * width)
        used = (*layout.train, *layout.test)
        placed = {file.path for file, _ in used}
        skipped += [
            SkippedFile.from_name(file.name, "is not in a class folder") for file in files if file.path not in placed
        ]
        done = count(1)

        def tick() -> None:
            number = next(done)
            if on_progress and number * 100 // len(used) > (number - 1) * 100 // len(used):
                on_progress(Progress("Reading images", number, len(used)))

        shape = (channels, height, width)
        train, test = (_decode_images(part, shape, skipped, tick) for part in (layout.train, layout.test))
    skipped.sort(key=lambda file: natural_sort_key(file.name))
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
            expected=f"One folder of images per class: cat/1.jpg, dog/1.jpg, …{_describe_skipped_example(skipped)}",
            fix="Sort the images into one folder per class.",
        )
    if len(names) > MAX_CLASSES:
        raise InvalidDatasetError(
            f"There are {len(names):,} class folders.", expected=f"At most {MAX_CLASSES:,}.", fix="Use fewer classes."
        )
    longest = max(names, key=len)
    if len(longest) > MAX_CLASS_NAME_LENGTH:
        raise InvalidDatasetError(
            f"The folder name {longest[:MAX_CLASS_NAME_LENGTH]}… is too long for a class name.",
            expected=f"At most {MAX_CLASS_NAME_LENGTH} characters.",
            fix="Rename the folder.",
        )


def _check_size_limits(layout: FolderLayout, image_bytes: int) -> None:
    files = [file for file, _ in (*layout.train, *layout.test)]
    if len(files) > MAX_IMAGES:
        raise InvalidDatasetError(
            f"There are {len(files):,} images.", expected=f"At most {MAX_IMAGES:,}.", fix=_FEWER_IMAGES_FIX
        )
    for subject, size, limit in (
        ("The files take", sum(file.size for file in files), MAX_SOURCE_BYTES),
        ("The images would take", len(files) * image_bytes, MAX_IMAGES_BYTES),
    ):
        if size > limit:
            raise InvalidDatasetError(
                f"{subject} {size / 10**9:.1f} GB.", expected=f"At most {limit // 10**9} GB.", fix=_FEWER_IMAGES_FIX
            )


def _check_counts(train: LabeledImages, class_names: tuple[str, ...], skipped: list[SkippedFile]) -> None:
    counts = train.labels.bincount(minlength=len(class_names)).tolist()
    few = [
        f"{name} ({number})" for name, number in zip(class_names, counts, strict=True) if number < MIN_IMAGES_PER_CLASS
    ]
    if few:
        raise InvalidDatasetError(
            f"Some classes have too few training images: {', '.join(few[:5])}.",
            expected=f"At least {MIN_IMAGES_PER_CLASS} per class.{_describe_skipped_example(skipped)}",
            fix="Add images to their folders, or remove the folders.",
        )


def _describe_skipped_example(skipped: list[SkippedFile]) -> str:
    return f" First skipped file: {skipped[0].name} {skipped[0].reason}." if skipped else ""


def _decode_images(
    labeled_files: Sequence[LabeledFile],
    shape: tuple[Channels, int, int],
    skipped: list[SkippedFile],
    on_file_done: Callable[[], None],
) -> LabeledImages:
    """Decode the usable files in their order; add the others to ``skipped``."""
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
    read_lock = Lock()  # zipfile counts its readers without synchronization

    def decode(file: FoundFile) -> Pixels | SkippedFile:
        try:
            with read_lock:
                content = file.read()
            return decode_image(content, height=height, width=width, channels=channels)
        except ImageFileError as error:
            return SkippedFile.from_name(file.name, error.what)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        yield from pool.map(decode, files)
    finally:
        pool.shutdown(cancel_futures=True)
