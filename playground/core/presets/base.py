"""What a preset is, and what the networks of the presets are put together from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Activation, AvgPool2d, BatchNorm, Conv2d, Flatten, Layer, Linear, MaxPool2d, Output
from playground.core.layers.base import OptionalActivation
from playground.core.recipe import Recipe
from playground.errors import UnknownNameError

PresetT = TypeVar("PresetT")
Group = Literal["ours", "tutorial", "classic", "mistake"]

GROUP_TITLES: dict[Group, str] = {
    "ours": "",
    "tutorial": "Tutorial",
    "classic": "",
    "mistake": "Mistake",
}


@dataclass(frozen=True)
class ArchitecturePreset:
    """A network worth starting from; ``broken`` ones are meant to be mended.

    ``recipe``: its source's settings, the data set included. ``look_at``: what a mistake shows, and how it is mended.
    """

    name: str
    title: str
    description: str
    architecture: Architecture
    group: Group = "classic"
    recipe: Recipe | None = None
    look_at: str = ""
    broken: bool = False


@dataclass(frozen=True)
class RecipePreset:
    """Settings worth starting from."""

    name: str
    title: str
    description: str
    recipe: Recipe


def by_name(table: Mapping[str, PresetT], name: str, what: str) -> PresetT:
    """An entry of a table of presets; raises UnknownNameError with the names that there are."""
    if name in table:
        return table[name]
    raise UnknownNameError(f"There is no {what} {name!r}.", expected=f"There are: {', '.join(table)}.")


def net(*layers: Layer, input_shape: InputShape | None = None) -> Architecture:
    """Layers as a network for MNIST, or for images of another shape."""
    return Architecture(input=input_shape or InputShape(), layers=layers)


def tutorial_net(
    *out_channels: int,
    out_features: int,
    pooling: type[MaxPool2d] | type[AvgPool2d] = MaxPool2d,
    activation: OptionalActivation = "relu",
    pools_last: bool = True,
    input_shape: InputShape | None = None,
) -> Architecture:
    """Convolutions of 3×3, each with its pooling (the last one perhaps without), flattened, and two linear layers."""
    layers: list[Layer] = []
    for place, channels in enumerate(out_channels):
        layers.append(Conv2d(out_channels=channels, activation=activation))
        if pools_last or place < len(out_channels) - 1:
            layers.append(pooling())
    layers += [Flatten(), Linear(out_features=out_features, activation=activation), Output()]
    return net(*layers, input_shape=input_shape)


def normalized_conv(out_channels: int) -> tuple[Layer, ...]:
    """A convolution that keeps the size, batch norm, ReLU."""
    return (
        Conv2d(out_channels=out_channels, padding="same", bias=False, activation="none"),
        BatchNorm(),
        Activation(),
    )


def block(out_channels: int) -> tuple[Layer, ...]:
    """A convolution that keeps the size, and its pooling."""
    return (Conv2d(out_channels=out_channels, padding="same"), MaxPool2d())
