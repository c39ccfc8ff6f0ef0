"""Preview of a custom dataset before it is created: classes, counts and sample images."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from playground.core.preprocessing import ImagePreprocessing
from playground.engine.data.custom.archive import FoundFile, SkippedFile, open_file_listing
from playground.engine.data.custom.data_checks import describe_untested_classes
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
    ``warnings``: on the first files of these classes, and on classes without test images. ``name_encoding``: the
    encoding of names that do not say theirs, None if all names in the ZIP file do.
    """

    class_names: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    samples: tuple[tuple[Pixels, ...], ...]
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]
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
        test_counts = _count_labels(layout.test, class_count)
        samples = [_decode_samples(files, preprocessing) for files in _select_first_files(layout)]
        gray_bits = find_gray_bits(one for of_class in samples for one in of_class.images.values())
        if gray_bits != preprocessing.gray_bits:
            preprocessing = preprocessing.model_copy(update={"gray_bits": gray_bits})
            samples = [_decode_samples(files, preprocessing) for files in _select_first_files(layout)]
        return FolderPreview(
            class_names=layout.class_names,
            train_counts=_count_labels(layout.train, class_count),
            test_counts=test_counts,
            samples=tuple(tuple(one.pixels for one in of_class.images.values()) for of_class in samples),
            remarks=(*layout.remarks, *_describe_skipped(skipped)),
            warnings=(*_describe_samples(samples), *describe_untested_classes(test_counts, layout.class_names)),
            name_encoding=listing.name_encoding,
        )


def _count_labels(files: tuple[LabeledFile, ...], class_count: int) -> tuple[int, ...]:
    counts = Counter(label for _, label in files)
    return tuple(counts[label] for label in range(class_count))


class _Samples(NamedTuple):
    """Decoded images of a class by the names of their files, and files that cannot be read."""

    images: dict[str, DecodedImage]
    unreadable: tuple[SkippedFile, ...]


def _select_first_files(layout: FolderLayout) -> list[list[FoundFile]]:
    classes: list[list[FoundFile]] = [[] for _ in layout.class_names[:MAX_PREVIEWED_CLASSES]]
    for file, label in layout.train:
        if label < len(classes) and len(classes[label]) < _MAX_TRIES:
            classes[label].append(file)
    return classes


def _decode_samples(files: list[FoundFile], preprocessing: ImagePreprocessing) -> _Samples:
    """Decode the first usable files."""
    images: dict[str, DecodedImage] = {}
    unreadable: list[SkippedFile] = []
    for file in files:
        if len(images) == SAMPLES_PER_CLASS:
            break
        try:
            images[file.name] = decode_image(file.read(), preprocessing)
        except ImageFileError as error:
            unreadable.append(SkippedFile.from_name(file.name, error.what))
    return _Samples(images, tuple(unreadable))


def _describe_samples(samples: list[_Samples]) -> Iterator[str]:
    """Describe the samples that a network could not learn from."""
    images = [item for of_class in samples for item in of_class.images.items()]
    unreadable = [file for of_class in samples for file in of_class.unreadable]
    if unreadable:
        tried = len(images) + len(unreadable)
        example = f"{unreadable[0].name} {unreadable[0].reason}"
        yield f"Of the first {tried:,} images, {len(unreadable):,} cannot be read. For example, {example}."
    uniform = [name for name, image in images if image.is_uniform]
    if uniform:
        yield f"Of the {len(images):,} images shown, {len(uniform):,} have a single color, such as {uniform[0]}."


def _describe_skipped(skipped: list[SkippedFile]) -> list[str]:
    if not skipped:
        return []
    return [f"Skipped files: {len(skipped):,}. For example, {skipped[0].name} {skipped[0].reason}."]
