"""Arithmetic of one value: hand-computed, and equal to torch for every layer kind of random architectures."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import AvgPool2d, BatchNorm, Conv2d, Flatten, Linear, MaxPool2d, Output, Residual
from playground.errors import PlaygroundError
from playground.interpret.activations.activations import layer_values
from playground.interpret.activations.arithmetic import class_steps
from playground.interpret.activations.breakdown import look_at_channel
from tests.interpret.nets import model_of, set_weights
from tests.strategies import architectures

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

RAMP = np.arange(16, dtype=np.float32).reshape(1, 4, 4) / 16


def net(*layers: object, side: int = 4, channels: int = 1) -> Architecture:
    return Architecture(
        input=InputShape(channels=channels, height=side, width=side),
        classes=3,
        layers=(*layers, Flatten(), Output()),  # type: ignore[arg-type]
    )


@given(architecture=architectures(), data=st.data())
@settings(max_examples=60)
def test_every_value_of_every_layer_adds_up_to_what_torch_says(architecture: Architecture, data: st.DataObject) -> None:
    """Every kind, stride, padding, dilation, groups; running figures of batch norm as after training, not 0 and 1."""
    model = model_of(architecture, seed=data.draw(st.integers(0, 99)))
    source = torch.Generator().manual_seed(7)
    for name, tensor in model.module.named_buffers():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.rand(tensor.shape, generator=source) + (0.5 if "var" in name else -0.5))
    image = torch.rand(architecture.input.shape, generator=source).numpy()
    for values in layer_values(model, image):
        number = data.draw(st.integers(0, len(values.after) - 1))
        channel = look_at_channel(model, image, values.layer_index, number)
        expected = values.after[number].reshape(channel.after.shape)
        np.testing.assert_array_equal(channel.after, expected)
        row, column = (data.draw(st.integers(0, size - 1)) for size in channel.after.shape)
        found = channel.explain(row, column)
        # The size of what is added up says how far float32 can be off.
        size = 1.0 + sum(
            float(np.abs(term.patch * (1 if term.weights is None else term.weights)).sum()) for term in found.terms
        )
        assert found.result == pytest.approx(float(expected[row, column]), abs=1e-5 * size)
        assert found.total == pytest.approx(float(channel.before[row, column]), abs=1e-5 * size)
        top, left, bottom, right = found.patch_box
        assert 0 <= top <= bottom <= channel.below.shape[1]
        assert 0 <= left <= right <= channel.below.shape[2]


def test_a_convolution_by_hand() -> None:
    model = model_of(net(Conv2d(out_channels=2, kernel_size=2, padding=1, stride=2, activation="relu")))
    kernel = [[[[1.0, 2.0], [3.0, -1.0]]], [[[0.0, 0.0], [0.0, 4.0]]]]
    set_weights(model.module[0], kernel, [0.5, -1.0])
    corner = look_at_channel(model, RAMP, 0, 0).explain(0, 0)
    (term,) = corner.terms
    assert term.is_inside.tolist() == [[False, False], [False, True]]
    assert (term.patch[1, 1], term.total, corner.total, corner.result) == (0.0, 0.0, 0.5, 0.5)
    assert corner.patch_box == corner.field_box == (0, 0, 1, 1)
    middle = look_at_channel(model, RAMP, 0, 0).explain(1, 1)
    # Pixels 5, 6, 9, 10 of the ramp, in sixteenths: 5·1 + 6·2 + 9·3 - 10.
    assert middle.terms[0].total == pytest.approx(34 / 16)
    assert middle.result == pytest.approx(34 / 16 + 0.5)
    assert middle.field_box == (1, 1, 3, 3)
    second = look_at_channel(model, RAMP, 0, 1).explain(0, 0)
    assert (second.total, second.result) == (-1.0, 0.0)


def test_each_rule_by_hand() -> None:
    largest = look_at_channel(model_of(net(MaxPool2d(kernel_size=2, stride=2, padding=1))), -RAMP, 0, 0).explain(1, 1)
    assert largest.result == pytest.approx(-5 / 16)  # zeros in the padding would be larger: they do not count
    mean = look_at_channel(model_of(net(AvgPool2d(kernel_size=2, padding=1))), RAMP, 0, 0).explain(0, 1)
    assert mean.result == pytest.approx((1 + 2) / 16 / 4)  # here the padding counts
    model = model_of(net(BatchNorm(eps=0.01)))
    norm = model.module[0]
    for tensor, value in ((norm.running_mean, 0.25), (norm.running_var, 0.08), (norm.weight, 3.0), (norm.bias, 1.0)):
        torch.as_tensor(tensor).fill_(value)
    scaled = look_at_channel(model, RAMP, 0, 0).explain(2, 0)
    assert scaled.result == pytest.approx((0.5 - 0.25) / 0.3 * 3 + 1)


def test_groups_see_only_their_own_channels() -> None:
    model = model_of(net(Conv2d(out_channels=4, kernel_size=1, groups=2), channels=4))
    found = look_at_channel(model, np.ones((4, 4, 4), dtype=np.float32), 0, 3).explain(0, 0)
    assert [term.channel for term in found.terms] == [2, 3]


def test_a_linear_layer_shows_its_weights_on_the_maps_they_came_from() -> None:
    model = model_of(net(MaxPool2d(kernel_size=2), channels=3))
    channel = look_at_channel(model, np.random.default_rng(0).random((3, 4, 4), dtype=np.float32), 2, 1)
    assert channel.below.shape == (3, 2, 2)
    assert len(channel.explain(0, 0).terms) == 3
    model = model_of(net(Flatten(), Linear(out_features=5)))
    assert look_at_channel(model, RAMP, 3, 0).below.shape == (1, 1, 5)


def test_the_two_ways_of_a_residual_block_add_up() -> None:
    inner = Conv2d(out_channels=1, kernel_size=1, bias=False, activation="none")
    model = model_of(net(Residual(layers=(inner,), activation="none")))
    set_weights(model.module[0].body[0], [[[[3.0]]]])
    found = look_at_channel(model, RAMP, 0, 0).explain(1, 2)
    assert [term.total for term in found.terms] == [pytest.approx(18 / 16), pytest.approx(6 / 16)]
    assert found.result == pytest.approx(24 / 16)


def test_softmax_in_steps() -> None:
    steps = class_steps(np.array([0.0, np.log(3), np.log(4)], dtype=np.float32))
    assert [step.probability for step in steps] == pytest.approx([1 / 8, 3 / 8, 4 / 8])
    assert steps[2].exponential == 1.0
    assert [step.probability for step in class_steps(np.array([np.log(3)], dtype=np.float32))] == pytest.approx(
        [0.25, 0.75]
    )


@pytest.mark.parametrize(("layer", "channel"), [(9, 0), (0, 2), (0, -1)])
def test_what_is_not_there_is_said(layer: int, channel: int) -> None:
    model = model_of(net(Conv2d(out_channels=2, kernel_size=1)))
    with pytest.raises(PlaygroundError, match=r"no layer|no channel"):
        look_at_channel(model, RAMP, layer, channel)
    with pytest.raises(PlaygroundError, match="4×4"):
        look_at_channel(model, RAMP, 0, 0).explain(4, 0)
