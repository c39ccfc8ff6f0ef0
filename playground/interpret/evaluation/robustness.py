"""How accuracy falls as images are changed step by step: what a network has learned to overlook, and what not.

Images are changed as a whole, each by the same amount, so that a point of a curve is one plain statement. Source of
the idea: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019; for digits, Mu and Gilmer, "MNIST-C", 2019.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from playground.core.datasets import Dataset
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.metrics import Evaluation
from playground.engine.model.build import expand_to_class_logits
from playground.engine.progress import Progress
from playground.engine.rng import make_generator
from playground.errors import DataError
from playground.interpret.model import Model

Array = NDArray[np.float32]
Perturbation = Literal["rotation", "shift", "scale", "noise", "thickness"]

_BATCH_SIZE = 100  # images: a server does not grow by more feature maps than that


@dataclass(frozen=True)
class PerturbationInfo:
    """A way to change images: the ``levels`` to try, rising, in ``unit``; at level ``neutral_level`` nothing changes."""

    title: str
    unit: str
    levels: tuple[float, ...]
    description: str
    neutral_level: float = 0.0


PERTURBATIONS: dict[Perturbation, PerturbationInfo] = {
    "rotation": PerturbationInfo(
        title="Rotation",
        unit="degrees",
        levels=(-60, -45, -30, -15, 0, 15, 30, 45, 60),
        description="Turned about the middle, counter-clockwise for positive angles.",
    ),
    "shift": PerturbationInfo(
        title="Shift",
        unit="pixels",
        levels=(-6, -4, -2, -1, 0, 1, 2, 4, 6),
        description="Moved to the right, or to the left for negative numbers; what leaves the image is lost.",
    ),
    "scale": PerturbationInfo(
        title="Size",
        unit="times the size",
        levels=(0.5, 0.6, 0.7, 0.85, 1.0, 1.15, 1.3, 1.45, 1.6),
        description="Made smaller or larger about the middle; what leaves the image is lost.",
        neutral_level=1.0,
    ),
    "noise": PerturbationInfo(
        title="Noise",
        unit="standard deviation",
        levels=(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        description="A random number added to every pixel; black is 0 and white is 1.",
    ),
    "thickness": PerturbationInfo(
        title="Thickness",
        unit="pixels",
        levels=(-1, -0.5, 0, 0.5, 1, 1.5, 2),
        description="Lines grown by so much on every side, or eaten away for negative numbers.",
    ),
}


@dataclass(frozen=True)
class RobustnessPoint:
    """The share of ``size`` images, 0 to 1, that a network names rightly when all are changed by ``level``."""

    perturbation: Perturbation
    level: float
    accuracy: float
    size: int


def perturb(images: Tensor, perturbation: Perturbation, level: float, *, seed: int = 0) -> Tensor:
    """Images changed by ``level`` of CHANGES: float (count, channels, height, width), values 0 to 1; a new tensor.

    The neutral level gives the same values to the last bit. Noise is drawn from ``seed`` and only scaled by the level,
    so that a curve tells of the level alone. Raises DataError for a size of 0 or less, noise below 0, or no number.
    """
    if level == PERTURBATIONS[perturbation].neutral_level:
        return images.clone()
    if not math.isfinite(level) or (perturbation in ("scale", "noise") and level <= 0):
        raise DataError(
            f"{PERTURBATIONS[perturbation].title} cannot be {level:g} {PERTURBATIONS[perturbation].unit}.",
            expected="More than 0.",
        )
    if perturbation == "noise":
        noise = torch.randn(images.shape, generator=make_generator("robustness", seed))
        return (images + level * noise.to(images)).clamp_(0, 1)
    if perturbation == "thickness":
        return _change_thickness(images, level)
    return _warp(images, _compute_inverse_affine(perturbation, level, *images.shape[2:]))


def _compute_inverse_affine(perturbation: Perturbation, level: float, height: int, width: int) -> Tensor:
    """From a place of the new image to where its value comes from: (2, 3), in torch's units, an image 2 wide and high.

    The map goes back instead of forth and y points down instead of up: a rotation's signs are those of a textbook.
    """
    if perturbation == "shift":
        return torch.tensor([[1, 0, -level * 2 / width], [0, 1, 0]])
    if perturbation == "scale":
        return torch.tensor([[1 / level, 0, 0], [0, 1 / level, 0]])
    cos, sin = math.cos(math.radians(level)), math.sin(math.radians(level))
    # The two axes have different units where the image is not square.
    return torch.tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])


def _warp(images: Tensor, inverse_affine: Tensor) -> Tensor:
    maps = inverse_affine.to(images).expand(len(images), 2, 3)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _change_thickness(images: Tensor, pixels: float) -> Tensor:
    """Grey dilation (largest value of 3×3) or erosion (smallest), once a pixel; for a part of one, so much of it."""
    left = abs(pixels)
    while left > 0:
        if pixels > 0:
            further = functional.max_pool2d(images, 3, stride=1, padding=1)
        else:
            further = -functional.max_pool2d(-images, 3, stride=1, padding=1)
        images = torch.lerp(images, further, min(left, 1.0))
        left -= 1
    return images


def list_perturbations(dataset: Dataset) -> tuple[Perturbation, ...]:
    """Those that mean something for its images: only of strokes can be said how thick they are, nothing of features."""
    if dataset.features is not None:
        return ()
    return tuple(change for change in PERTURBATIONS if change != "thickness" or dataset.has_strokes)


def measure_robustness(
    model: Model, data: LabeledImages, perturbations: Sequence[Perturbation] = tuple(PERTURBATIONS), *, count: int = 500
) -> Iterator[tuple[Progress, RobustnessPoint]]:
    """Point after point of all curves, in the order of ``perturbations``, on the same ``count`` images of ``images`` (or all).

    Raises DataError where there are no images.
    """
    sample = data.sample(count)
    if not len(sample):
        raise DataError("There are no images to change.", expected="At least one.")
    return _measure_points(model, sample, perturbations)


def _measure_points(
    model: Model, sample: LabeledImages, perturbations: Sequence[Perturbation]
) -> Iterator[tuple[Progress, RobustnessPoint]]:
    images = scale_pixels(sample.images)
    conditions = [(change, level) for change in perturbations for level in PERTURBATIONS[change].levels]
    for index, (change, level) in enumerate(conditions):
        evaluation = _evaluate_pixels(model, perturb(images, change, level), sample.labels)
        progress = Progress(PERTURBATIONS[change].title, index + 1, len(conditions))
        yield progress, RobustnessPoint(change, level, evaluation.accuracy, evaluation.size)


def _evaluate_pixels(model: Model, images: Tensor, labels: Tensor) -> Evaluation:
    with torch.inference_mode():
        logits = [expand_to_class_logits(model.module(batch)) for batch in torch.split(images, _BATCH_SIZE)]
        return Evaluation.from_logits(torch.cat(logits), labels)


def perturb_at_every_level(image: Array, perturbation: Perturbation) -> tuple[tuple[float, Array], ...]:
    """One image (channels, height, width), values 0 to 1, at every level of a change, for the screen."""
    images = torch.from_numpy(np.array(image, dtype=np.float32))[None]
    return tuple(
        (level, perturb(images, perturbation, level)[0].numpy()) for level in PERTURBATIONS[perturbation].levels
    )
