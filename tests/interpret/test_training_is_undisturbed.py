"""Looking never disturbs running: with every lens at work between the batches a run ends in the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from playground.core.architecture import Architecture
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.interpret.activations.activations import layer_values
from playground.interpret.activations.breakdown import look_at_channel
from playground.interpret.activations.weights import layer_weights
from playground.interpret.attribution.counterfactual import counterfactual
from playground.interpret.attribution.pixel_attribution import METHODS, attribute, cam_layers
from playground.interpret.editing import OPERABLE, Scaled, effect, importances
from playground.interpret.evaluation.predictions import judge
from playground.interpret.evaluation.robustness import robustness
from playground.interpret.feature_viz.maximize import DreamSettings, dream
from playground.interpret.feature_viz.top_activations import exemplars
from playground.interpret.model import load_model
from playground.interpret.projection.embedding import Pca, features
from tests.engine.conftest import one_thread
from tests.engine.helpers import (
    AUGMENTATION,
    PLAIN,
    RICH,
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    tiny_images,
    tiny_recipe,
)

__all__ = ["one_thread"]


def look_through_everything(run: Run) -> None:
    """Every lens on the newest snapshot; torch's global random numbers and thread count must not be touched."""
    model = load_model(run)
    data = tiny_images(40, seed=9)
    image = data.image(0)
    for values in layer_values(model, image):
        look_at_channel(model, image, values.layer_index, 0).explain(0, 0)
        layer_weights(model, values.layer_index)
    last = model.architecture.steps()[-1].index
    for method in METHODS:
        if method != "grad_cam" or cam_layers(model):
            attribute(model, image, 1, method)
    list(counterfactual(model, image, steps=5))
    list(dream(model, 0, 0, settings=DreamSettings(steps=4)))
    list(exemplars(model, data, 0))
    list(judge(model, data))
    list(robustness(model, data, count=8))
    Pca.fit(features(model, data.images, last))
    place = next(step.index for step in model.architecture.steps() if step.layer.kind in OPERABLE)
    effect(model, (Scaled(place, 0, 0.0),), data)
    list(importances(model, place, data))


def recorded(architecture: Architecture, *, looks: bool) -> tuple[dict[str, torch.Tensor], list[object]]:
    recipe = tiny_recipe(augmentation=AUGMENTATION)
    run = create_run(architecture, recipe)
    trainer = make_trainer(architecture, recipe)
    script = Script()
    script.trainer = trainer
    stream = []
    with Recorder(run) as recorder:
        for event in recorder.follow(trainer, script):
            stream.append(event)
            if looks and event.kind in ("snapshot_saved", "epoch_done"):
                look_through_everything(run)
    return {name: value.clone() for name, value in trainer.weights().items()}, list(figures(stream))


@pytest.mark.parametrize("architecture", [PLAIN, RICH], ids=["plain", "rich"])
def test_a_run_that_is_looked_into_all_the_time_ends_in_the_same_weights(
    architecture: Architecture, home: Path
) -> None:
    """In one process even, which shares the random numbers: the app looks from a process of its own."""
    state = torch.random.get_rng_state()
    alone, figures_alone = recorded(architecture, looks=False)
    torch.random.set_rng_state(state)
    watched, figures_watched = recorded(architecture, looks=True)
    assert_same_weights(alone, watched)
    assert figures_alone == figures_watched
    assert len(figures_alone) > 10
    assert any(np.abs(value.numpy()).sum() > 0 for value in watched.values())
