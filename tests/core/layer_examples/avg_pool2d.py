"""Examples of the layer kind ``avg_pool2d``."""

from playground.core.layers import AvgPool2d
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(AvgPool2d()),
    LayerExample(AvgPool2d(kernel_size=5, stride=3, padding=2)),
)
