"""Validation, receptive field and PyTorch call of layers that take a vector."""

from playground.core.layers.flatten import Flatten
from playground.core.layers.shared.base import Layer, LayerProblem, LayerReplacement
from playground.core.layers.shared.calls import JsOperation, OnnxNode, TorchCall
from playground.core.shapes import ReceptiveField, Shape, format_shape, is_spatial


def validate_vector_input(layer: Layer, input_shape: Shape) -> tuple[LayerProblem, ...]:
    """Report feature maps as the input of a layer that needs a vector."""
    if not is_spatial(input_shape):
        return ()
    return (
        LayerProblem(
            field="kind",
            what=f"{layer.title} needs a vector, but its input is {format_shape(input_shape)} feature maps.",
            expected="Feature maps must be flattened first.",
            fixes=(LayerReplacement("Insert Flatten", (Flatten(), layer)),),
        ),
    )


def expand_to_whole_input(field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
    """The receptive field of a value that depends on the whole input, larger than any allowed image."""
    return ReceptiveField(size=10**6, jump=field.jump, start=-(10**5))


def build_linear_call(in_features: int, out_features: int, *, bias: bool = True, trainable: bool = True) -> TorchCall:
    """The ``Linear`` module with its ONNX node and browser operation."""
    arguments: dict[str, int | bool] = {"in_features": in_features, "out_features": out_features}
    if not bias:
        arguments["bias"] = False
    return TorchCall(
        "Linear",
        arguments,
        trainable=trainable,
        positional_count=2,
        has_weights=True,
        onnx_nodes=(OnnxNode("Gemm", ("input", "weight", "bias"), {"transB": 1}),),
        js_operation=JsOperation("linear", {"outFeatures": out_features}),
    )
