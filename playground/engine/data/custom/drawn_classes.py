"""Dataset from drawn classes: each drawing becomes many augmented images."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from playground.core.augmentations import Augmentation
from playground.core.augmentations.rotate import Rotate
from playground.core.augmentations.scale import Scale
from playground.core.augmentations.shear import Shear
from playground.core.augmentations.shift import Shift
from playground.engine.data.augment import augment
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.rasterize import rasterize
from playground.engine.rng import derive_seed
from playground.errors import DrawingError

Strokes = Sequence[Sequence[tuple[float, float]]]

MIN_DRAWINGS_PER_CLASS = 4
"""Least number of drawings: one is kept for the test, and three to train on show some variation."""

TRAIN_COPIES = 40
_TEST_COPIES = 4
_PEN_WIDTH_RANGE = (1.8, 3.4)
_AUGMENTATIONS: tuple[Augmentation, ...] = (Shift(pixels=2), Rotate(degrees=15), Scale(amount=0.12), Shear(degrees=10))


def create_images_from_drawings(drawings: Mapping[str, Sequence[Strokes]]) -> CustomImages:
    """Render each drawing as augmented images (1, 28, 28) with random pen widths; every fourth drawing is for the test.

    No drawing has copies in both splits. The same drawings give the same images. Raises DrawingError for fewer than
    two classes, or fewer than MIN_DRAWINGS_PER_CLASS drawings of one.
    """
    if len(drawings) < 2:
        raise DrawingError(
            "There are fewer than two classes.", expected="At least two.", fix="Add a second class and draw for it."
        )
    for name, drawn in drawings.items():
        if len(drawn) < MIN_DRAWINGS_PER_CLASS:
            raise DrawingError(
                f"{name!r:.80} has {len(drawn)} drawings.",
                expected=f"At least {MIN_DRAWINGS_PER_CLASS} of each class.",
                fix="Draw more for this class.",
            )
    labels = {name: label for label, name in enumerate(sorted(drawings))}
    parts: dict[bool, list[tuple[torch.Tensor, int]]] = {False: [], True: []}
    for name, drawn in drawings.items():
        for index, strokes in enumerate(drawn):
            is_test = index % MIN_DRAWINGS_PER_CLASS == MIN_DRAWINGS_PER_CLASS - 1
            parts[is_test].append(
                (_make_augmented_copies(strokes, _TEST_COPIES if is_test else TRAIN_COPIES), labels[name])
            )
    train, test = (_concatenate(parts[is_test]) for is_test in (False, True))
    return CustomImages(train=train, test=test, class_names=tuple(labels), skipped=(), skipped_count=0)


def _make_augmented_copies(strokes: Strokes, count: int) -> torch.Tensor:
    generator = np.random.default_rng(derive_seed("drawn class", repr(strokes)))
    widths = generator.uniform(*_PEN_WIDTH_RANGE, size=count)
    images = torch.from_numpy(np.stack([rasterize(strokes, pen_width=float(width)) for width in widths]))
    augmented = augment(images, _AUGMENTATIONS, seed=int(generator.integers(2**31)), step=0)
    return augmented.mul(255).round().to(torch.uint8)


def _concatenate(parts: list[tuple[torch.Tensor, int]]) -> LabeledImages:
    labels = torch.tensor([label for _, label in parts]).repeat_interleave(len(parts[0][0]))
    return LabeledImages(torch.cat([images for images, _ in parts]), labels)
