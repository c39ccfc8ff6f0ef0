"""Checks of decoded images for what makes a dataset misleading: uniform images, and copies across splits or classes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from playground.engine.data.custom.archive import FoundFile
from playground.engine.data.custom.decode import DecodedImage


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
    remarks = []
    uniform = [image for image in images if image.decoded.is_uniform]
    if uniform:
        count = f"All {len(images):,}" if len(uniform) == len(images) else f"{len(uniform):,} of {len(images):,}"
        remarks.append(f"{count} images have one color only: {_name_first(uniform)}.")
    on_black = [image for image in images if image.decoded.is_on_black]
    if on_black:
        remarks.append(
            f"{len(on_black):,} transparent images are on black, since they cannot be seen on white: "
            f"{_name_first(on_black)}."
        )
    copies: dict[bytes, list[DecodedFile]] = {}
    for image in images:
        if not image.decoded.is_uniform:
            digest = hashlib.blake2b(image.decoded.pixels.tobytes(), digest_size=16).digest()
            copies.setdefault(digest, []).append(image)
    groups = [group for group in copies.values() if len(group) > 1]
    return [*remarks, *_describe_copies(groups, set(map(id, test)), class_names)]


def _describe_copies(
    groups: Sequence[Sequence[DecodedFile]], test_ids: set[int], class_names: Sequence[str]
) -> Iterator[str]:
    """Describe groups of equal images; ``test_ids`` are the ids of the test images."""
    across_classes = [group for group in groups if len({image.label for image in group}) > 1]
    if across_classes:
        one = across_classes[0][0]
        other = next(image for image in across_classes[0] if image.label != one.label)
        yield (
            f"{len(across_classes):,} images are in several classes: {one.file.name} in {class_names[one.label]} is "
            f"{other.file.name} in {class_names[other.label]}."
        )
    is_test = [[id(image) in test_ids for image in group] for group in groups]
    across_splits = [group for group, flags in zip(groups, is_test, strict=True) if len(set(flags)) > 1]
    if across_splits:
        copies = sum(sum(flags) for flags in is_test if len(set(flags)) > 1)
        name = next(image.file.name for image in across_splits[0] if id(image) in test_ids)
        yield f"{copies:,} test images are training images too, so the test accuracy will be too high: {name}."
    repeated = [group for group in groups if group not in across_classes and group not in across_splits]
    if repeated:
        yield f"{sum(len(group) - 1 for group in repeated):,} images are copies of others: {repeated[0][1].file.name}."


def _name_first(images: Sequence[DecodedFile]) -> str:
    return images[0].file.name + (" and others" if len(images) > 1 else "")
