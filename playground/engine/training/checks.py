"""Checks of an architecture, a recipe and data before training."""

from playground.core.architecture import Architecture
from playground.core.recipe import MIN_VALIDATION_SIZE, Recipe
from playground.core.summary import summarize
from playground.engine.data.dataset_lookup import count_training_images, find_dataset
from playground.engine.data.splits import Splits
from playground.engine.training.errors import make_batch_size_error
from playground.errors import ArchitectureError, RecipeError


def check_training_config(architecture: Architecture, recipe: Recipe) -> None:
    """Check that a network, a recipe and its dataset fit together, without loading the data.

    Raises RecipeError if they do not, ArchitectureError for a network without trainable weights.
    """
    _check_trainable(architecture)
    dataset = find_dataset(recipe.dataset)
    images = count_training_images(recipe, dataset)
    if not images:
        raise RecipeError(
            f"{dataset.title} has {dataset.train_size:,} training images, and {recipe.validation_size:,} are kept out "
            "for validation: none is left for training.",
            expected=f"At least {MIN_VALIDATION_SIZE} images for validation, and more for training.",
            fix="Choose fewer validation images." if dataset.train_size > MIN_VALIDATION_SIZE else "Add more images.",
        )
    if recipe.batch_size > images:
        raise make_batch_size_error(recipe.batch_size, images)
    _check_batch_norm(architecture, recipe)
    count = len(dataset.class_names)
    if architecture.classes != count:
        raise RecipeError(
            f'The network has {architecture.classes} outputs; "{dataset.title}" has {count} classes.',
            expected="One output per class of the dataset.",
            fix=f'Set "classes" to {count}.',
        )


def check_training_data(architecture: Architecture, recipe: Recipe, splits: Splits) -> None:
    """Check that a network and a recipe fit the loaded data; raises as ``check_training_config``."""
    _check_trainable(architecture)
    if recipe.batch_size > len(splits.train):
        raise make_batch_size_error(recipe.batch_size, len(splits.train))
    shape = tuple(splits.train.images.shape[1:])
    if shape != architecture.input.shape:
        raise RecipeError(
            f"The network's input is {architecture.input.shape}; the images of {recipe.dataset} are {shape}.",
            expected="Channels, height and width must be the same.",
        )
    _check_batch_norm(architecture, recipe)
    if architecture.classes <= int(splits.train.labels.max()):
        raise RecipeError(
            f"The network has {architecture.classes} outputs; {recipe.dataset} has more classes.",
            expected=f"At least {int(splits.train.labels.max()) + 1} outputs.",
        )


def _check_trainable(architecture: Architecture) -> None:
    if not summarize(architecture).trainable_parameters:
        raise ArchitectureError(
            "The network has no trainable weights: every layer is frozen.",
            expected="At least one trainable layer, usually the output.",
            fix='Set "trainable" of the output to true.',
        )


def _check_batch_norm(architecture: Architecture, recipe: Recipe) -> None:
    trained = [step.layer for step in architecture.resolve_layers() if step.layer.trainable]
    layers = [inner for layer in trained for inner in (layer, *layer.inner_layers) if inner.enabled]
    if recipe.batch_size == 1 and any(layer.uses_batch_statistics and layer.trainable for layer in layers):
        raise RecipeError(
            "Batch norm cannot train with a batch size of 1: it has no variance to measure.",
            fix="Choose a batch size of at least 2.",
        )
