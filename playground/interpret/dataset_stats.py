"""Statistics of a dataset: class counts, example images, mean images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.core.augmentations import Augmentation
from playground.engine.cache import cached
from playground.engine.data.augment import augment
from playground.engine.data.batch import scale_pixels
from playground.engine.data.dataset_lookup import find_dataset, load_dataset_tensors

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


@cached(max_bytes=16 * 2**20)
def compute_dataset_stats(name: str, examples_per_class: int = 12, *, max_classes: int = 20) -> DatasetStats:
    """Compute the statistics of a dataset; raises the errors of ``load_dataset_tensors``."""
    tensors = load_dataset_tensors(name)
    classes = len(find_dataset(name).class_names)
    images, labels = tensors["train_images"][:_MAX_AVERAGED_IMAGES], tensors["train_labels"][:_MAX_AVERAGED_IMAGES]
    shown_classes = min(classes, max_classes)
    means = np.zeros((shown_classes, *images.shape[1:]), dtype=np.float32)
    examples = np.zeros((shown_classes, examples_per_class, *images.shape[1:]), dtype=np.float32)
    for label in range(shown_classes):
        indices = (labels == label).nonzero()[:, 0]
        if len(indices):
            means[label] = _compute_mean(images, indices)
            examples[label, : min(examples_per_class, len(indices))] = scale_pixels(
                images[indices[:examples_per_class]]
            ).numpy()
    return DatasetStats(
        _count_labels(tensors["train_labels"], classes), _count_labels(tensors["test_labels"], classes), means, examples
    )


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
