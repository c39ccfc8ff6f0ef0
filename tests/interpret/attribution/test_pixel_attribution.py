"""Pixel attribution: by hand on networks with given weights, and conformance of every registered method."""

import dataclasses
import inspect
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import (
    Activation,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Output,
    Residual,
)
from playground.errors import ArchitectureError, PlaygroundError
from playground.interpret.attribution.methods import ATTRIBUTION_METHODS, AttributionInputs, AttributionMethod
from playground.interpret.attribution.pixel_attribution import attribute, list_cam_layers
from playground.interpret.model import Model
from tests import strategies
from tests.interpret.nets import model_of, set_weights

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

WEIGHTS = np.array(
    [
        [[[1, -2, 0], [0, 3, 0], [0, 0, 0.5]], [[-4, 1, 0], [0, 0, 0], [0, 0, 0.25]]],
        [[[0, 0, 0], [0, -1, 0], [0, 0, 0]], [[0, 2, 0], [0, 0.5, 0], [0, 0, 0]]],
    ]
)
IMAGE = np.random.default_rng(1).random((2, 3, 3), dtype=np.float32)


def _linear() -> Model:
    """Two classes, each a weighted sum of the pixels of two channels."""
    model = model_of(
        Architecture(input=InputShape(channels=2, height=3, width=3), classes=2, layers=(Flatten(), Output()))
    )
    set_weights(model.module[1], WEIGHTS.reshape(2, 18).tolist(), [0.5, -0.5])
    return model


def _sigmoid() -> Model:
    layers = (Flatten(), Output(activation="sigmoid"))
    model = model_of(Architecture(input=InputShape(channels=2, height=3, width=3), classes=2, layers=layers))
    set_weights(model.module[1], WEIGHTS[:1].reshape(1, 18).tolist(), [0.5])
    return model


def _one_unit(weight: list[float], bias: float) -> Model:
    """The score of class 0 is ReLU(weight · pixels + bias), that of class 1 is 0."""
    layers = (Flatten(), Linear(out_features=1), Output())
    model = model_of(Architecture(input=InputShape(height=1, width=len(weight)), classes=2, layers=layers))
    set_weights(model.module[1], [weight], [bias])
    set_weights(model.module[3], [[1], [0]], [0, 0])
    return model


def _row(*pixels: float) -> np.ndarray:
    return np.array([[pixels]], dtype=np.float32)


def _two_maps() -> Model:
    """On 4×4: map 0 takes the upper left pixel of every 2×2 square, map 1 the same less 0.5; both through ReLU."""
    layers = (
        Dropout(enabled=False),
        Conv2d(out_channels=2, kernel_size=2, stride=2),
        Dropout(),
        Flatten(),
        Output(),
    )
    model = model_of(Architecture(input=InputShape(height=4, width=4), classes=2, layers=layers))
    set_weights(model.module[0], [[[[1, 0], [0, 0]]], [[[1, 0], [0, 0]]]], [0, -0.5])
    set_weights(model.module[4], [[4, 0, 0, 0, -2, -2, -4, -4], [0, 0, 0, 0, 1, 1, 1, 1]], [9, 9])
    return model


def _four(upper_left: float, upper_right: float, lower_left: float, lower_right: float) -> np.ndarray:
    image = np.full((1, 4, 4), 0.3, dtype=np.float32)
    image[0, ::2, ::2] = [[upper_left, upper_right], [lower_left, lower_right]]
    return image


@pytest.mark.parametrize("target", [0, 1])
def test_saliency_of_a_linear_network_is_its_largest_weights(target: int) -> None:
    found = attribute(_linear(), IMAGE, target, "saliency")
    np.testing.assert_allclose(found.values, np.abs(WEIGHTS[target]).max(axis=0), rtol=1e-6)
    assert (found.method, found.target) == ("saliency", target)
    assert found.layer_attribution is None
    assert found.values.dtype == np.dtype(np.float32)


@pytest.mark.parametrize("target", [0, 1])
def test_smoothgrad_of_a_linear_network_is_its_signed_weights(target: int) -> None:
    found = attribute(_linear(), IMAGE, target, "smoothgrad")
    np.testing.assert_allclose(found.values, WEIGHTS[target].sum(axis=0), rtol=1e-5)


def test_smoothgrad_averages_around_a_kink() -> None:
    """Right at the kink of ReLU the slope is 0; of the noisy copies about half lie beyond it, where it is 2."""
    model = _one_unit([2.0], -1.0)
    assert attribute(model, _row(0.5), 0, "saliency").values == 0
    around = attribute(model, _row(0.5), 0, "smoothgrad").values.item()
    assert 0.5 < around < 1.5
    # The noise is 0.1: at 0.9 no copy falls as low as 0.5.
    assert attribute(model, _row(0.9), 0, "smoothgrad").values == pytest.approx(2.0)
    assert 0 < attribute(model, _row(0.6), 0, "smoothgrad").values.item() < 2


def test_smoothgrad_depends_on_its_seed_alone() -> None:
    model = _one_unit([2.0, -1.0, 0.5], -0.6)
    first = attribute(model, _row(0.5, 0.4, 0.2), 0, "smoothgrad", seed=3).values
    state = torch.get_rng_state()
    again = attribute(model, _row(0.5, 0.4, 0.2), 0, "smoothgrad", seed=3).values
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    other = attribute(model, _row(0.5, 0.4, 0.2), 0, "smoothgrad", seed=4).values
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_integrated_gradients_by_hand() -> None:
    found = attribute(_linear(), IMAGE, 0, "integrated_gradients")
    np.testing.assert_allclose(found.values, (WEIGHTS[0] * IMAGE).sum(axis=0), rtol=1e-4, atol=1e-6)
    # ReLU(x + 3y − 1) on the way from (0, 0) to (1, 1) is above 0 for the last three quarters: shares ¾ · (1, 3).
    found = attribute(_one_unit([1.0, 3.0], -1.0), _row(1, 1), 0, "integrated_gradients")
    np.testing.assert_allclose(found.values, [[0.75, 2.25]], rtol=0.01)


def test_grad_cam_by_hand() -> None:
    """Gradients: 4/4 = 1 for map 0, −12/4 = −3 for map 1; maps 0.2 0.6 / 1 0.9 and 0 0.1 / 0.5 0.4.

    Added up: 0.2 0.3 / −0.5 −0.3; values below 0 are set to 0 (ReLU).
    """
    found = attribute(_two_maps(), _four(0.2, 0.6, 1.0, 0.9), 0, "grad_cam")
    assert found.layer_attribution is not None
    np.testing.assert_allclose(found.layer_attribution, [[0.2, 0.3], [0.0, 0.0]], atol=1e-6)
    # Bilinear from 2 to 4: the ends stay, between them ¾ of the nearer and ¼ of the other.
    across = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    np.testing.assert_allclose(found.values, across @ found.layer_attribution @ across.T, atol=1e-6)
    assert found.values[0].tolist() == pytest.approx([0.2, 0.225, 0.275, 0.3])


def test_grad_cam_of_another_class() -> None:
    """Slopes: 0 for map 0, 1 for map 1, which is the upper left pixels less 0.5."""
    found = attribute(_two_maps(), _four(0.5, 1.0, 1.0, 0.75), 1, "grad_cam")
    assert found.layer_attribution is not None
    np.testing.assert_allclose(found.layer_attribution, [[0.0, 0.5], [0.5, 0.25]], atol=1e-6)


def test_grad_cam_of_a_residual_block_by_hand() -> None:
    """The block doubles its input, ReLU does nothing more; global mean pooling gives every position the slope ¼ · 3."""
    layers = (
        Residual(layers=(Conv2d(out_channels=1, kernel_size=1, activation="none"),)),
        GlobalAvgPool(),
        Output(),
    )
    model = model_of(Architecture(input=InputShape(height=2, width=2), classes=2, layers=layers))
    block = model.module[0]
    assert isinstance(block.body, nn.Sequential)
    set_weights(block.body[0], [[[[1]]]], [0.0])
    set_weights(model.module[-1], [[3], [-3]], [0, 0])
    image = np.array([[[0.0, 1.0], [0.5, 0.25]]], dtype=np.float32)
    found = attribute(model, image, 0, "grad_cam")
    np.testing.assert_allclose(found.values, 2 * image[0] * 3 / 4, rtol=1e-6)
    assert not attribute(model, image, 1, "grad_cam").values.any()


def test_grad_cam_uses_the_given_layer() -> None:
    layers = (
        Activation(),
        Conv2d(out_channels=2, padding="same"),
        Dropout(enabled=False),
        MaxPool2d(),
        Residual(layers=(Conv2d(out_channels=2, padding="same"),)),
        Conv2d(out_channels=2, enabled=False),
        GlobalAvgPool(),
        Output(),
    )
    model = model_of(Architecture(input=InputShape(height=8, width=6), classes=3, layers=layers), seed=2)
    image = np.random.default_rng(0).random((1, 8, 6), dtype=np.float32)
    assert list_cam_layers(model) == (1, 4)
    first, last = (attribute(model, image, 0, "grad_cam", layer_index=index) for index in (1, 4))
    assert first.layer_attribution is not None
    assert last.layer_attribution is not None
    assert (first.layer_attribution.shape, last.layer_attribution.shape) == ((8, 6), (4, 3))
    np.testing.assert_array_equal(first.layer_attribution, first.values)
    np.testing.assert_array_equal(attribute(model, image, 0, "grad_cam").values, last.values)
    for index in (0, 3, 5, 7, 8, -1):
        with pytest.raises(ArchitectureError, match=r"Choose one of the layers 2, 5\."):
            attribute(model, image, 0, "grad_cam", layer_index=index)


def _pixel_net(side: int, row: int, column: int) -> Model:
    """The score of class 1 is three times one pixel of the second channel."""
    layers = (Flatten(), Output())
    model = model_of(Architecture(input=InputShape(channels=2, height=side, width=side), classes=2, layers=layers))
    weight = np.zeros((2, 2, side, side))
    weight[1, 1, row, column] = 3
    set_weights(model.module[1], weight.reshape(2, -1).tolist(), [1, 1])
    return model


@pytest.mark.parametrize(("side", "window"), [(1, 1), (6, 1), (8, 2), (12, 3), (20, 5), (28, 5)])
def test_occlusion_of_a_network_with_one_relevant_pixel(side: int, window: int) -> None:
    """Each pixel: 3 · 0.5 times the share of the squares over it that also cover the one pixel."""
    row, column = side // 2, side // 3
    image = np.full((2, side, side), 0.5, dtype=np.float32)
    found = attribute(_pixel_net(side, row, column), image, 1, "occlusion").values
    wanted = np.zeros((side, side))
    covering = np.zeros((side, side))
    for top in range(side - window + 1):
        for left in range(side - window + 1):
            square = (slice(top, top + window), slice(left, left + window))
            covering[square] += 1
            wanted[square] += 1.5 * (top <= row < top + window and left <= column < left + window)
    np.testing.assert_allclose(found, wanted / covering, atol=1e-5)
    assert found[row, column] == pytest.approx(1.5, abs=1e-5)
    assert not attribute(_pixel_net(side, row, column), image, 0, "occlusion").values.any()


def test_sigmoid_attributions_of_the_two_classes_are_opposite() -> None:
    model = _sigmoid()
    np.testing.assert_allclose(attribute(model, IMAGE, 1, "smoothgrad").values, WEIGHTS[0].sum(axis=0), rtol=1e-5)
    for method in ("smoothgrad", "integrated_gradients", "occlusion"):
        against, in_favour = (attribute(model, IMAGE, target, method).values for target in (0, 1))
        assert in_favour.any()
        np.testing.assert_allclose(against, -in_favour, atol=1e-6)
    for target in (0, 1):
        values = attribute(model, IMAGE, target, "saliency").values
        np.testing.assert_allclose(values, np.abs(WEIGHTS[0]).max(axis=0), rtol=1e-6)


def _any_model(architecture: Architecture) -> tuple[Model, np.ndarray]:
    image = np.random.default_rng(0).random(architecture.input.shape, dtype=np.float32)
    return model_of(architecture, seed=1), image


@given(architecture=strategies.architectures(), data=st.data())
@settings(max_examples=20)
def test_every_method_on_any_network(architecture: Architecture, data: st.DataObject) -> None:
    model, image = _any_model(architecture)
    target = data.draw(st.integers(0, architecture.classes - 1))
    kept, weights = image.copy(), {name: value.clone() for name, value in model.module.state_dict().items()}
    for method in ATTRIBUTION_METHODS:
        if ATTRIBUTION_METHODS[method].needs_layer and not list_cam_layers(model):
            with pytest.raises(PlaygroundError, match="needs feature maps"):
                attribute(model, image, target, method)
            continue
        found = attribute(model, image, target, method)
        assert found.values.shape == architecture.input.shape[1:]
        assert found.values.dtype == np.float32
        assert np.isfinite(found.values).all()
        assert (found.layer_attribution is not None) == ATTRIBUTION_METHODS[method].needs_layer
        if not ATTRIBUTION_METHODS[method].is_signed:
            assert (found.values >= 0).all()
        np.testing.assert_array_equal(attribute(model, image, target, method).values, found.values)
    np.testing.assert_array_equal(image, kept)
    assert all(torch.equal(value, weights[name]) for name, value in model.module.state_dict().items())
    assert not any(weight.requires_grad for weight in model.module.parameters())
    assert not any(module.training or module._forward_hooks for module in model.module.modules())


@given(architecture=strategies.architectures(), data=st.data())
@settings(max_examples=20)
def test_integrated_gradients_sum_to_the_change_of_the_logit(architecture: Architecture, data: st.DataObject) -> None:
    model, image = _any_model(architecture)
    target = data.draw(st.integers(0, architecture.classes - 1))
    with torch.inference_mode():
        both = model.module(torch.from_numpy(np.stack([image, np.zeros_like(image)])))
        black_to_image = both[0] - both[1]
    wanted = float(black_to_image[target] if len(black_to_image) > 1 else black_to_image[0] * (1 if target else -1))
    shares = attribute(model, image, target, "integrated_gradients").values
    assert shares.sum() == pytest.approx(wanted, rel=0.02, abs=0.02 * float(np.abs(shares).sum()) + 1e-5)


@given(architecture=strategies.architectures())
@settings(max_examples=15)
def test_grad_cam_on_every_layer(architecture: Architecture) -> None:
    model, image = _any_model(architecture)
    shapes = {step.index: step.output_shape for step in architecture.resolve_layers()}
    for index in list_cam_layers(model):
        found = attribute(model, image, 0, "grad_cam", layer_index=index)
        assert found.layer_attribution is not None
        assert found.layer_attribution.shape == shapes[index][1:]
        assert found.values.max() <= found.layer_attribution.max() + 1e-6


def test_no_hook_is_ever_registered_on_the_model() -> None:
    model = _two_maps()
    hooks: list[nn.Module] = []

    class Spy(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            hooks.extend(module for module in model.module.modules() if module._forward_hooks)
            return maps.relu()

    model.module[1] = Spy()
    for method in ATTRIBUTION_METHODS:
        attribute(model, _four(0.2, 0.6, 1.0, 0.9), 0, method)
    assert not hooks


def test_concurrent_attributions_equal_sequential_ones() -> None:
    model = _two_maps()
    images = [_four(*corners) for corners in np.random.default_rng(0).random((8, 4))]
    jobs = [(image, method) for image in images for method in ATTRIBUTION_METHODS]
    alone = [attribute(model, image, 0, method).values for image, method in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: attribute(model, job[0], 0, job[1]).values, jobs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("target", [-1, 2, 10])
def test_unknown_class_raises(target: int) -> None:
    for model in (_linear(), _sigmoid()):
        with pytest.raises(PlaygroundError, match=f"no class {target}.*classes 0 to 1"):
            attribute(model, IMAGE, target, "saliency")


def test_unknown_method_raises() -> None:
    with pytest.raises(PlaygroundError, match=r"no method 'lime'.*saliency, smoothgrad"):
        attribute(_linear(), IMAGE, 0, "lime")


@pytest.mark.parametrize("method", ATTRIBUTION_METHODS.values(), ids=lambda method: method.name)
def test_registered_method_declares_what_screens_and_documentation_need(method: AttributionMethod) -> None:
    assert ATTRIBUTION_METHODS[method.name] is method
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", method.name)
    assert method.title[0].isupper()
    assert method.description.endswith(".")
    assert re.search(r"\b(19|20)\d\d\b", method.source), "the source has a year"


@pytest.mark.parametrize("method", ATTRIBUTION_METHODS.values(), ids=lambda method: method.name)
def test_registered_method_takes_its_default_arguments(method: AttributionMethod) -> None:
    keyword_only = [
        parameter.name
        for parameter in inspect.signature(method.compute).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    assert keyword_only == list(method.default_arguments)


def test_attribute_reads_the_default_arguments_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = attribute(_linear(), IMAGE, 0, "smoothgrad").values
    noiseless = dataclasses.replace(
        ATTRIBUTION_METHODS["smoothgrad"], default_arguments={"sample_count": 1, "noise_std": 0.0}
    )
    monkeypatch.setitem(ATTRIBUTION_METHODS, "smoothgrad", noiseless)
    np.testing.assert_allclose(
        attribute(_linear(), IMAGE, 0, "smoothgrad").values, usual, rtol=1e-5
    )  # a linear network
    deviating = dataclasses.replace(ATTRIBUTION_METHODS["occlusion"], default_arguments={"window_size": 1})
    monkeypatch.setitem(ATTRIBUTION_METHODS, "occlusion", deviating)
    single = attribute(_linear(), IMAGE, 0, "occlusion").values
    np.testing.assert_allclose(single, (WEIGHTS[0] * IMAGE).sum(0), rtol=1e-4, atol=1e-5)


def test_a_method_added_to_the_registry_works_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def compute_input_times_gradient(inputs: AttributionInputs) -> Tensor:
        logit = inputs.compute_logits(inputs.pixels)[0, inputs.target]
        (gradient,) = torch.autograd.grad(logit, inputs.pixels)
        return (inputs.pixels * gradient)[0].sum(0)

    method = AttributionMethod(
        "input_times_gradient", "Input × gradient", "A test.", "2017", compute_input_times_gradient
    )
    monkeypatch.setitem(ATTRIBUTION_METHODS, method.name, method)
    values = attribute(_linear(), IMAGE, 1, "input_times_gradient").values
    np.testing.assert_allclose(values, (WEIGHTS[1] * IMAGE).sum(0), rtol=1e-5, atol=1e-6)
