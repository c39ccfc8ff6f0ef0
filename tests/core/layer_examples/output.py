"""Examples of the layer kind ``output``."""

from playground.core.layers import Output
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(Output()),
    LayerExample(Output(activation="sigmoid")),
    LayerExample(Output(units=2)),
)
