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
        "A network with four common mistakes. Fix them by hand or with the suggested fixes.",
        build_architecture(
            Conv2d(out_channels=16, kernel_size=5),
            MaxPool2d(kernel_size=4),
            Conv2d(out_channels=32, kernel_size=7),
            MaxPool2d(kernel_size=4),
            Linear(out_features=64),
            Output(units=7),
        ),
        "pitfall",
        is_broken=True,
    ),
    ArchitecturePreset(
        "overfitting",
        "Overfitting",
        "The guide's network trained on 500 images for forty epochs: it memorizes them.",
        GUIDE_ARCHITECTURE,
        "pitfall",
        Recipe(lr=1e-3, batch_size=32, epochs=40, limit=500),
        observation="Training accuracy reaches 100 % and training loss almost 0, but the validation loss rises after "
        "about 16 epochs: the network memorizes the images. More images, augmentation, dropout or fewer epochs "
        "reduce the gap.",
    ),
    ArchitecturePreset(
        "rate-too-high",
        "Learning rate too high",
        "The guide's network with a learning rate that is a hundred times too high.",
        GUIDE_ARCHITECTURE,
        "pitfall",
        Recipe(lr=0.1, batch_size=64, epochs=1),
        observation="The loss jumps to over a thousand and then stays at 2.3, the loss of guessing among ten "
        "classes. On the Inspect page the feature maps are dead. At 0.001 the network learns at once. Too low fails "
        "too: try 0.000001.",
    ),
    ArchitecturePreset(
        "batch-of-one",
        "Batches of one image",
        "The guide's network with a training step for every image.",
        GUIDE_ARCHITECTURE,
        "pitfall",
        Recipe(lr=1e-3, batch_size=1, epochs=1, limit=5000),
        observation="The gradient of one image is noisy: the loss jumps between 0 and 6, and few images per second are "
        "trained. In the same time, batches of 64 train on all 55,000: a smoother curve and a better network.",
    ),
    ArchitecturePreset(
        "huge-batch",
        "Batches of 8,192 images",
        "The guide's network with seven steps per epoch.",
        GUIDE_ARCHITECTURE,
        "pitfall",
        Recipe(lr=1e-3, batch_size=8192, epochs=2),
        observation="Two epochs are only fourteen slow steps: the accuracy is about 60 % at the end and still rising. "
        "With batches of 128, two epochs have 860 steps and reach 97 %.",
    ),
    ArchitecturePreset(
        "no-activation",
        "No activation",
        "Any number of layers without activation functions is equal to one linear layer.",
        build_tutorial_architecture(
            32, 64, 64, out_features=64, has_last_pooling=False, pooling=AvgPool2d, activation="none"
        ),
        "pitfall",
        Recipe(lr=1e-3, batch_size=64, epochs=3),
        observation="The accuracy stops at 90 %; logistic regression reaches 92 % with a twelfth of the parameters. "
        "Set the activation of the layers to ReLU and train again: 96 % after one epoch.",
    ),
    ArchitecturePreset(
        "too-much-pooling",
        "Too much pooling",
        "Two 4×4 pooling layers reduce each feature map to a single pixel.",
        _OVERPOOLED_ARCHITECTURE,
        "pitfall",
        Recipe(lr=1e-3, batch_size=64, epochs=1),
        observation="The last feature maps have one pixel each, so the positions are lost, and the accuracy ends at "
        "95 %. Set both windows to 2×2 and train again: 98 %.",
    ),
)
