"""Preset types and helpers that build preset networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Activation, AvgPool2d, BatchNorm, Conv2d, Flatten, Layer, Linear, MaxPool2d, Output
from playground.core.layers.shared.activation_functions import OptionalActivation
from playground.core.recipe import Recipe
from playground.errors import UnknownNameError

PresetT = TypeVar("PresetT")
PresetGroup = Literal["start", "classic", "tutorial", "pitfall"]

GROUP_TITLES: dict[PresetGroup, str] = {
    "start": "Start here",
    "classic": "Classics",
    "tutorial": "From tutorials",
    "pitfall": "Pitfalls",
}


@dataclass(frozen=True)
class ArchitecturePreset:
    """A named network. ``is_broken``: it contains mistakes to fix.

    ``recipe``: the recipe of its source. ``observation``: the effect of a common mistake and its fix.
    """

    name: str
    title: str
    description: str
    architecture: Architecture
    group: PresetGroup = "classic"
    recipe: Recipe | None = None
    observation: str = ""
    is_broken: bool = False
    test_accuracy: float | None = None
    """Measured once with ``recipe``, or else Quick on MNIST: ``python -m benchmarks.preset_accuracy``."""


@dataclass(frozen=True)
class RecipePreset:
    """A named recipe."""

    name: str
    title: str
    description: str
    recipe: Recipe


def get_preset(presets: Mapping[str, PresetT], name: str, title: str) -> PresetT:
    """Return the preset of a name; raises UnknownNameError with the known names."""
    if name in presets:
        return presets[name]
    raise UnknownNameError(f"There is no {title} {name!r}.", expected=f"There are: {', '.join(presets)}.")


def build_architecture(*layers: Layer, input_shape: InputShape | None = None) -> Architecture:
    """A network for MNIST images, or for images of ``input_shape``."""
    return Architecture(input=input_shape or InputShape(), layers=layers)


def build_tutorial_architecture(
    *out_channels: int,
    out_features: int,
    pooling: type[MaxPool2d] | type[AvgPool2d] = MaxPool2d,
    activation: OptionalActivation = "relu",
    has_last_pooling: bool = True,
    input_shape: InputShape | None = None,
) -> Architecture:
    """3×3 convolutions with pooling, Flatten and two linear layers; the last pooling is optional."""
    layers: list[Layer] = []
    for index, channels in enumerate(out_channels):
        layers.append(Conv2d(out_channels=channels, activation=activation))
        if has_last_pooling or index < len(out_channels) - 1:
            layers.append(pooling())
    layers += [Flatten(), Linear(out_features=out_features, activation=activation), Output()]
    return build_architecture(*layers, input_shape=input_shape)


def make_conv_batch_norm_relu(out_channels: int) -> tuple[Layer, ...]:
    """A convolution with 'same' padding, batch norm and ReLU."""
    return (
        Conv2d(out_channels=out_channels, padding="same", bias=False, activation="none"),
        BatchNorm(),
        Activation(),
    )


def make_conv_max_pool(out_channels: int) -> tuple[Layer, ...]:
    """A convolution with 'same' padding, and max pooling."""
    return (Conv2d(out_channels=out_channels, padding="same"), MaxPool2d())
