"""Common mistakes, each with settings that show its effect."""

from playground.core.layers import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, Output
from playground.core.presets.base import ArchitecturePreset, build_architecture, build_tutorial_architecture
from playground.core.presets.tutorials import GUIDE_ARCHITECTURE
from playground.core.recipe import Recipe

_OVERPOOLED_ARCHITECTURE = build_architecture(
    Conv2d(out_channels=32, padding="same"),
    MaxPool2d(kernel_size=4),
    Conv2d(out_channels=64, padding="same"),
    MaxPool2d(kernel_size=4),
    Flatten(),
    Output(),
)

PITFALLS = (
    ArchitecturePreset(
        "broken",
        "Broken on purpose",
        "Four mistakes that everybody makes once. Fix them by hand or with the suggested fixes.",
        build_architecture(
            Conv2d(out_channels=16, kernel_size=5),
            MaxPool2d(kernel_size=4),
            Conv2d(out_channels=32, kernel_size=7),
            MaxPool2d(kernel_size=4),
            Linear(out_features=64),
            Output(units=7),
        ),
        "mistake",
        is_broken=True,
    ),
    ArchitecturePreset(
        "overfitting",
        "Overfitting",
        "The guide's net on 500 images, forty times over: it learns them by heart.",
        GUIDE_ARCHITECTURE,
        "mistake",
        Recipe(lr=1e-3, batch_size=32, epochs=40, limit=500),
        observation="Training reaches 100 % and its loss nearly 0, while the validation loss turns after about 16 epochs "
        "and rises: the gap is what was learnt by heart. More images, augmentation, dropout or fewer epochs close it.",
    ),
    ArchitecturePreset(
        "rate-too-high",
        "Learning rate too high",
        "The guide's net with steps a hundred times too long.",
        GUIDE_ARCHITECTURE,
        "mistake",
        Recipe(lr=0.1, batch_size=64, epochs=1),
        observation="The loss leaps to over a thousand and then stays at 2.3, which is guessing among ten classes; in "
        "Look inside the maps are dead. A learning rate of 0.001 learns at once. Too low is no better: try 0.000001.",
    ),
    ArchitecturePreset(
        "batch-of-one",
        "Batches of one image",
        "The guide's net with a step after every image.",
        GUIDE_ARCHITECTURE,
        "mistake",
        Recipe(lr=1e-3, batch_size=1, epochs=1, limit=5000),
        observation="One image says little: the loss leaps between 0 and 6 to the end, and few images a second are "
        "trained. In the same time, batches of 64 go through all 55,000: a steadier curve and a better net.",
    ),
    ArchitecturePreset(
        "huge-batch",
        "Batches of 8,192 images",
        "The guide's net with seven steps an epoch.",
        GUIDE_ARCHITECTURE,
        "mistake",
        Recipe(lr=1e-3, batch_size=8192, epochs=2),
        observation="Every step is sure and slow, and two epochs are only fourteen of them: the accuracy is about 60 % and "
        "still rising when they are over. Batches of 128 make 860 steps of them and reach 97 %.",
    ),
    ArchitecturePreset(
        "no-activation",
        "No activation",
        "Layers without a bend between them are one linear map, however many there are.",
        build_tutorial_architecture(
            32, 64, 64, out_features=64, has_last_pooling=False, pooling=AvgPool2d, activation="none"
        ),
        "mistake",
        Recipe(lr=1e-3, batch_size=64, epochs=3),
        observation="It stops at 90 %, while logistic regression gets 92 % with a twelfth of its parameters. Give the "
        "layers ReLU and train again: 96 % after one epoch.",
    ),
    ArchitecturePreset(
        "too-much-pooling",
        "Too much pooling",
        "Two poolings of 4×4 leave a single pixel of each map.",
        _OVERPOOLED_ARCHITECTURE,
        "mistake",
        Recipe(lr=1e-3, batch_size=64, epochs=1),
        observation="Look at the last maps: one pixel each, so that where something was is forgotten, and it ends at 95 %. "
        "Make both windows 2×2 and train again: 98 %.",
    ),
)
