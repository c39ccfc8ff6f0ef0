"""Create a run from imported or edited weights, to inspect or to train further."""

from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.events import Evaluated, RunEnded, SnapshotSaved
from playground.core.recipe import Recipe
from playground.engine.model.build import build_model
from playground.engine.runs.initial_state import InitialState, save_initial_state
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_event, serialize_snapshot
from playground.engine.training.checks import check_training_config
from playground.errors import StorageError

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
