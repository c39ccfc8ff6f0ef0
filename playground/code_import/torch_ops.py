"""What PyTorch's modules and functions come to here. Their arguments stand in the order of torch's own signatures."""

from playground.code_import.arguments import Arguments, Misread
from playground.code_import.ops import (
    InputSize,
    Padding,
    Part,
    Piece,
    Reader,
    Squeeze,
    Words,
    elu,
    leaky_relu,
    nothing,
    plain_activation,
    scores,
)
from playground.core.layers import AvgPool2d, BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d
from playground.core.shapes import Shape, is_map

_CONVOLUTION = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
_AXES = ("channels", "height", "width")


def _padding(arguments: Arguments) -> int | str:
    word = arguments.take("padding")
    if isinstance(word, str):
        return 0 if word == "valid" else word
    arguments.put("padding", word)
    return arguments.square("padding", default=0)


def _conv2d(arguments: Arguments, shape: Shape) -> list[Piece]:
    channels = arguments.expected_size("in_channels")
    arguments.must_be("padding_mode", "zeros")
    arguments.ignore("device", "dtype")
    layer = Conv2d.model_validate(
        {
            "out_channels": arguments.integer("out_channels"),
            "kernel_size": arguments.square("kernel_size"),
            "stride": arguments.square("stride", default=1),
            "padding": _padding(arguments),
            "dilation": arguments.square("dilation", default=1),
            "groups": arguments.integer("groups", default=1),
            "bias": arguments.flag("bias"),
            "activation": "none",
        }
    )
    return [Part(layer, channels)]


def _pool(kind: type[MaxPool2d] | type[AvgPool2d]) -> Reader:
    def read(arguments: Arguments, shape: Shape) -> list[Piece]:
        kernel_size = arguments.square("kernel_size")
        stride = arguments.square("stride", default=kernel_size)
        padding = arguments.square("padding", default=0)
        if arguments.square("dilation", default=1) != 1:
            raise Misread("has a dilation")
        for name in ("ceil_mode", "return_indices"):
            arguments.must_be(name, False)
        if padding:
            arguments.must_be("count_include_pad", True)
        arguments.ignore("count_include_pad")
        return [Part(kind(kernel_size=kernel_size, stride=None if stride == kernel_size else stride, padding=padding))]

    return read


def _adaptive_pool(arguments: Arguments, shape: Shape) -> list[Piece]:
    if arguments.square("output_size") != 1:
        raise Misread("does not pool to 1×1")
    return [Squeeze()]


def _mean(arguments: Arguments, shape: Shape) -> list[Piece]:
    match arguments.take("dim", "axis"):
        case (2, 3) | (3, 2) | (-1, -2) | (-2, -1):
            pass
        case _:
            raise Misread("is not the mean over height and width")
    if arguments.flag("keepdim", "keepdims", default=False):
        return [Squeeze()]
    return [Part(GlobalAvgPool())]


def _batch_norm(arguments: Arguments, shape: Shape) -> list[Piece]:
    size = arguments.expected_size("num_features")
    layer = BatchNorm(momentum=arguments.number("momentum", default=0.1), eps=arguments.number("eps", default=1e-5))
    for name in ("affine", "track_running_stats", "bias"):
        arguments.must_be(name, True)
    arguments.ignore("device", "dtype")
    return [Part(layer, size)]


def _dropout(arguments: Arguments, shape: Shape) -> list[Piece]:
    layer = Dropout(p=arguments.number("p", default=0.5))
    arguments.ignore("inplace", "training")
    if arguments.call.name.lower() == "dropout2d" and is_map(shape):
        arguments.note("Dropout drops single values here, not whole channels as Dropout2d does.")
    return [Part(layer)]


def _linear(arguments: Arguments, shape: Shape) -> list[Piece]:
    size = arguments.expected_size("in_features")
    layer = Linear(out_features=arguments.units("out_features"), bias=arguments.flag("bias"), activation="none")
    arguments.ignore("device", "dtype")
    return [Part(layer, size)]


def _flatten(arguments: Arguments, shape: Shape) -> list[Piece]:
    default = 1 if arguments.call.name == "Flatten" else 0
    if arguments.integer("start_dim", default=default) != 1 or arguments.integer("end_dim", default=-1) not in (-1, 3):
        raise Misread("does not lay all values of an image in one row")
    return [Part(Flatten())]


def _zero_pad(arguments: Arguments, shape: Shape) -> list[Piece]:
    return [Padding(arguments.square("padding"))]


def _view(arguments: Arguments, shape: Shape) -> list[Piece]:
    """``x.view(-1, 320)`` lays maps in a row; ``x.view(-1, 1, 28, 28)`` says what an image is."""
    batch = arguments.take("batch")
    others = [arguments.take(name) for name in _AXES]
    sizes = batch[1:] if isinstance(batch, list | tuple) else [size for size in others if size is not None]
    match sizes:
        case [int() as size] if size > 0:
            return [Part(Flatten(), size)]
        case [_]:
            return [Part(Flatten())]
        case [int() as channels, int() as height, int() as width] if min(channels, height, width) > 0:
            return [InputSize((channels, height, width))]
    raise Misread("does not lay all values of an image in one row")


def _gelu(arguments: Arguments, shape: Shape) -> list[Piece]:
    if arguments.take("approximate") not in (None, "none"):
        arguments.note("GELU is computed exactly here, not by tanh.")
    return plain_activation("gelu")(arguments, shape)


_MODULES: Words = {
    "Conv2d": (("in_channels", *_CONVOLUTION), _conv2d),
    "LazyConv2d": (_CONVOLUTION, _conv2d),
    "MaxPool2d": (("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"), _pool(MaxPool2d)),
    "AvgPool2d": (("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"), _pool(AvgPool2d)),
    "AdaptiveAvgPool2d": (("output_size",), _adaptive_pool),
    "BatchNorm2d": (("num_features", "eps", "momentum", "affine", "track_running_stats"), _batch_norm),
    "LazyBatchNorm2d": (("eps", "momentum", "affine", "track_running_stats"), _batch_norm),
    "Dropout": (("p", "inplace"), _dropout),
    "Linear": (("in_features", "out_features", "bias"), _linear),
    "LazyLinear": (("out_features", "bias"), _linear),
    "ZeroPad2d": (("padding",), _zero_pad),
    "Flatten": (("start_dim", "end_dim"), _flatten),
    "Identity": ((), nothing()),
    "ReLU": (("inplace",), plain_activation("relu")),
    "LeakyReLU": (("negative_slope", "inplace"), lambda arguments, shape: leaky_relu(arguments, 0.01)),
    "ELU": (("alpha", "inplace"), elu),
    "GELU": (("approximate",), _gelu),
    "SiLU": (("inplace",), plain_activation("silu")),
    "Sigmoid": ((), plain_activation("sigmoid")),
    "Tanh": ((), plain_activation("tanh")),
    "Softmax": (("dim",), scores),
    "LogSoftmax": (("dim",), scores),
}
TORCH: Words = _MODULES | {
    "BatchNorm1d": _MODULES["BatchNorm2d"],
    "LazyBatchNorm1d": _MODULES["LazyBatchNorm2d"],
    "Dropout2d": _MODULES["Dropout"],
    "relu": _MODULES["ReLU"],
    "leaky_relu": _MODULES["LeakyReLU"],
    "elu": _MODULES["ELU"],
    "gelu": _MODULES["GELU"],
    "silu": _MODULES["SiLU"],
    "sigmoid": _MODULES["Sigmoid"],
    "tanh": _MODULES["Tanh"],
    "max_pool2d": _MODULES["MaxPool2d"],
    "avg_pool2d": _MODULES["AvgPool2d"],
    "adaptive_avg_pool2d": _MODULES["AdaptiveAvgPool2d"],
    "dropout": (("p", "training", "inplace"), _dropout),
    "dropout2d": (("p", "training", "inplace"), _dropout),
    "softmax": _MODULES["Softmax"],
    "log_softmax": _MODULES["LogSoftmax"],
    "flatten": _MODULES["Flatten"],
    "view": (("batch", *_AXES), _view),
    "reshape": (("batch", *_AXES), _view),
    "mean": (("dim", "keepdim"), _mean),
}
