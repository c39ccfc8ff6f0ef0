"""Flattening of feature maps to a vector."""

from typing import Literal

from playground.core.layers.shared.base import Layer
from playground.core.layers.shared.call_import import CallArguments, CallImport, LayerImport, UnsupportedCallError
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall
from playground.core.shapes import Shape, count_elements, is_spatial


class Flatten(Layer):
    """Reshapes feature maps to a vector, channel by channel."""

    title = "Flatten"
    description = "Reshapes all feature maps to one vector, which linear layers need."
    menu_order = 90
    is_passthrough = True
    is_view = True
    diagram_color = "purple"

    kind: Literal["flatten"] = "flatten"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(channels × height × width,)."""
        return (count_elements(input_shape),)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Flatten``."""
        return (TorchCall("Flatten", onnx_nodes=(OnnxNode("Flatten"),), js_operation=JsOperation("flatten")),)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``Flatten``, after a ``Permute`` if the order of the axes matters."""
        flatten = KerasCall("Flatten")
        if is_spatial(input_shape) and input_shape[0] > 1 and input_shape[1] * input_shape[2] > 1:
            comment = "PyTorch lays maps in a row channel by channel"
            return (KerasCall("Permute", ((3, 1, 2),), comment=comment), flatten)
        return (flatten,)


def _read_torch_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    start = arguments.read_integer("start_dim", default=1 if arguments.name == "Flatten" else 0)
    if start != 1 or arguments.read_integer("end_dim", default=-1) not in (-1, 3):
        raise UnsupportedCallError("does not lay all values of an image in one row")
    return LayerImport(Flatten())


Flatten.torch_imports = (CallImport(("Flatten", "flatten"), ("start_dim", "end_dim"), _read_torch_call),)
Flatten.keras_imports = (CallImport(("Flatten",), ("data_format",), lambda arguments, shape: LayerImport(Flatten())),)
