"""The layout that makes training fast gives the numbers of plain torch."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from playground.core.layers import Activation, BatchNorm, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Output, Residual
from playground.engine.model.build import build_model
from playground.engine.model.device import DeviceConfig
from playground.engine.model.flat_parameters import FlatParameters, copy_to_cpu
from tests import strategies
from tests.engine.helpers import net
from tests.narrowing import require

# PyTorch warns about every 'same' padding with an even kernel; the shapes are correct.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

FLOAT32, BFLOAT16 = (DeviceConfig(torch.device("cpu"), is_bfloat16=rounded) for rounded in (False, True))
MIXED = net(
    Conv2d(out_channels=4, padding="same"),
    MaxPool2d(),
    Residual(layers=(Conv2d(out_channels=6, padding="same"), BatchNorm(), Activation())),
    Dropout(p=0.3),
    Flatten(),
    Linear(out_features=5),
    Output(),
)


def gradients(model: nn.Sequential, loss: Tensor) -> dict[str, Tensor]:
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def cost(scores: Tensor) -> Tensor:
    return functional.cross_entropy(scores, torch.arange(len(scores)) % scores.shape[1])


def images_for(architecture: Any, count: int = 3) -> Tensor:
    entry = architecture.input
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, entry.channels, entry.height, entry.width, generator=generator)


@given(architecture=strategies.architectures() | strategies.frozen_architectures())
@settings(max_examples=100)
def test_logits_gradients_and_running_statistics_equal_the_model(architecture: Any) -> None:
    plain = laid_out(architecture).double()  # so that batch norm does not amplify differences of summation order
    model = copy.deepcopy(plain)
    working = FlatParameters(model, FLOAT32)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()
    images = images_for(architecture).double()
    torch.manual_seed(7)
    expected_scores = plain(images)
    expected = gradients(plain, cost(expected_scores))
    torch.manual_seed(7)
    scores = working.forward(images)
    working.backward(cost(scores))
    torch.testing.assert_close(scores, expected_scores)
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, rtol=1e-7, atol=1e-9)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value)


def laid_out(architecture: Any) -> nn.Sequential:
    model = build_model(architecture, seed=3)
    model.to(memory_format=torch.channels_last)  # as the trainer does; dropout's masks follow the order in memory
    return model


def as_autocast(plain: nn.Sequential, images: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores: Tensor = plain(images)
        return scores.float()


def test_bfloat16_computes_as_autocast_does() -> None:
    plain = laid_out(MIXED)
    model = copy.deepcopy(plain)
    working = FlatParameters(model, BFLOAT16)
    images = images_for(MIXED, 16)
    torch.manual_seed(7)
    expected_scores = as_autocast(plain, images)
    expected = gradients(plain, cost(expected_scores))
    torch.manual_seed(7)
    scores = working.forward(images)
    working.backward(cost(scores))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected_scores, rtol=0.02, atol=0.02)
    for name, weight in model.named_parameters():
        gradient = require(weight.grad)
        assert weight.dtype == gradient.dtype == torch.float32
        torch.testing.assert_close(gradient, expected[name], rtol=0.1, atol=0.02)


@pytest.mark.parametrize("compute", [FLOAT32, BFLOAT16], ids=lambda compute: compute.precision)
def test_one_buffer_holds_all_weights_and_all_gradients(compute: DeviceConfig) -> None:
    model = build_model(MIXED, seed=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    working = FlatParameters(model, compute)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    images = images_for(MIXED, 8)
    for _ in range(2):  # the second gradient replaces the first
        torch.manual_seed(7)
        working.backward(cost(working.forward(images)))
    (part,) = working.parameter_groups.values()
    total = sum(require(weight.grad).double().square().sum().item() for weight in model.parameters())
    assert require(part.grad).double().square().sum().item() == pytest.approx(total)
    with torch.no_grad():
        part.zero_()
    assert not any(weight.any() for weight in model.parameters())
    assert not working.forward(images).any()  # the update reached the layers that compute


@pytest.mark.parametrize("compute", [FLOAT32, BFLOAT16], ids=lambda compute: compute.precision)
def test_each_parameter_group_holds_weights_with_equal_settings(compute: DeviceConfig) -> None:
    model = build_model(MIXED.replace_layer(2, MIXED.layers[2].replace(trainable=False)), seed=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    working = FlatParameters(model, compute, transferred_names={"0.weight", "0.bias", "3.body.0.weight"})
    working.backward(cost(working.forward(images_for(MIXED, 8))))
    assert {kind: part.numel() for kind, part in working.parameter_groups.items()} == {
        "transferred": 4 * 9 + 4,
        "new": sum(value.numel() for name, value in before.items() if name[0] not in "03"),
    }
    with torch.no_grad():
        working.parameter_groups["transferred"].fill_(1.0)
        working.parameter_groups["new"].fill_(2.0)
    for name, weight in model.named_parameters():
        expected = {"0": 1.0, "3": before[name]}.get(name[0], 2.0)
        assert bool((weight == expected).all()), name
        assert (weight.grad is None) == name.startswith("3.")


@pytest.mark.parametrize("compute", [FLOAT32, BFLOAT16], ids=lambda compute: compute.precision)
def test_no_activations_are_saved_before_the_first_trainable_layer(compute: DeviceConfig) -> None:
    model = build_model(MIXED.freeze_up_to(4), seed=3)
    seen: list[bool] = []
    for module in model:  # before the copy is made, which takes hooks along
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].requires_grad))
    FlatParameters(model, compute).forward(images_for(MIXED))
    first = next(index for index, module in enumerate(model) if any(one.requires_grad for one in module.parameters()))
    assert first == len(model) - 3  # its result goes through a ReLU into the output
    assert not any(seen[:-2])
    assert all(seen[-2:])


def test_frozen_batch_norm_stays_in_eval_mode() -> None:
    model = build_model(MIXED.freeze_up_to(2), seed=3)
    working = FlatParameters(model, FLOAT32)
    before = {name: value.clone() for name, value in model.named_buffers()}
    for mode in (True, False, True):
        model.train(mode)
        working.forward(images_for(MIXED))
    assert before
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_weights_loaded_into_the_model_are_trained() -> None:
    model, other = build_model(MIXED, seed=3), build_model(MIXED, seed=4)
    working = FlatParameters(model, BFLOAT16)
    model.load_state_dict(other.state_dict())
    images = images_for(MIXED)
    model.eval()
    other.eval()
    torch.testing.assert_close(working.forward(images), as_autocast(other, images), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("device_config", [FLOAT32, BFLOAT16], ids=lambda device_config: device_config.precision)
def test_copy_to_cpu_gives_contiguous_independent_copies_of_views(device_config: DeviceConfig) -> None:
    model = laid_out(MIXED)
    FlatParameters(model, device_config)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    copies = copy_to_cpu(model.state_dict())
    with torch.no_grad():
        for value in model.state_dict().values():
            value.zero_()
    assert copies.keys() == expected.keys()
    for name, value in copies.items():
        assert torch.equal(value, expected[name]), name
        assert value.is_contiguous()
        assert value.dtype == expected[name].dtype
    assert len({value.untyped_storage().data_ptr() for value in copies.values()}) == len(copies)


def test_backward_from_logit_gradient_equals_backward_from_loss() -> None:
    model, twin = (laid_out(MIXED) for _ in range(2))
    by_loss, by_scores = FlatParameters(model, FLOAT32), FlatParameters(twin, FLOAT32)
    images = images_for(MIXED, 8)
    torch.manual_seed(7)
    by_loss.backward(cost(by_loss.forward(images)))
    torch.manual_seed(7)
    scores = by_scores.forward(images)
    (gradient,) = torch.autograd.grad(cost(scores), scores, retain_graph=True)
    by_scores.backward(scores, gradient)
    by_scores.attach_gradient_views()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(twin.get_parameter(name).grad, weight.grad)
    (part,) = by_scores.parameter_groups.values()
    require(part.grad).zero_()
    assert not any(require(weight.grad).any() for weight in twin.parameters())


TIES = [[[0.0, 0.0, -1.0, -1.0], [0.0, 0.0, -2.0, -1.0], [3.0, 3.0, -1.0, 0.0], [3.0, 1.0, 0.0, 2.0]]]


@given(values=st.lists(st.sampled_from([-2.0, -1.0, -0.0, 0.0, 1.0, 3.0]), min_size=16, max_size=16))
def test_relu_after_pooling_gives_identical_values_and_gradients(values: list[float]) -> None:
    for maps in (torch.tensor(TIES)[None], torch.tensor(values).view(1, 1, 4, 4)):
        actual = []
        for layers in ((nn.ReLU(), nn.MaxPool2d(2)), (nn.MaxPool2d(2), nn.ReLU())):
            entry = maps.clone().requires_grad_()
            pooled = nn.Sequential(*layers)(entry)
            (pooled * torch.arange(1.0, 5.0).view(1, 1, 2, 2)).sum().backward()
            actual.append((pooled.detach(), require(entry.grad)))
        assert torch.equal(actual[0][0], actual[1][0])
        assert torch.equal(actual[0][1], actual[1][1])
