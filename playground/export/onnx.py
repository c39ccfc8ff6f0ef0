"""A trained network as an ONNX file, which other programs and languages run without PyTorch.

The graph is written here, node by node, from the same torch calls that the network is built from. PyTorch's exporter
compiles the network first: 6 s and 230 MB for a net that this takes 0.1 s and 10 MB for, in every server that exports.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from playground import __version__
from playground.core.architecture import Architecture
from playground.core.layers import TorchCall
from playground.core.shapes import Shape
from playground.engine.model.build import build
from playground.errors import StoreError

_OPSET = 20  # the first with GELU
_IR_VERSION = 9  # the file format of that time, so that older runtimes read it
_IMAGE, _SCORES = "image", "scores"

_SCORE_PER_CLASS = "Logits: their softmax is the probability of every class."
_ONE_SCORE = "Logit of the second class: its sigmoid is that class's probability."

_SAME_BUT_NAME = {
    "ReLU": "Relu",
    "LeakyReLU": "LeakyRelu",
    "ELU": "Elu",
    "GELU": "Gelu",
    "Sigmoid": "Sigmoid",
    "Tanh": "Tanh",
    "Flatten": "Flatten",
    "AdaptiveAvgPool2d": "GlobalAveragePool",
}
"""Modules whose ONNX operator has torch's defaults; the layers give them no other arguments."""


def onnx_bytes(architecture: Architecture, weights: Mapping[str, Tensor], *, class_names: Sequence[str] = ()) -> bytes:
    """An ONNX model that computes what the built network does in eval mode.

    It takes ``image``, float32 (batch, channels, height, width), values 0 to 1, and gives ``scores`` (logits), float32
    (batch, units); its metadata hold the class names and say how scores become probabilities. ``weights`` are named as
    in a snapshot. Raises ArchitectureError for a network that cannot be built, StoreError for weights of another one.
    """
    _check_fit(architecture, weights)
    graph = _Graph(weights)
    steps = architecture.steps()
    scores_shape = steps[-1].output_shape
    meaning = _ONE_SCORE if scores_shape == (1,) else _SCORE_PER_CLASS
    graph.add_sequence([call for step in steps for call in step.layer.torch_calls(step.input_shape)], _IMAGE)
    graph.nodes[-1].output[0] = _SCORES  # the last layer of every network that can be built is its output
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "network",
            [_value(_IMAGE, architecture.input.shape, "Values from 0 to 1.")],
            [_value(_SCORES, scores_shape, meaning)],
            initializer=graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="CNN Playground",
        producer_version=__version__,
    )
    helper.set_model_props(model, {"class_names": json.dumps(list(class_names)), "scores": meaning})
    content: bytes = model.SerializeToString()
    return content


def _check_fit(architecture: Architecture, weights: Mapping[str, Tensor]) -> None:
    try:
        build(architecture).load_state_dict(weights)
    except RuntimeError as problem:
        raise StoreError(
            "These weights do not fit the network.", expected=str(problem).splitlines()[-1].strip()
        ) from problem


def _value(name: str, shape: Shape, words: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *shape), doc_string=words)


class _Graph:
    """Nodes in the order in which they are computed; a module's name is that of its weights, its value, its node."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._values = weights

    def add_sequence(self, calls: Sequence[TorchCall], value: str, prefix: str = "") -> str:
        """Modules one after another; ``value`` names what goes in, the answer what comes out."""
        for place, call in enumerate(calls):
            value = self._add_module(call, value, f"{prefix}{place}")
        return value

    def _add_module(self, call: TorchCall, value: str, name: str) -> str:
        match call.name:
            case "Dropout":
                return value
            case "Residual":
                total = self.add_sequence(call.body, value, f"{name}.body.")
                around = self._add_module(call.shortcut, value, f"{name}.shortcut") if call.shortcut else value
                return self._add("Add", name, total, around)
            case "SiLU":
                return self._add("Mul", name, value, self._add("Sigmoid", f"{name}.sigmoid", value))
            case "Conv2d":
                return self._add("Conv", name, value, *self._weights(name, "weight", "bias"), **_convolution(call))
            case "Linear":
                return self._add("Gemm", name, value, *self._weights(name, "weight", "bias"), transB=1)
            case "BatchNorm1d" | "BatchNorm2d":
                parts = self._weights(name, "weight", "bias", "running_mean", "running_var")
                return self._add("BatchNormalization", name, value, *parts, epsilon=call.arguments.get("eps", 1e-5))
            case "MaxPool2d":
                return self._add("MaxPool", name, value, **_window(call))
            case "AvgPool2d":
                return self._add("AveragePool", name, value, count_include_pad=1, **_window(call))
        return self._add(_SAME_BUT_NAME[call.name], name, value)

    def _add(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def _weights(self, module: str, *parts: str) -> list[str]:
        """The names of a module's weights, which become part of the file; one without bias has fewer."""
        names = [name for part in parts if (name := f"{module}.{part}") in self._values]
        self.weights += [numpy_helper.from_array(self._values[name].detach().cpu().numpy(), name) for name in names]
        return names


def _window(call: TorchCall) -> dict[str, Any]:
    kernel_size, padding = call.arguments["kernel_size"], call.arguments.get("padding", 0)
    return {
        "kernel_shape": [kernel_size] * 2,
        "strides": [call.arguments.get("stride", kernel_size)] * 2,
        "pads": [padding] * 4,
    }


def _convolution(call: TorchCall) -> dict[str, Any]:
    arguments = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | call.arguments
    before = after = arguments["padding"]
    if before == "same":
        total = arguments["dilation"] * (arguments["kernel_size"] - 1)
        before, after = total // 2, total - total // 2  # an even kernel's odd pixel is added at the end, as torch does
    return {
        "kernel_shape": [arguments["kernel_size"]] * 2,
        "strides": [arguments["stride"]] * 2,
        "dilations": [arguments["dilation"]] * 2,
        "group": arguments["groups"],
        "pads": [before, before, after, after],
    }
