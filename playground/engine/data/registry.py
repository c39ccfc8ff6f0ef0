"""Every data set there is here: the bundled ones, those fetched from others, and one's own."""

from typing import Any

import torch
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.datasets import CUSTOM_PREFIX, DATASETS, Dataset
from playground.core.recipe import MIN_VALIDATION_SIZE, Recipe
from playground.engine.data import mnist
from playground.engine.data.custom import store as own_datasets
from playground.engine.data.fetch import is_downloaded, load_downloaded_tensors, raise_missing_data
from playground.engine.data.pen_digits import load_pen_images
from playground.errors import UnknownNameError

MIN_STEPS_PER_EPOCH = 8
"""Of an epoch, where the batch is made smaller because there are few images."""


def list_datasets() -> dict[str, Dataset]:
    """By name; fetched or not, one's own at the end."""
    return DATASETS | own_datasets.list_custom_datasets()


def find_dataset(name: str) -> Dataset:
    """By name; raises UnknownNameError with the names that there are."""
    known = DATASETS.get(name) or own_datasets.find_custom_dataset(name)
    if known is None and (deleted := own_datasets.find_deleted_dataset(name)):
        raise UnknownNameError(
            f"{deleted.title} has no images any more.",
            expected="What its runs have learnt is still there: draw for them, look inside.",
            fix="To train or to test, bring the images again, or choose another data set.",
        )
    if known is None:
        raise UnknownNameError(
            f"There is no data set {name!r:.80}.", expected=f"There are: {', '.join(list_datasets())}."
        )
    return known


def resolve_dataset(recipe: Recipe, architecture: Architecture) -> Dataset:
    """The data set that a recipe names; one without images, as the network needs it, where there is none (any more)."""
    try:
        return find_dataset(recipe.dataset)
    except UnknownNameError:
        return own_datasets.find_deleted_dataset(recipe.dataset) or Dataset(
            name=recipe.dataset,
            title="a data set that is gone",
            input_shape=architecture.input.shape,
            class_names=_number_classes(architecture.classes),
            train_size=0,
            test_size=0,
            credit="",
        )


def get_class_names(recipe: Recipe, architecture: Architecture) -> tuple[str, ...]:
    """What a network's outputs are called; numbers where its data set is gone, or has another number of classes."""
    names = resolve_dataset(recipe, architecture).class_names
    return names if len(names) == architecture.classes else _number_classes(architecture.classes)


def _number_classes(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def is_available(dataset: Dataset) -> bool:
    """Whether it can be trained on without fetching anything."""
    return not dataset.is_missing and (not dataset.download_mb or is_downloaded(dataset.name))


def ensure_available(name: str) -> None:
    """Raise MissingDataError for a data set that has to be fetched, UnknownNameError for one that there is not."""
    dataset = find_dataset(name)
    if not is_available(dataset):
        raise_missing_data(dataset)


def load_dataset_tensors(name: str) -> dict[str, Tensor]:
    """``train_images`` uint8 (count, channels, height, width), ``train_labels`` int64 (count,), and ``test_…``.

    Raises UnknownNameError, MissingDataError for one that has to be fetched, AssetError or StoreError for damage.
    """
    find_dataset(name)
    if name == "mnist":
        return mnist.load_mnist()
    if name == "mnist+pen":
        digits, pens = mnist.load_mnist(), load_pen_images()
        return digits | {f"train_{part}": torch.cat([digits[f"train_{part}"], pens[part]]) for part in pens}
    if name.startswith(CUSTOM_PREFIX):
        return own_datasets.load_custom_tensors(name)
    return load_downloaded_tensors(name)


def fit_recipe_to_dataset(recipe: Recipe, **overrides: Any) -> Recipe:
    """The recipe with no more than its data set can give, but for values that were ``overrides``: those are set.

    Of the training images at most a fifth becomes validation images; a batch that is larger than what is left becomes
    an eighth of that.
    """
    recipe = recipe.replace(**overrides)
    dataset = find_dataset(recipe.dataset)
    kept = min(recipe.validation_size, max(MIN_VALIDATION_SIZE, dataset.train_size // 5))
    fitted = recipe if kept == recipe.validation_size else recipe.replace(validation_size=kept)
    images = count_training_images(fitted, dataset)
    if recipe.batch_size > images:
        fitted = fitted.replace(batch_size=max(1, images // MIN_STEPS_PER_EPOCH))
    return fitted.replace(**overrides)


def count_training_images(recipe: Recipe, dataset: Dataset) -> int:
    """How many images of a data set a recipe trains on; none where there are too few."""
    left = max(0, dataset.train_size - recipe.validation_size)
    return min(recipe.limit or left, left)
