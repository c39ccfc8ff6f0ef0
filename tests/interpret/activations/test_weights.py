"""Weights of a layer as arrays: values and shapes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import (
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
from playground.engine.model.build import list_module_ranges
from playground.interpret.activations.weights import get_layer_weights
from tests import strategies
from tests.interpret.nets import model_of

IMAGE = InputShape(channels=2, height=6, width=5)


def test_kernels_of_a_convolution() -> None:
    model = model_of(Architecture(input=IMAGE, layers=(Conv2d(out_channels=4), GlobalAvgPool(), Output())))
    (weights,) = get_layer_weights(model, 0)
    assert weights.kernels.shape == (4, 2, 3, 3)
    assert weights.is_spatial
    assert weights.name == ""
    module = model.module[0]
    assert isinstance(module, torch.nn.Conv2d)
    assert module.bias is not None
    np.testing.assert_array_equal(weights.kernels, module.weight.numpy())
    assert weights.bias is not None
    np.testing.assert_array_equal(weights.bias, module.bias.numpy())


def test_kernels_of_groups_and_no_bias() -> None:
    conv = Conv2d(out_channels=4, groups=2, bias=False)
    (weights,) = get_layer_weights(model_of(Architecture(input=IMAGE, layers=(conv, GlobalAvgPool(), Output()))), 0)
    assert weights.kernels.shape == (4, 1, 3, 3)
    assert weights.bias is None


def test_linear_weights_after_flatten_have_the_shape_of_the_maps() -> None:
    """The weight at (output, channel, y, x) multiplies that pixel: laid back, the products add up to the score."""
    layers = (
        Conv2d(out_channels=3, padding="same"),
        Flatten(),
        Dropout(),
        Linear(out_features=4, activation="none"),
        Output(),
    )
    model = model_of(Architecture(input=IMAGE, layers=layers))
    (weights,) = get_layer_weights(model, 3)
    assert weights.kernels.shape == (4, 3, 6, 5)
    assert weights.is_spatial
    maps = torch.rand(3, 6, 5)
    linear = model.module[4]
    assert isinstance(linear, torch.nn.Linear)
    assert weights.bias is not None
    by_hand = (weights.kernels * maps.numpy()).sum(axis=(1, 2, 3)) + weights.bias
    np.testing.assert_allclose(by_hand, linear(maps.flatten()).numpy(), rtol=1e-4, atol=1e-5)


def test_weights_of_other_linear_layers_are_rows() -> None:
    layers = (MaxPool2d(), Flatten(), Linear(out_features=7), Output())
    model = model_of(Architecture(input=IMAGE, layers=layers))
    (weights,) = get_layer_weights(model, 3)
    assert weights.kernels.shape == (10, 7, 1, 1)
    assert not weights.is_spatial
    after_pool = model_of(Architecture(input=IMAGE, layers=(GlobalAvgPool(), Output())))
    (weights,) = get_layer_weights(after_pool, 1)
    assert weights.kernels.shape == (10, 2, 1, 1)
    assert not weights.is_spatial


def test_disabled_flatten_is_ignored() -> None:
    layers = (Flatten(), Conv2d(enabled=False), Flatten(enabled=False), Output())
    model = model_of(Architecture(input=IMAGE, layers=layers))
    (weights,) = get_layer_weights(model, 3)
    assert weights.kernels.shape == (10, 2, 6, 5)
    assert get_layer_weights(model, 1) == get_layer_weights(model, 2) == ()


def test_weights_of_a_residual_block_include_inner_layers_and_shortcut() -> None:
    inside = (Conv2d(out_channels=3, padding=1), BatchNorm(), Conv2d(out_channels=4, kernel_size=1, activation="none"))
    model = model_of(Architecture(input=IMAGE, layers=(Residual(layers=inside), GlobalAvgPool(), Output())))
    actual = get_layer_weights(model, 0)
    assert [weights.kernels.shape for weights in actual] == [(3, 2, 3, 3), (4, 3, 1, 1), (4, 2, 1, 1)]
    assert len({weights.name for weights in actual}) == 3
    assert actual[-1].name == "shortcut"
    plain = model_of(
        Architecture(
            input=IMAGE, layers=(Residual(layers=(Conv2d(out_channels=2, padding=1),)), GlobalAvgPool(), Output())
        )
    )
    assert len(get_layer_weights(plain, 0)) == 1


def test_layers_without_weights() -> None:
    model = model_of(Architecture(input=IMAGE, layers=(BatchNorm(), MaxPool2d(), Flatten(), Output())))
    assert [get_layer_weights(model, index) for index in (0, 1, 2)] == [(), (), ()]
    assert get_layer_weights(model, 99) == ()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@given(architecture=strategies.architectures())
@settings(max_examples=50)
def test_every_convolution_and_linear_weight_is_listed_once(architecture: Architecture) -> None:
    model = model_of(architecture)
    for span in list_module_ranges(architecture):
        parts = [part for module in model.module[span.start : span.stop] for part in module.modules()]
        drawn = [part for part in parts if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]
        actual = get_layer_weights(model, span.layer_index)
        assert sum(weights.kernels.size for weights in actual) == sum(part.weight.numel() for part in drawn)
        for weights in actual:
            assert weights.kernels.ndim == 4
            weights.kernels[:] = 0  # a copy, so the network must not change
        assert all(float(part.weight.abs().sum()) > 0 for part in drawn)
