"""Examples of the layer kind ``separable_conv2d``; PyTorch code has two convolutions for it."""

from playground.core.layers import Conv2d
from playground.core.layers.separable_conv2d import SeparableConv2d
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(
        SeparableConv2d(out_channels=5),
        (
            Conv2d(out_channels=3, groups=3, bias=False, activation="none"),
            Conv2d(out_channels=5, kernel_size=1),
        ),
    ),
    LayerExample(
        SeparableConv2d(out_channels=4, stride=2, padding=1, depth_multiplier=2, bias=False, activation="leaky_relu"),
        (
            Conv2d(out_channels=6, stride=2, padding=1, groups=3, bias=False, activation="none"),
            Conv2d(out_channels=4, kernel_size=1, bias=False, activation="leaky_relu"),
        ),
    ),
    LayerExample(
        SeparableConv2d(out_channels=4, kernel_size=2, padding="same", dilation=2, depth_multiplier=3),
        (
            Conv2d(out_channels=9, kernel_size=2, padding="same", dilation=2, groups=3, bias=False, activation="none"),
            Conv2d(out_channels=4, kernel_size=1),
        ),
    ),
    LayerExample(
        SeparableConv2d(out_channels=4, stride=2, padding=2, dilation=2, activation="none"),
        (
            Conv2d(out_channels=3, stride=2, padding=2, dilation=2, groups=3, bias=False, activation="none"),
            Conv2d(out_channels=4, kernel_size=1, activation="none"),
        ),
    ),
)
