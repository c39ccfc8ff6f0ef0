"""The networks of the first tutorials, with the settings that those give."""

from playground.core.architecture import InputShape
from playground.core.layers import AvgPool2d, Flatten, Linear, Output
from playground.core.presets.base import ArchitecturePreset, block, net, tutorial_net
from playground.core.recipe import Recipe

GUIDE = tutorial_net(32, 64, 64, out_features=64, pools_last=False)

AS_TAUGHT = Recipe(lr=1e-3, batch_size=32, epochs=5)
"""Adam at 1e-3, batches of 32, five epochs: what Keras and most tutorials do unless told otherwise."""

_COLOUR = InputShape(channels=3, height=32, width=32)
_LARGE = InputShape(channels=3, height=64, width=64)


TUTORIALS = (
    ArchitecturePreset(
        "guide",
        "The guide's net",
        "Three convolutions and two linear layers, as most first tutorials build it.",
        GUIDE,
        "tutorial",
        AS_TAUGHT,
    ),
    ArchitecturePreset(
        "guide-sigmoid",
        "The guide's net, sigmoid",
        "The same with sigmoid in place of ReLU, to compare: its flat ends let little gradient through, so it starts "
        "late.",
        tutorial_net(32, 64, 64, out_features=64, pools_last=False, activation="sigmoid"),
        "tutorial",
        AS_TAUGHT,
    ),
    ArchitecturePreset(
        "guide-tanh",
        "The guide's net, tanh",
        "The same with tanh in place of ReLU, to compare: like sigmoid, but around zero.",
        tutorial_net(32, 64, 64, out_features=64, pools_last=False, activation="tanh"),
        "tutorial",
        AS_TAUGHT,
    ),
    ArchitecturePreset(
        "guide-average",
        "The guide's net, average pooling",
        "The same with average in place of max-pooling, to compare.",
        tutorial_net(32, 64, 64, out_features=64, pools_last=False, pooling=AvgPool2d),
        "tutorial",
        AS_TAUGHT,
    ),
    ArchitecturePreset(
        "simple",
        "The simple guide's net",
        "Two convolutions with pooling and a wide linear layer: about 99 % on MNIST after five epochs.",
        tutorial_net(32, 64, out_features=128),
        "tutorial",
        AS_TAUGHT,
    ),
    ArchitecturePreset(
        "simple-64",
        "Simple CNN for 64×64 colour images",
        "The simple net for photographs of 64×64 pixels; CIFAR-10's are enlarged to it, and one's own images fitted.",
        tutorial_net(32, 64, out_features=128, input_shape=_LARGE),
        "tutorial",
        AS_TAUGHT.changed(dataset="cifar10"),
    ),
    ArchitecturePreset(
        "cifar-exercise",
        "Simple CNN, exercise on CIFAR-10",
        "The simple net on CIFAR-10's 32×32 colour images, ten epochs: about two of three are right.",
        tutorial_net(32, 64, out_features=128, input_shape=_COLOUR),
        "tutorial",
        AS_TAUGHT.changed(dataset="cifar10", epochs=10),
    ),
    ArchitecturePreset(
        "blocks",
        "Repeated blocks",
        "Convolution and pooling, three times, then fully connected layers: feature extraction, then classification.",
        net(*block(16), *block(32), *block(64), Flatten(), Linear(out_features=128), Output()),
        "tutorial",
        AS_TAUGHT,
    ),
)
