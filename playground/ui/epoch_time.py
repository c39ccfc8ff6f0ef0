"""Estimated time of an epoch: from the speed of the attached run, or from that of this machine."""

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.core.summary import summarize
from playground.engine.data.dataset_lookup import count_training_images, resolve_dataset
from playground.engine.runs.run import Run
from playground.engine.training.cost_model import estimate_seconds_per_epoch
from playground.ui.services import get_scheduler
from playground.ui.state import get_run_history


def count_epoch_images(architecture: Architecture, recipe: Recipe, run: Run | None) -> int:
    """Count the images of an epoch; a run that trains by this recipe may have additional ones."""
    start = get_run_history(run).start_event if run else None
    if run and start and run.record.recipe.is_equal_except_live_hyperparameters(recipe):
        return start.train_size
    return count_training_images(recipe, resolve_dataset(recipe, architecture))


def estimate_epoch_seconds(architecture: Architecture, recipe: Recipe, run: Run | None) -> float | None:
    """Estimate the seconds of an epoch; None if neither this run nor this machine has shown a speed yet.

    ``run`` gives its speed if it trains this network at this batch size.
    """
    images = count_epoch_images(architecture, recipe, run)
    if not images or not architecture.layers:
        return None
    if run and _is_same_work(architecture, recipe, run):
        history = get_run_history(run)
        if history.epoch:
            return history.elapsed_s / history.epoch
    speed = get_scheduler().reference_images_per_second
    return estimate_seconds_per_epoch(summarize(architecture), recipe, images, speed)


def _is_same_work(architecture: Architecture, recipe: Recipe, run: Run) -> bool:
    is_same_network = run.record.architecture.is_equal_except_dropout_rates(architecture)
    return is_same_network and run.get_current_recipe(get_run_history(run)).replace(epochs=recipe.epochs) == recipe


def format_seconds(seconds: float) -> str:
    """Format an estimated duration: ``under 1 s``, ``about 8 s``, ``about 3 min``, ``about 2 h``."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 90 * 60 else f"about {seconds / 3600:.0f} h"
