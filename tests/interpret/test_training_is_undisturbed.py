"""Interpretation does not change training: with every method run between batches, the weights end the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from playground.core.architecture import Architecture
from playground.engine.progress import run_to_end
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.training.command_sources import NullCommandSource
from playground.interpret.activations.activations import compute_activations
from playground.interpret.activations.breakdown import explain_channel
from playground.interpret.activations.weights import get_layer_weights
from playground.interpret.attribution.counterfactual import find_counterfactual
from playground.interpret.attribution.methods import ATTRIBUTION_METHODS
from playground.interpret.attribution.pixel_attribution import attribute, list_cam_layers
from playground.interpret.editing import ChannelScale, compute_ablation_scores, measure_edits
from playground.interpret.evaluation.dataset_predictions import predict_dataset
from playground.interpret.evaluation.robustness import measure_robustness
from playground.interpret.feature_viz.maximize import MaximizationSettings, maximize_activation
from playground.interpret.feature_viz.top_activations import find_top_activations
from playground.interpret.model import load_model
from playground.interpret.projection.embedding import PcaProjection, extract_layer_features
from tests.engine.conftest import one_thread
from tests.engine.helpers import (
    AUGMENTATION,
    PLAIN,
    RICH,
    assert_same_weights,
    figures,
    make_trainer,
    tiny_images,
    tiny_recipe,
)

__all__ = ["one_thread"]


def look_through_everything(run: Run) -> None:
    """Every interpretation of the newest snapshot; torch's random numbers and thread count must not be touched."""
    model = load_model(run)
    data = tiny_images(40, seed=9)
    image = data.get_image(0)
    for values in compute_activations(model, image):
        explain_channel(model, image, values.layer_index, 0).explain_value(0, 0)
        get_layer_weights(model, values.layer_index)
    last = model.architecture.resolve_layers()[-1].index
    for method in ATTRIBUTION_METHODS:
        if not ATTRIBUTION_METHODS[method].needs_layer or list_cam_layers(model):
            attribute(model, image, 1, method)
    list(find_counterfactual(model, image, steps=5))
    list(maximize_activation(model, 0, 0, settings=MaximizationSettings(steps=4)))
    run_to_end(find_top_activations(model, data, 0))
    run_to_end(predict_dataset(model, data))
    run_to_end(measure_robustness(model, data, count=8))
    PcaProjection.fit(extract_layer_features(model, data.images, last))
    place = next(
        step.index for step in model.architecture.resolve_layers() if step.layer.get_channel_module_index() is not None
    )
    run_to_end(measure_edits(model, (ChannelScale(place, 0, 0.0),), data))
    run_to_end(compute_ablation_scores(model, place, data))


def recorded(architecture: Architecture, *, looks: bool) -> tuple[dict[str, torch.Tensor], list[object]]:
    recipe = tiny_recipe(augmentation=AUGMENTATION)
    run = create_run(architecture, recipe)
    trainer = make_trainer(architecture, recipe)
    stream = []
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, NullCommandSource()):
            stream.append(event)
            if looks and event.kind in ("snapshot_saved", "epoch_done"):
                look_through_everything(run)
    return {name: value.clone() for name, value in trainer.get_weights().items()}, list(figures(stream))


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
