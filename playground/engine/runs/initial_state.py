"""What a run begins with beside its recipe: another net's weights, and images that its data set does not have."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.engine.data.batch import Images
from playground.engine.data.splits import splits_for
from playground.engine.runs.run import Run
from playground.engine.training.checks import check_request
from playground.engine.training.trainer import Trainer
from playground.errors import StoreError

_WEIGHT = "weight/"


@dataclass(frozen=True)
class Material:
    """``weights`` to begin with, by name, and ``images`` to train on beside the data's.

    Weights that are not there are drawn from the seed; the recipe has a learning rate for those that are.
    """

    weights: dict[str, Tensor]
    images: Images | None = None


NOTHING = Material({})


def material_of(run: Run) -> Material:
    """What the run's folder holds of it, mostly nothing; raises StoreError for a damaged file."""
    try:
        tensors = load_tensors(run.material_path.read_bytes())
    except FileNotFoundError:
        return NOTHING
    except (OSError, SafetensorError) as problem:
        raise StoreError(
            f"What run {run.id} began with cannot be read: {problem}.",
            fix="Train again from its parent.",
        ) from problem
    weights = {name.removeprefix(_WEIGHT): value for name, value in tensors.items() if name.startswith(_WEIGHT)}
    images = Images(tensors["images"], tensors["labels"]) if "images" in tensors else None
    return Material(weights, images)


def save_material(run: Run, material: Material) -> None:
    """Write it into the folder of a run that is being made."""
    tensors = {f"{_WEIGHT}{name}": value.contiguous() for name, value in material.weights.items()}
    if material.images is not None:
        tensors |= {"images": material.images.images, "labels": material.images.labels}
    run.material_path.write_bytes(save_tensors(tensors))


def trainer_for(architecture: Architecture, recipe: Recipe, material: Material = NOTHING, **options: Any) -> Trainer:
    """A trainer that begins with ``material``; ``options`` and errors as Trainer's."""
    options["transferred"] = material.weights.keys()
    if material.images is None:
        trainer = Trainer(architecture, recipe, **options)
    else:
        check_request(architecture, recipe)
        splits = splits_for(recipe, architecture.input.shape)
        own = material.images.resized(architecture.input.shape)
        train = Images(torch.cat([splits.train.images, own.images]), torch.cat([splits.train.labels, own.labels]))
        trainer = Trainer(architecture, recipe, splits=replace(splits, train=train), **options)
    if material.weights:
        try:
            trainer.model.load_state_dict(trainer.model.state_dict() | material.weights)
        except RuntimeError as problem:
            raise StoreError("The weights to begin with do not fit the network.", expected=str(problem)) from problem
    return trainer
