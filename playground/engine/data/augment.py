"""Augmentation of a whole batch at once, on its device; random numbers are a pure function of (seed, step).

All geometric augmentations become one sampling grid for each image, so that pixels are interpolated only once.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from playground.core.augmentations import Augmentation
from playground.core.augmentations.elastic import Elastic
from playground.core.augmentations.erase import Erase
from playground.core.augmentations.flip import Flip
from playground.core.augmentations.noise import Noise
from playground.core.augmentations.rotate import Rotate
from playground.core.augmentations.scale import Scale
from playground.core.augmentations.shear import Shear
from playground.core.augmentations.shift import Shift
from playground.core.augmentations.thickness import Thickness
from playground.engine.rng import make_generator

_ELASTIC_GRID_SIZE = 5  # points across an image: displacements vary over about the size of a digit's loops

AugmentationT = TypeVar("AugmentationT", bound=Augmentation)
Transform = Callable[[Tensor, AugmentationT, torch.Generator], Tensor]
"""Takes images (batch, channels, height, width), an augmentation and the source of random numbers.

Returns images where the stage is ``intensity`` or ``pixels``, matrices (batch, 3, 3) from output to input coordinates
where it is ``affine``, and displacements (batch, height, width, 2) of the grid where it is ``displacement``. In grid
coordinates an image reaches from -1 to 1 both ways.
"""
_TRANSFORMS: dict[str, Transform[Any]] = {}


def augment(images: Tensor, augmentations: Sequence[Augmentation], *, seed: int, step: int) -> Tensor:
    """Augment float images (batch, channels, height, width), values 0 to 1; returns a new tensor of the same shape."""
    if not augmentations:
        return images
    # Drawn on the CPU, so that a seed gives the same images on every device whose steps run eagerly.
    return augment_with_generator(images, augmentations, make_generator("augmentation", seed, step))


def augment_with_generator(images: Tensor, augmentations: Sequence[Augmentation], rng: torch.Generator) -> Tensor:
    """Augment a batch with random numbers of ``rng``, drawn on the generator's device.

    Nothing is copied to the host, so a CUDA graph can capture the call.
    """
    for item in augmentations:
        if item.stage == "intensity":
            images = _transform(images, item, rng)
    images = _apply_geometric(images, augmentations, rng)
    for item in augmentations:
        if item.stage == "pixels":
            images = _transform(images, item, rng)
    return images


def _transform(images: Tensor, item: Augmentation, rng: torch.Generator) -> Tensor:
    return _TRANSFORMS[item.kind](images, item, rng)


def implements(kind: type[AugmentationT]) -> Callable[[Transform[AugmentationT]], Transform[AugmentationT]]:
    """Register the decorated function as the computation of an augmentation."""

    def register(transform: Transform[AugmentationT]) -> Transform[AugmentationT]:
        _TRANSFORMS[kind.model_fields["kind"].default] = transform
        return transform

    return register


def _apply_geometric(images: Tensor, augmentations: Sequence[Augmentation], rng: torch.Generator) -> Tensor:
    matrices = [_transform(images, item, rng) for item in augmentations if item.stage == "affine"]
    displacing = [item for item in augmentations if item.stage == "displacement"]
    if not matrices and not displacing:
        return images
    matrix = _make_identity(images, rng)
    for part in matrices:
        matrix = part @ matrix
    grid = functional.affine_grid(matrix[:, :2].to(images), list(images.shape), align_corners=False)
    for item in displacing:
        grid = grid + _transform(images, item, rng).to(images)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _draw_fractions(count: int, rng: torch.Generator) -> Tensor:
    """Uniform numbers from 0 to 1."""
    return torch.rand(count, generator=rng, device=rng.device)


def _draw_uniform(count: int, rng: torch.Generator) -> Tensor:
    """Uniform numbers from -1 to 1."""
    return _draw_fractions(count, rng) * 2 - 1


def _make_identity(images: Tensor, rng: torch.Generator) -> Tensor:
    return torch.eye(3, device=rng.device).repeat(len(images), 1, 1)


@implements(Shift)
def _make_shift(images: Tensor, item: Shift, rng: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    matrix = _make_identity(images, rng)
    matrix[:, 0, 2] = _draw_uniform(count, rng) * item.pixels * 2 / width
    matrix[:, 1, 2] = _draw_uniform(count, rng) * item.pixels * 2 / height
    return matrix


@implements(Rotate)
def _make_rotation(images: Tensor, item: Rotate, rng: torch.Generator) -> Tensor:
    matrix = _make_identity(images, rng)
    angle = _draw_uniform(len(images), rng) * math.radians(item.degrees)
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos(), -angle.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin(), angle.cos()
    return matrix


@implements(Scale)
def _make_scaling(images: Tensor, item: Scale, rng: torch.Generator) -> Tensor:
    matrix = _make_identity(images, rng)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / (1 + _draw_uniform(len(images), rng) * item.amount)
    return matrix


@implements(Shear)
def _make_shear(images: Tensor, item: Shear, rng: torch.Generator) -> Tensor:
    matrix = _make_identity(images, rng)
    matrix[:, 0, 1] = (_draw_uniform(len(images), rng) * math.radians(item.degrees)).tan()
    return matrix


@implements(Flip)
def _make_flip(images: Tensor, item: Flip, rng: torch.Generator) -> Tensor:
    matrix = _make_identity(images, rng)
    matrix[:, 0, 0] = 1 - 2 * (_draw_fractions(len(images), rng) < item.p).float()
    return matrix


@implements(Elastic)
def _make_elastic_displacement(images: Tensor, item: Elastic, rng: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    shape = (count, 2, _ELASTIC_GRID_SIZE, _ELASTIC_GRID_SIZE)
    points = torch.rand(shape, generator=rng, device=rng.device) * 2 - 1
    field = functional.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)
    pixels = field.permute(0, 2, 3, 1) * item.pixels * 2
    return torch.stack([pixels[..., 0] / width, pixels[..., 1] / height], dim=-1)


@implements(Thickness)
def _change_thickness(images: Tensor, item: Thickness, rng: torch.Generator) -> Tensor:
    share = (_draw_uniform(len(images), rng) * item.amount).to(images).view(-1, 1, 1, 1)
    thick = functional.max_pool2d(images, 3, stride=1, padding=1)
    thin = -functional.max_pool2d(-images, 3, stride=1, padding=1)
    return images + share.clamp(min=0) * (thick - images) - share.clamp(max=0) * (thin - images)


@implements(Erase)
def _erase(images: Tensor, item: Erase, rng: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    chosen = _draw_fractions(count, rng) < item.p
    top = (_draw_fractions(count, rng) * max(1, height - item.size + 1)).long()
    left = (_draw_fractions(count, rng) * max(1, width - item.size + 1)).long()
    rows, columns = torch.arange(height, device=rng.device), torch.arange(width, device=rng.device)
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + item.size)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + item.size)
    square = in_rows[:, :, None] & in_columns[:, None, :] & chosen[:, None, None]
    return images.masked_fill(square[:, None].to(images.device), 0.0)


@implements(Noise)
def _add_noise(images: Tensor, item: Noise, rng: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=rng, device=rng.device).to(images.device)
    return (images + item.std * noise).clamp_(0, 1)
