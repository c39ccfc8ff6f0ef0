"""Networks of introductory tutorials, with their settings."""

from playground.core.architecture import InputShape
from playground.core.layers import AvgPool2d, Flatten, Linear, Output
from playground.core.presets.base import (
    ArchitecturePreset,
    build_architecture,
    build_tutorial_architecture,
    make_conv_max_pool,
)
from playground.core.recipe import Recipe

GUIDE_ARCHITECTURE = build_tutorial_architecture(32, 64, 64, out_features=64, has_last_pooling=False)

TUTORIAL_RECIPE = Recipe(lr=1e-3, batch_size=32, epochs=5)
"""Adam at 1e-3, batches of 32, five epochs: the defaults of Keras and most tutorials."""

_COLOR_32 = InputShape(channels=3, height=32, width=32)
_COLOR_64 = InputShape(channels=3, height=64, width=64)


TUTORIALS = (
    ArchitecturePreset(
        "guide",
        "The guide's net",
        "Three convolutions and two linear layers, as most first tutorials build it.",
        GUIDE_ARCHITECTURE,
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "guide-sigmoid",
        "The guide's net, sigmoid",
        "The same with sigmoid in place of ReLU, to compare: its flat ends let little gradient through, so it starts "
        "late.",
        build_tutorial_architecture(32, 64, 64, out_features=64, has_last_pooling=False, activation="sigmoid"),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "guide-tanh",
        "The guide's net, tanh",
        "The same with tanh in place of ReLU, to compare: like sigmoid, but around zero.",
        build_tutorial_architecture(32, 64, 64, out_features=64, has_last_pooling=False, activation="tanh"),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "guide-average",
        "The guide's net, average pooling",
        "The same with average in place of max-pooling, to compare.",
        build_tutorial_architecture(32, 64, 64, out_features=64, has_last_pooling=False, pooling=AvgPool2d),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "simple",
        "The simple guide's net",
        "Two convolutions with pooling and a wide linear layer: about 99 % on MNIST after five epochs.",
        build_tutorial_architecture(32, 64, out_features=128),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "simple-64",
        "Simple CNN for 64×64 colour images",
        "The simple net for photographs of 64×64 pixels; CIFAR-10's are enlarged to it, and one's own images fitted.",
        build_tutorial_architecture(32, 64, out_features=128, input_shape=_COLOR_64),
        "tutorial",
        TUTORIAL_RECIPE.replace(dataset="cifar10"),
    ),
    ArchitecturePreset(
        "cifar-exercise",
        "Simple CNN, exercise on CIFAR-10",
        "The simple net on CIFAR-10's 32×32 colour images, ten epochs: about two of three are right.",
        build_tutorial_architecture(32, 64, out_features=128, input_shape=_COLOR_32),
        "tutorial",
        TUTORIAL_RECIPE.replace(dataset="cifar10", epochs=10),
    ),
    ArchitecturePreset(
        "blocks",
        "Repeated blocks",
        "Convolution and pooling, three times, then fully connected layers: feature extraction, then classification.",
        build_architecture(
            *make_conv_max_pool(16),
            *make_conv_max_pool(32),
            *make_conv_max_pool(64),
            Flatten(),
            Linear(out_features=128),
            Output(),
        ),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
)
