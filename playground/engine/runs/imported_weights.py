"""Create a run from imported or edited weights, to inspect or to train further."""

from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.events import Evaluated, RunEnded, SnapshotSaved
from playground.core.recipe import Recipe
from playground.core.summary import summarize
from playground.engine.data.custom.store import import_record
from playground.engine.data.dataset_lookup import fit_recipe_to_dataset, resolve_dataset
from playground.engine.model.build import build_model
from playground.engine.runs.initial_state import InitialState, save_initial_state
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_event, serialize_snapshot
from playground.engine.training.checks import check_training_config
from playground.errors import StorageError
from playground.web.page_file import PublishedNetwork

MAX_WEIGHTS_BYTES = 400 * 10**6
_MAX_NAMED_KEYS = 4


def import_weights(
    content: bytes, architecture: Architecture, recipe: Recipe, *, name: str | None = None, owner: str | None = None
) -> Run:
    """Create a run that starts from the weights of a safetensors file.

    Raises StorageError for another kind of file, or weights of another network, naming the differences.
    """
    check_training_config(architecture, recipe)
    if len(content) > MAX_WEIGHTS_BYTES:
        raise StorageError(f"The file is larger than {MAX_WEIGHTS_BYTES // 10**6} MB.")
    try:
        weights = load_tensors(content)
    except (SafetensorError, ValueError, OverflowError, KeyError) as error:
        raise StorageError(
            f"This is not a file of weights: {str(error)[:200]}.",
            expected="A safetensors file, as this program exports it.",
        ) from error
    return _create_checked_run(weights, architecture, recipe, name=name, owner=owner)


def import_published_network(
    network: PublishedNetwork, *, dataset: str | None = None, name: str | None = None, owner: str | None = None
) -> Run:
    """Create a run from the network of a published page; ``dataset`` replaces that of its recipe.

    The dataset may be missing here, as that of another person is: then only its class names are stored. Raises
    StorageError for weights of another network, and as ``check_training_config`` for a dataset that does not fit.
    """
    recipe = network.recipe if dataset is None else network.recipe.replace(dataset=dataset)
    is_missing = resolve_dataset(recipe, network.architecture).is_missing
    if dataset is not None or not is_missing:
        recipe = fit_recipe_to_dataset(recipe)
        check_training_config(network.architecture, recipe)
    if summarize(network.architecture).parameters > sum(values.size for values in network.weights.values()):
        # Before the network is built, since a damaged page may describe one that needs all memory.
        raise StorageError("The page has fewer weights than its network.", fix="Download the page again.")
    weights = {key: torch.from_numpy(np.array(values)) for key, values in network.weights.items()}
    run = _create_checked_run(weights, network.architecture, recipe, name=name or network.title, owner=owner)
    if is_missing and network.dataset_record:
        import_record(recipe.dataset, network.dataset_record)
    return run


def _create_checked_run(
    weights: dict[str, Tensor], architecture: Architecture, recipe: Recipe, *, name: str | None, owner: str | None
) -> Run:
    """Create a run; raises StorageError for weights of another network, naming the differences."""
    wanted = build_model(architecture).state_dict()
    differing = [f"{key} is missing" for key in wanted if key not in weights]
    differing += [f"{key!r:.60} is unknown" for key in weights if key not in wanted]
    differing += [
        f"{key} is {tuple(weights[key].shape)} in place of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in weights and weights[key].shape != value.shape
    ]
    if differing:
        more = f" and {len(differing) - _MAX_NAMED_KEYS} more" if len(differing) > _MAX_NAMED_KEYS else ""
        raise StorageError(
            f"These weights are of another network: {', '.join(differing[:_MAX_NAMED_KEYS])}{more}.",
            expected="The same layers in the same order, as the network on the page has them.",
        )
    same_kind = {key: weights[key].to(value.dtype) for key, value in wanted.items()}
    recipe = recipe.replace(transferred_lr_scale=1.0)  # it concerns runs that transfer only a part of the weights
    return create_run_from_weights(architecture, recipe, same_kind, name=name or "Imported", owner=owner)


def create_run_from_weights(
    architecture: Architecture, recipe: Recipe, weights: dict[str, Tensor], *evaluations: Evaluated, **run_options: Any
) -> Run:
    """Create a run at step 0 with the given weights and their evaluations.

    ``run_options`` as for ``create_run``; raises StorageError where a write fails.
    """

    def fill(run: Run) -> None:
        save_initial_state(run, InitialState(weights))
        run.get_snapshot_path(0).write_bytes(serialize_snapshot(weights))
        saved, ended = SnapshotSaved(step=0, elapsed_s=0), RunEnded(step=0, elapsed_s=0, status="stopped")
        run.log_path.write_bytes(
            serialize_event(saved) + b"".join(map(serialize_event, evaluations)) + serialize_event(ended)
        )

    return create_run(architecture, recipe, write_initial_files=fill, **run_options)
