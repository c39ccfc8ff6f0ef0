"""Examples of the layer kind ``dropout``."""

from playground.core.layers import Dropout
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(Dropout()),
    LayerExample(Dropout(p=0)),
)
