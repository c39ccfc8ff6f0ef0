"""Presets: summaries compared with the same networks in Keras (tests/golden/keras_tables.py), and settings."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.core.datasets import DATASETS
from playground.core.layers import Conv2d, Layer, Residual
from playground.core.presets import (
    ARCHITECTURE_PRESETS,
    GROUP_TITLES,
    RECIPE_PRESETS,
    get_architecture_preset,
    get_recipe_preset,
)
from playground.core.shapes import Shape
from playground.core.summary import summarize
from playground.core.validation import validate
from playground.errors import UnknownNameError

GOLDEN = Path(__file__).parents[1] / "golden"
TABLES: dict[str, list[list[Any]]] = json.loads((GOLDEN / "keras-tables.json").read_text(encoding="utf-8"))
WORKING = [name for name, preset in ARCHITECTURE_PRESETS.items() if not preset.is_broken]
KERAS_CLASSES = {
    "max_pool2d": "MaxPooling2D",
    "avg_pool2d": "AveragePooling2D",
    "global_avg_pool": "GlobalAveragePooling2D",
    "batch_norm": "BatchNormalization",
    "dropout": "Dropout",
    "activation": "Activation",
    "flatten": "Flatten",
    "linear": "Dense",
    "output": "Dense",
}


def channels_last(shape: Shape) -> list[int]:
    return [*shape[1:], shape[0]]


def keras_layers(layer: Layer, table: Iterator[list[Any]]) -> list[list[Any]]:
    """The rows of Keras's table for one layer."""
    if not isinstance(layer, Residual):
        return [next(table)]
    actual = [next(table)]
    while actual[-1][0] != "Add":
        actual.append(next(table))
    return [*actual, next(table)]  # the activation after the sum


def keras_class(layer: Layer) -> str:
    if isinstance(layer, Residual):
        return "Activation"
    if isinstance(layer, Conv2d):
        return "DepthwiseConv2D" if layer.groups > 1 else "Conv2D"
    return KERAS_CLASSES[layer.kind]


@pytest.mark.parametrize("name", WORKING)
def test_shapes_and_parameters_are_those_of_keras(name: str) -> None:
    architecture = get_architecture_preset(name).architecture
    *rows, (_, _, parameters, _) = TABLES[name]
    table = iter(rows)
    for row in summarize(architecture).layers:
        layer = architecture.layers[row.index]
        theirs = keras_layers(layer, table)
        assert (theirs[-1][0], theirs[-1][1]) == (keras_class(layer), channels_last(row.output_shape)), row.title
        assert sum(trainable for _, _, trainable, _ in theirs) == row.parameters, row.title
    assert not list(table)
    assert summarize(architecture).parameters == parameters


def test_golden_tables_equal_those_of_the_installed_keras(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, str(GOLDEN / "keras_tables.py")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(process.stdout) == TABLES
    assert list(TABLES) == WORKING


@pytest.mark.parametrize("name", ARCHITECTURE_PRESETS)
def test_preset_is_valid_unless_it_is_broken(name: str) -> None:
    preset = ARCHITECTURE_PRESETS[name]
    assert bool(validate(preset.architecture)) == preset.is_broken
    if preset.recipe:
        dataset = DATASETS[preset.recipe.dataset]
        assert preset.architecture.classes == len(dataset.class_names)
        assert preset.architecture.input.channels == dataset.input_shape[0]


def test_tutorial_presets_have_the_settings_of_their_sources() -> None:
    def settings(name: str) -> tuple[Any, ...]:
        recipe = get_architecture_preset(name).recipe
        assert recipe is not None
        return (
            recipe.dataset,
            recipe.optimizer.kind,
            recipe.lr,
            recipe.batch_size,
            recipe.epochs,
            recipe.schedule.kind,
        )

    for name in ("guide", "guide-sigmoid", "guide-tanh", "guide-average", "simple", "blocks"):
        assert settings(name) == ("mnist", "adam", 1e-3, 32, 5, "constant")
    assert settings("simple-64")[0] == "cifar10"
    assert settings("cifar-exercise") == ("cifar10", "adam", 1e-3, 32, 10, "constant")


def test_common_mistakes_have_an_observation_and_titles_are_unique() -> None:
    for preset in ARCHITECTURE_PRESETS.values():
        assert bool(preset.observation) == (preset.group == "pitfall" and not preset.is_broken), preset.name
    assert {preset.group for preset in ARCHITECTURE_PRESETS.values()} <= GROUP_TITLES.keys()
    titles = [preset.title for preset in ARCHITECTURE_PRESETS.values()]
    assert len(titles) == len(set(titles))


def test_unknown_preset_name_lists_the_known_names() -> None:
    with pytest.raises(UnknownNameError, match=r"no architecture preset 'lenet'\. There are: .*lenet5"):
        get_architecture_preset("lenet")
    with pytest.raises(UnknownNameError, match=f"There are: {', '.join(RECIPE_PRESETS)}"):
        get_recipe_preset("slow")
