"""A data set at a glance: how many images a class has, what they look like, what they look like on average."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.core.recipe import Augmentation
from playground.engine.data.augment import augment
from playground.engine.data.batch import scale_pixels
from playground.engine.data.registry import dataset_tensors, find_dataset

Array = NDArray[np.float32]
_FIRST = 100_000  # images an average is taken of: more make no other picture


@dataclass(frozen=True, eq=False)
class Overview:
    """``train_counts`` and ``test_counts`` of every class; of the first ones what they look like, values 0 to 1.

    ``averages`` (shown classes, channels, height, width); ``examples`` (shown classes, examples, channels, height,
    width): the first training images of a class; one with fewer has black ones at its end.
    """

    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    averages: Array
    examples: Array


@lru_cache(maxsize=2)
def overview(name: str, examples: int = 12, *, shown_classes: int = 20) -> Overview:
    """Look at all of a data set; raises what ``dataset_tensors`` raises."""
    tensors = dataset_tensors(name)
    classes = len(find_dataset(name).class_names)
    images, labels = tensors["train_images"][:_FIRST], tensors["train_labels"][:_FIRST]
    few = min(classes, shown_classes)
    averages = np.zeros((few, *images.shape[1:]), dtype=np.float32)
    shown = np.zeros((few, examples, *images.shape[1:]), dtype=np.float32)
    for label in range(few):
        places = (labels == label).nonzero()[:, 0]
        if len(places):
            averages[label] = _mean(images, places)
            shown[label, : min(examples, len(places))] = scale_pixels(images[places[:examples]]).numpy()
    return Overview(
        _counts(tensors["train_labels"], classes), _counts(tensors["test_labels"], classes), averages, shown
    )


def augmented(image: Array, augmentations: Sequence[Augmentation], count: int, *, seed: int = 0) -> Array:
    """``count`` versions of an image (channels, height, width), values 0 to 1, as training would see them."""
    batch = torch.from_numpy(np.array(image, dtype=np.float32)).expand(count, *image.shape).contiguous()
    changed: Array = augment(batch, augmentations, seed=seed, step=0).numpy()
    return changed


def _mean(images: Tensor, places: Tensor) -> Array:
    total = torch.zeros(images.shape[1:], dtype=torch.float64)
    for part in torch.split(places, 2000):
        total += images[part].double().sum(0)
    mean: Array = (total / len(places) / 255).float().numpy()
    return mean


def _counts(labels: Tensor, classes: int) -> tuple[int, ...]:
    return tuple(torch.bincount(labels, minlength=classes).tolist())
