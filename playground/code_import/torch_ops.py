"""What PyTorch's modules and functions come to here. Their arguments stand in the order of torch's own signatures."""

from playground.code_import.arguments import Arguments, UnsupportedCallError
from playground.code_import.ops import (
    GlobalPoolOp,
    InputShapeOp,
    LayerOp,
    Op,
    OpReader,
    OpTable,
    PaddingOp,
    make_activation_reader,
    make_identity_reader,
    read_elu,
    read_leaky_relu,
    read_softmax,
)
from playground.core.layers import AvgPool2d, BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d
from playground.core.shapes import Shape, is_spatial

_CONV2D_ARGUMENTS = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
_AXES = ("channels", "height", "width")


def _read_padding(arguments: Arguments) -> int | str:
    word = arguments.pop("padding")
    if isinstance(word, str):
        return 0 if word == "valid" else word
    arguments.set_value("padding", word)
    return arguments.read_square("padding", default=0)


def _read_conv2d(arguments: Arguments, shape: Shape) -> list[Op]:
    channels = arguments.read_expected_size("in_channels")
    arguments.require_value("padding_mode", "zeros")
    arguments.ignore("device", "dtype")
    layer = Conv2d.model_validate(
        {
            "out_channels": arguments.read_integer("out_channels"),
            "kernel_size": arguments.read_square("kernel_size"),
            "stride": arguments.read_square("stride", default=1),
            "padding": _read_padding(arguments),
            "dilation": arguments.read_square("dilation", default=1),
            "groups": arguments.read_integer("groups", default=1),
            "bias": arguments.read_flag("bias"),
            "activation": "none",
        }
    )
    return [LayerOp(layer, channels)]


def _make_pooling_reader(layer_class: type[MaxPool2d] | type[AvgPool2d]) -> OpReader:
    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        kernel_size = arguments.read_square("kernel_size")
        stride = arguments.read_square("stride", default=kernel_size)
        padding = arguments.read_square("padding", default=0)
        if arguments.read_square("dilation", default=1) != 1:
            raise UnsupportedCallError("has a dilation")
        for name in ("ceil_mode", "return_indices"):
            arguments.require_value(name, False)
        if padding:
            arguments.require_value("count_include_pad", True)
        arguments.ignore("count_include_pad")
        return [
            LayerOp(
                layer_class(kernel_size=kernel_size, stride=None if stride == kernel_size else stride, padding=padding)
            )
        ]

    return read


def _read_adaptive_pooling(arguments: Arguments, shape: Shape) -> list[Op]:
    if arguments.read_square("output_size") != 1:
        raise UnsupportedCallError("does not pool to 1×1")
    return [GlobalPoolOp()]


def _read_mean(arguments: Arguments, shape: Shape) -> list[Op]:
    match arguments.pop("dim", "axis"):
        case (2, 3) | (3, 2) | (-1, -2) | (-2, -1):
            pass
        case _:
            raise UnsupportedCallError("is not the mean over height and width")
    if arguments.read_flag("keepdim", "keepdims", default=False):
        return [GlobalPoolOp()]
    return [LayerOp(GlobalAvgPool())]


def _read_batch_norm(arguments: Arguments, shape: Shape) -> list[Op]:
    size = arguments.read_expected_size("num_features")
    layer = BatchNorm(
        momentum=arguments.read_number("momentum", default=0.1), eps=arguments.read_number("eps", default=1e-5)
    )
    for name in ("affine", "track_running_stats", "bias"):
        arguments.require_value(name, True)
    arguments.ignore("device", "dtype")
    return [LayerOp(layer, size)]


def _read_dropout(arguments: Arguments, shape: Shape) -> list[Op]:
    layer = Dropout(p=arguments.read_number("p", default=0.5))
    arguments.ignore("inplace", "training")
    if arguments.call.name.lower() == "dropout2d" and is_spatial(shape):
        arguments.add_note("Dropout drops single values here, not whole channels as Dropout2d does.")
    return [LayerOp(layer)]


def _read_linear(arguments: Arguments, shape: Shape) -> list[Op]:
    size = arguments.read_expected_size("in_features")
    layer = Linear(
        out_features=arguments.read_units("out_features"), bias=arguments.read_flag("bias"), activation="none"
    )
    arguments.ignore("device", "dtype")
    return [LayerOp(layer, size)]


def _read_flatten(arguments: Arguments, shape: Shape) -> list[Op]:
    default = 1 if arguments.call.name == "Flatten" else 0
    if arguments.read_integer("start_dim", default=default) != 1 or arguments.read_integer(
        "end_dim", default=-1
    ) not in (-1, 3):
        raise UnsupportedCallError("does not lay all values of an image in one row")
    return [LayerOp(Flatten())]


def _read_zero_padding(arguments: Arguments, shape: Shape) -> list[Op]:
    return [PaddingOp(arguments.read_square("padding"))]


def _read_view(arguments: Arguments, shape: Shape) -> list[Op]:
    """``x.view(-1, 320)`` lays maps in a row; ``x.view(-1, 1, 28, 28)`` says what an image is."""
    batch = arguments.pop("batch")
    others = [arguments.pop(name) for name in _AXES]
    sizes = batch[1:] if isinstance(batch, list | tuple) else [size for size in others if size is not None]
    match sizes:
        case [int() as size] if size > 0:
            return [LayerOp(Flatten(), size)]
        case [_]:
            return [LayerOp(Flatten())]
        case [int() as channels, int() as height, int() as width] if min(channels, height, width) > 0:
            return [InputShapeOp((channels, height, width))]
    raise UnsupportedCallError("does not lay all values of an image in one row")


def _read_gelu(arguments: Arguments, shape: Shape) -> list[Op]:
    if arguments.pop("approximate") not in (None, "none"):
        arguments.add_note("GELU is computed exactly here, not by tanh.")
    return make_activation_reader("gelu")(arguments, shape)


_MODULE_OPS: OpTable = {
    "Conv2d": (("in_channels", *_CONV2D_ARGUMENTS), _read_conv2d),
    "LazyConv2d": (_CONV2D_ARGUMENTS, _read_conv2d),
    "MaxPool2d": (
        ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"),
        _make_pooling_reader(MaxPool2d),
    ),
    "AvgPool2d": (
        ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
        _make_pooling_reader(AvgPool2d),
    ),
    "AdaptiveAvgPool2d": (("output_size",), _read_adaptive_pooling),
    "BatchNorm2d": (("num_features", "eps", "momentum", "affine", "track_running_stats"), _read_batch_norm),
    "LazyBatchNorm2d": (("eps", "momentum", "affine", "track_running_stats"), _read_batch_norm),
    "Dropout": (("p", "inplace"), _read_dropout),
    "Linear": (("in_features", "out_features", "bias"), _read_linear),
    "LazyLinear": (("out_features", "bias"), _read_linear),
    "ZeroPad2d": (("padding",), _read_zero_padding),
    "Flatten": (("start_dim", "end_dim"), _read_flatten),
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
TORCH_OPS: OpTable = _MODULE_OPS | {
    "BatchNorm1d": _MODULE_OPS["BatchNorm2d"],
    "LazyBatchNorm1d": _MODULE_OPS["LazyBatchNorm2d"],
    "Dropout2d": _MODULE_OPS["Dropout"],
    "relu": _MODULE_OPS["ReLU"],
    "leaky_relu": _MODULE_OPS["LeakyReLU"],
    "elu": _MODULE_OPS["ELU"],
    "gelu": _MODULE_OPS["GELU"],
    "silu": _MODULE_OPS["SiLU"],
    "sigmoid": _MODULE_OPS["Sigmoid"],
    "tanh": _MODULE_OPS["Tanh"],
    "max_pool2d": _MODULE_OPS["MaxPool2d"],
    "avg_pool2d": _MODULE_OPS["AvgPool2d"],
    "adaptive_avg_pool2d": _MODULE_OPS["AdaptiveAvgPool2d"],
    "dropout": (("p", "training", "inplace"), _read_dropout),
    "dropout2d": (("p", "training", "inplace"), _read_dropout),
    "softmax": _MODULE_OPS["Softmax"],
    "log_softmax": _MODULE_OPS["LogSoftmax"],
    "flatten": _MODULE_OPS["Flatten"],
    "view": (("batch", *_AXES), _read_view),
    "reshape": (("batch", *_AXES), _read_view),
    "mean": (("dim", "keepdim"), _read_mean),
}
