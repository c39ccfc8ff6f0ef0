"""What Keras's layers come to here, those of its first version too: many tutorials are older than the second."""

from dataclasses import replace

from playground.code_import.arguments import Arguments, Misread
from playground.code_import.ops import (
    InputSize,
    Padding,
    Part,
    Piece,
    Reader,
    Reorder,
    Squeeze,
    Words,
    activation,
    elu,
    leaky_relu,
    left_out,
    nothing,
    plain_activation,
    scores,
)
from playground.code_import.values import Call, Unknown
from playground.core.layers import AvgPool2d, BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d
from playground.core.shapes import Shape, is_map, window_output_size

_ACTIVATIONS = {name: name for name in ("relu", "elu", "gelu", "silu", "sigmoid", "tanh")} | {"swish": "silu"}
_WEIGHTS = ("kernel", "bias", "depthwise", "pointwise", "beta", "gamma", "moving_mean", "moving_variance", "activity")
_TRAINING_ONLY = (
    *(f"{weight}_{what}" for weight in _WEIGHTS for what in ("initializer", "regularizer", "constraint")),
    *("init", "W_regularizer", "b_regularizer", "activity_regularizer", "W_constraint", "b_constraint"),
)
_HARMLESS = ("name", "dtype", "data_format", "dim_ordering", "seed", "noise_shape", "batch_size")


def _keras(reader: Reader) -> Reader:
    """What every Keras layer may have: the input's shape, figures of the training, names."""

    def read(arguments: Arguments, shape: Shape) -> list[Piece]:
        stated = _input_shape(arguments)
        pieces = reader(arguments, stated.shape if stated else shape)
        if not arguments.flag("trainable"):
            pieces = [_frozen(piece) for piece in pieces]
        arguments.leave_out(*_TRAINING_ONLY)
        arguments.ignore(*_HARMLESS)
        return [stated, *pieces] if stated else pieces

    return read


def _frozen(piece: Piece) -> Piece:
    if isinstance(piece, Part) and piece.layer.has_weights:
        return replace(piece, layer=piece.layer.changed(trainable=False))
    return piece


def _input_shape(arguments: Arguments) -> InputSize | None:
    """The shape that a layer states for the input, the channels last; None if it states none in numbers."""
    batched = arguments.take("batch_input_shape", "batch_shape")
    given = arguments.take("input_shape", "input_dim", "shape")
    if isinstance(batched, list | tuple):
        given = batched[1:]
    match [given] if isinstance(given, int) else given:
        case [int() as channels, int() as height, int() as width] if channels <= 4 < width:
            arguments.note("The input's shape was read with the channels first.")
            return InputSize((channels, height, width))
        case [int() as height, int() as width, int() as channels]:
            return InputSize((channels, height, width))
        case [int() as height, int() as width]:
            return InputSize((1, height, width))
        case [int() as size]:
            return InputSize((size,))
    return None


def _activated(arguments: Arguments) -> list[Piece]:
    """The pieces of the argument ``activation``: a word, a function or a layer."""
    given = arguments.take("activation")
    if isinstance(given, Call):
        return _read_word(given, arguments, ())
    word = given.word if isinstance(given, Unknown) else given
    if word in (None, "linear"):
        return []
    if isinstance(word, str) and word in KERAS and word.islower():
        return _read_word(Call(word, (), {}, arguments.call.node), arguments, ())
    named = f"the activation {word}" if isinstance(word, str) else "an activation"
    raise Misread(f"has {named} that is not known here")


def _read_word(call: Call, outer: Arguments, shape: Shape) -> list[Piece]:
    """A layer that stands in an argument of another one."""
    if call.name not in KERAS:
        raise Misread(f"has {call.name} in it, which is not known here")
    names, reader = KERAS[call.name]
    inner = Arguments(call, names, outer.note)
    pieces = reader(inner, shape)
    inner.finish()
    return pieces


def _pads_same(arguments: Arguments) -> bool:
    word = arguments.take("padding", "border_mode")
    if word is not None and (not isinstance(word, str) or word.lower() not in ("valid", "same")):
        raise Misread("has a padding that is neither 'valid' nor 'same'")
    return word is not None and word.lower() == "same"


def _same_pixels(arguments: Arguments, shape: Shape, extent: int, stride: int) -> int:
    """The pixels on every side that give the size of Keras's 'same', which with a stride pads one side more."""
    if not is_map(shape):
        return 0
    wanted = [-(-size // stride) for size in shape[1:]]
    missing = [max(0, (n - 1) * stride + extent - size) for n, size in zip(wanted, shape[1:], strict=True)]
    for pixels in range(extent // 2 + 1):
        if [window_output_size(size, extent, stride, pixels) for size in shape[1:]] == wanted:
            if any(total != 2 * pixels for total in missing):
                line = arguments.call.line
                arguments.note(f"Line {line}: 'same' pads {pixels} on every side here; Keras pads one side more.")
            return pixels
    raise Misread("pads one side only ('same' with this stride), which has no counterpart here")


def _convolution(arguments: Arguments, shape: Shape, out_channels: int, groups: int, *, bias: bool = True) -> Conv2d:
    """The convolution by itself, without its activation."""
    kernel_size = arguments.square("kernel_size")
    stride = arguments.square("strides", "subsample", default=1)
    dilation = arguments.square("dilation_rate", default=1)
    pads_same = _pads_same(arguments)
    layer = Conv2d(
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=stride,
        dilation=dilation,
        groups=groups,
        bias=bias,
        activation="none",
    )
    if not pads_same:
        return layer
    return layer.changed(padding="same" if stride == 1 else _same_pixels(arguments, shape, layer.extent, stride))


def _conv2d(arguments: Arguments, shape: Shape) -> list[Piece]:
    _read_old_kernel(arguments)
    channels, groups = arguments.integer("filters", "nb_filter"), arguments.integer("groups", default=1)
    layer = _convolution(arguments, shape, channels, groups, bias=arguments.flag("use_bias", "bias"))
    return [Part(layer), *_activated(arguments)]


def _read_old_kernel(arguments: Arguments) -> None:
    """``Convolution2D(32, 3, 3)``: in Keras's first version the third number was the kernel's width."""
    match arguments.call.positional:
        case (_, int() as rows, int() as columns, *_) if arguments.call.name == "Convolution2D":
            arguments.take("strides")
            arguments.put("kernel_size", (rows, columns))
        case (_, int() as size, int() as stride, *_) if size == stride:
            arguments.note(f"Line {arguments.call.line}: the second {size} is the stride, as Keras reads it today.")
    rows_by_name = arguments.take("nb_row")
    if rows_by_name is not None:
        arguments.put("kernel_size", (rows_by_name, arguments.take("nb_col")))


def _depthwise(arguments: Arguments, shape: Shape) -> list[Piece]:
    channels = shape[0] * arguments.integer("depth_multiplier", default=1)
    layer = _convolution(arguments, shape, channels, shape[0], bias=arguments.flag("use_bias"))
    return [Part(layer), *_activated(arguments)]


def _separable(arguments: Arguments, shape: Shape) -> list[Piece]:
    """A depthwise convolution without bias, then a 1×1 convolution."""
    channels = shape[0] * arguments.integer("depth_multiplier", default=1)
    depthwise = _convolution(arguments, shape, channels, shape[0], bias=False)
    pointwise = Conv2d(
        out_channels=arguments.integer("filters"),
        kernel_size=1,
        bias=arguments.flag("use_bias"),
        activation="none",
    )
    return [Part(depthwise), Part(pointwise), *_activated(arguments)]


def _pool(kind: type[MaxPool2d] | type[AvgPool2d]) -> Reader:
    def read(arguments: Arguments, shape: Shape) -> list[Piece]:
        kernel_size = arguments.square("pool_size", default=2)
        stride = arguments.square("strides", default=kernel_size)
        layer = kind(kernel_size=kernel_size, stride=None if stride == kernel_size else stride)
        if _pads_same(arguments):
            layer = layer.changed(padding=_same_pixels(arguments, shape, kernel_size, stride))
        if layer.padding and kind is AvgPool2d:
            arguments.note("Average pooling counts the padding as zeros here; Keras leaves it out of the mean.")
        return [Part(layer)]

    return read


def _global_pool(arguments: Arguments, shape: Shape) -> list[Piece]:
    return [Squeeze() if arguments.flag("keepdims", default=False) else Part(GlobalAvgPool())]


def _batch_norm(arguments: Arguments, shape: Shape) -> list[Piece]:
    # Keras counts the share that stays; rounded, since 1 - 0.9 is 0.1 to people only.
    kept = arguments.number("momentum", default=0.99)
    momentum = round(1 - kept, 12)
    layer = BatchNorm(momentum=momentum, eps=arguments.number("epsilon", default=1e-3))
    arguments.note(f"BatchNorm's momentum {kept:g} is written {momentum:g} here: PyTorch counts the other way.")
    if arguments.take("axis", "mode") not in (None, -1, 0, len(shape)):
        arguments.note(f"Line {arguments.call.line}: BatchNorm goes by channels here, whatever its axis.")
    for name in ("center", "scale"):
        if not arguments.flag(name):
            arguments.note(f"BatchNorm always has a scale and a shift here, {name}=False or not.")
    return [Part(layer)]


def _dropout(arguments: Arguments, shape: Shape) -> list[Piece]:
    layer = Dropout(p=arguments.number("rate", "p"))
    if arguments.call.name == "SpatialDropout2D":
        arguments.note("Dropout drops single values here, not whole channels as SpatialDropout2D does.")
    return [Part(layer)]


def _dense(arguments: Arguments, shape: Shape) -> list[Piece]:
    bias = arguments.flag("use_bias", "bias")
    layer = Linear(out_features=arguments.units("units", "output_dim"), bias=bias, activation="none")
    return [Part(layer), *_activated(arguments)]


def _relu(arguments: Arguments, shape: Shape) -> list[Piece]:
    arguments.must_be("max_value")
    arguments.must_be("negative_slope", 0, 0.0)
    arguments.must_be("threshold", 0, 0.0)
    return activation("relu")


def _flatten(arguments: Arguments, shape: Shape) -> list[Piece]:
    return [Part(Flatten())]


def _reshape(arguments: Arguments, shape: Shape) -> list[Piece]:
    """Only of the input: it says what an image is."""
    arguments.put("shape", arguments.take("target_shape"))
    stated = _input_shape(arguments)
    if stated is None:
        raise Misread("does not say a shape in numbers")
    return [stated]


def _zero_padding(arguments: Arguments, shape: Shape) -> list[Piece]:
    match arguments.take("padding"):
        case ((int() as pixels, int() as bottom), (int() as left, int() as right)) if bottom == left == right == pixels:
            return [Padding(pixels)]
        case given:
            arguments.put("padding", given)
    return [Padding(arguments.square("padding", default=1))]


def _pad(arguments: Arguments, shape: Shape) -> list[Piece]:
    """``keras.ops.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=…)``."""
    value = arguments.number("constant_values", default=0)
    match arguments.take("pad_width", "paddings"):
        case ((0, 0), (int() as pixels, int() as bottom), (int() as left, int() as right), (0, 0)) if (
            bottom == left == right == pixels
        ):
            return [Padding(pixels, lowest=value == -float("inf"))]
    raise Misread("does not pad height and width by the same number")


def _permute(arguments: Arguments, shape: Shape) -> list[Piece]:
    arguments.must_be("dims", (3, 1, 2))
    return [Reorder()]


_POOLING = ("pool_size", "strides", "padding", "data_format")
_CONV2D = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation"),
    "use_bias",
)
_DEPTHWISE = (
    *("kernel_size", "strides", "padding", "depth_multiplier", "data_format", "dilation_rate", "activation"),
    "use_bias",
)
_SEPARABLE = (*_CONV2D[:6], "depth_multiplier", "activation", "use_bias")
_ANY = ("first", "second", "third", "fourth")
_AUGMENTATION = left_out("random changes of the images belong to the training settings")
_SCALING = left_out("images are 0 to 1 already")

_LAYERS: Words = {
    "Input": (("shape", "batch_size", "dtype"), nothing()),
    "InputLayer": (("shape", "batch_size", "dtype"), nothing()),
    "Conv2D": (_CONV2D, _conv2d),
    "Convolution2D": (_CONV2D, _conv2d),
    "DepthwiseConv2D": (_DEPTHWISE, _depthwise),
    "SeparableConv2D": (_SEPARABLE, _separable),
    "SeparableConvolution2D": (_SEPARABLE, _separable),
    "MaxPooling2D": (_POOLING, _pool(MaxPool2d)),
    "MaxPool2D": (_POOLING, _pool(MaxPool2d)),
    "AveragePooling2D": (_POOLING, _pool(AvgPool2d)),
    "AvgPool2D": (_POOLING, _pool(AvgPool2d)),
    "GlobalAveragePooling2D": (("data_format", "keepdims"), _global_pool),
    "GlobalAvgPool2D": (("data_format", "keepdims"), _global_pool),
    "BatchNormalization": (("axis", "momentum", "epsilon", "center", "scale"), _batch_norm),
    "Dropout": (("rate", "noise_shape", "seed"), _dropout),
    "SpatialDropout2D": (("rate", "data_format", "seed"), _dropout),
    "Flatten": (("data_format",), _flatten),
    "Dense": (("units", "activation", "use_bias"), _dense),
    "Activation": (("activation",), lambda arguments, shape: _activated(arguments)),
    "ReLU": (("max_value", "negative_slope", "threshold"), _relu),
    "LeakyReLU": (("negative_slope",), lambda arguments, shape: leaky_relu(arguments, 0.3)),
    "ELU": (("alpha",), elu),
    "Softmax": (("axis",), scores),
    "Reshape": (("target_shape",), _reshape),
    "ZeroPadding2D": (("padding", "data_format"), _zero_padding),
    "pad": (("pad_width", "mode", "constant_values"), _pad),
    "Permute": (("dims",), _permute),
    "Rescaling": (_ANY, _SCALING),
    "Normalization": (_ANY, _SCALING),
    "RandomFlip": (_ANY, _AUGMENTATION),
    "RandomRotation": (_ANY, _AUGMENTATION),
    "RandomZoom": (_ANY, _AUGMENTATION),
    "RandomTranslation": (_ANY, _AUGMENTATION),
    "RandomContrast": (_ANY, _AUGMENTATION),
    "GaussianNoise": (_ANY, _AUGMENTATION),
}
_FUNCTIONS: Words = {
    **{name: ((), plain_activation(here)) for name, here in _ACTIVATIONS.items()},
    "leaky_relu": (("negative_slope",), lambda arguments, shape: leaky_relu(arguments, 0.2)),
    "softmax": (("axis",), scores),
    "log_softmax": (("axis",), scores),
}
KERAS: Words = {name: (names, _keras(reader)) for name, (names, reader) in (_LAYERS | _FUNCTIONS).items()}
