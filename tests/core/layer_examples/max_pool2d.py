"""Examples of the layer kind ``max_pool2d``."""

from playground.core.layers import MaxPool2d
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(MaxPool2d()),
    LayerExample(MaxPool2d(kernel_size=3, stride=2, padding=1)),
    LayerExample(MaxPool2d(kernel_size=4, stride=1)),
    LayerExample(MaxPool2d(ceil_mode=True)),
    LayerExample(MaxPool2d(kernel_size=5, stride=3, padding=1, ceil_mode=True)),
)
