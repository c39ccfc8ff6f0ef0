import math

import pytest
import torch
from torch import Tensor

from playground.core.augmentations.base import Augmentation
from playground.core.augmentations.elastic import Elastic
from playground.core.augmentations.erase import Erase
from playground.core.augmentations.flip import Flip
from playground.core.augmentations.noise import Noise
from playground.core.augmentations.rotate import Rotate
from playground.core.augmentations.scale import Scale
from playground.core.augmentations.shear import Shear
from playground.core.augmentations.shift import Shift
from playground.core.augmentations.thickness import Thickness
from playground.engine.data.augment import augment
from tests import strategies

ALL = tuple(kind() for kind in strategies.AUGMENTATIONS)
STILL = (Shift(pixels=0), Rotate(degrees=0), Scale(amount=0), Shear(degrees=0), Elastic(pixels=0), Flip(p=0))
MANY = 64


def blob(count: int = MANY, size: int = 28, *, width: int | None = None) -> Tensor:
    """A 6×4 block with an L's foot, left of and above the center: its asymmetry reveals wrong signs and axes."""
    images = torch.zeros(count, 1, size, width or size)
    images[:, :, 9:15, 10:14] = 1.0
    images[:, :, 13:15, 14:17] = 0.5
    return images


def center(images: Tensor) -> tuple[Tensor, Tensor]:
    """(x, y) of each image's center of mass, in pixels from the left upper corner."""
    mass = images.sum(dim=(1, 2, 3))
    rows = torch.arange(images.shape[2]) + 0.5
    columns = torch.arange(images.shape[3]) + 0.5
    x = (images.sum(dim=(1, 2)) * columns).sum(1) / mass
    y = (images.sum(dim=(1, 3)) * rows).sum(1) / mass
    return x, y


def changed(images: Tensor, *items: Augmentation, seed: int = 1, step: int = 0) -> Tensor:
    return augment(images, items, seed=seed, step=step)


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.kind)
def test_result_depends_on_seed_and_step_only(item: Augmentation) -> None:
    images = blob(8)
    first = changed(images, item, seed=3, step=9)
    torch.rand(5)
    assert torch.equal(first, changed(images, item, seed=3, step=9))
    assert not torch.equal(first, changed(images, item, seed=4, step=9))
    assert not torch.equal(first, changed(images, item, seed=3, step=10))


@pytest.mark.parametrize("shape", [(4, 1, 28, 28), (3, 3, 12, 20), (1, 1, 5, 5)], ids=str)
@pytest.mark.parametrize("item", [*ALL, ALL], ids=lambda item: getattr(item, "kind", "all"))
def test_shape_and_type_are_kept_and_the_input_is_unchanged(
    item: Augmentation | tuple[Augmentation, ...], shape: tuple[int, ...]
) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    found = augment(images, item if isinstance(item, tuple) else (item,), seed=0, step=0)
    assert found.shape == images.shape
    assert found.dtype == torch.float32
    assert torch.equal(images, before)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-6


def test_images_of_a_batch_are_augmented_independently() -> None:
    found = changed(blob(), Shift(pixels=3), Erase(p=1))
    assert len({tuple(image.flatten().tolist()) for image in found}) == MANY


def test_no_augmentation_returns_the_images() -> None:
    images = blob(2)
    assert changed(images) is images


@pytest.mark.parametrize("item", STILL, ids=lambda item: item.kind)
def test_strength_zero_is_the_identity(item: Augmentation) -> None:
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed(images, item), images, atol=1e-4, rtol=0)


@pytest.mark.parametrize("item", [Erase(p=0), Noise(std=0), Thickness(amount=0)], ids=lambda item: item.kind)
def test_strength_zero_is_exactly_the_identity(item: Augmentation) -> None:
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(changed(images, item), images)


@pytest.mark.parametrize("pixels", [1.0, 4.0])
@pytest.mark.parametrize("width", [28, 40])
def test_shift_stays_within_its_bound(pixels: float, width: int) -> None:
    images = blob(width=width)
    x, y = center(changed(images, Shift(pixels=pixels)))
    x0, y0 = center(images)
    for moved in (x - x0, y - y0):
        assert moved.abs().max() <= pixels + 0.01
        assert moved.max() > pixels * 0.8
        assert moved.min() < -pixels * 0.8
    torch.testing.assert_close(
        changed(images, Shift(pixels=pixels)).sum((1, 2, 3)), images.sum((1, 2, 3)), rtol=1e-3, atol=0
    )


def test_flip_mirrors_exactly_with_its_probability() -> None:
    images = blob()
    torch.testing.assert_close(changed(images, Flip(p=1)), images.flip(3), atol=1e-5, rtol=0)
    found = changed(blob(400), Flip(p=0.25))
    mirrored = [bool((image - blob(1)[0].flip(2)).abs().max() < 1e-4) for image in found]
    assert 60 <= sum(mirrored) <= 140


def test_rotation_keeps_mass_and_distance_from_the_center() -> None:
    images = blob()
    found = changed(images, Rotate(degrees=40))
    torch.testing.assert_close(found.sum((1, 2, 3)), images.sum((1, 2, 3)), rtol=0.02, atol=0)
    (x, y), (x0, y0) = center(found), center(images)
    torch.testing.assert_close((x - 14).hypot(y - 14), (x0 - 14).hypot(y0 - 14), atol=0.1, rtol=0)
    turned = (torch.atan2(y - 14, x - 14) - torch.atan2(y0 - 14, x0 - 14) + math.pi) % (2 * math.pi) - math.pi
    assert turned.abs().max() <= math.radians(41)
    assert turned.max() > math.radians(25)
    assert turned.min() < math.radians(-25)


def test_scale_changes_the_area_within_bounds() -> None:
    images = blob()
    found = changed(images, Scale(amount=0.5)).sum((1, 2, 3)) / images.sum((1, 2, 3))
    assert found.max() < 1.5**2 * 1.05
    assert found.min() > 0.5**2 * 0.95
    assert found.max() > 1.6
    assert found.min() < 0.5


def test_shear_slants_rows_and_keeps_heights() -> None:
    images = torch.zeros(MANY, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1.0
    found = changed(images, Shear(degrees=20))
    torch.testing.assert_close(found.sum((1, 3)), images.sum((1, 3)), rtol=0.02, atol=0.02)
    upper, _ = center(found[:, :, 4:6])
    lower, _ = center(found[:, :, 22:24])
    slant = ((lower - upper) / 18).atan()
    assert slant.abs().max() <= math.radians(20.5)
    assert slant.max() > math.radians(15)
    assert slant.min() < math.radians(-15)


@pytest.mark.parametrize("size", [1, 5, 28, 40])
def test_erase_blanks_a_square_of_the_size(size: int) -> None:
    gone = changed(torch.ones(MANY, 1, 28, 28), Erase(p=1, size=size)) == 0
    side = min(size, 28)
    assert (gone.sum((1, 2, 3)) == side**2).all()
    assert (gone.any(2).sum(2) == side).all()
    assert (gone.any(3).sum(2) == side).all()


def test_erase_covers_the_image_evenly_with_its_probability() -> None:
    gone = changed(torch.ones(400, 1, 28, 28), Erase(p=0.5, size=8)) == 0
    assert 150 <= gone.any(3).any(2).sum() <= 250
    assert gone.any(0).any(1).all()
    assert gone.any(0).any(2).all()


def test_noise_has_its_standard_deviation_and_stays_in_range() -> None:
    found = changed(torch.full((MANY, 1, 28, 28), 0.5), Noise(std=0.1))
    assert found.std() == pytest.approx(0.1, rel=0.05)
    assert found.mean() == pytest.approx(0.5, abs=0.01)
    loud = changed(torch.full((MANY, 1, 28, 28), 0.5), Noise(std=1))
    assert loud.min() == 0
    assert loud.max() == 1


def test_thickness_grows_and_shrinks_strokes() -> None:
    images = torch.zeros(MANY, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1.0
    found = changed(images, Thickness(amount=1))
    mass = found.sum((1, 2, 3))
    # 20×4 pixels; a whole step adds or takes a ring: 22×6 or 18×2.
    assert mass.max() <= 22 * 6
    assert mass.min() >= 18 * 2
    assert mass.max() > 115
    assert mass.min() < 50
    grown = mass > 80
    assert (found[grown] >= images[grown]).all()
    assert (found[~grown] <= images[~grown]).all()


def test_affine_augmentations_apply_in_list_order() -> None:
    images = blob(4)
    assert not torch.equal(
        changed(images, Rotate(degrees=90), Shift(pixels=4)), changed(images, Shift(pixels=4), Rotate(degrees=90))
    )


@pytest.mark.parametrize("shape", [(28, 28), (28, 40)], ids=str)
def test_elastic_displacement_is_bounded_and_smooth(shape: tuple[int, int]) -> None:
    rows, columns = (torch.arange(side, dtype=torch.float32) for side in shape)
    across = columns.view(1, 1, 1, -1).expand(MANY, 1, *shape) / 100
    down = rows.view(1, 1, -1, 1).expand(MANY, 1, *shape) / 100
    middle = (..., slice(6, -6), slice(6, -6))  # away from the border, where paper is drawn in
    largest = 0.0
    for slope in (across, down):
        moved = (changed(slope, Elastic(pixels=2.0)) - slope)[middle] * 100
        assert moved.abs().max() <= 2.0 * 1.35  # bicubic curves overshoot their points a little
        assert (moved[..., 1:] - moved[..., :-1]).abs().max() < 1.5
        largest = max(largest, float(moved.abs().max()))
        per_image = moved.flatten(1).mean(1)
        assert per_image.std() > 0.1
        assert per_image.mean().abs() < 0.2
    assert largest > 1.0
