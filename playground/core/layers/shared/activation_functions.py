"""Activation functions: titles and names in PyTorch, Keras and ONNX, each declared once."""

from dataclasses import dataclass
from typing import Literal

from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall

ActivationName = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]
OptionalActivation = Literal["none", "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]


@dataclass(frozen=True)
class ActivationFunction:
    """An activation function; ``keras_call`` is set where Keras's default arguments differ from PyTorch's."""

    title: str
    torch_module: str
    onnx_nodes: tuple[OnnxNode, ...]
    keras_call: KerasCall | None = None


# The operator Gelu needs opset 20, which runtimes before 2024 do not read: x/2 · (1 + erf(x/√2)).
_GELU_NODES = (
    OnnxNode("Mul", ("input", "factor"), name="scaled", constants={"factor": (0.5**0.5,)}),
    OnnxNode("Erf", ("scaled",), name="erf"),
    OnnxNode("Add", ("erf", "one"), name="shifted", constants={"one": (1.0,)}),
    OnnxNode("Mul", ("input", "shifted"), name="doubled"),
    OnnxNode("Mul", ("doubled", "half"), constants={"half": (0.5,)}),
)

ACTIVATION_FUNCTIONS: dict[str, ActivationFunction] = {
    "relu": ActivationFunction("ReLU", "ReLU", (OnnxNode("Relu"),)),
    "leaky_relu": ActivationFunction(
        "Leaky ReLU", "LeakyReLU", (OnnxNode("LeakyRelu"),), KerasCall("LeakyReLU", (0.01,))
    ),
    "elu": ActivationFunction("ELU", "ELU", (OnnxNode("Elu"),)),
    "gelu": ActivationFunction("GELU", "GELU", _GELU_NODES),
    "silu": ActivationFunction(
        "SiLU", "SiLU", (OnnxNode("Sigmoid", name="sigmoid"), OnnxNode("Mul", ("input", "sigmoid")))
    ),
    "sigmoid": ActivationFunction("Sigmoid", "Sigmoid", (OnnxNode("Sigmoid"),)),
    "tanh": ActivationFunction("Tanh", "Tanh", (OnnxNode("Tanh"),)),
}
ACTIVATION_TITLES: dict[str, str] = {name: function.title for name, function in ACTIVATION_FUNCTIONS.items()}
ACTIVATION_HELP = "Function applied to every value. Without one, stacked layers are equal to a single linear layer."


def build_activation_calls(activation: str) -> tuple[TorchCall, ...]:
    """The PyTorch module of an activation function; empty for ``"none"``."""
    if activation == "none":
        return ()
    function = ACTIVATION_FUNCTIONS[activation]
    operation = JsOperation("activation", {"function": activation})
    return (TorchCall(function.torch_module, onnx_nodes=function.onnx_nodes, js_operation=operation),)


def add_keras_activation(calls: tuple[KerasCall, ...], activation: str) -> tuple[KerasCall, ...]:
    """Add an activation to Keras layers: as an argument of the last one if it takes one, else as a layer."""
    if activation == "none":
        return calls
    function = ACTIVATION_FUNCTIONS[activation]
    if function.keras_call:
        return (*calls, function.keras_call)
    if calls and calls[-1].takes_activation:
        return (*calls[:-1], calls[-1].with_argument("activation", activation))
    return (*calls, KerasCall("Activation", (activation,)))
