"""Named architectures and recipes: where a beginner starts and a test stands on firm ground."""

from dataclasses import dataclass
from typing import TypeVar

from playground.errors import UnknownNameError
from playground.spec.architecture import Architecture
from playground.spec.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
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
from playground.spec.recipe import (
    Adam,
    AdamW,
    Cosine,
    Elastic,
    OneCycle,
    Recipe,
    Rotate,
    Scale,
    Shear,
    Shift,
    Thickness,
)

PresetT = TypeVar("PresetT")


@dataclass(frozen=True)
class ArchitecturePreset:
    """A network worth starting from; ``broken`` ones are meant to be mended."""

    name: str
    title: str
    description: str
    architecture: Architecture
    broken: bool = False


@dataclass(frozen=True)
class RecipePreset:
    """Settings worth starting from."""

    name: str
    title: str
    description: str
    recipe: Recipe


def _net(*layers: Layer) -> Architecture:
    return Architecture(layers=layers)


def _normalized_conv(out_channels: int) -> tuple[Layer, ...]:
    return (
        Conv2d(out_channels=out_channels, padding="same", bias=False, activation="none"),
        BatchNorm(),
        Activation(),
    )


def _residual(out_channels: int, stride: int = 1) -> Residual:
    first = Conv2d(out_channels=out_channels, stride=stride, padding=1, bias=False, activation="none")
    second = Conv2d(out_channels=out_channels, padding=1, bias=False, activation="none")
    return Residual(layers=(first, BatchNorm(), Activation(), second, BatchNorm()))


_ARCHITECTURES = (
    ArchitecturePreset(
        "guide",
        "The guide's net",
        "Three convolutions and two linear layers, as most first tutorials build it.",
        _net(
            Conv2d(out_channels=32),
            MaxPool2d(),
            Conv2d(out_channels=64),
            MaxPool2d(),
            Conv2d(out_channels=64),
            Flatten(),
            Linear(out_features=64),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "lenet5",
        "LeNet-5",
        "The net that read cheques in the 1990s (LeCun et al., 1998), with softmax in place of its RBF output.",
        _net(
            Conv2d(out_channels=6, kernel_size=5, padding=2, activation="tanh"),
            AvgPool2d(),
            Conv2d(out_channels=16, kernel_size=5, activation="tanh"),
            AvgPool2d(),
            Flatten(),
            Linear(out_features=120, activation="tanh"),
            Linear(out_features=84, activation="tanh"),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "dash",
        "Dash",
        "LeNet-5 with ReLU, max-pooling and more channels: 99 % sooner than any other preset.",
        _net(
            Conv2d(out_channels=16, kernel_size=5),
            MaxPool2d(),
            Conv2d(out_channels=32, kernel_size=5),
            MaxPool2d(),
            Flatten(),
            Linear(out_features=128),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "tiny",
        "Tiny",
        "Under 5,000 parameters: small enough to read every weight, trains in seconds.",
        _net(
            Conv2d(out_channels=8),
            MaxPool2d(),
            Conv2d(out_channels=16),
            MaxPool2d(),
            Conv2d(out_channels=16),
            GlobalAvgPool(),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "normalized",
        "Batch norm and dropout",
        "Each convolution is followed by batch norm; dropout guards the linear part.",
        _net(
            *_normalized_conv(32),
            MaxPool2d(),
            *_normalized_conv(64),
            MaxPool2d(),
            *_normalized_conv(64),
            Flatten(),
            Dropout(p=0.3),
            Linear(out_features=64),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "residual",
        "Residual blocks",
        "A small ResNet (He et al., 2015): every block adds a correction to what it gets.",
        _net(
            *_normalized_conv(16),
            _residual(16),
            _residual(32, stride=2),
            _residual(64, stride=2),
            GlobalAvgPool(),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "broken",
        "Broken on purpose",
        "Four mistakes that everybody makes once. Mend them, or let the fixes do it.",
        _net(
            Conv2d(out_channels=16, kernel_size=5),
            MaxPool2d(kernel_size=4),
            Conv2d(out_channels=32, kernel_size=7),
            MaxPool2d(kernel_size=4),
            Linear(out_features=64),
            Output(units=7),
        ),
        broken=True,
    ),
)

_SPRINT = Recipe(
    lr=6e-3,
    batch_size=128,
    epochs=1,
    optimizer=Adam(beta2=0.95),
    schedule=OneCycle(),
    label_smoothing=0.1,
)

_RECIPES = (
    RecipePreset(
        "sprint",
        "Sprint",
        "One epoch of one-cycle Adam with label smoothing: over 99 % on MNIST with the guide's net.",
        _SPRINT,
    ),
    RecipePreset(
        "dash",
        "Dash",
        "Sprint with longer steps that come sooner: with the Dash net 99 % in the least time.",
        _SPRINT.changed(lr=7e-3, schedule=OneCycle(pct_start=0.2)),
    ),
    RecipePreset(
        "tutorial",
        "Tutorial",
        "Adam at 1e-3, batches of 32, five epochs: the settings of Keras's and most other tutorials.",
        Recipe(lr=1e-3, batch_size=32, epochs=5),
    ),
    RecipePreset(
        "careful",
        "Careful",
        "Twenty epochs with augmentation and a cosine schedule: slow, and better than 99.4 % with the guide's net.",
        Recipe(
            lr=2e-3,
            batch_size=128,
            epochs=20,
            optimizer=AdamW(),
            schedule=Cosine(),
            weight_decay=0.01,
            augmentation=(
                Shift(pixels=2),
                Rotate(degrees=10),
                Scale(amount=0.1),
                Shear(degrees=8),
                Elastic(pixels=1.0),
                Thickness(amount=0.3),
            ),
        ),
    ),
)

ARCHITECTURES: dict[str, ArchitecturePreset] = {preset.name: preset for preset in _ARCHITECTURES}
RECIPES: dict[str, RecipePreset] = {preset.name: preset for preset in _RECIPES}


def architecture_preset(name: str) -> ArchitecturePreset:
    """By name; raises UnknownNameError with the names that there are."""
    return _by_name(ARCHITECTURES, name, "architecture preset")


def recipe_preset(name: str) -> RecipePreset:
    """By name; raises UnknownNameError with the names that there are."""
    return _by_name(RECIPES, name, "recipe preset")


def _by_name(table: dict[str, PresetT], name: str, what: str) -> PresetT:
    if name in table:
        return table[name]
    raise UnknownNameError(f"There is no {what} {name!r}.", expected=f"There are: {', '.join(table)}.")
