"""Examples of the layer kind ``batch_norm``."""

from playground.core.layers import BatchNorm
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(BatchNorm()),
    LayerExample(BatchNorm(momentum=0.5, eps=1e-3)),
)
