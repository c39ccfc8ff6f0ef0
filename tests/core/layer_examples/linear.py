"""Examples of the layer kind ``linear``."""

from playground.core.layers import Linear
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(Linear(out_features=7)),
    LayerExample(Linear(out_features=3, bias=False, activation="none")),
)
