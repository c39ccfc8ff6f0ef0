"""Health probes: counted by hand, hooks removed afterwards, no weight changed."""

import contextlib
from collections.abc import Iterator
from unittest.mock import Mock

import pytest
import torch
from torch import nn
from torch.nn import functional

from playground.core.architecture import Architecture
from playground.core.events import Stop
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
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.health.probes import HealthProbes
from playground.engine.health.rules import diagnose
from playground.engine.health.training_metrics import DeadChannels, LayerGradient, TrainingMetrics
from playground.engine.model.build import build_model
from playground.engine.training import run_evaluator, trainer
from playground.engine.training.evaluate import evaluate
from tests.engine.helpers import (
    AUGMENTATION,
    PLAIN,
    RICH,
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    net,
    play,
    through_bytes,
    tiny_images,
    tiny_recipe,
)

NETS: dict[str, Architecture] = {
    "plain": PLAIN,
    "rich": RICH,
    "switched off": net(
        Conv2d(out_channels=3, enabled=False),
        Conv2d(out_channels=4, activation="none"),
        Activation(enabled=False),
        Activation(activation="leaky_relu"),
        Activation(),
        Flatten(),
        Dropout(),
        Linear(out_features=5, activation="gelu"),
        Linear(out_features=6),
        Output(),
    ),
}
RELUS = {
    "plain": [("layer 1 (Conv)", 4), ("layer 4 (Linear)", 8)],
    "rich": [("layer 3 (Activation)", 4), ("layer 4 (Residual)", 6)],
    "switched off": [("layer 5 (Activation)", 4), ("layer 9 (Linear)", 6)],
}
WEIGHTS = {
    "plain": [("layer 1 (Conv)", 4 * 9), ("layer 4 (Linear)", 36 * 8), ("layer 5 (Output)", 8 * 3)],
    "rich": [
        ("layer 1 (Conv)", 4 * 9),
        ("layer 4 (Residual)", 4 * 6 * 9 + 6 * 6 * 9 + 4 * 6),
        ("layer 7 (Output)", 6 * 3),
    ],
    "switched off": [
        ("layer 2 (Conv)", 4 * 9),
        ("layer 8 (Linear)", 4 * 36 * 5),
        ("layer 9 (Linear)", 5 * 6),
        ("layer 10 (Output)", 6 * 3),
    ],
}


def hooks_of(model: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def watched(architecture: Architecture, data: LabeledImages | None = None) -> tuple[nn.Sequential, HealthProbes]:
    model = build_model(architecture, seed=1)
    vitals = HealthProbes(model, architecture)
    with vitals.record_activations():
        evaluate(model, data or tiny_images(40))
    return model, vitals


@pytest.mark.parametrize("name", NETS)
def test_every_relu_is_counted_under_its_layer(name: str) -> None:
    model, vitals = watched(NETS[name])
    assert [(place, channels) for place, _, channels in vitals.count_dead_channels()] == RELUS[name]
    assert hooks_of(model) == 0


@pytest.mark.parametrize("name", NETS)
def test_dead_channels_are_zero_on_every_image(name: str) -> None:
    """Compared with the output of each ReLU over all images and positions."""
    architecture, data = NETS[name], tiny_images(40)
    model = build_model(architecture, seed=1)
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    for module in (found for found in model.modules() if isinstance(found, nn.Conv2d | nn.Linear)):
        if module.bias is not None:
            module.bias.data[::3] = -100.0  # every third channel of every layer is silenced
    vitals = HealthProbes(model, architecture)
    with vitals.record_activations():
        evaluate(model, data)
    seen: dict[nn.Module, torch.Tensor] = {}
    handles = [relu.register_forward_hook(lambda module, _, output: seen.update({module: output})) for relu in relus]
    with torch.inference_mode():
        model.eval()(scale_pixels(data.images))
    for handle in handles:
        handle.remove()
    expected = [int((seen[relu].transpose(0, 1).flatten(1).sum(1) == 0).sum()) for relu in relus]
    assert [dead for _, dead, _ in vitals.count_dead_channels()] == expected
    assert sum(expected) > 0


def test_dead_channels_by_hand() -> None:
    """One of three channels is active on every image, one on the last image only, one never."""
    architecture = net(Conv2d(out_channels=3, kernel_size=1), GlobalAvgPool(), Output(), size=2)
    model = build_model(architecture)
    convolution = model[0]
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    convolution.weight.data.fill_(1.0)
    convolution.bias.data.copy_(torch.tensor([0.1, -0.5, -2.0]))
    images = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    images[4, 0, 1, 1] = 200
    vitals = HealthProbes(model, architecture)
    assert vitals.count_dead_channels() == ()
    with vitals.record_activations():
        evaluate(model, LabeledImages(images, torch.zeros(5, dtype=torch.long)))
    assert vitals.count_dead_channels() == (DeadChannels("layer 1 (Conv)", 1, 3),)
    with vitals.record_activations():
        evaluate(model, LabeledImages(images[:4], torch.zeros(4, dtype=torch.long)))
    assert vitals.count_dead_channels() == (DeadChannels("layer 1 (Conv)", 2, 3),), "the look before is forgotten"
    with vitals.record_activations():
        pass
    assert vitals.count_dead_channels() == ()


def test_unit_of_a_linear_layer_counts_as_a_channel() -> None:
    architecture = net(Flatten(), Linear(out_features=4), Output())
    model = build_model(architecture)
    linear = model[1]
    assert isinstance(linear, nn.Linear)
    linear.weight.data.zero_()
    linear.bias.data.copy_(torch.tensor([1.0, 0.0, -1.0, 0.5]))
    vitals = HealthProbes(model, architecture)
    with vitals.record_activations():
        evaluate(model, tiny_images(10))
    assert vitals.count_dead_channels() == (DeadChannels("layer 2 (Linear)", 2, 4),)


@pytest.mark.parametrize("name", NETS)
def test_gradient_norms_equal_autograd(name: str) -> None:
    architecture, data = NETS[name], tiny_images(24)
    model = build_model(architecture, seed=1).eval()
    vitals = HealthProbes(model, architecture)
    assert vitals.compute_gradient_norms() == ()
    functional.cross_entropy(model(scale_pixels(data.images)), data.labels).backward()
    found = vitals.compute_gradient_norms()
    assert [(place, weights) for place, _, weights in found] == WEIGHTS[name]
    gradients = iter([weight.grad for weight in model.parameters() if weight.ndim > 1 and weight.grad is not None])
    for layer in found:
        parts: list[torch.Tensor] = []
        while sum(part.numel() for part in parts) < layer.weight_count:
            parts.append(next(gradients))
        flat = torch.cat([part.flatten() for part in parts])
        assert layer.norm == pytest.approx(float(flat.norm()), rel=1e-5)
        assert layer.rms == pytest.approx(float(flat.square().mean().sqrt()), rel=1e-5)
    assert list(gradients) == []


def test_gradient_norms_by_hand() -> None:
    """One weight a class, one pixel: the gradient is (probability - target) times the pixel."""
    architecture = net(Flatten(), Output(), classes=2, size=1)
    model = build_model(architecture)
    output = model[1]
    assert isinstance(output, nn.Linear)
    output.weight.data.zero_()
    output.bias.data.zero_()
    images = LabeledImages(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), torch.tensor([0]))
    functional.cross_entropy(model(scale_pixels(images.images)), images.labels).backward()
    (found,) = HealthProbes(model, architecture).compute_gradient_norms()
    assert (found.layer_name, found.weight_count) == ("layer 2 (Output)", 2)
    assert found.norm == pytest.approx(0.5**0.5)
    assert found.rms == pytest.approx(0.5)


@pytest.mark.parametrize("name", NETS)
def test_hooks_are_removed_after_an_exception(name: str) -> None:
    architecture = NETS[name]
    model = build_model(architecture)
    vitals = HealthProbes(model, architecture)
    assert hooks_of(model) == 0
    with vitals.record_activations():
        assert hooks_of(model) == len(RELUS[name])
    assert hooks_of(model) == 0
    with pytest.raises(RuntimeError), vitals.record_activations():
        evaluate(model, LabeledImages(torch.zeros(4, 2, 8, 8, dtype=torch.uint8), torch.zeros(4, dtype=torch.long)))
    assert hooks_of(model) == 0
    with pytest.raises(KeyboardInterrupt), vitals.record_activations():
        raise KeyboardInterrupt
    assert hooks_of(model) == 0


def test_training_leaves_no_hooks() -> None:
    trainer = make_trainer(RICH)
    script = Script({7: [Stop()]})
    script.trainer = trainer
    for _ in trainer.run(script):
        assert hooks_of(trainer.model) == 0
    again = make_trainer(RICH)
    again.restore(through_bytes(trainer.create_checkpoint()))
    play(again)
    assert hooks_of(again.model) == 0


class Blind(HealthProbes):
    """Probes that record nothing."""

    @contextlib.contextmanager
    def record_activations(self) -> Iterator[None]:
        yield

    def compute_gradient_norms(self) -> tuple[LayerGradient, ...]:
        return ()


@pytest.mark.parametrize("name", NETS)
def test_probes_change_no_weights_or_metrics(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(augmentation=AUGMENTATION)
    seen = make_trainer(NETS[name], recipe)
    stream = play(seen)
    monkeypatch.setattr(run_evaluator, "HealthProbes", Blind)
    unseen = make_trainer(NETS[name], recipe)
    assert isinstance(unseen._evaluator.health_probes, Blind)
    assert figures(play(unseen)) == figures(stream)
    assert_same_weights(seen.get_weights(), unseen.get_weights())


def test_probes_are_identical_after_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Mock(wraps=diagnose)
    monkeypatch.setattr(trainer, "diagnose", spy)

    def take_noted() -> list[TrainingMetrics]:
        noted = [call.args[0] for call in spy.call_args_list]
        spy.reset_mock()
        return noted

    play(make_trainer(RICH))
    whole = take_noted()
    first = make_trainer(RICH)
    play(first, Script({5: [Stop()]}))
    second = make_trainer(RICH)
    second.restore(through_bytes(first.create_checkpoint()))
    play(second)
    noted = take_noted()
    assert [(signs.step, signs.dead_channels, signs.layer_gradients, signs.predicted_counts) for signs in noted] == [
        (signs.step, signs.dead_channels, signs.layer_gradients, signs.predicted_counts) for signs in whole
    ]
    assert [signs.step for signs in whole] == [3, 6, 9, 12]
    for signs in whole:
        assert len(signs.layer_gradients) == 3
        assert all(layer.norm > 0 for layer in signs.layer_gradients)
        assert sum(signs.predicted_counts) == sum(signs.label_counts) in (20, 30)


def test_network_without_relus_or_weights() -> None:
    for layers in ((Flatten(), Output()), (MaxPool2d(), BatchNorm(), Flatten(), Output())):
        model, vitals = watched(net(*layers))
        assert vitals.count_dead_channels() == ()
        assert hooks_of(model) == 0
    block = Residual(layers=(Conv2d(out_channels=1, padding="same"),))
    _, vitals = watched(net(block, Flatten(), Output()))
    assert [place for place, _, _ in vitals.count_dead_channels()] == ["layer 1 (Residual)"] * 2
