"""A data set at a glance, and what augmentation makes of one image."""

import numpy as np
import pytest

from playground.core.recipe import Flip, Noise, Shift
from playground.engine.data.registry import dataset_tensors
from playground.engine.data.splits import load_test
from playground.interpret.dataset_stats import augmented, overview


@pytest.fixture(scope="module")
def seen():
    return overview("mnist", 3)


def test_every_image_is_counted(seen) -> None:
    assert sum(seen.train_counts) == 60_000
    assert sum(seen.test_counts) == 10_000
    assert seen.train_counts[1] == 6742  # as everybody counts them


def test_averages_are_of_the_class(seen) -> None:
    tensors = dataset_tensors("mnist")
    ones = tensors["train_images"][tensors["train_labels"] == 1].numpy()
    assert np.allclose(seen.averages[1], ones.mean(axis=0) / 255, atol=1e-5)


def test_examples_are_the_first_of_each_class(seen) -> None:
    tensors = dataset_tensors("mnist")
    first = int((tensors["train_labels"] == 7).nonzero()[0])
    assert np.allclose(seen.examples[7, 0], tensors["train_images"][first].numpy() / 255)
    assert seen.examples.shape == (10, 3, 1, 28, 28)


def test_augmented_versions_differ_and_nothing_stays_without() -> None:
    image = load_test("mnist").image(0)
    same = augmented(image, (), 3)
    assert all(np.array_equal(version, image) for version in same)
    shifted = augmented(image, (Shift(pixels=3), Noise(std=0.1)), 3)
    assert not np.array_equal(shifted[0], shifted[1])
    assert np.array_equal(augmented(image, (Shift(pixels=3),), 3), augmented(image, (Shift(pixels=3),), 3))


def test_a_flip_mirrors() -> None:
    image = load_test("mnist").image(0)
    assert np.allclose(augmented(image, (Flip(p=1),), 1)[0], image[:, :, ::-1], atol=1e-5)
