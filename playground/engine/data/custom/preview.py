"""Preview of a custom dataset before it is created: classes, counts and sample images."""

import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from playground.core.preprocessing import ImagePreprocessing
from playground.engine.data.custom.archive import FoundFile, SkippedFile, open_file_listing
from playground.engine.data.custom.decode import Channels, DecodedImage, Pixels, decode_image
from playground.engine.data.custom.image_folder import find_gray_bits, make_preprocessing
from playground.engine.data.custom.layout import FolderLayout, LabeledFile
from playground.engine.data.custom.layout_checks import infer_valid_layout, list_unplaced_files
from playground.errors import ImageFileError

MAX_PREVIEWED_CLASSES = 12
SAMPLES_PER_CLASS = 4
_MAX_TRIES = 2 * SAMPLES_PER_CLASS


@dataclass(frozen=True, eq=False)
class FolderPreview:
    """Classes and files of a folder or ZIP file; counts are files per class, of which few are decoded.

    ``samples``: images uint8 (channels, height, width) of the first classes, at most SAMPLES_PER_CLASS of each.
    ``name_encoding``: the encoding of names that do not say theirs, None if all names in the ZIP file do.
    """

    class_names: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    samples: tuple[tuple[Pixels, ...], ...]
    remarks: tuple[str, ...]
    name_encoding: str | None


def preview_image_folder(
    source: Path | BinaryIO, *, height: int, width: int, channels: Channels, name_encoding: str | None = None
) -> FolderPreview:
    """Infer the layout of a folder or ZIP file as ``read_image_folder`` does; raises InvalidDatasetError."""
    preprocessing = make_preprocessing(height, width, channels)
    with open_file_listing(source, name_encoding) as listing:
        layout = infer_valid_layout(listing, channels * height * width)
        skipped = [*listing.skipped, *list_unplaced_files(listing, layout)]
        class_count = len(layout.class_names)
        return FolderPreview(
            class_names=layout.class_names,
            train_counts=_count_labels(layout.train, class_count),
            test_counts=_count_labels(layout.test, class_count),
            samples=_decode_samples(layout, preprocessing),
            remarks=(*layout.remarks, *_describe_skipped(skipped)),
            name_encoding=listing.name_encoding,
        )


def _count_labels(files: tuple[LabeledFile, ...], class_count: int) -> tuple[int, ...]:
    counts = Counter(label for _, label in files)
    return tuple(counts[label] for label in range(class_count))


def _decode_samples(layout: FolderLayout, preprocessing: ImagePreprocessing) -> tuple[tuple[Pixels, ...], ...]:
    classes: list[list[FoundFile]] = [[] for _ in layout.class_names[:MAX_PREVIEWED_CLASSES]]
    for file, label in layout.train:
        if label < len(classes) and len(classes[label]) < _MAX_TRIES:
            classes[label].append(file)
    samples = [_decode_first(files, preprocessing) for files in classes]
    gray_bits = find_gray_bits(decoded for decoded_class in samples for decoded in decoded_class)
    if gray_bits != preprocessing.gray_bits:
        preprocessing = preprocessing.model_copy(update={"gray_bits": gray_bits})
        samples = [_decode_first(files, preprocessing) for files in classes]
    return tuple(tuple(decoded.pixels for decoded in decoded_class) for decoded_class in samples)


def _decode_first(files: list[FoundFile], preprocessing: ImagePreprocessing) -> list[DecodedImage]:
    """Decode the first usable files."""
    decoded: list[DecodedImage] = []
    for file in files:
        with contextlib.suppress(ImageFileError):
            decoded.append(decode_image(file.read(), preprocessing))
        if len(decoded) == SAMPLES_PER_CLASS:
            break
    return decoded


def _describe_skipped(skipped: list[SkippedFile]) -> list[str]:
    if not skipped:
        return []
    return [f"Skipped files: {len(skipped):,}. For example, {skipped[0].name} {skipped[0].reason}."]
