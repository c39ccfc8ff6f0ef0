"""Classes that somebody draws: a few drawings of each become a data set of many images."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from playground.core.augmentations import Augmentation, Rotate, Scale, Shear, Shift
from playground.engine.data.augment import augment
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.rasterize import rasterize
from playground.engine.rng import derive_seed
from playground.errors import DrawingError

Strokes = Sequence[Sequence[tuple[float, float]]]

MIN_DRAWINGS_PER_CLASS = 4
"""Of a class: one is kept for the test, and what is learnt from fewer than three is that one drawing."""

TRAIN_COPIES = 40
_TEST_COPIES = 4
_PEN_WIDTH_RANGE = (1.8, 3.4)
_AUGMENTATIONS: tuple[Augmentation, ...] = (Shift(pixels=2), Rotate(degrees=15), Scale(amount=0.12), Shear(degrees=10))


def create_images_from_drawings(drawings: Mapping[str, Sequence[Strokes]]) -> CustomImages:
    """Every drawing in many copies, with other pens and a little changed, (1, 28, 28); every fourth is for the test.

    No drawing has copies on both sides. The same drawings give the same images. Raises DrawingError for fewer than two
    classes, or fewer than MIN_DRAWINGS drawings of one.
    """
    if len(drawings) < 2:
        raise DrawingError("There are fewer than two classes.", fix="Give a second class a name, and draw for it.")
    for name, drawn in drawings.items():
        if len(drawn) < MIN_DRAWINGS_PER_CLASS:
            raise DrawingError(
                f"{name!r:.80} has {len(drawn)} drawings.",
                expected=f"At least {MIN_DRAWINGS_PER_CLASS} of every class.",
            )
    labels = {name: label for label, name in enumerate(sorted(drawings))}
    parts: dict[bool, list[tuple[torch.Tensor, int]]] = {False: [], True: []}
    for name, drawn in drawings.items():
        for place, strokes in enumerate(drawn):
            is_test = place % MIN_DRAWINGS_PER_CLASS == MIN_DRAWINGS_PER_CLASS - 1
            parts[is_test].append(
                (_make_augmented_copies(strokes, _TEST_COPIES if is_test else TRAIN_COPIES), labels[name])
            )
    train, test = (_concatenate(parts[is_test]) for is_test in (False, True))
    return CustomImages(train=train, test=test, class_names=tuple(labels), skipped=(), skipped_count=0)


def _make_augmented_copies(strokes: Strokes, count: int) -> torch.Tensor:
    source = np.random.default_rng(derive_seed("drawn class", repr(strokes)))
    widths = source.uniform(*_PEN_WIDTH_RANGE, size=count)
    images = torch.from_numpy(np.stack([rasterize(strokes, pen_width=float(width)) for width in widths]))
    changed = augment(images, _AUGMENTATIONS, seed=int(source.integers(2**31)), step=0)
    return changed.mul(255).round().to(torch.uint8)


def _concatenate(parts: list[tuple[torch.Tensor, int]]) -> LabeledImages:
    labels = torch.tensor([label for _, label in parts]).repeat_interleave(len(parts[0][0]))
    return LabeledImages(torch.cat([images for images, _ in parts]), labels)
