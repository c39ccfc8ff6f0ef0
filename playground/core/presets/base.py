"""What a preset is, and what the networks of the presets are put together from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Activation, AvgPool2d, BatchNorm, Conv2d, Flatten, Layer, Linear, MaxPool2d, Output
from playground.core.layers.activation_functions import OptionalActivation
from playground.core.recipe import Recipe
from playground.errors import UnknownNameError

PresetT = TypeVar("PresetT")
PresetGroup = Literal["ours", "tutorial", "classic", "mistake"]

GROUP_TITLES: dict[PresetGroup, str] = {
    "ours": "",
    "tutorial": "Tutorial",
    "classic": "",
    "mistake": "Mistake",
}


@dataclass(frozen=True)
class ArchitecturePreset:
    """A network worth starting from; ``is_broken`` ones are meant to be mended.

    ``recipe``: its source's settings, the data set included. ``observation``: what a mistake shows, and how it is mended.
    """

    name: str
    title: str
    description: str
    architecture: Architecture
    group: PresetGroup = "classic"
    recipe: Recipe | None = None
    observation: str = ""
    is_broken: bool = False


@dataclass(frozen=True)
class RecipePreset:
    """Settings worth starting from."""

    name: str
    title: str
    description: str
    recipe: Recipe


def get_preset(presets: Mapping[str, PresetT], name: str, what: str) -> PresetT:
    """An entry of a table of presets; raises UnknownNameError with the names that there are."""
    if name in presets:
        return presets[name]
    raise UnknownNameError(f"There is no {what} {name!r}.", expected=f"There are: {', '.join(presets)}.")


def build_architecture(*layers: Layer, input_shape: InputShape | None = None) -> Architecture:
    """Layers as a network for MNIST, or for images of another shape."""
    return Architecture(input=input_shape or InputShape(), layers=layers)


def build_tutorial_architecture(
    *out_channels: int,
    out_features: int,
    pooling: type[MaxPool2d] | type[AvgPool2d] = MaxPool2d,
    activation: OptionalActivation = "relu",
    has_last_pooling: bool = True,
    input_shape: InputShape | None = None,
) -> Architecture:
    """Convolutions of 3×3, each with its pooling (the last one perhaps without), flattened, and two linear layers."""
    layers: list[Layer] = []
    for place, channels in enumerate(out_channels):
        layers.append(Conv2d(out_channels=channels, activation=activation))
        if has_last_pooling or place < len(out_channels) - 1:
            layers.append(pooling())
    layers += [Flatten(), Linear(out_features=out_features, activation=activation), Output()]
    return build_architecture(*layers, input_shape=input_shape)


def make_conv_batch_norm_relu(out_channels: int) -> tuple[Layer, ...]:
    """A convolution that keeps the size, batch norm, ReLU."""
    return (
        Conv2d(out_channels=out_channels, padding="same", bias=False, activation="none"),
        BatchNorm(),
        Activation(),
    )


def make_conv_max_pool(out_channels: int) -> tuple[Layer, ...]:
    """A convolution that keeps the size, and its pooling."""
    return (Conv2d(out_channels=out_channels, padding="same"), MaxPool2d())
