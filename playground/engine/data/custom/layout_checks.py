"""Limits of custom datasets, checked before any image is decoded."""

from collections.abc import Sequence

from playground.engine.data.custom.archive import FileListing, SkippedFile
from playground.engine.data.custom.layout import FolderLayout, infer_layout
from playground.errors import InvalidDatasetError

MAX_IMAGES = 50_000
MAX_SOURCE_BYTES = 4 * 1000**3
MAX_IMAGES_BYTES = 2 * 1000**3
MAX_CLASSES = 1000  # as an Architecture's
MAX_CLASS_NAME_LENGTH = 80  # characters
MIN_IMAGES_PER_CLASS = 2  # one to train on, one to test with

_FEWER_IMAGES_FIX = "Use fewer images, or choose a smaller image size."


def infer_valid_layout(listing: FileListing, image_bytes: int) -> FolderLayout:
    """Infer the layout of files whose decoded images have ``image_bytes`` each; raises InvalidDatasetError."""
    layout = infer_layout(listing.files, listing.folders)
    _check_classes(layout.class_names, listing)
    _check_size_limits(layout, image_bytes)
    return layout


def list_unplaced_files(listing: FileListing, layout: FolderLayout) -> list[SkippedFile]:
    """List the files that are not in a class folder."""
    placed = {file.path for file, _ in (*layout.train, *layout.test)}
    return [
        SkippedFile.from_name(file.name, "is not in a class folder")
        for file in listing.files
        if file.path not in placed
    ]


def _check_classes(names: tuple[str, ...], listing: FileListing) -> None:
    if len(names) < 2:
        tables = [file.name for file in listing.files if file.name.lower().endswith((".csv", ".tsv", ".xlsx"))]
        advice = f" Labels in {tables[0]} are not read." if tables else ""
        raise InvalidDatasetError(
            f"There is only one class: {names[0][:MAX_CLASS_NAME_LENGTH]}." if names else "There are no class folders.",
            expected="One folder of images per class: cat/1.jpg, dog/1.jpg, …"
            + _describe_skipped_example(listing.skipped),
            fix=f"Sort the images into one folder per class.{advice}",
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


def check_class_sizes(counts: Sequence[int], class_names: tuple[str, ...], skipped: list[SkippedFile]) -> None:
    """Raise InvalidDatasetError for a class with too few training images."""
    few = [
        f"{name} ({number})" for name, number in zip(class_names, counts, strict=True) if number < MIN_IMAGES_PER_CLASS
    ]
    if few:
        raise InvalidDatasetError(
            f"Some classes have too few training images: {', '.join(few[:5])}.",
            expected=f"At least {MIN_IMAGES_PER_CLASS} per class.{_describe_skipped_example(skipped)}",
            fix="Convert the skipped files, add images, or remove these folders."
            if skipped
            else "Add images to these folders, or remove the folders.",
        )


def _describe_skipped_example(skipped: list[SkippedFile]) -> str:
    return f" First skipped file: {skipped[0].name} {skipped[0].reason}." if skipped else ""
