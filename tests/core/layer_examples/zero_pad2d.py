"""Examples of the layer kind ``zero_pad2d``."""

from playground.core.layers import ZeroPad2d
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(ZeroPad2d()),
    LayerExample(ZeroPad2d(left=0, right=2, top=3, bottom=1)),
)
