"""A data set at a glance: how many images a class has, what they look like, what they look like on average."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.core.augmentations import Augmentation
from playground.engine.data.augment import augment
from playground.engine.data.batch import scale_pixels
from playground.engine.data.registry import find_dataset, load_dataset_tensors

Array = NDArray[np.float32]
_MAX_AVERAGED_IMAGES = 100_000  # images an average is taken of: more make no other picture


@dataclass(frozen=True, eq=False)
class DatasetStats:
    """``train_counts`` and ``test_counts`` of every class; of the first ones what they look like, values 0 to 1.

    ``class_means`` (shown classes, channels, height, width); ``examples`` (shown classes, examples, channels, height,
    width): the first training images of a class; one with fewer has black ones at its end.
    """

    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    class_means: Array
    examples: Array


@lru_cache(maxsize=2)
def compute_dataset_stats(name: str, examples_per_class: int = 12, *, max_classes: int = 20) -> DatasetStats:
    """Look at all of a data set; raises what ``load_dataset_tensors`` raises."""
    tensors = load_dataset_tensors(name)
    classes = len(find_dataset(name).class_names)
    images, labels = tensors["train_images"][:_MAX_AVERAGED_IMAGES], tensors["train_labels"][:_MAX_AVERAGED_IMAGES]
    few = min(classes, max_classes)
    averages = np.zeros((few, *images.shape[1:]), dtype=np.float32)
    shown = np.zeros((few, examples_per_class, *images.shape[1:]), dtype=np.float32)
    for label in range(few):
        places = (labels == label).nonzero()[:, 0]
        if len(places):
            averages[label] = _compute_mean(images, places)
            shown[label, : min(examples_per_class, len(places))] = scale_pixels(
                images[places[:examples_per_class]]
            ).numpy()
    return DatasetStats(
        _count_labels(tensors["train_labels"], classes), _count_labels(tensors["test_labels"], classes), averages, shown
    )


def make_augmented_copies(image: Array, augmentations: Sequence[Augmentation], count: int, *, seed: int = 0) -> Array:
    """``count`` versions of an image (channels, height, width), values 0 to 1, as training would see them."""
    batch = torch.from_numpy(np.array(image, dtype=np.float32)).expand(count, *image.shape).contiguous()
    changed: Array = augment(batch, augmentations, seed=seed, step=0).numpy()
    return changed


def _compute_mean(images: Tensor, indices: Tensor) -> Array:
    total = torch.zeros(images.shape[1:], dtype=torch.float64)
    for part in torch.split(indices, 2000):
        total += images[part].double().sum(0)
    mean: Array = (total / len(indices) / 255).float().numpy()
    return mean


def _count_labels(labels: Tensor, classes: int) -> tuple[int, ...]:
    return tuple(torch.bincount(labels, minlength=classes).tolist())
