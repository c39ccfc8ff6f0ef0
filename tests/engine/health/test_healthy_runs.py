"""Diagnoses of recorded runs of the preset networks and recipes: none of them has a problem.

``healthy_runs.json`` holds the metrics of every evaluation; ``limit`` and ``epochs`` differ from the recipe preset's.
``python -m tests.engine.health.record_healthy_runs`` records runs, and prints the diagnoses of runs with other seeds.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from playground.core.presets import (
    ARCHITECTURE_PRESETS,
    RECIPE_PRESETS,
    get_architecture_preset,
    get_recipe_preset,
)
from playground.engine.health.rules import HEALTHY_CODE, diagnose
from playground.engine.health.training_metrics import (
    DeadChannels,
    LayerGradient,
    MetricHistory,
    TrainingMetrics,
    update_metric_history,
)

RUNS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("healthy_runs.json").read_text())


PROBLEMATIC = {
    "guide-sigmoid": "learns nothing in its first epoch, which is diagnosed",
    "simple-64": "for color images that have to be downloaded",
    "cifar-exercise": "for color images that have to be downloaded",
}
"""Presets without a healthy run on MNIST, beside the group of pitfalls."""

UNDERFITTING_RUN = ("logistic", "careful")
"""A linear network underfits augmented images, which is diagnosed."""


def test_every_preset_and_recipe_is_recorded() -> None:
    architectures = [
        name for name, preset in ARCHITECTURE_PRESETS.items() if preset.group != "pitfall" and name not in PROBLEMATIC
    ]
    pairs = {(architecture, recipe) for architecture in architectures for recipe in RECIPE_PRESETS}
    assert {(run["architecture"], run["recipe"]) for run in RUNS} == pairs - {UNDERFITTING_RUN}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run['architecture']}-{run['recipe']}")
def test_healthy_run_gets_no_diagnosis(run: dict[str, Any]) -> None:
    recipe = get_recipe_preset(run["recipe"]).recipe.replace(limit=run["limit"], epochs=run["epochs"])
    metric_history = MetricHistory()
    for fields in run["metrics"]:
        metrics = TrainingMetrics(
            get_architecture_preset(run["architecture"]).architecture,
            recipe,
            **{
                **fields,
                "dead_channels": tuple(DeadChannels(*one) for one in fields["dead_channels"]),
                "layer_gradients": tuple(LayerGradient(*one) for one in fields["layer_gradients"]),
            },
        )
        diagnosis = diagnose(metrics, metric_history)
        assert diagnosis.code == HEALTHY_CODE, diagnosis.message
        metric_history = update_metric_history(metric_history, metrics)
