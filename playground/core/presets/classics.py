"""Classic architectures, and small architectures of this project."""

from playground.core.layers import (
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
from playground.core.presets.base import ArchitecturePreset, build_architecture, make_conv_batch_norm_relu


def _make_residual_block(out_channels: int, stride: int = 1) -> Residual:
    first = Conv2d(out_channels=out_channels, stride=stride, padding=1, bias=False, activation="none")
    second = Conv2d(out_channels=out_channels, padding=1, bias=False, activation="none")
    return Residual(layers=(first, BatchNorm(), Activation(), second, BatchNorm()))


def _make_conv_pair(out_channels: int) -> tuple[Layer, ...]:
    return (Conv2d(out_channels=out_channels, padding="same"), Conv2d(out_channels=out_channels, padding="same"))


def _make_separable_conv(in_channels: int, out_channels: int) -> tuple[Layer, ...]:
    depthwise = Conv2d(out_channels=in_channels, padding="same", groups=in_channels, bias=False, activation="none")
    pointwise = Conv2d(out_channels=out_channels, kernel_size=1, bias=False, activation="none")
    return (depthwise, BatchNorm(), Activation(), pointwise, BatchNorm(), Activation())


CLASSICS = (
    ArchitecturePreset(
        "lenet5",
        "LeNet-5",
        "The network that read checks in the 1990s (LeCun et al., 1998), with softmax in place of its RBF output.",
        build_architecture(
            Conv2d(out_channels=6, kernel_size=5, padding=2, activation="tanh"),
            AvgPool2d(),
            Conv2d(out_channels=16, kernel_size=5, activation="tanh"),
            AvgPool2d(),
            Flatten(),
            Linear(out_features=120, activation="tanh"),
            Linear(out_features=84, activation="tanh"),
            Output(),
        ),
        test_accuracy=0.9737,
    ),
    ArchitecturePreset(
        "dash",
        "Dash",
        "LeNet-5 with ReLU, max pooling and more channels: reaches 99 % faster than any other preset.",
        build_architecture(
            Conv2d(out_channels=16, kernel_size=5),
            MaxPool2d(),
            Conv2d(out_channels=32, kernel_size=5),
            MaxPool2d(),
            Flatten(),
            Linear(out_features=128),
            Output(),
        ),
        "start",
        test_accuracy=0.9906,
    ),
    ArchitecturePreset(
        "tiny",
        "Tiny",
        "Under 5,000 parameters: small enough to inspect every weight, and trained in seconds.",
        build_architecture(
            Conv2d(out_channels=8),
            MaxPool2d(),
            Conv2d(out_channels=16),
            MaxPool2d(),
            Conv2d(out_channels=16),
            GlobalAvgPool(),
            Output(),
        ),
        "start",
        test_accuracy=0.9255,
    ),
    ArchitecturePreset(
        "normalized",
        "Batch norm and dropout",
        "Batch norm after each convolution, and dropout before the linear layers.",
        build_architecture(
            *make_conv_batch_norm_relu(32),
            MaxPool2d(),
            *make_conv_batch_norm_relu(64),
            MaxPool2d(),
            *make_conv_batch_norm_relu(64),
            Flatten(),
            Dropout(p=0.3),
            Linear(out_features=64),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "residual",
        "Residual blocks",
        "A small ResNet (He et al., 2015): every block adds a correction to its input.",
        build_architecture(
            *make_conv_batch_norm_relu(16),
            _make_residual_block(16),
            _make_residual_block(32, stride=2),
            _make_residual_block(64, stride=2),
            GlobalAvgPool(),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "vgg",
        "Small VGG",
        "Pairs of 3×3 convolutions between pooling layers, as in VGG (Simonyan and Zisserman, 2014).",
        build_architecture(
            *_make_conv_pair(32),
            MaxPool2d(),
            *_make_conv_pair(64),
            MaxPool2d(),
            Flatten(),
            Linear(out_features=128),
            Dropout(p=0.5),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "separable",
        "Depthwise-separable",
        "One kernel per channel, then a 1×1 convolution that mixes the channels, as in MobileNet (Howard et al., "
        "2017).",
        build_architecture(
            *make_conv_batch_norm_relu(16),
            *_make_separable_conv(16, 32),
            MaxPool2d(),
            *_make_separable_conv(32, 64),
            MaxPool2d(),
            *_make_separable_conv(64, 64),
            GlobalAvgPool(),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "all-convolutional",
        "All-convolutional",
        "Strides in place of pooling, and global average pooling at the end (Springenberg et al., 2014).",
        build_architecture(
            Conv2d(out_channels=32, padding="same"),
            Conv2d(out_channels=32, stride=2, padding=1),
            Conv2d(out_channels=64, padding="same"),
            Conv2d(out_channels=64, stride=2, padding=1),
            Conv2d(out_channels=64, padding="same"),
            Conv2d(out_channels=64, kernel_size=1),
            GlobalAvgPool(),
            Output(),
        ),
    ),
    ArchitecturePreset(
        "logistic",
        "Logistic regression",
        "No hidden layer, one template per class: the baseline for all other networks.",
        build_architecture(Flatten(), Output()),
        test_accuracy=0.914,
    ),
    ArchitecturePreset(
        "mlp",
        "Multilayer perceptron",
        "Linear layers only: the network does not know which pixels are neighbors.",
        build_architecture(Flatten(), Linear(out_features=128), Linear(out_features=64), Output()),
        test_accuracy=0.9678,
    ),
)
