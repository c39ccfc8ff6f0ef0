"""Conversion of PyTorch modules and functions. Arguments are listed in the order of PyTorch's signatures."""

from playground.code_import.arguments import Arguments, UnsupportedCallError
from playground.code_import.ops import (
    InputShapeOp,
    Op,
    OpTable,
    PaddingOp,
    build_op_table,
    list_imports,
    make_activation_reader,
    make_identity_reader,
    read_elu,
    read_leaky_relu,
    read_softmax,
)
from playground.core.layers import Flatten
from playground.core.layers.shared.call_import import LayerImport
from playground.core.shapes import Shape

_AXES = ("channels", "height", "width")


def _read_zero_padding(arguments: Arguments, shape: Shape) -> list[Op]:
    return [PaddingOp(arguments.read_square("padding"))]


def _read_view(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read a reshape: ``x.view(-1, 320)`` flattens, ``x.view(-1, 1, 28, 28)`` states the input shape."""
    batch = arguments.pop("batch")
    others = [arguments.pop(name) for name in _AXES]
    sizes = batch[1:] if isinstance(batch, list | tuple) else [size for size in others if size is not None]
    match sizes:
        case [int() as size] if size > 0:
            return [LayerImport(Flatten(), size)]
        case [_]:
            return [LayerImport(Flatten())]
        case [int() as channels, int() as height, int() as width] if min(channels, height, width) > 0:
            return [InputShapeOp((channels, height, width))]
    raise UnsupportedCallError("is an unsupported reshape; it must flatten the image or state the input shape")


def _read_gelu(arguments: Arguments, shape: Shape) -> list[Op]:
    if arguments.pop("approximate") not in (None, "none"):
        arguments.add_note("GELU is computed exactly instead of by its tanh approximation.")
    return make_activation_reader("gelu")(arguments, shape)


_MODULE_OPS: OpTable = {
    "ZeroPad2d": (("padding",), _read_zero_padding),
    "Identity": ((), make_identity_reader()),
    "ReLU": (("inplace",), make_activation_reader("relu")),
    "LeakyReLU": (("negative_slope", "inplace"), lambda arguments, shape: read_leaky_relu(arguments, 0.01)),
    "ELU": (("alpha", "inplace"), read_elu),
    "GELU": (("approximate",), _read_gelu),
    "SiLU": (("inplace",), make_activation_reader("silu")),
    "Sigmoid": ((), make_activation_reader("sigmoid")),
    "Tanh": ((), make_activation_reader("tanh")),
    "Softmax": (("dim",), read_softmax),
    "LogSoftmax": (("dim",), read_softmax),
}
TORCH_OPS: OpTable = (
    build_op_table(list_imports("torch"))
    | _MODULE_OPS
    | {
        "relu": _MODULE_OPS["ReLU"],
        "leaky_relu": _MODULE_OPS["LeakyReLU"],
        "elu": _MODULE_OPS["ELU"],
        "gelu": _MODULE_OPS["GELU"],
        "silu": _MODULE_OPS["SiLU"],
        "sigmoid": _MODULE_OPS["Sigmoid"],
        "tanh": _MODULE_OPS["Tanh"],
        "softmax": _MODULE_OPS["Softmax"],
        "log_softmax": _MODULE_OPS["LogSoftmax"],
        "view": (("batch", *_AXES), _read_view),
        "reshape": (("batch", *_AXES), _read_view),
    }
)
