"""Activation maximization: by hand for linear networks, against the model for any, and without side effects."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import (
    Activation,
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
from playground.errors import PlaygroundError
from playground.interpret.activations.activations import compute_activations
from playground.interpret.feature_viz.maximize import (
    OBJECTIVES,
    MaximizationResult,
    MaximizationSettings,
    Objective,
    maximize_activation,
)
from playground.interpret.model import Model
from tests import strategies
from tests.interpret.nets import model_of, set_weights
from tests.narrowing import require_type

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

PARAMETERIZATIONS = ("pixel", "fourier")
NEURON_OBJECTIVES: tuple[Objective, ...] = ("channel", "center")
QUICK = MaximizationSettings(steps=40)


def _model(*layers: Layer, side: int = 9, classes: int = 2) -> Model:
    return model_of(Architecture(input=InputShape(height=side, width=side), classes=classes, layers=layers))


def _last(
    model: Model, layer_index: int, channel: int, objective: Objective = "channel", **changed: Any
) -> MaximizationResult:
    settings = replace(MaximizationSettings(), **changed)
    return list(maximize_activation(model, layer_index, channel, objective, settings))[-1][1]


def _edge_net() -> Model:
    """A kernel of three rows −1, 0, 1: it looks for what is dark on the left and bright on the right."""
    model = _model(Conv2d(out_channels=2), GlobalAvgPool(), Output())
    edge = [[[-1.0, 0, 1]] * 3]
    set_weights(model.module[0], [edge, [[[0.0] * 3] * 3]], [-10.0, 0.5])
    return model


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_center_objective_of_an_edge_kernel_gives_an_edge(parameterization: str) -> None:
    found = _last(_edge_net(), 0, 0, "center", parameterization=parameterization)
    # The middle of 7×7 values is (3, 3): it sees rows and columns 3 to 5 of the image.
    assert (found.image[0, 3:6, 5] > 0.9).all()
    assert (found.image[0, 3:6, 3] < 0.1).all()
    assert found.score == pytest.approx(3 - 10, abs=0.3)
    assert found.initial_score == pytest.approx(-10, abs=0.3)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_channel_objective_of_an_edge_kernel_gives_edges(parameterization: str) -> None:
    found = _last(_edge_net(), 0, 0, "channel", parameterization=parameterization)
    # A column counts −1 as a left one and 1 as a right one: only the outer two on each side count as one of them.
    assert found.image[0, 1:8, 7:].mean() > 0.9
    assert found.image[0, 1:8, :2].mean() < 0.1
    # At most: two columns of windows, seven windows of three rows each, of 49 values.
    assert found.score == pytest.approx(42 / 49 - 10, abs=0.1)


def test_constant_channel_keeps_its_score() -> None:
    for objective in NEURON_OBJECTIVES:
        found = _last(_edge_net(), 0, 1, objective, steps=16)
        assert found.score == found.initial_score == 0.5


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_class_objective_of_a_linear_network_follows_its_weights(parameterization: str, activation: str) -> None:
    model = _model(Flatten(), Output(activation=activation), side=12)
    weights = np.where(np.arange(12) < 6, 0.5, -0.25) * np.ones((12, 1))
    rows = [weights] if activation == "sigmoid" else [-weights, weights]
    set_weights(model.module[1], [row.ravel().tolist() for row in rows], [0.125] * len(rows))
    towards = _last(model, 1, 1, "class", parameterization=parameterization)
    # The borders of the halves, where a shift changes the sign, are left out.
    assert towards.image[0, :, 2:4].mean() > 0.9
    assert towards.image[0, :, 8:10].mean() < 0.1
    assert towards.score == pytest.approx(6 * 12 * 0.5 + 0.125, rel=0.2)
    away = _last(model, 1, 0, "class", parameterization=parameterization)
    assert away.image[0, :, 2:4].mean() < 0.1
    assert away.image[0, :, 8:10].mean() > 0.9
    with torch.inference_mode():
        logits = model.module(torch.from_numpy(away.image)[None])[0].tolist()
    assert away.score == pytest.approx(-logits[0] if activation == "sigmoid" else logits[0], abs=1e-4)
    assert away.score > 10


def test_output_layer_maximizes_the_logit_for_any_objective() -> None:
    model = _model(Flatten(), Output(activation="sigmoid"))
    wanted = [frame.score for _, frame in maximize_activation(model, 1, 0, "class", QUICK)]
    for objective in NEURON_OBJECTIVES:
        assert [frame.score for _, frame in maximize_activation(model, 1, 0, objective, QUICK)] == wanted


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("inside", [False, True], ids=["plain", "in a block"])
def test_inactive_relus_can_be_activated(parameterization: str, inside: bool) -> None:
    conv = Conv2d(out_channels=1, kernel_size=1, activation="relu")
    first = Residual(layers=(conv, Conv2d(out_channels=2, kernel_size=1, activation="none"))) if inside else conv
    model = _model(first, GlobalAvgPool(), Linear(out_features=1), Output())
    set_weights(model.module.get_submodule("0.body.0" if inside else "0"), [[[[1.0]]]], [-0.6])
    if inside:
        set_weights(model.module.get_submodule("0.body.2"), [[[[1.0]]]] * 2, [0.0, 0.0])
        set_weights(model.module.get_submodule("0.shortcut"), [[[[0.0]]]] * 2, [0.0, 0.0])
    linear = require_type(model.module[4], nn.Linear)
    set_weights(linear, [[1.0] * linear.in_features], [0.0])
    found = _last(model, 2, 0, parameterization=parameterization)
    assert found.initial_score == 0
    assert found.score > 0.05


@given(
    architecture=strategies.architectures(),
    objective=st.sampled_from(tuple(OBJECTIVES)),
    parameterization=st.sampled_from(PARAMETERIZATIONS),
    draws=st.data(),
)
@settings(max_examples=25)
def test_any_layer_of_any_network(
    architecture: Architecture, objective: Objective, parameterization: Any, draws: st.DataObject
) -> None:
    model = model_of(architecture)
    steps = architecture.resolve_layers()
    place = len(steps) - 1 if objective == "class" else draws.draw(st.integers(0, len(steps) - 1))
    is_output = place == len(steps) - 1
    count = architecture.classes if is_output else steps[place].output_shape[0]
    channel = draws.draw(st.integers(0, count - 1))
    kept = {name: weight.clone() for name, weight in model.module.state_dict().items()}
    settings = replace(QUICK, parameterization=parameterization)
    frames = [frame for _, frame in maximize_activation(model, steps[place].index, channel, objective, settings)]

    assert [frame.step for frame in frames] == [0, 8, 16, 24, 32, 40]
    assert all(frame.image.shape == architecture.input.shape for frame in frames)
    assert all(frame.image.dtype == np.float32 for frame in frames)
    assert all(frame.image.min() >= 0 and frame.image.max() <= 1 for frame in frames)
    assert frames[0].score == frames[0].initial_score == frames[-1].initial_score
    scores = [frame.score for frame in frames]
    assert scores == sorted(scores)
    for frame in (frames[0], frames[-1]):
        wanted = _objective(model, place, channel, objective, frame.image)
        assert frame.score == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    if _rises_nearby(model, place, channel, objective, frames[0].image):  # not behind a ReLU that is shut
        assert frames[-1].score > frames[0].score
    assert not model.module.training
    assert all(weight.grad is None and not weight.requires_grad for weight in model.module.parameters())
    assert all(torch.equal(weight, kept[name]) for name, weight in model.module.state_dict().items())


def _objective(model: Model, place: int, channel: int, objective: Objective, image: np.ndarray) -> float:
    """The same number from the arithmetic of one image's values."""
    values = compute_activations(model, image)
    found = values[place]
    after = found.output if found.pre_activation is None else found.pre_activation
    if model.architecture.resolve_layers()[place].layer.kind == "activation":
        after = values[place - 1].output if place else image
    if place == len(values) - 1 and len(after) == 1:
        return float(after[0]) * (1 if channel else -1)
    chosen = after[channel]
    if objective == "center" and chosen.ndim == 2:
        return float(chosen[chosen.shape[0] // 2, chosen.shape[1] // 2])
    return float(chosen.mean())


def _rises_nearby(model: Model, place: int, channel: int, objective: Objective, image: np.ndarray) -> bool:
    """Return whether some small random change of an image increases the objective."""
    changes = np.random.default_rng(0).uniform(-0.05, 0.05, (16, *image.shape)).astype(np.float32)
    start = _objective(model, place, channel, objective, image)
    nearby = [_objective(model, place, channel, objective, (image + change).clip(0, 1)) for change in changes]
    return max(nearby) > start + 1e-4


def test_sparsity_weight_removes_irrelevant_pixels() -> None:
    model = _model(Flatten(), Output(), side=10)
    weights = torch.zeros(2, 1, 10, 10)
    weights[1, 0, :, :5] = 1
    set_weights(model.module[1], weights.flatten(1).tolist(), [0.0, 0.0])
    plain = {"total_variation_weight": 0.0, "jitter": 0, "parameterization": "pixel"}
    priced, free = (_last(model, 1, 1, "class", sparsity_weight=price, **plain).image[0, :, 8] for price in (0.1, 0.0))
    assert priced.max() < 0.05
    assert 0.05 < free.min() < free.max() < 0.25  # the noise that it began as


def test_total_variation_weight_smooths_the_image() -> None:
    model = _model(Conv2d(out_channels=3, kernel_size=5), GlobalAvgPool(), Output(), side=14)
    rough, smooth = (_last(model, 2, 1, "class", total_variation_weight=blur).image for blur in (0.0, 0.2))

    def variation(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image, axis=1)).sum() + np.abs(np.diff(image, axis=2)).sum())

    assert variation(smooth) < 0.7 * variation(rough)


def test_saturated_pixel_can_change_again() -> None:
    architecture = Architecture(
        input=InputShape(height=1, width=2), classes=2, layers=(Flatten(), Linear(out_features=3), Output())
    )
    model = model_of(architecture)
    # a − b / 2, but with a bright, b counts 3.5: until then it is driven into the black.
    set_weights(model.module[1], [[1, 0], [0, 1], [1, 1]], [0.0, 0.0, -0.9])
    set_weights(model.module[3], [[0, 0, 0], [1, -0.5, 4]], [0.0, 0.0])
    found = _last(model, 2, 1, "class", parameterization="pixel", jitter=0, lr=2.0)
    assert found.image.min() > 0.95
    assert found.score == pytest.approx(1 - 0.5 + 4 * 1.1, abs=0.3)


def test_jitter_is_reversed() -> None:
    # Every pixel goes its own way through this net, wherever it is: a shift that is undone changes nothing.
    net = _model(Conv2d(out_channels=3, kernel_size=1), GlobalAvgPool(), Linear(out_features=2), Output())
    still, shifted = (_last(net, 3, 0, "class", jitter=jitter, steps=30).image for jitter in (0, 3))
    np.testing.assert_allclose(still, shifted, atol=1e-3)
    assert still.std() > 0.01


def test_result_depends_on_the_seed_only() -> None:
    model = _model(Conv2d(out_channels=2), MaxPool2d(), Flatten(), Output())
    state = torch.get_rng_state()
    first, again, other = (
        list(maximize_activation(model, 3, 1, "class", replace(QUICK, seed=seed))) for seed in (4, 4, 5)
    )
    assert all(np.array_equal(one.image, two.image) for (_, one), (_, two) in zip(first, again, strict=True))
    assert not np.array_equal(first[-1][1].image, other[-1][1].image)
    assert torch.equal(torch.get_rng_state(), state)


def test_steps_are_reported_in_order() -> None:
    model = _model(Flatten(), Output())
    assert [
        (progress.completed, progress.total)
        for progress, _ in maximize_activation(model, 1, 0, settings=MaximizationSettings(steps=20))
    ] == [
        (0, 20),
        (8, 20),
        (16, 20),
        (20, 20),
    ]
    frames = maximize_activation(model, 1, 0)
    next(frames)
    with torch.no_grad():  # a caller's mode is neither needed nor changed
        assert next(frames)[1].step == 8
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("layer_index", "channel", "objective", "changed", "told"),
    [
        (9, 0, "channel", {}, "no layer 10"),
        (-1, 0, "channel", {}, "no layer 0"),
        (1, 0, "channel", {}, "no layer 2"),
        (0, 3, "channel", {}, "no channel 4. It has 3"),
        (0, -1, "center", {}, "no channel 0. It has 3"),
        (4, 2, "class", {}, "no channel 3. It has 2"),
        (0, 0, "class", {}, "no objective 'class'"),
        (0, 0, "mean", {}, "One of: channel, center, class"),
        (0, 0, "channel", {"steps": 0}, "steps=0"),
        (0, 0, "channel", {"lr": 0.0}, "lr above 0"),
        (0, 0, "channel", {"jitter": -1}, "weights of at least 0"),
        (0, 0, "channel", {"total_variation_weight": -0.1}, "weights of at least 0"),
        (0, 0, "channel", {"parameterization": "wavelet"}, "wavelet"),
    ],
)
def test_invalid_layer_channel_objective_or_settings_raise(
    layer_index: int, channel: int, objective: Any, changed: dict[str, Any], told: str
) -> None:
    model = _model(
        Conv2d(out_channels=3), Dropout(enabled=False), Activation(), Flatten(), Output(activation="sigmoid")
    )
    with pytest.raises(PlaygroundError) as problem:
        maximize_activation(model, layer_index, channel, objective, replace(MaximizationSettings(), **changed))
    assert told in str(problem.value)
