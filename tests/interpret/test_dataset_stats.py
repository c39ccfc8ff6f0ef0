"""A data set at a glance, and what augmentation makes of one image."""

import numpy as np
import pytest

from playground.core.augmentations.flip import Flip
from playground.core.augmentations.noise import Noise
from playground.core.augmentations.shift import Shift
from playground.engine.data.dataset_lookup import load_labeled_images
from playground.engine.data.splits import load_test_images
from playground.engine.progress import run_to_end
from playground.interpret.dataset_stats import DatasetStats, compute_dataset_stats, make_augmented_copies


@pytest.fixture(scope="module")
def seen() -> DatasetStats:
    return run_to_end(compute_dataset_stats("mnist", 3))


def test_every_image_is_counted(seen: DatasetStats) -> None:
    assert sum(seen.train_counts) == 60_000
    assert sum(seen.test_counts) == 10_000
    assert seen.train_counts[1] == 6742  # as everybody counts them


def test_averages_are_of_the_class(seen: DatasetStats) -> None:
    train = load_labeled_images("mnist", "train")
    ones = train.images[train.labels == 1].numpy()
    assert np.allclose(seen.class_means[1], ones.mean(axis=0) / 255, atol=1e-5)


def test_examples_are_the_first_of_each_class(seen: DatasetStats) -> None:
    train = load_labeled_images("mnist", "train")
    first = int((train.labels == 7).nonzero()[0])
    assert np.allclose(seen.examples[7, 0], train.images[first].numpy() / 255)
    assert seen.examples.shape == (10, 3, 1, 28, 28)


def test_augmented_versions_differ_and_nothing_stays_without() -> None:
    image = load_test_images("mnist").get_image(0)
    same = make_augmented_copies(image, (), 3)
    assert all(np.array_equal(version, image) for version in same)
    shifted = make_augmented_copies(image, (Shift(pixels=3), Noise(std=0.1)), 3)
    assert not np.array_equal(shifted[0], shifted[1])
    assert np.array_equal(
        make_augmented_copies(image, (Shift(pixels=3),), 3), make_augmented_copies(image, (Shift(pixels=3),), 3)
    )


def test_a_flip_mirrors() -> None:
    image = load_test_images("mnist").get_image(0)
    assert np.allclose(make_augmented_copies(image, (Flip(p=1),), 1)[0], image[:, :, ::-1], atol=1e-5)
