"""Weights that were not trained here, or were changed by hand, as a run: to be looked into at once, and trained on."""

from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.events import Evaluated, RunEnded, SnapshotSaved
from playground.core.recipe import Recipe
from playground.engine.model.build import build
from playground.engine.runs.initial_state import Material, save_material
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run, log_line, snapshot_bytes
from playground.engine.training.checks import check_request
from playground.errors import StoreError

MAX_BYTES = 400 * 10**6
_MOST_NAMED = 4


def import_weights(
    content: bytes, architecture: Architecture, recipe: Recipe, *, name: str | None = None, owner: str | None = None
) -> Run:
    """A run that begins with the weights of a safetensors file.

    Raises StoreError for a file that is none, or one of another network, naming what differs.
    """
    check_request(architecture, recipe)
    if len(content) > MAX_BYTES:
        raise StoreError(f"The file is larger than {MAX_BYTES // 10**6} MB.")
    try:
        weights = load_tensors(content)
    except (SafetensorError, ValueError, OverflowError, KeyError) as problem:
        raise StoreError(
            f"This is no file of weights: {str(problem)[:200]}.", expected="A safetensors file, as this program writes."
        ) from problem
    wanted = build(architecture).state_dict()
    differing = [f"{key} is missing" for key in wanted if key not in weights]
    differing += [f"{key!r:.60} is unknown" for key in weights if key not in wanted]
    differing += [
        f"{key} is {tuple(weights[key].shape)} in place of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in weights and weights[key].shape != value.shape
    ]
    if differing:
        more = f" and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
        raise StoreError(
            f"These weights are of another network: {', '.join(differing[:_MOST_NAMED])}{more}.",
            expected="The same layers in the same order, as the network on the page has them.",
        )
    same_kind = {key: weights[key].to(value.dtype) for key, value in wanted.items()}
    recipe = recipe.changed(transferred_lr_share=1.0)  # which is about a part of the weights
    return run_of_weights(architecture, recipe, same_kind, name=name or "Imported", owner=owner)


def run_of_weights(
    architecture: Architecture, recipe: Recipe, weights: dict[str, Tensor], *measured: Evaluated, **record: Any
) -> Run:
    """A run that stands at its beginning with weights that are given, and what was measured of them.

    ``record`` as for ``create_run``; raises StoreError where the disk says no.
    """

    def fill(run: Run) -> None:
        save_material(run, Material(weights))
        run.snapshot_path(0).write_bytes(snapshot_bytes(weights))
        saved, ended = SnapshotSaved(step=0, elapsed_s=0), RunEnded(step=0, elapsed_s=0, status="stopped")
        run.log_path.write_bytes(log_line(saved) + b"".join(map(log_line, measured)) + log_line(ended))

    return create_run(architecture, recipe, fill=fill, **record)
