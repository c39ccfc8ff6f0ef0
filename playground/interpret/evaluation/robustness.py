"""Robustness: accuracy on test images that are perturbed by the same amount each.

Sources: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019; for digits, Mu and Gilmer, "MNIST-C", 2019.
"""

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from playground.core.datasets import Dataset
from playground.engine.cache import ByteBoundedCache
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.metrics import Evaluation
from playground.engine.model.build import expand_to_class_logits
from playground.engine.progress import Progress, Steps
from playground.engine.rng import make_generator
from playground.errors import DataError
from playground.interpret.model import Model

Array = NDArray[np.float32]
Perturbation = Literal["rotation", "shift", "scale", "noise", "thickness"]

_MAX_CACHED_BYTES = 2**18
_BATCH_SIZE = 100  # small, since a server keeps the memory of the feature maps


@dataclass(frozen=True)
class PerturbationInfo:
    """A perturbation: its ``levels`` in ``unit``, in rising order; ``neutral_level`` leaves images unchanged."""

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
        description="Rotation about the center, counterclockwise for positive angles.",
    ),
    "shift": PerturbationInfo(
        title="Shift",
        unit="pixels",
        levels=(-6, -4, -2, -1, 0, 1, 2, 4, 6),
        description="Shift to the right, to the left for negative values; pixels beyond the edge are lost.",
    ),
    "scale": PerturbationInfo(
        title="Scale",
        unit="times the size",
        levels=(0.5, 0.6, 0.7, 0.85, 1.0, 1.15, 1.3, 1.45, 1.6),
        description="Scaling about the center; pixels beyond the edge are lost.",
        neutral_level=1.0,
    ),
    "noise": PerturbationInfo(
        title="Noise",
        unit="standard deviation",
        levels=(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        description="Gaussian noise added to every pixel; black is 0 and white is 1.",
    ),
    "thickness": PerturbationInfo(
        title="Thickness",
        unit="pixels",
        levels=(-1, -0.5, 0, 0.5, 1, 1.5, 2),
        description="Dilation of the strokes on every side, erosion for negative values.",
    ),
}


@dataclass(frozen=True)
class RobustnessPoint:
    """Accuracy, 0 to 1, on ``size`` images perturbed by ``level``."""

    perturbation: Perturbation
    level: float
    accuracy: float
    size: int


def perturb(images: Tensor, perturbation: Perturbation, level: float, *, seed: int = 0) -> Tensor:
    """Perturb images, float (count, channels, height, width), values 0 to 1; returns a new tensor.

    The neutral level changes nothing. Noise is drawn from ``seed`` and scaled by the level, so that all levels have the
    same noise. Raises DataError for a scale of 0 or less, negative noise, or a level that is not finite.
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
    """Affine map (2, 3) from output to input positions, in the units of ``affine_grid``: an image is 2 wide and high.

    It is the inverse map and y points down, so a rotation has the signs of the forward map with y up.
    """
    if perturbation == "shift":
        return torch.tensor([[1, 0, -level * 2 / width], [0, 1, 0]])
    if perturbation == "scale":
        return torch.tensor([[1 / level, 0, 0], [0, 1 / level, 0]])
    cos, sin = math.cos(math.radians(level)), math.sin(math.radians(level))
    # The units of the two axes differ for an image that is not square.
    return torch.tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])


def _warp(images: Tensor, inverse_affine: Tensor) -> Tensor:
    maps = inverse_affine.to(images).expand(len(images), 2, 3)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _change_thickness(images: Tensor, pixels: float) -> Tensor:
    """Gray dilation (maximum of 3×3) or erosion (minimum) per pixel, interpolated for fractions of a pixel."""
    remaining = abs(pixels)
    while remaining > 0:
        if pixels > 0:
            changed = functional.max_pool2d(images, 3, stride=1, padding=1)
        else:
            changed = -functional.max_pool2d(-images, 3, stride=1, padding=1)
        images = torch.lerp(images, changed, min(remaining, 1.0))
        remaining -= 1
    return images


def list_perturbations(dataset: Dataset) -> tuple[Perturbation, ...]:
    """List the perturbations that apply to a dataset: thickness only to strokes, none to features."""
    if dataset.features is not None:
        return ()
    return tuple(change for change in PERTURBATIONS if change != "thickness" or dataset.has_strokes)


def measure_robustness(
    model: Model, data: LabeledImages, perturbations: Sequence[Perturbation] = tuple(PERTURBATIONS), *, count: int = 500
) -> Steps[tuple[RobustnessPoint, ...]]:
    """Measure the accuracy at every level of the perturbations, on the same sample of up to ``count`` images.

    The results are cached. Raises DataError without images.
    """
    if min(count, len(data)) < 1:
        raise DataError("There are no images to perturb.", expected="At least one.")
    key = (model, weakref.ref(data), tuple(perturbations), count)  # the cache does not keep the images
    return _cache.get_or_compute_in_steps(
        key, lambda: _measure_points(model, data, perturbations, count), is_resumable=True
    )


_CacheKey = tuple[Model, weakref.ref[LabeledImages], tuple[Perturbation, ...], int]
_cache: ByteBoundedCache[_CacheKey, tuple[RobustnessPoint, ...]] = ByteBoundedCache(_MAX_CACHED_BYTES)


def _measure_points(
    model: Model, data: LabeledImages, perturbations: Sequence[Perturbation], count: int
) -> Steps[tuple[RobustnessPoint, ...]]:
    points = []
    sample = data.sample(count)
    images = scale_pixels(sample.images)
    conditions = [(change, level) for change in perturbations for level in PERTURBATIONS[change].levels]
    for index, (change, level) in enumerate(conditions):
        yield Progress(PERTURBATIONS[change].title, index, len(conditions))
        evaluation = _evaluate_pixels(model, perturb(images, change, level), sample.labels)
        points.append(RobustnessPoint(change, level, evaluation.accuracy, evaluation.size))
    return tuple(points)


def _evaluate_pixels(model: Model, images: Tensor, labels: Tensor) -> Evaluation:
    with torch.inference_mode():
        logits = [expand_to_class_logits(model.module(batch)) for batch in torch.split(images, _BATCH_SIZE)]
        return Evaluation.from_logits(torch.cat(logits), labels)


def perturb_at_every_level(image: Array, perturbation: Perturbation) -> tuple[tuple[float, Array], ...]:
    """Perturb one image (channels, height, width), values 0 to 1, at every level."""
    images = torch.from_numpy(np.array(image, dtype=np.float32))[None]
    return tuple(
        (level, perturb(images, perturbation, level)[0].numpy()) for level in PERTURBATIONS[perturbation].levels
    )
