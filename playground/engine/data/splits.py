"""Images and labels: a data set's tensors, at any size, split into train, validation and test."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from playground.core.recipe import Recipe
from playground.core.shapes import Shape
from playground.engine.data.batch import LabeledImages
from playground.engine.data.registry import find_dataset, load_dataset_tensors
from playground.engine.rng import make_generator
from playground.errors import RecipeError

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set; no image is in two of them."""

    train: LabeledImages
    validation: LabeledImages
    test: LabeledImages


def load_test_images(name: str, shape: Shape | None = None) -> LabeledImages:
    """The test images of a data set, at their own size or as images of ``shape``; errors as ``load_dataset_tensors``."""
    tensors = load_dataset_tensors(name)
    found = LabeledImages(tensors["test_images"], tensors["test_labels"])
    return found.resize(shape) if shape else found


def load_first_train_images(name: str, count: int) -> LabeledImages:
    """The first training images of a data set, read from the disk without the rest."""
    tensors = load_dataset_tensors(name)
    return LabeledImages(tensors["train_images"][:count], tensors["train_labels"][:count])


@lru_cache(maxsize=2)
def load_splits(name: str, validation_size: int, limit: int | None = None, shape: Shape | None = None) -> Splits:
    """Train, validation and test images of a data set; the same arguments give the same split everywhere.

    The validation images are drawn with equal shares of every class from the training images; ``limit`` then keeps
    so many training images, also with equal shares. Raises what ``load_dataset_tensors`` and ``Images.resized`` raise.
    """
    info = find_dataset(name)
    if validation_size >= info.train_size:
        raise RecipeError(
            f"{validation_size:,} validation images leave nothing to train on.",
            expected=f"{info.title} has {info.train_size:,} training images.",
        )
    tensors = load_dataset_tensors(name)
    everything = LabeledImages(tensors["train_images"], tensors["train_labels"])
    order = shuffle_stratified(everything.labels)
    validation, train = order[:validation_size].sort().values, order[validation_size:]
    if limit is not None:
        train = train[:limit]
    parts = (everything.take(train.sort().values), everything.take(validation), load_test_images(name))
    return Splits(*(part.resize(shape) if shape else part for part in parts))


def load_recipe_splits(recipe: Recipe, shape: Shape | None = None) -> Splits:
    """The splits that a recipe asks for, as images of ``shape``; raises RecipeError for the impossible."""
    own = shape == find_dataset(recipe.dataset).input_shape  # one entry of the memory for both ways to ask
    return load_splits(recipe.dataset, recipe.validation_size, recipe.limit, None if own else shape)


def shuffle_stratified(labels: Tensor) -> Tensor:
    """All places, shuffled with a fixed seed, so that every beginning of the order has equal shares of the classes."""
    shuffled = torch.randperm(len(labels), generator=make_generator("split"))
    rank = torch.empty(len(labels), dtype=torch.float64)
    for label in range(int(labels.max()) + 1):
        places = shuffled[labels[shuffled] == label]
        rank[places] = (torch.arange(len(places), dtype=torch.float64) + 0.5) / len(places)
    return shuffled[torch.argsort(rank[shuffled], stable=True)]
