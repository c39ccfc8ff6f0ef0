"""Examples of the layer kind ``residual``."""

from playground.core.layers import Activation, BatchNorm, Conv2d, Dropout, Residual
from tests.core.layer_examples import LayerExample

_RESNET_LAYERS = (
    Conv2d(out_channels=6, stride=2, padding=1, bias=False, activation="none"),
    BatchNorm(),
    Activation(),
    Conv2d(out_channels=6, padding="same", bias=False, activation="none"),
    BatchNorm(),
)

EXAMPLES = (
    LayerExample(
        Residual(
            layers=_RESNET_LAYERS,
            projection=(
                Conv2d(out_channels=6, kernel_size=1, stride=2, bias=False, activation="none"),
                BatchNorm(eps=1e-3),
            ),
        )
    ),
    LayerExample(Residual(projection=(Conv2d(out_channels=32, kernel_size=3, padding="same", bias=False),))),
    LayerExample(
        Residual(
            layers=_RESNET_LAYERS,
            projection=(Conv2d(out_channels=6, kernel_size=1, stride=2, bias=False, activation="none"),),
        )
    ),
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
