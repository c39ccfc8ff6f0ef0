"""Exported Keras programs, executed: the same shapes, parameter counts, logits and training steps as the engine."""

import os
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from playground.codegen.keras_model import to_keras
from playground.core.architecture import Architecture, InputShape
from playground.core.augmentations.rotate import Rotate
from playground.core.datasets import Dataset
from playground.core.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    MaxPool2d,
    Output,
    Residual,
)
from playground.core.optimizers import Optimizer
from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.muon import Muon
from playground.core.optimizers.nadam import NAdam
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.core.schedules import Schedule
from playground.core.schedules.constant import Constant
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle
from playground.core.schedules.step_decay import StepDecay
from playground.core.summary import summarize
from playground.engine.data.batch import LabeledImages
from playground.engine.model.build import build_model, expand_to_class_logits
from playground.engine.training.optimizers import compute_lr, make_optimizer
from playground.errors import ArchitectureError
from tests import strategies
from tests.codegen.exported_code import executed

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    # Keras's variables on torch do not know NumPy 2's way of asking for an array.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize(("name", "recipe"), [("guide", None), ("guide", "sprint"), ("residual", None)])
def test_code_is_the_golden_file(name: str, recipe: str | None) -> None:
    """``UPDATE_GOLDEN=1`` rewrites the files; look at the difference before you commit it."""
    preset = get_architecture_preset(name)
    code = to_keras(preset.architecture, get_recipe_preset(recipe).recipe if recipe else None, title=preset.title)
    path = GOLDEN / f"keras-{'-'.join(filter(None, (name, recipe)))}.py.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(code, encoding="utf-8")
    assert code == path.read_text(encoding="utf-8")


def _run(architecture: Architecture) -> nn.Sequential:
    """A network with running statistics that differ from the initial ones, so that they must be loaded too."""
    module = build_model(architecture, seed=3)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=noise) + 0.5)
    return module.eval()


def _images(architecture: Architecture, count: int = 2) -> torch.Tensor:
    return torch.rand(count, *architecture.input.shape, generator=torch.Generator().manual_seed(2)) - 0.25


def _channels_last(images: torch.Tensor) -> NDArray[np.float32]:
    actual: NDArray[np.float32] = images.permute(0, 2, 3, 1).contiguous().numpy()
    return actual


def _scores(model: Any, images: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        actual: NDArray[np.float32] = model(_channels_last(images), training=False).numpy()
        return actual


def _loaded(architecture: Architecture, module: nn.Module, recipe: Recipe | None = None) -> tuple[dict[str, Any], Any]:
    """The names that the exported file defines, and its model with the module's weights."""
    exported = executed(to_keras(architecture, recipe))
    model = exported["make_model"](logits=True)
    with tempfile.TemporaryDirectory() as folder:
        save_file(module.state_dict(), Path(folder) / "weights.safetensors")
        exported["load_weights"](model, Path(folder) / "weights.safetensors")
    return exported, model


def _check_same(architecture: Architecture) -> None:
    module, images = _run(architecture), _images(architecture)
    _, model = _loaded(architecture, module)
    with torch.inference_mode():
        np.testing.assert_allclose(_scores(model, images), module(images).numpy(), rtol=1e-4, atol=1e-4)
    summary = summarize(architecture)
    assert sum(prod(weight.shape) for weight in model.trainable_weights) == summary.parameters
    shapes = iter([layer.output.shape[1:] for layer in model.layers])
    for row in summary.layers:
        if row.enabled:  # others may lie between: paddings, the inside of blocks
            assert (*row.output_shape[1:], row.output_shape[0]) in shapes, row.title


@given(architecture=strategies.architectures())
@settings(max_examples=25)
def test_exported_network_gives_the_same_shapes_and_logits(architecture: Architecture) -> None:
    _check_same(architecture)


@pytest.mark.parametrize("name", [name for name, preset in ARCHITECTURE_PRESETS.items() if not preset.is_broken])
def test_exported_preset_gives_the_same_shapes_and_logits(name: str) -> None:
    _check_same(get_architecture_preset(name).architecture)


def _net(*layers: Layer, classes: int = 3, size: int = 11) -> Architecture:
    layers = (*layers, Flatten(), Output(activation="sigmoid" if classes == 2 else "softmax"))
    return Architecture(input=InputShape(channels=2, height=size, width=size - 2), classes=classes, layers=layers)


_PLAIN = {"activation": "none", "out_channels": 4}
_AWKWARD = {
    "even kernel, same padding": Conv2d(kernel_size=4, padding="same", **_PLAIN),
    "padding that is as good as same": Conv2d(kernel_size=5, padding=2, **_PLAIN),
    "padding that is not": Conv2d(kernel_size=5, padding=1, **_PLAIN),
    "same with a stride would pad unevenly": Conv2d(kernel_size=3, padding=1, stride=2, **_PLAIN),
    "stride and dilation at once": Conv2d(kernel_size=3, padding=2, stride=3, dilation=2, **_PLAIN),
    "groups": Conv2d(kernel_size=3, groups=2, bias=False, **_PLAIN),
    "max pooling never takes the padding": MaxPool2d(kernel_size=3, stride=2, padding=1),
    "average pooling counts the padding": AvgPool2d(kernel_size=4, stride=2, padding=2),
    "batch norm": BatchNorm(momentum=0.3, eps=1e-3),
}


@pytest.mark.parametrize("layer", _AWKWARD.values(), ids=_AWKWARD)
def test_option_that_keras_defines_differently_gives_the_same_logits(layer: Layer) -> None:
    """Inputs have both signs, so that zero padding differs from padding with the minimum."""
    _check_same(_net(layer))


@pytest.mark.parametrize("activation", strategies.ACTIVATIONS)
def test_every_activation_is_the_same_function(activation: Any) -> None:
    _check_same(_net(Conv2d(activation=activation), Activation(activation=activation)))


def test_batch_norm_has_the_same_momentum() -> None:
    architecture = _net(BatchNorm(momentum=0.3))
    module = build_model(architecture, seed=3)
    _, model = _loaded(architecture, module)
    images = _images(architecture, count=8)
    model(_channels_last(images), training=True)
    module.train()(images)
    mean = module.state_dict()["0.running_mean"]
    assert mean.abs().min() > 0.01
    np.testing.assert_allclose(model.layers[0].moving_mean.numpy(), mean.numpy(), rtol=1e-4)


def test_block_may_begin_and_end_with_any_layer() -> None:
    """Weights are assigned in the order in which Keras lists the layers of a graph."""
    strided = Conv2d(kernel_size=1, stride=2, **_PLAIN)
    same = Conv2d(kernel_size=1, **_PLAIN)
    _check_same(_net(Residual(layers=(strided, Dropout(), Activation())), Residual(layers=(Activation(), same))))


def test_model_survives_saving_and_loading_in_keras(tmp_path: Path) -> None:
    architecture = _net(MaxPool2d(kernel_size=3, padding=1))
    exported, model = _loaded(architecture, _run(architecture), Recipe(schedule=OneCycle()))
    exported["compile_model"](model, 10)
    images = _images(architecture)
    model.train_on_batch(_channels_last(images), np.array([0, 1]))
    model.save(tmp_path / "model.keras")
    actual = _scores(keras.saving.load_model(tmp_path / "model.keras"), images)
    np.testing.assert_array_equal(actual, _scores(model, images))


def test_disabled_layers_are_left_out() -> None:
    code = to_keras(_net(Conv2d(enabled=False), Dropout(p=0.5), Dropout(p=0.25, enabled=False)))
    assert "Conv2D" not in code
    assert code.count("Dropout") == 1


@pytest.mark.parametrize(("classes", "function"), [(2, torch.sigmoid), (3, lambda scores: scores.softmax(1))])
def test_model_gives_probabilities_unless_logits_are_asked_for(classes: int, function: Any) -> None:
    architecture = _net(classes=classes)
    exported, model = _loaded(architecture, _run(architecture))
    complete = exported["make_model"]()
    complete.set_weights(model.get_weights())
    images = _images(architecture)
    wanted = function(torch.from_numpy(_scores(model, images)))
    np.testing.assert_allclose(_scores(complete, images), wanted.numpy(), rtol=1e-5)


_WITHOUT_SCHEDULE: list[Optimizer] = [
    Sgd(momentum=0.0),
    Sgd(momentum=0.8),
    Sgd(momentum=0.8, nesterov=True),
    Adam(beta1=0.8, beta2=0.95),
    AdamW(),
    RmsProp(alpha=0.9),
    RmsProp(momentum=0.5),
    Adagrad(),
    NAdam(),
    NAdam(beta1=0.8, beta2=0.95, momentum_decay=1.0),
    Muon(),
    Muon(nesterov=False, momentum=0.8, ns_steps=3),
]
_SCHEDULES: list[Schedule] = [StepDecay(step_size=1, gamma=0.3), Cosine(), OneCycle(pct_start=0.4, div_factor=10)]


def _check_same_steps(recipe: Recipe, classes: int = 3, steps: int = 6) -> None:
    """Train the exported model and the module on the same batches; both must give the same logits."""
    hidden = (Conv2d(out_channels=5, kernel_size=2),) if recipe.optimizer.is_matrix_wise else ()
    architecture = _net(Conv2d(out_channels=4, activation="tanh"), *hidden, classes=classes, size=6)
    module = build_model(architecture, seed=3)
    exported, model = _loaded(architecture, module, recipe)
    steps_per_epoch = steps // recipe.epochs
    exported["compile_model"](model, *([] if isinstance(recipe.schedule, Constant) else [steps_per_epoch]))
    optimizer = make_optimizer(list(module.parameters()), recipe, module)
    before = _scores(model, _images(architecture))
    for step in range(steps):
        images = torch.rand(8, *architecture.input.shape, generator=torch.Generator().manual_seed(step))
        labels = torch.arange(8) % classes
        one_hot = recipe.label_smoothing > 0 and classes > 2
        model.train_on_batch(_channels_last(images), (functional.one_hot(labels) if one_hot else labels).numpy())
        optimizer.param_groups[0]["lr"] = compute_lr(recipe, step, steps_per_epoch)
        optimizer.zero_grad()
        scores = expand_to_class_logits(module(images))
        functional.cross_entropy(scores, labels, label_smoothing=recipe.label_smoothing).backward()
        optimizer.step()
    with torch.inference_mode():
        wanted = module(_images(architecture)).numpy()
    assert np.abs(wanted - before).max() > 0.01
    np.testing.assert_allclose(_scores(model, _images(architecture)), wanted, atol=1e-3)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", _WITHOUT_SCHEDULE, ids=repr)
def test_optimizer_takes_the_same_steps(optimizer: Optimizer, weight_decay: float) -> None:
    _check_same_steps(Recipe(optimizer=optimizer, lr=0.01, weight_decay=weight_decay))


@pytest.mark.parametrize("schedule", _SCHEDULES, ids=repr)
@pytest.mark.parametrize("epochs", [1, 3])
def test_schedule_takes_the_same_steps(schedule: Schedule, epochs: int) -> None:
    _check_same_steps(Recipe(schedule=schedule, lr=0.02, epochs=epochs, label_smoothing=0.2))


def test_sigmoid_output_takes_the_same_steps() -> None:
    _check_same_steps(Recipe(lr=0.02, label_smoothing=0.2), classes=2)


def test_frozen_layers_keep_the_loaded_weights() -> None:
    block = Residual(layers=(Conv2d(out_channels=2, kernel_size=1), BatchNorm()), trainable=False)
    architecture = _net(Conv2d(out_channels=2, trainable=False), block, BatchNorm())
    exported, model = _loaded(architecture, _run(architecture), Recipe(optimizer=AdamW(), weight_decay=0.1))
    exported["compile_model"](model)
    before = [layer.get_weights() for layer in model.layers if layer.weights]
    model.train_on_batch(_channels_last(_images(architecture, count=8)), np.arange(8) % 3)
    after = [layer.get_weights() for layer in model.layers if layer.weights]
    kept = [
        index
        for index, old, new in zip(exported["WEIGHT_MODULES"], before, after, strict=True)
        if all(map(np.array_equal, old, new))
    ]
    assert kept == [*exported["FROZEN_MODULES"]] == ["0", "2.body.0", "2.body.2"]


@pytest.mark.parametrize(
    ("dataset", "wanted"),
    [("mnist", (1, 28, 28)), ("mnist", (3, 20, 24)), ("cifar10", (1, 32, 32)), ("cifar10", (3, 40, 40))],
)
def test_images_are_resized_to_the_network_s_input_shape(dataset: str, wanted: tuple[int, ...]) -> None:
    shape = InputShape(channels=wanted[0], height=wanted[1], width=wanted[2])
    code = to_keras(Architecture(input=shape, layers=(Flatten(), Output())), Recipe(dataset=dataset))
    given = np.random.default_rng(0).integers(0, 256, (5, 28, 28) if dataset == "mnist" else (5, 32, 32, 3), np.uint8)
    actual = executed(code)["scale_images"](given)
    channels_first = torch.from_numpy(given[:, None] if dataset == "mnist" else given.transpose(0, 3, 1, 2))
    run = LabeledImages(channels_first.contiguous(), torch.zeros(5)).resize(wanted).images
    np.testing.assert_allclose(actual, _channels_last(run / 255), atol=1e-6)
    assert actual.dtype == np.float32


@pytest.mark.parametrize(("classes", "label_smoothing"), [(10, 0.0), (10, 0.1), (2, 0.1)])
def test_program_trains_and_prints_the_test_accuracy(
    classes: int, label_smoothing: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The brightest row of an image gives its label."""
    labels = np.arange(240, dtype=np.uint8) % classes
    images = np.zeros((240, 28, 28), np.uint8)
    images[np.arange(240), 2 * labels] = 255
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: ((images, labels), (images[:50], labels[:50])))
    output = Output(activation="sigmoid" if classes == 2 else "softmax")
    architecture = Architecture(classes=classes, layers=(Flatten(), output))
    recipe = Recipe(
        lr=0.05,
        batch_size=16,
        epochs=3,
        validation_size=40,
        limit=160,
        schedule=OneCycle(),
        label_smoothing=label_smoothing,
        augmentation=(Rotate(),),
    )
    code = to_keras(architecture, recipe)
    assert "Augmentation of the run (rotate)" in code
    executed(code, "__main__")
    printed = capsys.readouterr().out
    assert "10/10" in printed  # the limit, in batches
    assert printed.splitlines()[-1] == "test accuracy 1.0000"


def test_dataset_that_keras_does_not_have_is_read_from_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exported program separates dark from bright images, which are larger than the network's input."""
    for part in ("train", "test"):
        for name, level in (("bright", 230), ("dark", 20)):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            for number in range(20):
                Image.new("RGB", (30, 24), (level, level, level + number)).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    pictures = InputShape(channels=3, height=11, width=9)
    architecture = Architecture(input=pictures, classes=2, layers=(Flatten(), Output()))
    recipe = Recipe(dataset="own:pets", lr=0.1, batch_size=5, epochs=8, validation_size=10)
    pets = Dataset(recipe.dataset, "Pets", (3, 11, 9), ("bright", "dark"), 40, 40, "")
    code = to_keras(architecture, recipe, dataset=pets)
    images, labels = executed(code)["load_folder"]("data/train")
    assert images.shape == (40, 11, 9, 3)
    assert images.dtype == np.float32
    assert np.array_equal(images.mean((1, 2, 3)) < 0.5, labels == 1)  # dark comes after bright
    assert len(set(labels[:10])) == 2  # shuffled: what is kept out is not one class
    executed(code, "__main__")
    assert capsys.readouterr().out.splitlines()[-1] == "test accuracy 1.0000"


def test_dataset_name_never_becomes_code() -> None:
    recipe = Recipe(dataset='own:"""\nraise SystemExit')
    hostile = Dataset(recipe.dataset, recipe.dataset, (1, 28, 28), ('"', "\\", recipe.dataset), 20, 2, "")
    assert executed(to_keras(_net(), recipe, dataset=hostile))["CLASS_NAMES"] == hostile.class_names


@pytest.mark.parametrize("title", ['"""', "a\\N", 'x"""\nraise SystemExit\n"""', "naïve ✓"])
def test_title_never_becomes_code(title: str) -> None:
    executed(to_keras(get_architecture_preset("tiny").architecture, title=title))


def test_program_without_a_recipe_prints_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    executed(to_keras(get_architecture_preset("guide").architecture), "__main__")
    assert "93,322" in capsys.readouterr().out


def test_broken_network_is_not_exported() -> None:
    with pytest.raises(ArchitectureError, match="needs a vector"):
        to_keras(Architecture(layers=(Conv2d(), Output())))
