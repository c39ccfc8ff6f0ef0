"""Examples of the layer kind ``residual``."""

from playground.core.layers import Activation, BatchNorm, Conv2d, Dropout, Residual
from tests.core.layer_examples import LayerExample

EXAMPLES = (
    LayerExample(Residual()),
    LayerExample(
        Residual(layers=(Conv2d(out_channels=3, padding="same"), BatchNorm(), Dropout(p=0.5)), activation="none")
    ),
    LayerExample(
        Residual(
            layers=(
                Conv2d(out_channels=8, stride=2, padding=1, bias=False, activation="none"),
                Activation(activation="elu"),
            )
        )
    ),
)
