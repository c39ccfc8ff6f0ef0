"""Fork a run: a new run that continues from a checkpoint of another one, with changed settings."""

import contextlib
from dataclasses import asdict
from typing import Any

from playground.core.architecture import Architecture
from playground.core.events import Forked
from playground.core.recipe import DATA_FIELDS, Recipe
from playground.engine.health.training_metrics import MetricHistory
from playground.engine.runs.recorder import link_or_copy, read_truncated_log, save_checkpoint
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_event
from playground.engine.training.checks import check_training_config
from playground.errors import RecipeError


def fork_run(parent: Run, step: int, recipe: Recipe, *, name: str | None = None, owner: str | None = None) -> Run:
    """Create a run that stands where ``parent`` was at ``step`` and continues with ``recipe`` when it is resumed.

    It has copies of the parent's log and snapshots up to that step, so that the parent may be deleted. Weights and
    position in the data are the parent's, and so is the state of the optimizer unless it is of another kind. Raises
    StorageError where the parent has no checkpoint at ``step``, RecipeError for settings that a fork cannot have.
    """
    checkpoint = parent.load_checkpoint(step)
    before = Recipe.from_json(checkpoint["recipe"])
    architecture = parent.record.architecture.with_dropout_rates(
        Architecture.from_json(checkpoint["architecture"]).dropout_rates
    )
    _check_fork_recipe(before, recipe, trained_epochs=checkpoint["epoch"])
    check_training_config(architecture, recipe)
    same_optimizer = recipe.optimizer.kind == before.optimizer.kind
    changes = _diff_recipes(before, recipe)
    changed: dict[str, Any] = {"recipe": recipe.to_canonical_json()}
    if not same_optimizer:
        changed["optimizer"] = None
    if changes:
        changed |= {
            "metric_history": asdict(MetricHistory()),
            "recent_losses": [],  # losses and accuracies under other settings are not comparable
            "recent_counts": [],
        }
    at = {"step": step, "elapsed_s": round(checkpoint["elapsed_s"], 4)}
    forked = Forked(**at, parent=parent.id, changes=changes)

    def fill(run: Run) -> None:
        log = read_truncated_log(parent, checkpoint) + serialize_event(forked)
        run.log_path.write_bytes(log)
        if parent.initial_state_path.exists():
            link_or_copy(parent.initial_state_path, run.initial_state_path)
        for earlier in parent.list_snapshot_steps():
            with contextlib.suppress(FileNotFoundError):  # pruned by the parent at this moment
                if earlier <= step:
                    link_or_copy(parent.get_snapshot_path(earlier), run.get_snapshot_path(earlier))
        save_checkpoint(run, checkpoint | changed | {"log_bytes": len(log)})

    return create_run(
        architecture, recipe, name=name, owner=owner, parent=parent.id, parent_step=step, write_initial_files=fill
    )


def load_recipe_at(run: Run, step: int) -> Recipe:
    """Load the recipe, with its changes, at a step with a checkpoint; raises StorageError where there is none."""
    return Recipe.from_json(run.load_checkpoint(step)["recipe"])


def _check_fork_recipe(parent_recipe: Recipe, recipe: Recipe, *, trained_epochs: int) -> None:
    other = [name for name in DATA_FIELDS if getattr(parent_recipe, name) != getattr(recipe, name)]
    if other:
        raise RecipeError(
            f"A fork keeps its parent's images: {', '.join(other)} cannot change.",
            expected="Otherwise it would be evaluated on images that it was trained on.",
            fix="Train a new run for that.",
        )
    if recipe.epochs <= trained_epochs:
        raise RecipeError(
            f"{trained_epochs} epochs were trained at that step already, and the fork is to have {recipe.epochs}.",
            expected="Epochs are counted from the parent's start.",
            fix=f"Set epochs to {trained_epochs + 1} or more, or choose an earlier step.",
        )


def _diff_recipes(before: Recipe, after: Recipe) -> dict[str, tuple[Any, Any]]:
    # The JSON leaves out fields of later versions that have their default value.
    old, new = (dict(recipe) | recipe.model_dump(mode="json") for recipe in (before, after))
    return {name: (old[name], new[name]) for name in new if old[name] != new[name]}
