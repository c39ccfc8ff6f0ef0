"""Global average pooling."""

from typing import Literal

from playground.core.layers.avg_pool2d import AvgPool2d
from playground.core.layers.shared.base import ExplanationRule, Layer, LayerProblem, validate_spatial_input
from playground.core.layers.shared.call_import import CallArguments, CallImport, LayerImport, UnsupportedCallError
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall
from playground.core.shapes import ReceptiveField, Shape, SlidingWindow, format_shape, is_spatial


class GlobalAvgPool(Layer):
    """Mean of each feature map: one value per channel."""

    title = "Global avg-pool"
    description = "Replaces each feature map by its mean: a vector with one value per channel, without weights."
    menu_order = 50
    input_requirement = "spatial"
    explanation = ExplanationRule("mean")
    diagram_color = "orange"
    states_channels = True

    kind: Literal["global_avg_pool"] = "global_avg_pool"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(channels,)."""
        return input_shape[:1]

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The union of the receptive fields of all positions."""
        return field.expand_to_feature_map(max(input_shape[1:])) if is_spatial(input_shape) else field

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``AdaptiveAvgPool2d(1)`` and ``Flatten``."""
        pooling = TorchCall(
            "AdaptiveAvgPool2d",
            {"output_size": 1},
            window=SlidingWindow(kernel_size=None),
            onnx_nodes=(OnnxNode("GlobalAveragePool"),),
            js_operation=JsOperation("globalAvgPool"),
        )
        flatten = TorchCall("Flatten", onnx_nodes=(OnnxNode("Flatten"),), js_operation=JsOperation("flatten"))
        return (pooling, flatten)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``GlobalAveragePooling2D``."""
        return (KerasCall("GlobalAveragePooling2D"),)

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report a vector input."""
        return validate_spatial_input(self, input_shape)


def _read_adaptive_pooling(arguments: CallArguments, shape: Shape) -> LayerImport | None:
    """Read pooling to a size that divides the map's: its windows are those of an average pooling."""
    output_size = arguments.read_square("output_size")
    if output_size == 1:
        return LayerImport(GlobalAvgPool(), needs_flatten=True)
    arguments.mark_shape_dependent()
    window_sizes = {size // output_size for size in shape[1:]} if output_size > 0 and is_spatial(shape) else set()
    if len(window_sizes) != 1 or any(size % output_size for size in shape[1:]) or window_sizes == {0}:
        raise UnsupportedCallError(
            f"pools maps of {format_shape(shape)} to {output_size}×{output_size} with windows of different sizes"
        )
    (window_size,) = window_sizes
    return LayerImport(AvgPool2d(kernel_size=window_size)) if window_size > 1 else None


def _read_mean(arguments: CallArguments, shape: Shape) -> LayerImport:
    match arguments.pop("dim", "axis"):
        case (2, 3) | (3, 2) | (-1, -2) | (-2, -1):
            pass
        case _:
            raise UnsupportedCallError("is not the mean over height and width")
    return LayerImport(GlobalAvgPool(), needs_flatten=arguments.read_flag("keepdim", "keepdims", default=False))


def _read_keras_mean(arguments: CallArguments, shape: Shape) -> LayerImport:
    if arguments.pop("axis") not in ((1, 2), (2, 1), (-3, -2), (-2, -3)):
        raise UnsupportedCallError("is not the mean over height and width")
    return LayerImport(GlobalAvgPool(), needs_flatten=arguments.read_flag("keepdims", default=False))


def _read_keras_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    return LayerImport(GlobalAvgPool(), needs_flatten=arguments.read_flag("keepdims", default=False))


GlobalAvgPool.torch_imports = (
    CallImport(("AdaptiveAvgPool2d", "adaptive_avg_pool2d"), ("output_size",), _read_adaptive_pooling),
    CallImport(("mean",), ("dim", "keepdim"), _read_mean),
)
GlobalAvgPool.keras_imports = (
    CallImport(("GlobalAveragePooling2D", "GlobalAvgPool2D"), ("data_format", "keepdims"), _read_keras_call),
    CallImport(("reduce_mean", "mean"), ("axis", "keepdims"), _read_keras_mean),
)
