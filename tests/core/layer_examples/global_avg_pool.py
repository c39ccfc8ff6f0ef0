"""Examples of the layer kind ``global_avg_pool``."""

from playground.core.layers import GlobalAvgPool
from tests.core.layer_examples import LayerExample

EXAMPLES = (LayerExample(GlobalAvgPool()),)
