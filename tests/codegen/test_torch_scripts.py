"""Exported PyTorch programs, executed: they train as the engine does and predict as the model does."""

import inspect
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision import datasets

from playground.codegen.keras_model import to_keras
from playground.codegen.torch_scripts import generate_prediction_script, generate_training_script
from playground.core.architecture import Architecture, InputShape
from playground.core.augmentations import Augmentation
from playground.core.augmentations.noise import Noise
from playground.core.augmentations.shift import Shift
from playground.core.datasets import DATASETS, Dataset
from playground.core.events import Evaluated
from playground.core.layers import BatchNorm, Conv2d, Flatten, MaxPool2d, Output, Residual
from playground.core.optimizers import Optimizer
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.sgd import Sgd
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.core.schedules import Schedule
from playground.core.schedules.one_cycle import OneCycle
from playground.engine.data import augment as engine
from playground.engine.data.batch import LabeledImages
from playground.engine.model.build import build_model, expand_to_class_logits
from playground.engine.paths import find_bundled
from playground.engine.rng import derive_seed
from playground.engine.training.optimizers import compute_lr, make_optimizer
from playground.engine.training.trainer import Trainer
from playground.errors import ArchitectureError, RecipeError
from tests import strategies
from tests.codegen.exported_code import executed
from tests.run_events import events_of

GOLDEN = Path(__file__).parent.parent / "golden"
TINY = get_architecture_preset("tiny").architecture


def _script(recipe: Recipe, architecture: Architecture | None = None, name: str = "mnist") -> dict[str, Any]:
    return executed(generate_training_script(architecture or _fitting(name), recipe, dataset=DATASETS[name]))


def _fitting(name: str) -> Architecture:
    channels, height, width = DATASETS[name].input_shape
    shape = InputShape(channels=channels, height=height, width=width)
    return Architecture(input=shape, classes=len(DATASETS[name].class_names), layers=(Flatten(), Output()))


@pytest.mark.parametrize("recipe", ["sprint", "careful"])
def test_training_program_is_the_golden_file(recipe: str) -> None:
    """``UPDATE_GOLDEN=1`` rewrites the files; look at the difference before you commit it."""
    preset = get_architecture_preset("guide")
    code = generate_training_script(
        preset.architecture, get_recipe_preset(recipe).recipe, title=preset.title, dataset=DATASETS["mnist"]
    )
    _check_golden(code, f"train-guide-{recipe}.py.txt")


def test_prediction_program_is_the_golden_file() -> None:
    preset = get_architecture_preset("guide")
    code = generate_prediction_script(
        preset.architecture,
        title=preset.title,
        class_names=DATASETS["mnist"].class_names,
        dataset=DATASETS["mnist"],
    )
    _check_golden(code, "predict-guide.py.txt")


def _check_golden(code: str, name: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(code, encoding="utf-8")
    assert code == path.read_text(encoding="utf-8")


def _run_program(code: str, folder: Path, *arguments: str) -> str:
    path = folder / "program.py"
    path.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_program_reaches_the_engine_s_accuracy_on_mnist(tmp_path: Path) -> None:
    """After two short epochs, a wrong schedule, scale or number of images shows in the accuracy."""
    architecture = Architecture(
        layers=(Conv2d(out_channels=8, kernel_size=5, stride=2), MaxPool2d(), Flatten(), Output())
    )
    raw = tmp_path / "data" / "MNIST" / "raw"  # where torchvision finds them and fetches nothing
    raw.mkdir(parents=True)
    for packed in find_bundled("assets/mnist").glob("*.xz"):
        (raw / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    recipe = Recipe(
        lr=2e-2, batch_size=64, epochs=2, limit=6000, schedule=OneCycle(), precision="float32", device="cpu"
    )
    code = generate_training_script(architecture, recipe, dataset=DATASETS["mnist"])
    printed = _run_program(code, tmp_path).splitlines()
    assert [line.split(":")[0] for line in printed[:-1]] == ["epoch 1", "epoch 2"]
    assert printed[-1].startswith("test accuracy ")
    evaluated = events_of(Trainer(architecture, recipe).run(), Evaluated)
    wanted = next(event.accuracy for event in evaluated if event.split == "test")
    assert float(printed[-1].split()[-1]) == pytest.approx(wanted, abs=0.015)
    assert load_file(tmp_path / "weights.safetensors").keys() == build_model(architecture).state_dict().keys()


# Parts of the program compared with the engine


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(
    "optimizer", [*(kind() for kind in strategies.OPTIMIZERS), Sgd(nesterov=True), Adam(beta1=0.5)]
)
def test_program_has_the_engine_s_optimizer(optimizer: Optimizer, weight_decay: float) -> None:
    recipe = Recipe(optimizer=optimizer, lr=0.03, weight_decay=weight_decay)
    model = build_model(TINY)
    actual = _script(recipe)["make_optimizer"](model)
    wanted = make_optimizer(list(model.parameters()), recipe, model)
    assert type(actual).__name__ == type(wanted).__name__
    assert actual.defaults | {"fused": None} == wanted.defaults | {"fused": None}
    assert list(actual.param_groups[0]["params"]) == list(model.parameters())


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize(
    "schedule", [*(kind() for kind in strategies.SCHEDULES), OneCycle(pct_start=0.6, div_factor=5)]
)
def test_program_has_the_engine_s_learning_rates(schedule: Schedule, epochs: int) -> None:
    recipe = Recipe(schedule=schedule, lr=0.03, epochs=epochs)
    script = _script(recipe)
    optimizer = script["make_optimizer"](build_model(TINY))
    rates = script["make_scheduler"](optimizer, 20) if "make_scheduler" in script else None
    for step in range(20 * epochs):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(compute_lr(recipe, step, 20), rel=1e-6)
        optimizer.step()
        if rates:
            rates.step()


def _check_same_images(augmentations: tuple[Augmentation, ...]) -> None:
    images = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    script = _script(Recipe(augmentation=augmentations), name="cifar10")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("augmentation", 4, 2))
        actual = script["augment"](images.clone())
    torch.testing.assert_close(actual, engine.augment(images, augmentations, seed=4, step=2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", strategies.AUGMENTATIONS)
def test_augmentation_gives_the_engine_s_images_for_equal_random_numbers(kind: type[Any]) -> None:
    _check_same_images((kind(),))


@given(augmentations=st.lists(st.one_of(*map(strategies.from_form, strategies.AUGMENTATIONS)), min_size=1, max_size=9))
@settings(max_examples=40)
def test_combined_augmentations_give_the_engine_s_images(augmentations: list[Augmentation]) -> None:
    _check_same_images(tuple(augmentations))


def _tiny_data(architecture: Architecture, count: int = 90) -> tuple[Tensor, Tensor]:
    """Images whose brightest row gives the class."""
    labels = torch.arange(count) % architecture.classes
    images = torch.zeros(count, *architecture.input.shape, dtype=torch.uint8)
    images[torch.arange(count), :, 2 * labels] = 255
    return images, labels


def _train(
    script: dict[str, Any], data: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, folder: Path, *others: str
) -> None:
    script["load_images"] = lambda folder, train: data
    monkeypatch.chdir(folder)
    with torch.random.fork_rng(devices=[]):
        script["train"]("nowhere", *others)


_SMALL = {"lr": 0.05, "batch_size": 16, "epochs": 3, "validation_size": 20, "device": "cpu"}


@pytest.mark.parametrize(
    ("classes", "fields"),
    [
        (10, {"schedule": OneCycle(), "augmentation": (Shift(pixels=0.2), Noise(std=0.05)), "label_smoothing": 0.1}),
        (10, {"optimizer": Sgd(), "limit": 48, "epochs": 8}),
        (10, {"precision": "bfloat16"}),
        (2, {"label_smoothing": 0.1}),
    ],
)
def test_program_learns_a_separable_dataset(
    classes: int,
    fields: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Output(activation="sigmoid" if classes == 2 else "softmax")
    architecture = Architecture(classes=classes, layers=(Flatten(), output))
    dataset = replace(DATASETS["mnist"], class_names=tuple("abcdefghij"[:classes]))
    script = executed(generate_training_script(architecture, Recipe(**{**_SMALL, **fields}), dataset=dataset))
    _train(script, _tiny_data(architecture), monkeypatch, tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == "test accuracy 1.0000"
    build_model(architecture).load_state_dict(load_file(tmp_path / "weights.safetensors"))


def test_validation_images_are_never_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image is identified by its brightness."""
    architecture = Architecture(layers=(Flatten(), Output()))
    images = torch.arange(90, dtype=torch.uint8).view(90, 1, 1, 1).repeat(1, 1, 28, 28)
    script = _script(Recipe(**{**_SMALL, "epochs": 2}), architecture)
    seen: dict[bool, list[int]] = {True: [], False: []}
    scaled: Callable[[Tensor], Tensor] = script["scale_images"]

    def watched(batch: Tensor) -> Tensor:
        seen[torch.is_inference_mode_enabled()] += batch[:, 0, 0, 0].tolist()
        return scaled(batch)

    script["scale_images"] = watched
    _train(script, (images, torch.arange(90) % 10), monkeypatch, tmp_path)
    trained = seen[True][: 2 * 20]  # of the first two measurements; the third is that on the test images
    assert len(set(trained)) == 20
    assert not set(trained) & set(seen[False])
    assert sorted(seen[False]) == sorted([*set(seen[False])] * 2)


def test_last_batch_of_one_image_is_left_out_for_batch_norm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = Architecture(layers=(Flatten(), BatchNorm(), Output()))
    script = _script(Recipe(**{**_SMALL, "validation_size": 25, "epochs": 1}), architecture)
    _train(script, _tiny_data(architecture), monkeypatch, tmp_path)


def test_frozen_layers_keep_the_loaded_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and running statistics of batch norm too, inside and outside of blocks."""
    inner = (Conv2d(out_channels=2, kernel_size=1, trainable=False), BatchNorm())
    frozen = Conv2d(out_channels=2, kernel_size=5, stride=4, trainable=False)
    block = Residual(layers=inner, trainable=True)
    architecture = Architecture(layers=(frozen, BatchNorm(trainable=False), block, Flatten(), Output()))
    given = {name: values + 0.5 for name, values in build_model(architecture, seed=8).state_dict().items()}
    save_file(given, tmp_path / "first.safetensors")
    script = _script(Recipe(**_SMALL, optimizer=AdamW(), weight_decay=0.1), architecture)
    assert script["FROZEN_MODULES"] == ("0", "2", "3.body.0")
    _train(script, _tiny_data(architecture), monkeypatch, tmp_path, "first.safetensors")
    trained = load_file(tmp_path / "weights.safetensors")
    kept = {name.rpartition(".")[0] for name in given if torch.equal(given[name], trained[name])}
    assert kept == {"0", "2", "3.body.0"}
    assert not any(torch.equal(given[name], trained[name]) for name in given if name.startswith(("3.body.1", "6")))


def test_weights_are_written_without_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    monkeypatch.chdir(tmp_path)
    _script(Recipe())["save_weights"](build_model(TINY))
    build_model(TINY).load_state_dict(torch.load("weights.pt", weights_only=True))


# Data


def _stand_in(name: str, shape: tuple[int, ...]) -> SimpleNamespace:
    """Two images with labels 0 and 1, in torchvision's layout."""
    _, height, width = shape
    upright = torch.arange(2 * height * width).view(2, height, width).to(torch.uint8)
    color = torch.stack([upright, upright + 1, upright + 2], dim=1)
    labels = torch.arange(2)
    match name:
        case "emnist-letters":
            return SimpleNamespace(data=upright.transpose(1, 2), targets=labels + 1)
        case "emnist-balanced":
            return SimpleNamespace(data=upright.transpose(1, 2), targets=labels)
        case "qmnist":
            return SimpleNamespace(data=upright, targets=torch.stack([labels, labels + 7], dim=1))
        case "usps":
            return SimpleNamespace(data=upright.numpy(), targets=labels.tolist())
        case "svhn":
            return SimpleNamespace(data=color.numpy(), labels=labels.numpy())
        case "cifar10" | "cifar100":
            return SimpleNamespace(data=color.permute(0, 2, 3, 1).numpy(), targets=labels.tolist())
        case _:
            return SimpleNamespace(data=upright, targets=labels)


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_is_read_from_torchvision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = DATASETS[name].input_shape
    source = DATASETS[name].origin.torchvision
    assert source is not None
    kind = source.class_name
    signature = inspect.signature(getattr(datasets, kind))
    asked = []

    def stand_in(*arguments: Any, **named: Any) -> SimpleNamespace:
        asked.append({**signature.bind(*arguments, **named).arguments})
        return _stand_in(name, shape)

    monkeypatch.setattr(datasets, kind, stand_in)
    load_images = _script(Recipe(dataset=name), name=name)["load_images"]
    for train in (True, False):
        images, labels = load_images("folder", train=train)
        assert images.shape == (2, *shape)
        assert images.dtype == torch.uint8
        assert images[0, 0].flatten()[:20].tolist() == list(range(20))
        assert labels.tolist() == [0, 1]
        assert labels.dtype == torch.int64
    assert asked[0] != asked[1]
    assert all(call["root"] == "folder" for call in asked)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("wanted", [(1, 28, 28), (1, 40, 32), (3, 32, 32), (3, 20, 20), (4, 32, 32)])
def test_images_of_another_shape_are_resized_as_in_the_engine(
    name: str, wanted: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, given = DATASETS[name].origin.torchvision, DATASETS[name].input_shape
    assert source is not None
    monkeypatch.setattr(datasets, source.class_name, lambda *arguments, **named: _stand_in(name, given))
    shape = InputShape(channels=wanted[0], height=wanted[1], width=wanted[2])
    architecture = Architecture(input=shape, layers=(Flatten(), Output()))
    images, labels = _script(Recipe(), architecture, name)["load_images"]("folder", train=True)
    same = _script(Recipe(), name=name)["load_images"]("folder", train=True)
    assert torch.equal(images, LabeledImages(*same).resize(wanted).images)
    assert torch.equal(labels, same[1])


def test_custom_dataset_is_read_from_one_folder_for_each_class(tmp_path: Path) -> None:
    """The labels follow the order of the dataset's classes, which need not be alphabetical."""
    own = Dataset("own:pets", "Pets", (3, 6, 4), ("zebra", "ant"), 20, 2, "")
    for number, name in enumerate(own.class_names):
        folder = tmp_path / "test" / name
        folder.mkdir(parents=True)
        Image.new("RGB", (40, 60), (number, 2, 3)).save(folder / "one.png")
    architecture = Architecture(
        input=InputShape(channels=3, height=6, width=4), classes=2, layers=(Flatten(), Output())
    )
    code = generate_training_script(architecture, Recipe(dataset="own:pets"), dataset=own)
    assert "one folder of images for each class" in code
    images, labels = executed(code)["load_images"](str(tmp_path), train=False)
    assert images.shape == (2, 3, 6, 4)
    assert images[:, 0, 0, 0].tolist() == labels.tolist()
    assert sorted(labels.tolist()) == [0, 1]
    assert images[0, :, 5, 3].tolist()[1:] == [2, 3]


@pytest.mark.parametrize("has_strokes", [False, True])
def test_programs_say_how_drawings_to_train_on_look(has_strokes: bool) -> None:
    drawn = Dataset("own:signs", "Signs", (1, 28, 28), ("a", "b"), 20, 2, "", has_strokes=has_strokes)
    architecture = Architecture(classes=2, layers=(Flatten(), Output()))
    recipe = Recipe(dataset=drawn.name)
    for code in (
        generate_training_script(architecture, recipe, dataset=drawn),
        to_keras(architecture, recipe, dataset=drawn),
    ):
        assert ("They are drawings as in MNIST: light on black" in code) == has_strokes
        compile(code, "exported.py", "exec")


def test_other_number_of_classes_than_the_dataset_s_is_rejected() -> None:
    with pytest.raises(RecipeError, match="has 10 classes, EMNIST, digits and letters has 47"):
        generate_training_script(TINY, Recipe(), dataset=DATASETS["emnist-balanced"])


# Predicting


@pytest.mark.parametrize("classes", [2, 10])
def test_prediction_program_predicts_as_the_model_does(classes: int, tmp_path: Path) -> None:
    output = Output(activation="sigmoid" if classes == 2 else "softmax")
    architecture = Architecture(classes=classes, layers=(Conv2d(out_channels=4), Flatten(), output))
    module = build_model(architecture, seed=1).eval()
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    pixels = torch.randint(0, 256, (28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    Image.fromarray(pixels.numpy()).save(tmp_path / "one.png")
    Image.new("RGB", (100, 80)).save(tmp_path / "black and large.png")
    names = [f"class {number}" for number in range(classes)]
    code = generate_prediction_script(architecture, class_names=names, dataset=DATASETS["fashion-mnist"])
    printed = _run_program(code, tmp_path, "weights.safetensors", "one.png", "black and large.png").splitlines()
    for line, name, image in zip(printed, ("one.png", "black and large.png"), (pixels, 0 * pixels), strict=True):
        with torch.inference_mode():
            probabilities = expand_to_class_logits(module(image.view(1, 1, 28, 28) / 255)).softmax(1)[0]
        answer = int(probabilities.argmax())
        assert line == f"{name}: class {answer}, {probabilities[answer]:.4f}"


def test_prediction_program_finds_drawings_in_either_polarity_and_names_empty_images(tmp_path: Path) -> None:
    architecture = Architecture(layers=(Flatten(), Output()))
    save_file(build_model(architecture).state_dict(), tmp_path / "weights.safetensors")
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[8:20, 13:15] = 255
    Image.fromarray(pixels).save(tmp_path / "dark.png")
    Image.fromarray(255 - pixels).save(tmp_path / "light.png")
    Image.fromarray(0 * pixels).save(tmp_path / "empty.png")
    code = generate_prediction_script(architecture, class_names="0123456789", dataset=DATASETS["mnist"])
    printed = _run_program(code, tmp_path, "weights.safetensors", "dark.png", "light.png", "empty.png").splitlines()
    dark, light, empty = (line.split(": ", 1)[1] for line in printed)
    assert dark == light
    assert empty.startswith("not predicted, because the image is empty")


# Invalid input


def test_texts_of_users_never_become_code() -> None:
    hostile = '"""\nraise SystemExit("' + "\\"
    own = Dataset(f"own:{hostile}", hostile, (1, 28, 28), (hostile, "'", '"', *"abcdefg"), 20, 2, "")
    recipe = Recipe(dataset=own.name)
    for code in (
        generate_training_script(TINY, recipe, title=hostile, dataset=own),
        generate_prediction_script(TINY, title=hostile, class_names=own.class_names, dataset=own),
    ):
        assert executed(code)["CLASS_NAMES"] == own.class_names


def test_broken_network_is_not_exported() -> None:
    broken = get_architecture_preset("broken").architecture
    with pytest.raises(ArchitectureError, match="cannot be exported"):
        generate_training_script(broken, Recipe(), dataset=DATASETS["mnist"])
    with pytest.raises(ArchitectureError, match="cannot be exported"):
        generate_prediction_script(broken, class_names="0123456789", dataset=DATASETS["mnist"])
