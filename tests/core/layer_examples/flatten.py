"""Examples of the layer kind ``flatten``."""

from playground.core.layers import Flatten
from tests.core.layer_examples import LayerExample

EXAMPLES = (LayerExample(Flatten()),)
