"""Mistakes that everybody makes once, each set up so that it can be seen."""

from playground.spec.layers import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, Output
from playground.spec.presets.base import ArchitecturePreset, block, net, tutorial_net
from playground.spec.presets.tutorials import GUIDE
from playground.spec.recipe import Recipe, Sgd

_ONE_PIXEL = net(*block(32), *block(64), *block(64), *block(64), Flatten(), Output())

MISTAKES = (
    ArchitecturePreset(
        "broken",
        "Broken on purpose",
        "Four mistakes that everybody makes once. Mend them, or let the fixes do it.",
        net(
            Conv2d(out_channels=16, kernel_size=5),
            MaxPool2d(kernel_size=4),
            Conv2d(out_channels=32, kernel_size=7),
            MaxPool2d(kernel_size=4),
            Linear(out_features=64),
            Output(units=7),
        ),
        "mistake",
        broken=True,
    ),
    ArchitecturePreset(
        "overfitting",
        "Overfitting",
        "The guide's net on 500 images, forty times over: it learns them by heart.",
        GUIDE,
        "mistake",
        Recipe(lr=1e-3, batch_size=32, epochs=40, limit=500),
        look_at="Training reaches 100 % and its loss nearly 0, while the validation loss turns and rises: the gap is "
        "what was learnt by heart. More images, augmentation, dropout or fewer epochs close it.",
    ),
    ArchitecturePreset(
        "rate-too-high",
        "Learning rate too high",
        "The guide's net with steps a hundred times too long.",
        GUIDE,
        "mistake",
        Recipe(lr=0.1, batch_size=64, epochs=1),
        look_at="The loss leaps up and then stays at 2.3, which is guessing among ten classes; in Look inside the maps "
        "are dead. A learning rate of 0.001 learns at once. Too low is no better: try 0.000001.",
    ),
    ArchitecturePreset(
        "batch-of-one",
        "Batches of one image",
        "The guide's net with a step after every image.",
        GUIDE,
        "mistake",
        Recipe(lr=1e-3, batch_size=1, epochs=1, limit=5000, optimizer=Sgd()),
        look_at="The training loss jumps from step to step, since one image says little, and few images a second are "
        "trained. Batches of 32 to 128 give a steadier curve sooner.",
    ),
    ArchitecturePreset(
        "huge-batch",
        "Batches of 8,192 images",
        "The guide's net with seven steps an epoch.",
        GUIDE,
        "mistake",
        Recipe(lr=1e-3, batch_size=8192, epochs=2),
        look_at="Every step is smooth and slow, and two epochs are only fourteen of them: the accuracy has hardly "
        "risen when they are over. With the same epochs, batches of 128 make 64 times as many steps.",
    ),
    ArchitecturePreset(
        "no-activation",
        "No activation",
        "Layers without a bend between them are one linear map, however many there are.",
        tutorial_net(32, 64, 64, out_features=64, pools_last=False, pooling=AvgPool2d, activation="none"),
        "mistake",
        Recipe(lr=1e-3, batch_size=64, epochs=3),
        look_at="It stops at 91 to 93 %, where logistic regression stops, with ten times its parameters. Give the "
        "layers ReLU and train again.",
    ),
    ArchitecturePreset(
        "too-much-pooling",
        "Too much pooling",
        "Four poolings leave a single pixel of each map.",
        _ONE_PIXEL,
        "mistake",
        Recipe(lr=1e-3, batch_size=64, epochs=1),
        look_at="Look at the last maps: one pixel each, so that where something was is forgotten. On MNIST it still "
        "learns; on anything finer it does not. Take a pooling out and compare.",
    ),
)
