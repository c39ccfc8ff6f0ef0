"""Activations: computed by hand for a tiny network, and compared with the model for any network."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import (
    Activation,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Output,
    Residual,
)
from playground.engine.metrics import Array
from playground.interpret.activations.activations import compute_activations, compute_statistics
from playground.interpret.model import Model
from tests import strategies
from tests.interpret.nets import model_of, set_weights
from tests.narrowing import require

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

IMAGE = np.array([[[0.0, 1.0, 0.5], [1.0, 0.0, 0.5], [0.25, 0.75, 1.0]]], dtype=np.float32)


def _tiny() -> Model:
    architecture = Architecture(
        input=InputShape(height=3, width=3),
        classes=2,
        layers=(
            Conv2d(out_channels=2, kernel_size=2, id="first"),
            Dropout(p=0.9, enabled=False),
            MaxPool2d(),
            Flatten(),
            Linear(out_features=2, activation="none"),
            Dropout(p=0.9),
            Output(id="last"),
        ),
    )
    model = model_of(architecture)
    set_weights(model.module[0], [[[[1, 0], [0, -1]]], [[[0, 2], [0, 0]]]], [0.5, -1.0])
    set_weights(model.module[4], [[1, 1], [2, -1]], [0.0, 1.0])
    set_weights(model.module[6], [[1, 0], [-1, 3]], [0.25, 0.0])
    return model


def test_activations_of_a_tiny_network_by_hand() -> None:
    conv, pool, flat, linear, dropout, output = compute_activations(_tiny(), IMAGE)
    # Map 0: upper left − lower right + 0.5; map 1: twice the upper right − 1.
    assert conv.pre_activation is not None
    np.testing.assert_allclose(conv.pre_activation, [[[0.5, 1.0], [0.75, -0.5]], [[1.0, 0.0], [-1.0, 0.0]]])
    np.testing.assert_allclose(conv.output, [[[0.5, 1.0], [0.75, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_allclose(pool.output, [[[1.0]], [[1.0]]])
    np.testing.assert_allclose(flat.output, [1.0, 1.0])
    np.testing.assert_allclose(linear.output, [2.0, 2.0])
    np.testing.assert_allclose(dropout.output, [2.0, 2.0])
    np.testing.assert_allclose(output.output, [2.25, 4.0])
    assert [values.pre_activation is None for values in (pool, flat, linear, dropout, output)] == [True] * 5


def test_activations_have_the_index_and_id_of_their_layer() -> None:
    model = _tiny()
    values = compute_activations(model, IMAGE)
    assert [value.layer_index for value in values] == [0, 2, 3, 4, 5, 6]
    assert [value.layer_id for value in values] == [model.architecture.layers[i].id for i in (0, 2, 3, 4, 5, 6)]
    assert (values[0].layer_id, values[-1].layer_id) == ("first", "last")
    assert all(value.output.dtype == np.float32 for value in values)


def test_pre_activation_and_output_of_a_residual_block() -> None:
    architecture = Architecture(
        input=InputShape(height=3, width=3),
        layers=(
            Residual(layers=(Conv2d(out_channels=1, kernel_size=1, activation="none"), Activation())),
            GlobalAvgPool(),
            Output(),
        ),
    )
    model = model_of(architecture)
    block = model.module[0]
    assert isinstance(block.body, torch.nn.Sequential)
    set_weights(block.body[0], [[[[-1]]]], [0.25])
    residual, pooled, _ = compute_activations(model, IMAGE)
    expected = IMAGE + np.maximum(0.25 - IMAGE, 0)
    assert residual.pre_activation is not None
    np.testing.assert_allclose(residual.pre_activation, expected)
    np.testing.assert_allclose(residual.output, expected)
    np.testing.assert_allclose(pooled.output, [expected.mean()], rtol=1e-6)
    assert pooled.pre_activation is None


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.01 * x)),
        ("elu", lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)),
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("tanh", np.tanh),
        ("gelu", lambda x: x * 0.5 * (1 + torch.erf(torch.from_numpy(x) / 2**0.5).numpy())),
    ],
)
def test_output_is_the_activation_of_the_pre_activation(name: str, function: Callable[[Array], Array]) -> None:
    layers = (Conv2d(out_channels=3, kernel_size=2, activation=name), GlobalAvgPool(), Output())
    model = model_of(Architecture(input=InputShape(height=3, width=3), layers=layers), seed=5)
    conv = compute_activations(model, IMAGE)[0]
    pre_activation = require(conv.pre_activation)
    assert (pre_activation < 0).any()
    np.testing.assert_allclose(conv.output, function(pre_activation), rtol=1e-5, atol=1e-6)


def test_batch_norm_uses_its_running_statistics() -> None:
    architecture = Architecture(input=InputShape(height=3, width=3), layers=(BatchNorm(eps=0.1), Flatten(), Output()))
    model = model_of(architecture)
    norm = model.module[0]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(0.5)
    norm.running_var.fill_(0.15)
    before = norm.running_mean.clone()
    values = compute_activations(model, IMAGE)[0]
    np.testing.assert_allclose(values.output, (IMAGE - 0.5) / 0.25**0.5, rtol=1e-5, atol=1e-6)
    assert values.pre_activation is None
    assert torch.equal(norm.running_mean, before)


@given(architecture=strategies.architectures())
@settings(max_examples=40)
def test_last_activations_are_the_logits_of_the_model(architecture: Architecture) -> None:
    model = model_of(architecture)
    image = np.random.default_rng(0).random(architecture.input.shape, dtype=np.float32)
    kept = image.copy()
    values = compute_activations(model, image)
    with torch.inference_mode():
        logits = model.module(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_array_equal(values[-1].output, logits)
    steps = architecture.resolve_layers()
    assert [value.output.shape for value in values] == [step.output_shape for step in steps]
    for value, step in zip(values, steps, strict=True):
        has_own = (
            getattr(step.layer, "activation", "none") not in ("none", "softmax") and step.layer.kind != "activation"
        )
        if step.layer.kind != "output":
            assert (value.pre_activation is not None) == has_own, step.layer
        if value.pre_activation is not None:
            assert value.pre_activation.shape == value.output.shape
    np.testing.assert_array_equal(image, kept)


def test_compute_activations_leaves_the_model_unchanged() -> None:
    model = _tiny()
    first = compute_activations(model, IMAGE)
    first[0].output[:] = 99
    again = compute_activations(model, IMAGE)
    assert again[0].output.max() == 1.0
    assert not model.module.training
    assert not any(module._forward_hooks for module in model.module.modules())


def test_statistics_by_hand() -> None:
    values = np.array([[[0, 0], [0, 0]], [[-1, 0], [2, 3]], [[0, 0], [0, 0]]], dtype=np.float32)
    figures = compute_statistics(values)
    assert (figures.minimum, figures.maximum, figures.dead_channels) == (-1.0, 3.0, 2)
    assert figures.mean == pytest.approx(4 / 12)
    assert figures.zero_fraction == pytest.approx(9 / 12)
    assert compute_statistics(np.array([0, 1, 0], dtype=np.float32)).dead_channels == 2
