"""Statistics of a dataset: class counts, example images, mean images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.core.augmentations import Augmentation
from playground.engine.cache import ByteBoundedCache
from playground.engine.data.augment import augment
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.data.dataset_lookup import find_dataset, load_labeled_images_in_steps
from playground.engine.progress import Progress, Steps

Array = NDArray[np.float32]
_MAX_AVERAGED_IMAGES = 100_000  # images that are averaged: more do not change the means visibly


@dataclass(frozen=True, eq=False)
class DatasetStats:
    """Image counts of all classes; mean and example images of the first ``max_classes``, values 0 to 1.

    ``class_means`` (classes, channels, height, width); ``examples`` (classes, examples, channels, height, width): the
    first training images of each class, padded with black ones.
    """

    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    class_means: Array
    examples: Array


_cache: ByteBoundedCache[tuple[str, int, int], DatasetStats] = ByteBoundedCache(16 * 2**20)


def compute_dataset_stats(name: str, examples_per_class: int = 12, *, max_classes: int = 20) -> Steps[DatasetStats]:
    """Compute the statistics of a dataset in steps; raises the errors of ``load_labeled_images_in_steps``.

    The statistics are cached, and sessions that ask for the same ones at a time share the steps.
    """

    def compute() -> Steps[DatasetStats]:
        train = yield from load_labeled_images_in_steps(name, "train")
        test = yield from load_labeled_images_in_steps(name, "test")
        classes = len(find_dataset(name).class_names)
        return (yield from _compute_stats(train, test, classes, examples_per_class, min(classes, max_classes)))

    return _cache.get_or_compute_in_steps((name, examples_per_class, max_classes), compute)


def _compute_stats(
    train: LabeledImages, test: LabeledImages, classes: int, examples_per_class: int, shown_classes: int
) -> Steps[DatasetStats]:
    images, labels = train.images[:_MAX_AVERAGED_IMAGES], train.labels[:_MAX_AVERAGED_IMAGES]
    means = np.zeros((shown_classes, *images.shape[1:]), dtype=np.float32)
    examples = np.zeros((shown_classes, examples_per_class, *images.shape[1:]), dtype=np.float32)
    for label in range(shown_classes):
        yield Progress("Computing the mean images", label, shown_classes)
        indices = (labels == label).nonzero()[:, 0]
        if len(indices):
            means[label] = _compute_mean(images, indices)
            examples[label, : min(examples_per_class, len(indices))] = scale_pixels(
                images[indices[:examples_per_class]]
            ).numpy()
    return DatasetStats(_count_labels(train.labels, classes), _count_labels(test.labels, classes), means, examples)


def make_augmented_copies(image: Array, augmentations: Sequence[Augmentation], count: int, *, seed: int = 0) -> Array:
    """Augment an image (channels, height, width), values 0 to 1, ``count`` times as training does."""
    batch = torch.from_numpy(np.array(image, dtype=np.float32)).expand(count, *image.shape).contiguous()
    copies: Array = augment(batch, augmentations, seed=seed, step=0).numpy()
    return copies


def _compute_mean(images: Tensor, indices: Tensor) -> Array:
    total = torch.zeros(images.shape[1:], dtype=torch.float64)
    for part in torch.split(indices, 2000):
        total += images[part].double().sum(0)
    mean: Array = (total / len(indices) / 255).float().numpy()
    return mean


def _count_labels(labels: Tensor, classes: int) -> tuple[int, ...]:
    return tuple(torch.bincount(labels, minlength=classes).tolist())
