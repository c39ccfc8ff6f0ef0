"""Import of image folders: one folder per class, from the disk or a ZIP file.

The source is untrusted: files are read in memory, up to limits, and unusable ones are skipped with a reason. The same
files give the same images in the same order, independent of their order in the ZIP.
"""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
import torch

from playground.core.preprocessing import ImagePreprocessing
from playground.core.shapes import Shape
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.archive import FoundFile, SkippedFile, open_file_listing
from playground.engine.data.custom.data_checks import DecodedFile, find_suspicious_images
from playground.engine.data.custom.decode import Channels, DecodedImage, decode_image
from playground.engine.data.custom.layout import LabeledFile, natural_sort_key
from playground.engine.data.custom.layout_checks import check_class_sizes, infer_valid_layout, list_unplaced_files
from playground.engine.progress import Progress
from playground.errors import ImageFileError, InvalidDatasetError

MAX_SIDE = 256  # pixels, as an Architecture's input
MAX_REPORTED_SKIPS = 100
MAX_GRAY_BITS = 16
_MIN_GRAY_BITS = 8

_THREADS = min(4, os.cpu_count() or 1)  # Pillow releases the interpreter's lock while it decodes


@dataclass(frozen=True)
class CustomImages:
    """Training images, and test images if the source has a test split; labels are indices of ``class_names``.

    ``skipped``: the first skipped files by name; ``skipped_count``: the number of all of them. ``remarks``: sentences
    on the layout; ``warnings``: on suspicious images. ``gray_bits``: see ImagePreprocessing.
    """

    train: LabeledImages
    test: LabeledImages | None
    class_names: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]
    skipped_count: int
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    gray_bits: int = MAX_GRAY_BITS


def read_image_folder(
    source: Path | BinaryIO,
    *,
    height: int,
    width: int,
    channels: Channels,
    name_encoding: str | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> CustomImages:
    """Read the images of a folder or ZIP file with the layout of ``infer_layout``; raises InvalidDatasetError.

    ``name_encoding`` is that of ``open_file_listing``. ``on_progress`` is called about a hundred times, in the caller's
    thread; an exception raised there ends the work.
    """
    preprocessing = make_preprocessing(height, width, channels)
    with open_file_listing(source, name_encoding) as listing:
        layout = infer_valid_layout(listing, channels * height * width)
        skipped = [*listing.skipped, *list_unplaced_files(listing, layout)]
        used = len(layout.train) + len(layout.test)
        done = count(1)

        def tick() -> None:
            number = next(done)
            if on_progress and number * 100 // used > (number - 1) * 100 // used:
                on_progress(Progress("Reading images", number, used))

        train, test = (_decode_split(part, preprocessing, skipped, tick) for part in (layout.train, layout.test))
        gray_bits = find_gray_bits(image.decoded for image in (*train.images, *test.images))
        if gray_bits < MAX_GRAY_BITS:
            for part in (train, test):
                part.decode_16_bit_images_again(preprocessing.model_copy(update={"gray_bits": gray_bits}))
    skipped.sort(key=lambda file: natural_sort_key(file.name))
    images, test_images = train.get_labeled_images(), test.get_labeled_images()
    check_class_sizes(images.labels.bincount(minlength=len(layout.class_names)).tolist(), layout.class_names, skipped)
    remarks = [*layout.remarks]
    if gray_bits < MAX_GRAY_BITS:
        remarks.append(f"The 16-bit images use {gray_bits} bits: their values are scaled by {2**gray_bits - 1:,}.")
    return CustomImages(
        train=images,
        test=test_images if len(test_images) else None,
        class_names=layout.class_names,
        skipped=tuple(skipped[:MAX_REPORTED_SKIPS]),
        skipped_count=len(skipped),
        remarks=tuple(remarks),
        warnings=tuple(find_suspicious_images(train.images, test.images, layout.class_names)),
        gray_bits=gray_bits,
    )


def make_preprocessing(height: int, width: int, channels: Channels) -> ImagePreprocessing:
    """Return the preprocessing to images of a size; raises InvalidDatasetError for a size that networks cannot have."""
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise InvalidDatasetError(
            f"The image size {height}×{width} is not supported.", expected=f"1 to {MAX_SIDE} pixels per side."
        )
    shape = (channels, height, width)
    return ImagePreprocessing(image_shape=shape, input_shape=shape)


def find_gray_bits(images: Iterable[DecodedImage]) -> int:
    """Return the significant bits of a dataset's 16-bit gray values: those of the largest value in all images."""
    used_bits = max((image.used_bits for image in images), default=0)
    return max(used_bits, _MIN_GRAY_BITS) if used_bits else MAX_GRAY_BITS


class _DecodedSplit:
    """Images of one split in one array, with what their files say of them."""

    def __init__(self, capacity: int, shape: Shape) -> None:
        self._pixels = np.empty((capacity, *shape), dtype=np.uint8)
        self.images: list[DecodedFile] = []

    def add(self, file: FoundFile, label: int, decoded: DecodedImage) -> None:
        """Copy an image into the array."""
        pixels = self._pixels[len(self.images)]
        pixels[:] = decoded.pixels
        self.images.append(DecodedFile(file, label, replace(decoded, pixels=pixels)))

    def decode_16_bit_images_again(self, preprocessing: ImagePreprocessing) -> None:
        """Replace the images with 16-bit gray values, of which other bits are significant."""
        for image in self.images:
            if image.decoded.used_bits:
                image.decoded.pixels[:] = decode_image(image.file.read(), preprocessing).pixels

    def get_labeled_images(self) -> LabeledImages:
        """Return the images, which share the memory of this object, and their labels."""
        labels = torch.tensor([image.label for image in self.images], dtype=torch.int64)
        return LabeledImages(torch.from_numpy(self._pixels[: len(self.images)]), labels)


def _decode_split(
    labeled_files: Sequence[LabeledFile],
    preprocessing: ImagePreprocessing,
    skipped: list[SkippedFile],
    on_file_done: Callable[[], None],
) -> _DecodedSplit:
    """Decode the usable files in their order; add the others to ``skipped``."""
    split = _DecodedSplit(len(labeled_files), preprocessing.image_shape)
    with closing(_decode_files([file for file, _ in labeled_files], preprocessing)) as outcomes:
        for (file, label), outcome in zip(labeled_files, outcomes, strict=True):
            if isinstance(outcome, SkippedFile):
                skipped.append(outcome)
            else:
                split.add(file, label, outcome)
            on_file_done()
    return split


def _decode_files(files: list[FoundFile], preprocessing: ImagePreprocessing) -> Generator[DecodedImage | SkippedFile]:
    read_lock = Lock()  # zipfile counts its readers without synchronization

    def decode(file: FoundFile) -> DecodedImage | SkippedFile:
        try:
            with read_lock:
                content = file.read()
            return decode_image(content, preprocessing)
        except ImageFileError as error:
            return SkippedFile.from_name(file.name, error.what)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        yield from pool.map(decode, files)
    finally:
        pool.shutdown(cancel_futures=True)
