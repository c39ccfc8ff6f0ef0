"""Exported Keras code, executed: a run's shapes, parameters, scores, and the same steps of training."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from playground.engine.build import build, class_scores
from playground.engine.optimize import lr_at, make_optimizer
from playground.errors import ArchitectureError
from playground.exchange.keras import to_keras
from playground.spec.architecture import Architecture, InputShape
from playground.spec.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    Output,
    Residual,
)
from playground.spec.presets import ARCHITECTURES, architecture_preset, recipe_preset
from playground.spec.recipe import (
    Adagrad,
    Adam,
    AdamW,
    Constant,
    Cosine,
    OneCycle,
    Optimizer,
    Recipe,
    RmsProp,
    Rotate,
    Schedule,
    Sgd,
    StepDecay,
)
from playground.spec.summary import summarize
from tests import strategies
from tests.exchange.exported import executed

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(autouse=True)
def _fresh_keras() -> Iterator[None]:
    yield
    keras.utils.clear_session()


@pytest.mark.parametrize(("name", "recipe"), [("guide", None), ("guide", "sprint"), ("residual", None)])
def test_code_is_the_golden_file(name: str, recipe: str | None) -> None:
    """``UPDATE_GOLDEN=1`` writes the files anew; look at the difference before you commit it."""
    preset = architecture_preset(name)
    code = to_keras(preset.architecture, recipe_preset(recipe).recipe if recipe else None, title=preset.title)
    path = GOLDEN / f"keras-{'-'.join(filter(None, (name, recipe)))}.py.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(code, encoding="utf-8")
    assert code == path.read_text(encoding="utf-8")


def _run(architecture: Architecture) -> nn.Sequential:
    """A network as a run leaves it: running figures that are not the fresh ones must be carried over too."""
    module = build(architecture, seed=3)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=noise) + 0.5)
    return module.eval()


def _images(architecture: Architecture, count: int = 2) -> torch.Tensor:
    return torch.rand(count, *architecture.input.shape, generator=torch.Generator().manual_seed(2))


def _channels_last(images: torch.Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = images.permute(0, 2, 3, 1).contiguous().numpy()
    return found


def _check_same(architecture: Architecture, folder: Path) -> None:
    module, images = _run(architecture), _images(architecture)
    path = folder / "weights.safetensors"
    save_file(module.state_dict(), path)
    exported = executed(to_keras(architecture))
    model = exported["make_model"](logits=True)
    exported["load_weights"](model, path)
    with torch.inference_mode():
        scores = module(images)
    found = model.predict(_channels_last(images), verbose=0)
    np.testing.assert_allclose(found, scores.numpy(), rtol=1e-4, atol=1e-4)
    assert sum(weight.size for weight in map(np.asarray, _trainable(model))) == summarize(architecture).parameters
    told = [tuple(layer.output.shape[1:]) for layer in model.layers if layer.output is not None]
    _check_in_order(told, [_last(row.output_shape) for row in summarize(architecture).rows if row.enabled])


def _trainable(model: Any) -> list[Any]:
    return [weight.numpy() for weight in map(keras.ops.stop_gradient, model.trainable_weights)]
