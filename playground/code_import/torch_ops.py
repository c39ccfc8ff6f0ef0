"""Conversion of PyTorch modules and functions. Arguments are listed in the order of PyTorch's signatures."""

from playground.code_import.arguments import Arguments, UnsupportedCallError
from playground.code_import.interpreter.values import WHOLE_MAP
from playground.code_import.ops import (
    ARITHMETIC_ARGUMENTS,
    AxisMeanOp,
    InputShapeOp,
    Op,
    OpReader,
    OpTable,
    SqueezeOp,
    build_op_table,
    list_imports,
    make_activation_reader,
    make_global_max_pool_ops,
    make_identity_reader,
    make_padding_ops,
    read_arithmetic,
    read_elu,
    read_leaky_relu,
    read_softmax,
)
from playground.core.layers import Flatten, GlobalAvgPool
from playground.core.layers.shared.call_import import LayerImport
from playground.core.shapes import Shape, is_spatial

_AXES = ("channels", "height", "width")


def _read_pad(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read ``F.pad(x, (2, 2, 2, 2))``, ``nn.ZeroPad2d(2)`` and ``nn.ConstantPad2d(2, 0)``."""
    arguments.require_value("mode", "constant")
    arguments.require_value("value", 0, 0.0)
    match arguments.pop("pad", "padding"):
        case int() as pixels:
            return make_padding_ops((pixels,) * 4)
        case (left, right):
            return make_padding_ops((left, right, 0, 0))
        case (left, right, top, bottom, *others) if not any(others):
            return make_padding_ops((left, right, top, bottom))
    raise UnsupportedCallError("must pad height and width by whole numbers of pixels")


def _read_unsqueeze(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read ``x.unsqueeze(1)`` of images without an axis for the channel."""
    if arguments.read_integer("dim") not in (1, -3):
        raise UnsupportedCallError("adds an axis that is not the channel's")
    return [InputShapeOp((1, None, None))]


def _read_squeeze(arguments: Arguments, shape: Shape) -> list[Op]:
    axis = arguments.pop("dim")
    return [SqueezeOp(None if axis is None else arguments.to_integer(axis, "dim"))]


def _read_adaptive_max_pooling(arguments: Arguments, shape: Shape) -> list[Op]:
    arguments.require_value("return_indices", False)
    if arguments.read_square("output_size") != 1:
        raise UnsupportedCallError("does not pool to 1×1")
    return make_global_max_pool_ops(arguments, shape)


def _with_whole_map(name: str, read_whole_map: OpReader) -> tuple[tuple[str, ...], OpReader]:
    """Extend a pooling function by a window of the map's size: ``F.avg_pool2d(x, x.size()[2:])``."""
    names, reader = _IMPORTED_OPS[name]

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        window = arguments.pop("kernel_size")
        if window is WHOLE_MAP:
            arguments.ignore("stride")
            return read_whole_map(arguments, shape)
        arguments.set_value("kernel_size", window)
        return reader(arguments, shape)

    return names, read


def _read_mean(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read the mean over height and width, or over one of them: ``x.mean(3).mean(2)``, ``x.mean(-1).mean(-1)``."""
    axis = arguments.pop("dim", "axis")
    if isinstance(axis, int) and axis in (2, 3, -1, -2) and is_spatial(shape):
        arguments.require_value("keepdim", False)
        return [AxisMeanOp(axis)]
    arguments.set_value("dim", axis)
    return _IMPORTED_OPS["mean"][1](arguments, shape)


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


_IMPORTED_OPS = build_op_table(list_imports("torch"))
_MODULE_OPS: OpTable = {
    "ZeroPad2d": (("padding",), _read_pad),
    "ConstantPad2d": (("pad", "value"), _read_pad),
    "AdaptiveMaxPool2d": (("output_size", "return_indices"), _read_adaptive_max_pooling),
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
    _IMPORTED_OPS
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
        "pad": (("pad", "mode", "value"), _read_pad),
        "adaptive_max_pool2d": _MODULE_OPS["AdaptiveMaxPool2d"],
        "avg_pool2d": _with_whole_map(
            "avg_pool2d", lambda arguments, shape: [LayerImport(GlobalAvgPool(), needs_flatten=True)]
        ),
        "max_pool2d": _with_whole_map("max_pool2d", make_global_max_pool_ops),
        "unsqueeze": (("dim",), _read_unsqueeze),
        "squeeze": (("dim",), _read_squeeze),
        "mean": (_IMPORTED_OPS["mean"][0], _read_mean),
        "arithmetic": (ARITHMETIC_ARGUMENTS, read_arithmetic),
        "view": (("batch", *_AXES), _read_view),
        "reshape": (("batch", *_AXES), _read_view),
    }
)
