"""Examples of the layer kind ``conv2d``."""

from playground.core.layers import Conv2d
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(Conv2d(out_channels=5)),
    LayerExample(Conv2d(out_channels=6, kernel_size=4, padding="same", groups=3, bias=False, activation="none")),
    LayerExample(Conv2d(out_channels=4, kernel_size=5, stride=3, padding=4, dilation=2, activation="gelu")),
    LayerExample(Conv2d(out_channels=3, kernel_size=2, padding="valid", groups=3, activation="sigmoid")),
)
