"""Augmentation of a whole batch at once, on its device; what is drawn is a pure function of (seed, step).

Shift, rotate, scale, shear and elastic become one map an image, so that pixels are interpolated only once.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from playground.core.recipe import Augmentation, Elastic, Erase, Flip, Noise, Rotate, Scale, Shear, Shift, Thickness
from playground.engine.rng import make_generator

_ELASTIC_GRID_SIZE = 5  # across an image: bends about as large as a digit's loops


def augment(images: Tensor, augmentations: Sequence[Augmentation], *, seed: int, step: int) -> Tensor:
    """``images`` float (batch, channels, height, width), values 0 to 1; a new tensor of the same kind."""
    if not augmentations:
        return images
    # Drawn on the CPU, so that a seed gives the same images on every device whose steps run eagerly.
    return augment_with_generator(images, augmentations, make_generator("augmentation", seed, step))


def augment_with_generator(images: Tensor, augmentations: Sequence[Augmentation], rng: torch.Generator) -> Tensor:
    """Augment a batch with random numbers of ``rng``, drawn on the generator's device.

    Nothing is copied to the host, so a CUDA graph can capture the call.
    """
    for item in augmentations:
        if isinstance(item, Thickness):
            images = _change_thickness(images, item, rng)
    images = _apply_geometric(images, augmentations, rng)
    for item in augmentations:
        if isinstance(item, Erase):
            images = _erase(images, item, rng)
        elif isinstance(item, Noise):
            noise = torch.randn(images.shape, generator=rng, device=rng.device).to(images.device)
            images = (images + item.std * noise).clamp_(0, 1)
    return images


def _draw_fractions(count: int, rng: torch.Generator) -> Tensor:
    """Uniform numbers from 0 to 1."""
    return torch.rand(count, generator=rng, device=rng.device)


def _draw_uniform(count: int, rng: torch.Generator) -> Tensor:
    """Uniform numbers from -1 to 1."""
    return _draw_fractions(count, rng) * 2 - 1


def _apply_geometric(images: Tensor, augmentations: Sequence[Augmentation], rng: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    matrix = torch.eye(3, device=rng.device).repeat(count, 1, 1)
    moved = False
    for item in augmentations:
        part = torch.eye(3, device=rng.device).repeat(count, 1, 1)
        if isinstance(item, Shift):
            part[:, 0, 2] = _draw_uniform(count, rng) * item.pixels * 2 / width
            part[:, 1, 2] = _draw_uniform(count, rng) * item.pixels * 2 / height
        elif isinstance(item, Rotate):
            angle = _draw_uniform(count, rng) * math.radians(item.degrees)
            part[:, 0, 0], part[:, 0, 1] = angle.cos(), -angle.sin()
            part[:, 1, 0], part[:, 1, 1] = angle.sin(), angle.cos()
        elif isinstance(item, Scale):
            part[:, 0, 0] = part[:, 1, 1] = 1 / (1 + _draw_uniform(count, rng) * item.amount)
        elif isinstance(item, Shear):
            part[:, 0, 1] = (_draw_uniform(count, rng) * math.radians(item.degrees)).tan()
        elif isinstance(item, Flip):
            part[:, 0, 0] = 1 - 2 * (_draw_fractions(count, rng) < item.p).float()
        else:
            continue
        matrix, moved = part @ matrix, True
    bends = [item for item in augmentations if isinstance(item, Elastic)]
    if not moved and not bends:
        return images
    grid = functional.affine_grid(matrix[:, :2].to(images), list(images.shape), align_corners=False)
    for item in bends:
        grid = grid + _draw_elastic_displacement(item, count, height, width, rng).to(images)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _draw_elastic_displacement(item: Elastic, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """Smooth displacements (count, height, width, 2) in the grid's units, where an image is 2 wide and 2 high."""
    corners = torch.rand(count, 2, _ELASTIC_GRID_SIZE, _ELASTIC_GRID_SIZE, generator=rng, device=rng.device) * 2 - 1
    field = functional.interpolate(corners, size=(height, width), mode="bicubic", align_corners=True)
    scaled = field.permute(0, 2, 3, 1) * item.pixels * 2
    return torch.stack([scaled[..., 0] / width, scaled[..., 1] / height], dim=-1)


def _change_thickness(images: Tensor, item: Thickness, rng: torch.Generator) -> Tensor:
    share = (_draw_uniform(len(images), rng) * item.amount).to(images).view(-1, 1, 1, 1)
    thick = functional.max_pool2d(images, 3, stride=1, padding=1)
    thin = -functional.max_pool2d(-images, 3, stride=1, padding=1)
    return images + share.clamp(min=0) * (thick - images) - share.clamp(max=0) * (thin - images)


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
