"""Max pooling."""

from typing import Literal

from playground.core.layers.shared.base import ExplanationRule
from playground.core.layers.shared.calls import KerasCall
from playground.core.layers.shared.window_pool import WindowPool, make_keras_pooling_import, make_torch_pooling_import


class MaxPool2d(WindowPool):
    """Max pooling over windows of each channel."""

    title = "Max-pool"
    description = "Keeps the largest value of each window: smaller feature maps that depend less on exact positions."
    menu_order = 30
    explanation = ExplanationRule("largest")
    torch_module = "MaxPool2d"
    onnx_operator = "MaxPool"
    js_operation = "maxPool2d"
    keras_layer = "MaxPooling2D"
    keras_padding_layer = KerasCall("NegativeInfinityPadding2D", is_helper=True)
    absorbed_padding = "negative_infinity"

    kind: Literal["max_pool2d"] = "max_pool2d"


MaxPool2d.torch_imports = (
    make_torch_pooling_import(
        MaxPool2d,
        ("MaxPool2d", "max_pool2d"),
        ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"),
    ),
)
MaxPool2d.keras_imports = (make_keras_pooling_import(MaxPool2d, ("MaxPooling2D", "MaxPool2D")),)
