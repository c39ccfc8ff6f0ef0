"""Average pooling."""

from typing import Any, ClassVar, Literal

from playground.core.layers.shared.base import ExplanationRule
from playground.core.layers.shared.window_pool import WindowPool, make_keras_pooling_import, make_torch_pooling_import


class AvgPool2d(WindowPool):
    """Average pooling over windows of each channel."""

    title = "Avg-pool"
    description = "Keeps the mean of each window: smaller, smoother feature maps."
    menu_order = 40
    explanation = ExplanationRule("mean")
    torch_module = "AvgPool2d"
    onnx_operator = "AveragePool"
    onnx_attributes: ClassVar[dict[str, Any]] = {"count_include_pad": 1}
    js_operation = "avgPool2d"
    keras_layer = "AveragePooling2D"
    absorbed_padding = "zeros"

    kind: Literal["avg_pool2d"] = "avg_pool2d"


AvgPool2d.torch_imports = (
    make_torch_pooling_import(
        AvgPool2d,
        ("AvgPool2d", "avg_pool2d"),
        ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    ),
)
AvgPool2d.keras_imports = (
    make_keras_pooling_import(
        AvgPool2d,
        ("AveragePooling2D", "AvgPool2D"),
        padding_note="Average pooling counts the padding as zeros here; Keras leaves it out of the mean.",
    ),
)
