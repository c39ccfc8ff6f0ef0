"""This project's trainer with everything that a run in the app does: log, snapshots, checkpoints, evaluations."""

import statistics
from typing import Any

from benchmarks.contenders.process import serve_requests
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run
from playground.engine.training.command_sources import NullCommandSource
from playground.engine.training.trainer import Trainer
from playground.engine.workers.malloc import retain_freed_memory


def _train_recorded(net: str, recipe: Recipe) -> Any:
    architecture = get_architecture_preset(net).architecture
    trainer = Trainer(architecture, recipe)
    with Recorder(create_run(architecture, recipe)) as recorder:
        yield from recorder.run_trainer(trainer, NullCommandSource())


def measure_throughput(
    seconds: float, batch_size: int, net: str = "guide", recipe: str = "sprint", precision: str = "auto"
) -> Any:
    """Measure training images per second for about ``seconds``; evaluations are not counted."""
    settings = get_recipe_preset(recipe).recipe.replace(batch_size=batch_size, epochs=100, precision=precision)
    first, rates = None, []
    for event in _train_recorded(net, settings):
        if event.kind != "step_done" or event.step < 20:
            continue
        first = first or event
        rates.append(event.images_per_second)
        if event.elapsed_s - first.elapsed_s > seconds:
            break
    return {"images_per_second": statistics.harmonic_mean(rates)}


def measure_time_to_accuracy(seed: int, target: float, net: str, recipe: str, limit: int | None = None) -> Any:
    """Measure the seconds of a whole run, evaluations included; None if it does not reach ``target``."""
    accuracy, elapsed_s = 0.0, 0.0
    settings = get_recipe_preset(recipe).recipe.replace(seed=seed, limit=limit)
    for event in _train_recorded(net, settings):
        if event.kind == "evaluated" and event.split == "test":
            accuracy, elapsed_s = event.accuracy, event.elapsed_s
    reached = accuracy >= target
    return {"seconds": elapsed_s if reached else None, "epochs": settings.epochs, "accuracy": accuracy}


if __name__ == "__main__":
    retain_freed_memory()
    serve_requests(measure_throughput, measure_time_to_accuracy)
