"""Checks of decoded images for what makes a dataset misleading: uniform images, and copies across splits or classes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from playground.engine.data.custom.archive import FoundFile
from playground.engine.data.custom.decode import DecodedImage

_MAX_NAMED_CLASSES = 5


@dataclass(frozen=True, eq=False)
class DecodedFile:
    """A file with its label and its decoded image."""

    file: FoundFile
    label: int
    decoded: DecodedImage


def find_suspicious_images(
    train: Sequence[DecodedFile], test: Sequence[DecodedFile], class_names: Sequence[str]
) -> list[str]:
    """Describe, in sentences, the images from which a network learns nothing or something misleading."""
    images = (*train, *test)
    warnings = []
    uniform = [image for image in images if image.decoded.is_uniform]
    if uniform:
        warnings.append(f"Images of one color: {len(uniform):,} of {len(images):,}, such as {uniform[0].file.name}.")
    on_black = [image for image in images if image.decoded.is_on_black]
    if on_black:
        warnings.append(
            f"Transparent images that cannot be seen on white, and are on black: {len(on_black):,}, such as "
            f"{on_black[0].file.name}."
        )
    copies: dict[bytes, list[DecodedFile]] = {}
    for image in images:
        if not image.decoded.is_uniform:
            digest = hashlib.blake2b(image.decoded.pixels.tobytes(), digest_size=16).digest()
            copies.setdefault(digest, []).append(image)
    groups = [group for group in copies.values() if len(group) > 1]
    test_counts = [sum(image.label == label for image in test) for label in range(len(class_names))]
    return [
        *warnings,
        *_describe_copies(groups, set(map(id, test)), class_names),
        *describe_untested_classes(test_counts, class_names),
    ]


def describe_untested_classes(test_counts: Sequence[int], class_names: Sequence[str]) -> list[str]:
    """Describe the classes without test images, if others have some."""
    names = [name for name, count in zip(class_names, test_counts, strict=True) if not count]
    if not names or not any(test_counts):
        return []
    listed = ", ".join(names[:_MAX_NAMED_CLASSES])
    more = f" and {len(names) - _MAX_NAMED_CLASSES:,} more" if len(names) > _MAX_NAMED_CLASSES else ""
    return [f"Classes without test images: {listed}{more}. The test accuracy does not cover them."]


def _describe_copies(
    groups: Sequence[Sequence[DecodedFile]], test_ids: set[int], class_names: Sequence[str]
) -> Iterator[str]:
    """Describe groups of equal images; ``test_ids`` are the ids of the test images."""
    across_classes = [group for group in groups if len({image.label for image in group}) > 1]
    if across_classes:
        one = across_classes[0][0]
        other = next(image for image in across_classes[0] if image.label != one.label)
        yield (
            f"Images in several classes: {len(across_classes):,}. {one.file.name} in {class_names[one.label]} is "
            f"{other.file.name} in {class_names[other.label]}."
        )
    is_test = [[id(image) in test_ids for image in group] for group in groups]
    across_splits = [group for group, flags in zip(groups, is_test, strict=True) if len(set(flags)) > 1]
    if across_splits:
        copies = sum(sum(flags) for flags in is_test if len(set(flags)) > 1)
        name = next(image.file.name for image in across_splits[0] if id(image) in test_ids)
        yield (
            f"Test images that are training images, too: {copies:,}, such as {name}. The test accuracy will be too "
            "high."
        )
    repeated = [group for group in groups if group not in across_classes and group not in across_splits]
    if repeated:
        count = sum(len(group) - 1 for group in repeated)
        yield f"Copies of other images: {count:,}, such as {repeated[0][1].file.name}."
