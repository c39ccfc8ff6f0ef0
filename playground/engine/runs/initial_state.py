"""Initial weights and extra images of a run."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.engine.data.batch import LabeledImages
from playground.engine.data.splits import load_recipe_splits
from playground.engine.runs.run import Run
from playground.engine.training.checks import check_training_config
from playground.engine.training.trainer import Trainer
from playground.errors import StorageError

_WEIGHT_PREFIX = "weight/"


@dataclass(frozen=True)
class InitialState:
    """Weights by name that replace random ones, and training images in addition to the dataset's.

    The recipe scales the learning rate of these weights; see ``transferred_lr_scale``.
    """

    weights: dict[str, Tensor]
    extra_images: LabeledImages | None = None


EMPTY_INITIAL_STATE = InitialState({})


def load_initial_state(run: Run) -> InitialState:
    """Load the initial state of a run, for most runs an empty one; raises StorageError for a damaged file."""
    try:
        tensors = load_tensors(run.initial_state_path.read_bytes())
    except FileNotFoundError:
        return EMPTY_INITIAL_STATE
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"The initial state of run {run.id} cannot be read: {error}.",
            fix="Train again from its parent.",
        ) from error
    weights = {
        name.removeprefix(_WEIGHT_PREFIX): value for name, value in tensors.items() if name.startswith(_WEIGHT_PREFIX)
    }
    images = LabeledImages(tensors["images"], tensors["labels"]) if "images" in tensors else None
    return InitialState(weights, images)


def save_initial_state(run: Run, initial_state: InitialState) -> None:
    """Write the initial state into the folder of a run that is being created."""
    tensors = {f"{_WEIGHT_PREFIX}{name}": value.contiguous() for name, value in initial_state.weights.items()}
    if initial_state.extra_images is not None:
        tensors |= {"images": initial_state.extra_images.images, "labels": initial_state.extra_images.labels}
    run.initial_state_path.write_bytes(save_tensors(tensors))


def create_trainer(
    architecture: Architecture,
    recipe: Recipe,
    initial_state: InitialState = EMPTY_INITIAL_STATE,
    **trainer_options: Any,
) -> Trainer:
    """Create a trainer that starts from ``initial_state``; options and errors as those of ``Trainer``."""
    trainer_options["transferred_names"] = initial_state.weights.keys()
    if initial_state.extra_images is None:
        trainer = Trainer(architecture, recipe, **trainer_options)
    else:
        check_training_config(architecture, recipe)
        splits = load_recipe_splits(recipe, architecture.input.shape)
        own = initial_state.extra_images.resize(architecture.input.shape)
        train = LabeledImages(
            torch.cat([splits.train.images, own.images]), torch.cat([splits.train.labels, own.labels])
        )
        trainer = Trainer(architecture, recipe, splits=replace(splits, train=train), **trainer_options)
    if initial_state.weights:
        try:
            trainer.model.load_state_dict(trainer.model.state_dict() | initial_state.weights)
        except RuntimeError as error:
            raise StorageError("The initial weights do not fit the network.", expected=str(error)) from error
    return trainer
