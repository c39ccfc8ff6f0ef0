"""Arithmetic of one value: hand-computed, and equal to torch for every layer kind of random architectures."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import AvgPool2d, BatchNorm, Conv2d, Flatten, Layer, Linear, MaxPool2d, Output, Residual
from playground.core.layers.separable_conv2d import SeparableConv2d
from playground.errors import PlaygroundError
from playground.interpret.activations.activations import compute_activations
from playground.interpret.activations.arithmetic import compute_softmax_steps
from playground.interpret.activations.breakdown import explain_channel, name_inputs
from playground.interpret.activations.receptive_field import list_receptive_spans
from tests.interpret.nets import model_of, set_weights
from tests.strategies import architectures

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

RAMP = np.arange(16, dtype=np.float32).reshape(1, 4, 4) / np.float32(16)


def net(*layers: Layer, side: int = 4, channels: int = 1) -> Architecture:
    return Architecture(
        input=InputShape(channels=channels, height=side, width=side),
        classes=3,
        layers=(*layers, Flatten(), Output()),
    )


@given(architecture=architectures(), data=st.data())
@settings(max_examples=60)
def test_explained_values_of_every_layer_equal_pytorch(architecture: Architecture, data: st.DataObject) -> None:
    """Every kind, stride, padding, dilation and groups; batch norm has running statistics as after training."""
    model = model_of(architecture, seed=data.draw(st.integers(0, 99)))
    source = torch.Generator().manual_seed(7)
    for name, tensor in model.module.named_buffers():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.rand(tensor.shape, generator=source) + (0.5 if "var" in name else -0.5))
    image = torch.rand(architecture.input.shape, generator=source).numpy()
    for values in compute_activations(model, image):
        number = data.draw(st.integers(0, len(values.output) - 1))
        channel = explain_channel(model, image, values.layer_index, number)
        expected = values.output[number].reshape(channel.output.shape)
        np.testing.assert_array_equal(channel.output, expected)
        row, column = (data.draw(st.integers(0, size - 1)) for size in channel.output.shape)
        actual = channel.explain_value(row, column)
        # The rounding error of float32 grows with the size of the summands.
        size = 1.0 + sum(
            float(np.abs(term.patch * (1 if term.weights is None else term.weights)).sum())
            for term in actual.contributions
        )
        assert actual.output == pytest.approx(float(expected[row, column]), abs=1e-5 * size)
        assert actual.pre_activation == pytest.approx(float(channel.pre_activation[row, column]), abs=1e-5 * size)
        top, left, bottom, right = actual.patch_box
        assert 0 <= top <= bottom <= channel.inputs.shape[1]
        assert 0 <= left <= right <= channel.inputs.shape[2]


def test_explained_convolution_by_hand() -> None:
    model = model_of(net(Conv2d(out_channels=2, kernel_size=2, padding=1, stride=2, activation="relu")))
    kernel = [[[[1.0, 2.0], [3.0, -1.0]]], [[[0.0, 0.0], [0.0, 4.0]]]]
    set_weights(model.module[0], kernel, [0.5, -1.0])
    corner = explain_channel(model, RAMP, 0, 0).explain_value(0, 0)
    (term,) = corner.contributions
    assert term.inside_mask.tolist() == [[False, False], [False, True]]
    assert (term.patch[1, 1], term.total, corner.pre_activation, corner.output) == (0.0, 0.0, 0.5, 0.5)
    assert corner.patch_box == corner.receptive_box == (0, 0, 1, 1)
    middle = explain_channel(model, RAMP, 0, 0).explain_value(1, 1)
    # Pixels 5, 6, 9, 10 of the ramp, in sixteenths: 5·1 + 6·2 + 9·3 - 10.
    assert middle.contributions[0].total == pytest.approx(34 / 16)
    assert middle.output == pytest.approx(34 / 16 + 0.5)
    assert middle.receptive_box == (1, 1, 3, 3)
    second = explain_channel(model, RAMP, 0, 1).explain_value(0, 0)
    assert (second.pre_activation, second.output) == (-1.0, 0.0)


def test_each_explanation_rule_by_hand() -> None:
    largest = explain_channel(model_of(net(MaxPool2d(kernel_size=2, stride=2, padding=1))), -RAMP, 0, 0).explain_value(
        1, 1
    )
    assert largest.output == pytest.approx(-5 / 16)  # zeros in the padding would be larger: they do not count
    mean = explain_channel(model_of(net(AvgPool2d(kernel_size=2, padding=1))), RAMP, 0, 0).explain_value(0, 1)
    assert mean.output == pytest.approx((1 + 2) / 16 / 4)  # here the padding counts
    model = model_of(net(BatchNorm(eps=0.01)))
    norm = model.module[0]
    for tensor, value in ((norm.running_mean, 0.25), (norm.running_var, 0.08), (norm.weight, 3.0), (norm.bias, 1.0)):
        torch.as_tensor(tensor).fill_(value)
    scaled = explain_channel(model, RAMP, 0, 0).explain_value(2, 0)
    assert scaled.output == pytest.approx((0.5 - 0.25) / 0.3 * 3 + 1)


def test_grouped_convolution_depends_on_its_group_only() -> None:
    model = model_of(net(Conv2d(out_channels=4, kernel_size=1, groups=2), channels=4))
    actual = explain_channel(model, np.ones((4, 4, 4), dtype=np.float32), 0, 3).explain_value(0, 0)
    assert [term.channel for term in actual.contributions] == [2, 3]


def test_weights_of_a_linear_layer_have_the_shape_of_the_flattened_maps() -> None:
    model = model_of(net(MaxPool2d(kernel_size=2), channels=3))
    channel = explain_channel(model, np.random.default_rng(0).random((3, 4, 4), dtype=np.float32), 2, 1)
    assert channel.inputs.shape == (3, 2, 2)
    assert len(channel.explain_value(0, 0).contributions) == 3
    model = model_of(net(Flatten(), Linear(out_features=5)))
    assert explain_channel(model, RAMP, 3, 0).inputs.shape == (1, 1, 5)


def test_branches_of_a_residual_block_add_up() -> None:
    inner = Conv2d(out_channels=1, kernel_size=1, bias=False, activation="none")
    model = model_of(net(Residual(layers=(inner,), activation="none")))
    set_weights(model.module.get_submodule("0.body.0"), [[[[3.0]]]])
    actual = explain_channel(model, RAMP, 0, 0).explain_value(1, 2)
    assert [term.total for term in actual.contributions] == [pytest.approx(18 / 16), pytest.approx(6 / 16)]
    assert actual.output == pytest.approx(24 / 16)


def test_softmax_steps() -> None:
    steps = compute_softmax_steps(np.array([0.0, np.log(3), np.log(4)], dtype=np.float32))
    assert [step.probability for step in steps] == pytest.approx([1 / 8, 3 / 8, 4 / 8])
    assert steps[2].exponential == 1.0
    assert [
        step.probability for step in compute_softmax_steps(np.array([np.log(3)], dtype=np.float32))
    ] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize(("layer", "channel"), [(9, 0), (0, 2), (0, -1)])
def test_missing_layer_or_channel_raises(layer: int, channel: int) -> None:
    model = model_of(net(Conv2d(out_channels=2, kernel_size=1)))
    with pytest.raises(PlaygroundError, match=r"no layer|no channel"):
        explain_channel(model, RAMP, layer, channel)
    with pytest.raises(PlaygroundError, match="4×4"):
        explain_channel(model, RAMP, 0, 0).explain_value(4, 0)


def test_inputs_are_named_by_where_they_come_from() -> None:
    steps = net(Conv2d(padding="same"), MaxPool2d(), SeparableConv2d(padding="same"), Residual()).resolve_layers()
    names = [name_inputs(steps[: position + 1]) for position in range(len(steps))]
    assert names == ["input", "Conv", "inside Separable conv", "inside Residual", "Residual", "Flatten"]


def test_receptive_spans_of_a_map_a_flattened_value_and_a_vector() -> None:
    steps = net(Conv2d(out_channels=2, kernel_size=3)).resolve_layers()  # 4×4 pixels, maps of 2×2 values
    assert list_receptive_spans(steps[:1], 0) == ((0, 3), (1, 4))
    assert list_receptive_spans(steps[:2], 1, channel=5) == ((1, 4),)  # row 0, column 1 of the second map
    assert list_receptive_spans(steps[:2], 0, channel=5) == ((0, 3),)
    assert list_receptive_spans(steps, 1) == ((0, 4),)
