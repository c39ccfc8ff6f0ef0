"""Examples of the layer kind ``group_norm``."""

from playground.core.layers.group_norm import GroupNorm
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(GroupNorm()),
    LayerExample(GroupNorm(num_groups=3, eps=1e-3)),
    LayerExample(GroupNorm(num_groups=3, affine=False)),
)
