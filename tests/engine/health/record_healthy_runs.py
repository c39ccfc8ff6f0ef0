"""Records the metrics of runs for ``test_healthy_runs.py``, and prints their diagnoses.

``python -m tests.engine.health.record_healthy_runs --recipe careful --epochs 2 --limit 6400 guide vgg`` trains two
preset networks and replaces their runs in ``healthy_runs.json``; with ``--seed`` it only prints the diagnoses of other
runs.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.recipe import Recipe
from playground.engine.health.rules import HEALTHY_CODE
from playground.engine.health.training_metrics import TrainingMetrics
from playground.engine.metrics import Evaluation
from playground.engine.training.trainer import Trainer

PATH = Path(__file__).with_name("healthy_runs.json")
_TEXT_FIELDS = ("architecture", "recipe", "class_names")
_DIGITS = 4


class RecordingTrainer(Trainer):
    """Trainer that keeps the metrics of its evaluations."""

    collected: list[TrainingMetrics]

    def _collect_metrics(self, evaluation: Evaluation) -> TrainingMetrics:
        metrics = super()._collect_metrics(evaluation)
        self.collected.append(metrics)
        return metrics


def record_run(architecture: str, recipe: Recipe) -> tuple[list[dict[str, Any]], list[str]]:
    """Train a preset network; return the metrics of its evaluations, and the messages of its diagnoses."""
    trainer = RecordingTrainer(ARCHITECTURE_PRESETS[architecture].architecture, recipe)
    trainer.collected = []
    messages = [
        f"{event.diagnosis}: {event.message}"
        for event in trainer.run()
        if event.kind == "diagnosed" and event.diagnosis != HEALTHY_CODE
    ]
    return [_to_json(metrics) for metrics in trainer.collected], messages


def _to_json(metrics: TrainingMetrics) -> dict[str, Any]:
    fields = {name: value for name, value in vars(metrics).items() if name not in _TEXT_FIELDS}
    rounded: dict[str, Any] = json.loads(json.dumps(fields), parse_float=lambda text: round(float(text), _DIGITS))
    return rounded


def _save_run(run: dict[str, Any]) -> None:
    runs = [one for one in json.loads(PATH.read_text()) if _get_name(one) != _get_name(run)]
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in [*runs, run])
    PATH.write_text(f"[\n{lines}\n]\n")


def _get_name(run: dict[str, Any]) -> tuple[str, str]:
    return run["architecture"], run["recipe"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Record the runs that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architectures", nargs="+", choices=ARCHITECTURE_PRESETS)
    parser.add_argument("--recipe", required=True, choices=RECIPE_PRESETS)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, help="Print the diagnoses of a run with this seed, and record nothing.")
    options = parser.parse_args(arguments)
    recipe = RECIPE_PRESETS[options.recipe].recipe
    epochs = options.epochs or recipe.epochs
    for architecture in options.architectures:
        used = recipe.replace(epochs=epochs, limit=options.limit)
        used = used if options.seed is None else used.replace(seed=options.seed)
        metrics, messages = record_run(architecture, used)
        print(f"{architecture}, {options.recipe}: {metrics[-1]['validation_accuracy']:.2%}", *messages, sep="\n  ")
        if options.seed is None:
            run = {"architecture": architecture, "recipe": options.recipe, "limit": options.limit, "epochs": epochs}
            _save_run(run | {"metrics": metrics})


if __name__ == "__main__":
    main()
