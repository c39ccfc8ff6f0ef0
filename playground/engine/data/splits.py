"""Train, validation and test split of a dataset, with images resized to a network's input."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from playground.core.recipe import Recipe
from playground.core.shapes import Shape
from playground.engine.cache import cached
from playground.engine.data.batch import LabeledImages
from playground.engine.data.dataset_lookup import find_dataset, load_labeled_images
from playground.engine.rng import make_generator
from playground.errors import RecipeError

Split = Literal["train", "validation", "test"]

_MAX_CACHED_BYTES = 128 * 2**20  # two splits of MNIST, one of CIFAR-10


@dataclass(frozen=True)
class Splits:
    """Disjoint train, validation and test images of a dataset."""

    train: LabeledImages
    validation: LabeledImages
    test: LabeledImages


def load_test_images(name: str, shape: Shape | None = None) -> LabeledImages:
    """Load the test images, resized to ``shape`` if it is given; raises the errors of ``load_labeled_images``."""
    images = load_labeled_images(name, "test")
    return images.resize(shape) if shape else images


def load_first_train_images(name: str, count: int) -> LabeledImages:
    """Load the first training images without reading the others from the disk."""
    images = load_labeled_images(name, "train")
    return LabeledImages(images.images[:count], images.labels[:count])


@cached(max_bytes=_MAX_CACHED_BYTES)
def load_splits(name: str, validation_size: int, limit: int | None = None, shape: Shape | None = None) -> Splits:
    """Split a dataset; the same arguments give the same split on every machine.

    Validation images are a stratified sample of the training images; ``limit`` keeps a stratified sample of the rest.
    Raises RecipeError and the errors of ``load_labeled_images`` and ``LabeledImages.resize``.
    """
    info = find_dataset(name)
    if validation_size >= info.train_size:
        raise RecipeError(
            f"{validation_size:,} validation images leave no training images.",
            expected=f"Fewer than the {info.train_size:,} training images of {info.title}.",
            fix="Reduce the number of validation images.",
        )
    all_train = load_labeled_images(name, "train")
    order = shuffle_stratified(all_train.labels)
    validation, train = order[:validation_size].sort().values, order[validation_size:]
    if limit is not None:
        train = train[:limit]
    parts = (all_train.take(train.sort().values), all_train.take(validation), load_test_images(name))
    return Splits(*(part.resize(shape) if shape else part for part in parts))


def load_recipe_splits(recipe: Recipe, shape: Shape | None = None) -> Splits:
    """Load the splits of a recipe, resized to ``shape``; raises the errors of ``load_splits``."""
    is_own_shape = shape == find_dataset(recipe.dataset).input_shape  # None is the same request: one cache entry
    return load_splits(recipe.dataset, recipe.validation_size, recipe.limit, None if is_own_shape else shape)


def shuffle_stratified(labels: Tensor) -> Tensor:
    """Shuffle all indices with a fixed seed so that every prefix of the order is stratified by class."""
    shuffled = torch.randperm(len(labels), generator=make_generator("split"))
    rank = torch.empty(len(labels), dtype=torch.float64)
    for label in range(int(labels.max()) + 1):
        indices = shuffled[labels[shuffled] == label]
        rank[indices] = (torch.arange(len(indices), dtype=torch.float64) + 0.5) / len(indices)
    return shuffled[torch.argsort(rank[shuffled], stable=True)]
