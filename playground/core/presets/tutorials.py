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
        "The guide's network",
        "Three convolutions and two linear layers, as in most introductory tutorials.",
        GUIDE_ARCHITECTURE,
        "start",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "guide-sigmoid",
        "The guide's network, sigmoid",
        "The same network with sigmoid in place of ReLU: its gradients are small where it saturates, so it learns "
        "slowly at first.",
        build_tutorial_architecture(32, 64, 64, out_features=64, has_last_pooling=False, activation="sigmoid"),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "guide-tanh",
        "The guide's network, tanh",
        "The same network with tanh in place of ReLU: like sigmoid, but centered at zero.",
        build_tutorial_architecture(32, 64, 64, out_features=64, has_last_pooling=False, activation="tanh"),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "guide-average",
        "The guide's network, average pooling",
        "The same network with average pooling in place of max pooling.",
        build_tutorial_architecture(32, 64, 64, out_features=64, has_last_pooling=False, pooling=AvgPool2d),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "simple",
        "The simple guide's network",
        "Two convolutions with pooling and a wide linear layer: about 99 % on MNIST after five epochs.",
        build_tutorial_architecture(32, 64, out_features=128),
        "tutorial",
        TUTORIAL_RECIPE,
    ),
    ArchitecturePreset(
        "simple-64",
        "Simple CNN for 64×64 color images",
        "The simple network for photographs of 64×64 pixels; CIFAR-10 and uploaded images are resized to it.",
        build_tutorial_architecture(32, 64, out_features=128, input_shape=_COLOR_64),
        "tutorial",
        TUTORIAL_RECIPE.replace(dataset="cifar10"),
    ),
    ArchitecturePreset(
        "cifar-exercise",
        "Simple CNN, exercise on CIFAR-10",
        "The simple network on CIFAR-10's 32×32 color images, ten epochs: accuracy about 67 %.",
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
