"""What can go wrong with a training, in words that help."""

import torch

from playground.core.architecture import Architecture
from playground.core.recipe import MIN_VALIDATION_SIZE, Recipe
from playground.core.summary import summarize
from playground.engine.data.registry import count_training_images, find_dataset
from playground.engine.data.splits import Splits
from playground.errors import ArchitectureError, DivergedError, OutOfMemoryError, PlaygroundError, RecipeError

DIVERGENCE_THRESHOLD = 1e4
"""Cross-entropy from which no run came back: guessing gives ln(classes), about 2.3 for ten."""


def check_training_config(architecture: Architecture, recipe: Recipe) -> None:
    """Raise RecipeError where network, recipe and data set cannot go together, before anything is loaded.

    Raises ArchitectureError where there is nothing to train.
    """
    _check_trainable(architecture)
    dataset = find_dataset(recipe.dataset)
    images = count_training_images(recipe, dataset)
    if not images:
        raise RecipeError(
            f"{dataset.title} has {dataset.train_size:,} training images, and {recipe.validation_size:,} are kept out "
            "for validation: none is left to train on.",
            expected=f"At least {MIN_VALIDATION_SIZE} for validation, and some to learn from.",
            fix="Choose fewer validation images." if dataset.train_size > MIN_VALIDATION_SIZE else "Bring more images.",
        )
    if recipe.batch_size > images:
        raise _make_batch_size_error(recipe.batch_size, images)
    _check_batch_norm(architecture, recipe)
    if architecture.classes != len(dataset.class_names):
        raise RecipeError(
            f"The network has {architecture.classes} classes, {dataset.title} has {len(dataset.class_names)}.",
            expected="Every class of the data needs one of the network's, and the other way round.",
            fix=f'Set "classes" to {len(dataset.class_names)}.',
        )


def check_training_data(architecture: Architecture, recipe: Recipe, splits: Splits) -> None:
    """Raise RecipeError where network, recipe and data do not go together, ArchitectureError for nothing to train."""
    _check_trainable(architecture)
    if recipe.batch_size > len(splits.train):
        raise _make_batch_size_error(recipe.batch_size, len(splits.train))
    shape = tuple(splits.train.images.shape[1:])
    if shape != architecture.input.shape:
        raise RecipeError(
            f"The network takes {architecture.input.shape} images, {recipe.dataset} has {shape}.",
            expected="Channels, height and width must be the same.",
        )
    _check_batch_norm(architecture, recipe)
    if architecture.classes <= int(splits.train.labels.max()):
        raise RecipeError(
            f"The network has {architecture.classes} classes, {recipe.dataset} has more.",
            expected=f"It needs {int(splits.train.labels.max()) + 1}.",
        )


def _check_trainable(architecture: Architecture) -> None:
    if not summarize(architecture).trainable_parameters:
        raise ArchitectureError(
            "Every layer is frozen: there is nothing to train.",
            expected="At least one layer with weights learns, mostly the output.",
            fix='Set "trainable" of the output to true.',
        )


def _check_batch_norm(architecture: Architecture, recipe: Recipe) -> None:
    trained = [step.layer for step in architecture.resolve_layers() if step.layer.trainable]
    layers = [one for layer in trained for one in (layer, *getattr(layer, "layers", ())) if one.enabled]
    if recipe.batch_size == 1 and any(layer.kind == "batch_norm" and layer.trainable for layer in layers):
        raise RecipeError(
            "Batch norm cannot train on batches of one image: there is no spread to measure.",
            fix="Choose a batch size of at least 2.",
        )


def _make_batch_size_error(batch_size: int, train_size: int) -> RecipeError:
    return RecipeError(
        f"A batch of {batch_size:,} is larger than the {train_size:,} training images.",
        expected="A batch is a part of the training images.",
        fix=f"Choose a batch size of at most {train_size:,}.",
    )


def make_divergence_error(step: int, loss: float, lr: float) -> DivergedError:
    """The error for a loss from which no run comes back."""
    became = f"rose to {loss:.3g}" if loss == loss else "became not-a-number (NaN)"
    return DivergedError(
        f"The loss {became} at step {step}, with learning rate {lr:g}.",
        expected="The steps were too long: each one overshot, and the next one more so.",
        fix=f"Train again with a learning rate of {_format_lr(lr / 10)} or less.",
    )


def _format_lr(lr: float) -> str:
    return f"{min(lr, 0.01):.0e}".replace("e-0", "e-")


def convert_memory_error(error: RuntimeError, recipe: Recipe) -> PlaygroundError:
    """The error for a device without memory; any other RuntimeError is raised again."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in text or "out of memory" in text:
        return OutOfMemoryError(
            f"The device ran out of memory at batch size {recipe.batch_size}.",
            expected=text.splitlines()[0][:200],
            fix="Choose a smaller batch size, fewer channels, or pool earlier.",
        )
    raise error
