"""Lookup of datasets by name: bundled, downloaded and custom ones."""

from collections.abc import Callable
from typing import Any

import torch

from playground.core.architecture import Architecture
from playground.core.datasets import CUSTOM_ORIGIN, DATASETS, Dataset
from playground.core.recipe import MIN_VALIDATION_SIZE, Recipe
from playground.engine.data.batch import LabeledImages, StoredSplit
from playground.engine.data.custom.store import (
    find_custom_dataset,
    find_deleted_dataset,
    list_custom_datasets,
    load_custom_tensors,
)
from playground.engine.data.fetch import is_downloaded, load_downloaded_tensors, raise_missing_data
from playground.engine.data.mnist import load_mnist
from playground.engine.data.pen_digits import load_pen_images
from playground.engine.progress import Steps, run_to_end
from playground.errors import UnknownNameError

MIN_STEPS_PER_EPOCH = 8
"""Least number of steps per epoch where the batch size is reduced because there are few images."""


def list_datasets() -> dict[str, Dataset]:
    """List all datasets by name, downloaded or not; custom datasets come last."""
    return DATASETS | list_custom_datasets()


def find_dataset(name: str) -> Dataset:
    """Find a dataset by name; raises UnknownNameError."""
    dataset = DATASETS.get(name) or find_custom_dataset(name)
    if dataset is None and (deleted := find_deleted_dataset(name)):
        raise UnknownNameError(
            f"The images of {deleted.title} were deleted.",
            expected="Training and evaluation need the images. Drawing and Inspect still work for its runs.",
            fix="Upload the images again, or choose another dataset.",
        )
    if dataset is None:
        raise UnknownNameError(f"There is no dataset {name!r:.80}.", expected=f"One of {', '.join(list_datasets())}.")
    return dataset


def resolve_dataset(recipe: Recipe, architecture: Architecture) -> Dataset:
    """Return a recipe's dataset, or a stand-in without images (``is_missing``) that fits the network."""
    try:
        return find_dataset(recipe.dataset)
    except UnknownNameError:
        return find_deleted_dataset(recipe.dataset) or Dataset(
            name=recipe.dataset,
            title="a deleted dataset",
            input_shape=architecture.input.shape,
            class_names=_number_classes(architecture.classes),
            train_size=0,
            test_size=0,
            credit="",
        )


def get_class_names(recipe: Recipe, architecture: Architecture) -> tuple[str, ...]:
    """Return the class names of a network's outputs; numbers if its dataset is missing or has other classes."""
    names = resolve_dataset(recipe, architecture).class_names
    return names if len(names) == architecture.classes else _number_classes(architecture.classes)


def _number_classes(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def is_available(dataset: Dataset) -> bool:
    """Return True if the dataset can be used without a download."""
    return not dataset.is_missing and (not dataset.download_mb or is_downloaded(dataset.name))


def ensure_available(name: str) -> None:
    """Raise DatasetUnavailableError for a dataset that is not downloaded, UnknownNameError for an unknown one."""
    dataset = find_dataset(name)
    if not is_available(dataset):
        raise_missing_data(dataset)


def load_labeled_images(name: str, split: StoredSplit) -> LabeledImages:
    """Load the training or the test images, uint8 (count, channels, height, width); errors as in steps."""
    return run_to_end(load_labeled_images_in_steps(name, split))


def load_labeled_images_in_steps(name: str, split: StoredSplit) -> Steps[LabeledImages]:
    """Load the training or the test images in steps; the other images are neither created nor read.

    Raises UnknownNameError, DatasetUnavailableError for a dataset that is not downloaded, AssetError or StorageError
    for damaged files.
    """
    dataset = find_dataset(name)
    if dataset.origin != CUSTOM_ORIGIN and not dataset.download_mb:
        return (yield from BUNDLED_LOADERS[dataset.origin.parser](split))
    tensors = load_downloaded_tensors(name) if dataset.download_mb else load_custom_tensors(name)
    return LabeledImages(tensors[f"{split}_images"], tensors[f"{split}_labels"])


def _load_mnist_with_pen_digits(split: StoredSplit) -> Steps[LabeledImages]:
    mnist = yield from load_mnist(split)
    if split == "test":
        return mnist
    pen_digits = yield from load_pen_images()
    return LabeledImages(torch.cat([mnist.images, pen_digits.images]), torch.cat([mnist.labels, pen_digits.labels]))


BUNDLED_LOADERS: dict[str, Callable[[StoredSplit], Steps[LabeledImages]]] = {
    "mnist": load_mnist,
    "mnist_with_pen_digits": _load_mnist_with_pen_digits,
}
"""Loaders of datasets that come with the program, by ``DatasetOrigin.parser``."""


def fit_recipe_to_dataset(recipe: Recipe, **overrides: Any) -> Recipe:
    """Reduce the validation and batch size of a recipe to its dataset; ``overrides`` are set as they are.

    At most a fifth of the training images become validation images. A batch size above the number of remaining images
    becomes an eighth of it.
    """
    recipe = recipe.replace(**overrides)
    dataset = find_dataset(recipe.dataset)
    validation_size = min(recipe.validation_size, max(MIN_VALIDATION_SIZE, dataset.train_size // 5))
    fitted = recipe if validation_size == recipe.validation_size else recipe.replace(validation_size=validation_size)
    training_size = count_training_images(fitted, dataset)
    if recipe.batch_size > training_size:
        fitted = fitted.replace(batch_size=max(1, training_size // MIN_STEPS_PER_EPOCH))
    return fitted.replace(**overrides)


def count_training_images(recipe: Recipe, dataset: Dataset) -> int:
    """Count the images that a recipe trains on; 0 if the dataset is too small."""
    available = max(0, dataset.train_size - recipe.validation_size)
    return min(recipe.limit or available, available)
