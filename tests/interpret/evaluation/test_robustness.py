"""Robustness: perturbations against array arithmetic, accuracy computed by hand."""

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Flatten, Output
from playground.engine.data.batch import LabeledImages
from playground.engine.progress import Progress, run_to_end
from playground.errors import DataError
from playground.interpret.evaluation.robustness import (
    PERTURBATIONS,
    Perturbation,
    measure_robustness,
    perturb,
    perturb_at_every_level,
)
from playground.interpret.model import Model
from tests import strategies
from tests.interpret.nets import model_of, set_weights

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

ALL: tuple[Perturbation, ...] = get_args(Perturbation)


def _images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _dots(side: int = 9) -> LabeledImages:
    """One image for each column, with a dot in it in the middle row; labelled 1 where the column is the middle one."""
    images = torch.zeros(side, 1, side, side, dtype=torch.uint8)
    columns = torch.arange(side)
    images[columns, 0, side // 2, columns] = 255
    return LabeledImages(images, (columns == side // 2).long())


def _looks_at_the_middle(side: int = 9, *, sigmoid: bool = False) -> Model:
    """A net that says 1 where the pixel in the middle is brighter than a half, else 0."""
    output = Output(activation="sigmoid") if sigmoid else Output()
    architecture = Architecture(input=InputShape(height=side, width=side), classes=2, layers=(Flatten(), output))
    model = model_of(architecture)
    middle = [0.0] * side**2
    middle[side**2 // 2] = 1.0
    if sigmoid:
        set_weights(model.module[1], [middle], [-0.5])
    else:
        set_weights(model.module[1], [[0.0] * side**2, middle], [0.0, -0.5])
    return model


def test_levels_rise_and_include_the_neutral_level() -> None:
    assert set(PERTURBATIONS) == set(ALL)
    for info in PERTURBATIONS.values():
        assert list(info.levels) == sorted(set(info.levels))
        assert info.neutral_level in info.levels
    ends = {change: (info.levels[0], info.levels[-1]) for change, info in PERTURBATIONS.items()}
    assert ends == {
        "rotation": (-60, 60),
        "shift": (-6, 6),
        "scale": (0.5, 1.6),
        "noise": (0, 0.8),
        "thickness": (-1, 2),
    }


@pytest.mark.parametrize("change", ALL)
def test_the_neutral_level_changes_nothing(change: Perturbation) -> None:
    images = _images(3, 2, 11, 8)
    changed = perturb(images, change, PERTURBATIONS[change].neutral_level)
    assert torch.equal(changed, images)
    assert changed.data_ptr() != images.data_ptr()


@pytest.mark.parametrize("change", ALL)
def test_perturbed_images_keep_shape_and_range(change: Perturbation) -> None:
    images = _images(3, 2, 11, 8)
    kept = images.clone()
    for level in PERTURBATIONS[change].levels:
        changed = perturb(images, change, level)
        assert (changed.shape, changed.dtype) == (images.shape, torch.float32)
        assert changed.min() >= 0
        assert changed.max() <= 1 + 1e-6
        assert level == PERTURBATIONS[change].neutral_level or not torch.equal(changed, images)
    assert torch.equal(images, kept)


@pytest.mark.parametrize("pixels", [-6, -1, 1, 4])
def test_a_shift_by_whole_pixels(pixels: int) -> None:
    images = _images(2, 3, 7, 12)
    rolled = torch.roll(images, pixels, dims=3)
    rolled[..., slice(0, pixels) if pixels > 0 else slice(pixels, None)] = 0
    torch.testing.assert_close(perturb(images, "shift", pixels), rolled, atol=1e-5, rtol=0)


def test_a_shift_by_half_a_pixel_is_a_mean() -> None:
    images = _images(1, 1, 3, 5)
    wanted = (images[..., 1:4] + images[..., 0:3]) / 2
    torch.testing.assert_close(perturb(images, "shift", 0.5)[..., 1:4], wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("turns", [-1, 1, 2])
def test_rotation_by_right_angles(turns: int) -> None:
    images = _images(2, 1, 9, 9)
    turned = torch.rot90(images, turns, dims=(2, 3))
    torch.testing.assert_close(perturb(images, "rotation", 90 * turns), turned, atol=1e-5, rtol=0)


def test_rotation_keeps_lengths_where_an_image_is_not_square() -> None:
    images = torch.zeros(1, 1, 5, 11)
    images[0, 0, 2, 3:8] = 1
    wanted = torch.zeros(1, 1, 5, 11)
    wanted[0, 0, :, 5] = 1
    torch.testing.assert_close(perturb(images, "rotation", 90), wanted, atol=1e-5, rtol=0)


def test_scale_by_hand() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[0, 0, 2:6, 2:6] = 1
    half = torch.zeros(1, 1, 8, 8)
    half[0, 0, 3:5, 3:5] = 1
    torch.testing.assert_close(perturb(images, "scale", 0.5), half, atol=1e-5, rtol=0)
    assert perturb(images, "scale", 2.0)[0, 0, 1:7, 1:7].min() == 1


def test_noise_is_drawn_from_its_seed_and_scaled() -> None:
    images = torch.full((2, 1, 30, 30), 0.5)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    weak, strong = perturb(images, "noise", 0.05), perturb(images, "noise", 0.1)
    assert torch.equal(torch.get_rng_state(), state)
    assert (weak - images).std() == pytest.approx(0.05, rel=0.05)
    torch.testing.assert_close(2 * (weak - images), strong - images, atol=1e-5, rtol=0)
    assert torch.equal(weak, perturb(images, "noise", 0.05))
    assert not torch.equal(weak, perturb(images, "noise", 0.05, seed=1))


def test_thickness_by_hand() -> None:
    images = torch.zeros(1, 1, 7, 7)
    images[0, 0, 2:5, 2:5] = 1
    thin, thick = torch.zeros(1, 1, 7, 7), torch.zeros(1, 1, 7, 7)
    thin[0, 0, 3, 3] = 1
    thick[0, 0, 1:6, 1:6] = 1
    assert torch.equal(perturb(images, "thickness", -1), thin)
    assert torch.equal(perturb(images, "thickness", 1), thick)
    assert torch.equal(perturb(images, "thickness", -0.5), (images + thin) / 2)
    assert torch.equal(perturb(images, "thickness", 1.5), (thick + torch.ones(1, 1, 7, 7)) / 2)


def test_thickness_only_ever_adds_ink() -> None:
    images = _images(2, 1, 12, 12)
    levels = [perturb(images, "thickness", level) for level in PERTURBATIONS["thickness"].levels]
    for thinner, thicker in pairwise(levels):
        assert (thicker >= thinner - 1e-6).all()
        assert thicker.sum() > thinner.sum()


@pytest.mark.parametrize(
    ("change", "level"), [("scale", 0.0), ("scale", -1.0), ("noise", -0.1), ("thickness", np.inf), ("shift", np.nan)]
)
def test_invalid_levels_raise(change: Perturbation, level: float) -> None:
    with pytest.raises(DataError, match="cannot be"):
        perturb(_images(1, 1, 4, 4), change, level)


@pytest.mark.parametrize("sigmoid", [False, True])
def test_accuracy_by_hand(sigmoid: bool) -> None:
    points = run_to_end(measure_robustness(_looks_at_the_middle(sigmoid=sigmoid), _dots()))
    found = {point.level: point.accuracy for point in points if point.perturbation == "shift"}
    # Shifted by one, the middle dot is missed and its neighbour taken for it. By six there is no dot that comes there.
    assert found == pytest.approx(
        {level: 1.0 if level == 0 else 7 / 9 if abs(level) <= 4 else 8 / 9 for level in PERTURBATIONS["shift"].levels}
    )
    # The middle stays in the middle when turned, and no other dot gets there.
    assert {point.accuracy for point in points if point.perturbation == "rotation"} == {1.0}
    # Grown by a whole pixel, a dot reaches the middle from both neighbours, by two pixels from four.
    found = {point.level: point.accuracy for point in points if point.perturbation == "thickness"}
    assert found[1] == pytest.approx(7 / 9)
    assert found[2] == pytest.approx(5 / 9)
    assert found[-1] == pytest.approx(8 / 9)


def test_every_level_is_measured_once() -> None:
    points = run_to_end(measure_robustness(_looks_at_the_middle(), _dots()))
    assert [(point.perturbation, point.level) for point in points] == [
        (change, level) for change, info in PERTURBATIONS.items() for level in info.levels
    ]
    assert {point.size for point in points} == {9}


def test_levels_are_measured_one_by_one_without_changing_global_state() -> None:
    course = measure_robustness(_looks_at_the_middle(), _dots(), count=4)
    change, info = next(iter(PERTURBATIONS.items()))
    count = sum(len(one.levels) for one in PERTURBATIONS.values())
    assert next(course) == Progress(info.title, 0, count)
    assert next(course) == Progress(info.title, 1, count)
    assert not torch.is_inference_mode_enabled()
    points = run_to_end(course)
    assert [(point.perturbation, point.level, point.size) for point in points[:2]] == [
        (change, level, 4) for level in info.levels[:2]
    ]


def test_no_images() -> None:
    with pytest.raises(DataError, match="no images"):
        measure_robustness(_looks_at_the_middle(), _dots(), count=0)


def test_examples_are_one_image_at_every_level() -> None:
    image = _images(1, 6, 6).numpy()
    kept = image.copy()
    for change in ALL:
        shown = perturb_at_every_level(image, change)
        assert tuple(level for level, _ in shown) == PERTURBATIONS[change].levels
        for level, changed in shown:
            wanted = perturb(torch.from_numpy(image)[None], change, level)[0].numpy()
            assert changed.dtype == np.float32
            np.testing.assert_array_equal(changed, wanted)
            changed[:] = 9
    np.testing.assert_array_equal(image, kept)


@given(architecture=strategies.architectures())
@settings(max_examples=15)
def test_robustness_of_any_network(architecture: Architecture) -> None:
    model = model_of(architecture)
    images = (_images(5, *architecture.input.shape) * 255).to(torch.uint8)
    labels = torch.arange(5) % architecture.classes
    points = run_to_end(measure_robustness(model, LabeledImages(images, labels)))
    assert len(points) == sum(len(info.levels) for info in PERTURBATIONS.values())
    assert all(round(point.accuracy * 5, 6).is_integer() for point in points)
    # Every change begins from the same images, so that all curves meet.
    neutral = {point.accuracy for point in points if point.level == PERTURBATIONS[point.perturbation].neutral_level}
    assert len(neutral) == 1
    assert not model.module.training
