"""Activation functions: titles and names in PyTorch, Keras and ONNX, each declared once."""

from dataclasses import dataclass, replace
from typing import Literal

from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall

LEAKY_RELU_SLOPE = 0.01
"""Slope of PyTorch's leaky ReLU for negative values."""
ActivationName = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]
OptionalActivation = Literal["none", "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]


@dataclass(frozen=True)
class ActivationFunction:
    """An activation function."""

    title: str
    torch_module: str
    onnx_nodes: tuple[OnnxNode, ...]


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
    "leaky_relu": ActivationFunction("Leaky ReLU", "LeakyReLU", (OnnxNode("LeakyRelu"),)),
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


def build_activation_calls(activation: str, *, negative_slope: float = LEAKY_RELU_SLOPE) -> tuple[TorchCall, ...]:
    """The PyTorch module of an activation function; empty for ``"none"``. ``negative_slope``: that of a leaky ReLU."""
    if activation == "none":
        return ()
    function = ACTIVATION_FUNCTIONS[activation]
    call = TorchCall(
        function.torch_module,
        onnx_nodes=function.onnx_nodes,
        js_operation=JsOperation("activation", {"function": activation}),
    )
    if activation != "leaky_relu" or negative_slope == LEAKY_RELU_SLOPE:
        return (call,)
    nodes = (OnnxNode("LeakyRelu", attributes={"alpha": negative_slope}),)
    operation = JsOperation("activation", {"function": activation, "negativeSlope": negative_slope})
    return (replace(call, arguments={"negative_slope": negative_slope}, onnx_nodes=nodes, js_operation=operation),)


def add_keras_activation(
    calls: tuple[KerasCall, ...], activation: str, *, negative_slope: float = LEAKY_RELU_SLOPE
) -> tuple[KerasCall, ...]:
    """Add an activation to Keras layers: as an argument of the last one if it takes one, else as a layer."""
    if activation == "none":
        return calls
    if activation == "leaky_relu":  # Keras's default slope differs from PyTorch's
        return (*calls, KerasCall("LeakyReLU", (negative_slope,)))
    if calls and calls[-1].takes_activation:
        return (*calls[:-1], calls[-1].with_argument("activation", activation))
    return (*calls, KerasCall("Activation", (activation,)))
