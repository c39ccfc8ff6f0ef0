"""What Keras's layers come to here, those of its first version too: many tutorials are older than the second."""

from dataclasses import replace

from playground.code_import.arguments import Arguments, UnsupportedCallError
from playground.code_import.ops import (
    GlobalPoolOp,
    InputShapeOp,
    LayerOp,
    Op,
    OpReader,
    OpTable,
    PaddingOp,
    PermuteOp,
    make_activation_ops,
    make_activation_reader,
    make_identity_reader,
    make_skip_reader,
    read_elu,
    read_leaky_relu,
    read_softmax,
)
from playground.code_import.values import Call, Unknown
from playground.core.layers import AvgPool2d, BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d
from playground.core.shapes import Shape, compute_output_size, is_spatial

_ACTIVATION_NAMES = {name: name for name in ("relu", "elu", "gelu", "silu", "sigmoid", "tanh")} | {"swish": "silu"}
_WEIGHT_NAMES = (
    "kernel",
    "bias",
    "depthwise",
    "pointwise",
    "beta",
    "gamma",
    "moving_mean",
    "moving_variance",
    "activity",
)
_TRAINING_ARGUMENTS = (
    *(f"{weight}_{what}" for weight in _WEIGHT_NAMES for what in ("initializer", "regularizer", "constraint")),
    *("init", "W_regularizer", "b_regularizer", "activity_regularizer", "W_constraint", "b_constraint"),
)
_IGNORED_ARGUMENTS = ("name", "dtype", "data_format", "dim_ordering", "seed", "noise_shape", "batch_size")


def _with_common_arguments(reader: OpReader) -> OpReader:
    """What every Keras layer may have: the input's shape, figures of the training, names."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        stated = _read_input_shape(arguments)
        pieces = reader(arguments, stated.shape if stated else shape)
        if not arguments.read_flag("trainable"):
            pieces = [_freeze(piece) for piece in pieces]
        arguments.drop_with_note(*_TRAINING_ARGUMENTS)
        arguments.ignore(*_IGNORED_ARGUMENTS)
        return [stated, *pieces] if stated else pieces

    return read


def _freeze(op: Op) -> Op:
    if isinstance(op, LayerOp) and op.layer.has_weights:
        return replace(op, layer=op.layer.replace(trainable=False))
    return op


def _read_input_shape(arguments: Arguments) -> InputShapeOp | None:
    """The shape that a layer states for the input, the channels last; None if it states none in numbers."""
    batched = arguments.pop("batch_input_shape", "batch_shape")
    given = arguments.pop("input_shape", "input_dim", "shape")
    if isinstance(batched, list | tuple):
        given = batched[1:]
    match [given] if isinstance(given, int) else given:
        case [int() as channels, int() as height, int() as width] if channels <= 4 < width:
            arguments.add_note("The input's shape was read with the channels first.")
            return InputShapeOp((channels, height, width))
        case [int() as height, int() as width, int() as channels]:
            return InputShapeOp((channels, height, width))
        case [int() as height, int() as width]:
            return InputShapeOp((1, height, width))
        case [int() as size]:
            return InputShapeOp((size,))
    return None


def _read_activation_argument(arguments: Arguments) -> list[Op]:
    """The pieces of the argument ``make_activation_ops``: a word, a function or a layer."""
    given = arguments.pop("activation")
    if isinstance(given, Call):
        return _read_nested_call(given, arguments, ())
    word = given.short_name if isinstance(given, Unknown) else given
    if word in (None, "linear"):
        return []
    if isinstance(word, str) and word in KERAS_OPS and word.islower():
        return _read_nested_call(Call(word, (), {}, arguments.call.node), arguments, ())
    named = f"the activation {word}" if isinstance(word, str) else "an activation"
    raise UnsupportedCallError(f"has {named} that is not known here")


def _read_nested_call(call: Call, outer_arguments: Arguments, shape: Shape) -> list[Op]:
    """A layer that stands in an argument of another one."""
    if call.name not in KERAS_OPS:
        raise UnsupportedCallError(f"has {call.name} in it, which is not known here")
    names, reader = KERAS_OPS[call.name]
    inner = Arguments(call, names, outer_arguments.add_note)
    pieces = reader(inner, shape)
    inner.reject_unread()
    return pieces


def _has_same_padding(arguments: Arguments) -> bool:
    word = arguments.pop("padding", "border_mode")
    if word is not None and (not isinstance(word, str) or word.lower() not in ("valid", "same")):
        raise UnsupportedCallError("has a padding that is neither 'valid' nor 'same'")
    return word is not None and word.lower() == "same"


def _compute_same_padding(arguments: Arguments, shape: Shape, effective_kernel_size: int, stride: int) -> int:
    """The pixels on every side that give the size of Keras's 'same', which with a stride pads one side more."""
    if not is_spatial(shape):
        return 0
    wanted = [-(-size // stride) for size in shape[1:]]
    missing = [
        max(0, (n - 1) * stride + effective_kernel_size - size) for n, size in zip(wanted, shape[1:], strict=True)
    ]
    for pixels in range(effective_kernel_size // 2 + 1):
        if [compute_output_size(size, effective_kernel_size, stride, pixels) for size in shape[1:]] == wanted:
            if any(total != 2 * pixels for total in missing):
                line = arguments.call.line
                arguments.add_note(f"Line {line}: 'same' pads {pixels} on every side here; Keras pads one side more.")
            return pixels
    raise UnsupportedCallError("pads one side only ('same' with this stride), which has no counterpart here")


def _build_convolution(
    arguments: Arguments, shape: Shape, out_channels: int, groups: int, *, bias: bool = True
) -> Conv2d:
    """The convolution by itself, without its activation."""
    kernel_size = arguments.read_square("kernel_size")
    stride = arguments.read_square("strides", "subsample", default=1)
    dilation = arguments.read_square("dilation_rate", default=1)
    pads_same = _has_same_padding(arguments)
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
    return layer.replace(
        padding="same" if stride == 1 else _compute_same_padding(arguments, shape, layer.effective_kernel_size, stride)
    )


def _read_conv2d(arguments: Arguments, shape: Shape) -> list[Op]:
    _normalize_keras1_kernel(arguments)
    channels, groups = arguments.read_integer("filters", "nb_filter"), arguments.read_integer("groups", default=1)
    layer = _build_convolution(arguments, shape, channels, groups, bias=arguments.read_flag("use_bias", "bias"))
    return [LayerOp(layer), *_read_activation_argument(arguments)]


def _normalize_keras1_kernel(arguments: Arguments) -> None:
    """``Convolution2D(32, 3, 3)``: in Keras's first version the third number was the kernel's width."""
    match arguments.call.positional:
        case (_, int() as rows, int() as columns, *_) if arguments.call.name == "Convolution2D":
            arguments.pop("strides")
            arguments.set_value("kernel_size", (rows, columns))
        case (_, int() as size, int() as stride, *_) if size == stride:
            arguments.add_note(f"Line {arguments.call.line}: the second {size} is the stride, as Keras reads it today.")
    rows_by_name = arguments.pop("nb_row")
    if rows_by_name is not None:
        arguments.set_value("kernel_size", (rows_by_name, arguments.pop("nb_col")))


def _read_depthwise_conv2d(arguments: Arguments, shape: Shape) -> list[Op]:
    channels = shape[0] * arguments.read_integer("depth_multiplier", default=1)
    layer = _build_convolution(arguments, shape, channels, shape[0], bias=arguments.read_flag("use_bias"))
    return [LayerOp(layer), *_read_activation_argument(arguments)]


def _read_separable_conv2d(arguments: Arguments, shape: Shape) -> list[Op]:
    """A depthwise convolution without bias, then a 1×1 convolution."""
    channels = shape[0] * arguments.read_integer("depth_multiplier", default=1)
    depthwise = _build_convolution(arguments, shape, channels, shape[0], bias=False)
    pointwise = Conv2d(
        out_channels=arguments.read_integer("filters"),
        kernel_size=1,
        bias=arguments.read_flag("use_bias"),
        activation="none",
    )
    return [LayerOp(depthwise), LayerOp(pointwise), *_read_activation_argument(arguments)]


def _make_pooling_reader(layer_class: type[MaxPool2d] | type[AvgPool2d]) -> OpReader:
    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        kernel_size = arguments.read_square("pool_size", default=2)
        stride = arguments.read_square("strides", default=kernel_size)
        layer = layer_class(kernel_size=kernel_size, stride=None if stride == kernel_size else stride)
        if _has_same_padding(arguments):
            layer = layer.replace(padding=_compute_same_padding(arguments, shape, kernel_size, stride))
        if layer.padding and layer_class is AvgPool2d:
            arguments.add_note("Average pooling counts the padding as zeros here; Keras leaves it out of the mean.")
        return [LayerOp(layer)]

    return read


def _read_global_average_pooling(arguments: Arguments, shape: Shape) -> list[Op]:
    return [GlobalPoolOp() if arguments.read_flag("keepdims", default=False) else LayerOp(GlobalAvgPool())]


def _read_batch_normalization(arguments: Arguments, shape: Shape) -> list[Op]:
    # Keras counts the share that stays; rounded, since 1 - 0.9 is 0.1 to people only.
    kept = arguments.read_number("momentum", default=0.99)
    momentum = round(1 - kept, 12)
    layer = BatchNorm(momentum=momentum, eps=arguments.read_number("epsilon", default=1e-3))
    arguments.add_note(f"BatchNorm's momentum {kept:g} is written {momentum:g} here: PyTorch counts the other way.")
    if arguments.pop("axis", "mode") not in (None, -1, 0, len(shape)):
        arguments.add_note(f"Line {arguments.call.line}: BatchNorm goes by channels here, whatever its axis.")
    for name in ("center", "scale"):
        if not arguments.read_flag(name):
            arguments.add_note(f"BatchNorm always has a scale and a shift here, {name}=False or not.")
    return [LayerOp(layer)]


def _read_dropout(arguments: Arguments, shape: Shape) -> list[Op]:
    layer = Dropout(p=arguments.read_number("rate", "p"))
    if arguments.call.name == "SpatialDropout2D":
        arguments.add_note("Dropout drops single values here, not whole channels as SpatialDropout2D does.")
    return [LayerOp(layer)]


def _read_dense(arguments: Arguments, shape: Shape) -> list[Op]:
    bias = arguments.read_flag("use_bias", "bias")
    layer = Linear(out_features=arguments.read_units("units", "output_dim"), bias=bias, activation="none")
    return [LayerOp(layer), *_read_activation_argument(arguments)]


def _read_relu(arguments: Arguments, shape: Shape) -> list[Op]:
    arguments.require_value("max_value")
    arguments.require_value("negative_slope", 0, 0.0)
    arguments.require_value("threshold", 0, 0.0)
    return make_activation_ops("relu")


def _read_flatten(arguments: Arguments, shape: Shape) -> list[Op]:
    return [LayerOp(Flatten())]


def _read_reshape(arguments: Arguments, shape: Shape) -> list[Op]:
    """Only of the input: it says what an image is."""
    arguments.set_value("shape", arguments.pop("target_shape"))
    stated = _read_input_shape(arguments)
    if stated is None:
        raise UnsupportedCallError("does not say a shape in numbers")
    return [stated]


def _read_zero_padding(arguments: Arguments, shape: Shape) -> list[Op]:
    match arguments.pop("padding"):
        case ((int() as pixels, int() as bottom), (int() as left, int() as right)) if bottom == left == right == pixels:
            return [PaddingOp(pixels)]
        case given:
            arguments.set_value("padding", given)
    return [PaddingOp(arguments.read_square("padding", default=1))]


def _read_pad(arguments: Arguments, shape: Shape) -> list[Op]:
    """``keras.ops.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=…)``."""
    value = arguments.read_number("constant_values", default=0)
    match arguments.pop("pad_width", "paddings"):
        case ((0, 0), (int() as pixels, int() as bottom), (int() as left, int() as right), (0, 0)) if (
            bottom == left == right == pixels
        ):
            return [PaddingOp(pixels, is_negative_infinity=value == -float("inf"))]
    raise UnsupportedCallError("does not pad height and width by the same number")


def _read_permute(arguments: Arguments, shape: Shape) -> list[Op]:
    arguments.require_value("dims", (3, 1, 2))
    return [PermuteOp()]


_POOLING_ARGUMENTS = ("pool_size", "strides", "padding", "data_format")
_CONV2D_ARGUMENTS = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation"),
    "use_bias",
)
_DEPTHWISE_ARGUMENTS = (
    *("kernel_size", "strides", "padding", "depth_multiplier", "data_format", "dilation_rate", "activation"),
    "use_bias",
)
_SEPARABLE_ARGUMENTS = (*_CONV2D_ARGUMENTS[:6], "depth_multiplier", "activation", "use_bias")
_ANY_ARGUMENTS = ("first", "second", "third", "fourth")
_SKIP_AUGMENTATION = make_skip_reader("random changes of the images belong to the training settings")
_SKIP_SCALING = make_skip_reader("images are 0 to 1 already")

_LAYER_OPS: OpTable = {
    "Input": (("shape", "batch_size", "dtype"), make_identity_reader()),
    "InputLayer": (("shape", "batch_size", "dtype"), make_identity_reader()),
    "Conv2D": (_CONV2D_ARGUMENTS, _read_conv2d),
    "Convolution2D": (_CONV2D_ARGUMENTS, _read_conv2d),
    "DepthwiseConv2D": (_DEPTHWISE_ARGUMENTS, _read_depthwise_conv2d),
    "SeparableConv2D": (_SEPARABLE_ARGUMENTS, _read_separable_conv2d),
    "SeparableConvolution2D": (_SEPARABLE_ARGUMENTS, _read_separable_conv2d),
    "MaxPooling2D": (_POOLING_ARGUMENTS, _make_pooling_reader(MaxPool2d)),
    "MaxPool2D": (_POOLING_ARGUMENTS, _make_pooling_reader(MaxPool2d)),
    "AveragePooling2D": (_POOLING_ARGUMENTS, _make_pooling_reader(AvgPool2d)),
    "AvgPool2D": (_POOLING_ARGUMENTS, _make_pooling_reader(AvgPool2d)),
    "GlobalAveragePooling2D": (("data_format", "keepdims"), _read_global_average_pooling),
    "GlobalAvgPool2D": (("data_format", "keepdims"), _read_global_average_pooling),
    "BatchNormalization": (("axis", "momentum", "epsilon", "center", "scale"), _read_batch_normalization),
    "Dropout": (("rate", "noise_shape", "seed"), _read_dropout),
    "SpatialDropout2D": (("rate", "data_format", "seed"), _read_dropout),
    "Flatten": (("data_format",), _read_flatten),
    "Dense": (("units", "activation", "use_bias"), _read_dense),
    "Activation": (("activation",), lambda arguments, shape: _read_activation_argument(arguments)),
    "ReLU": (("max_value", "negative_slope", "threshold"), _read_relu),
    "LeakyReLU": (("negative_slope",), lambda arguments, shape: read_leaky_relu(arguments, 0.3)),
    "ELU": (("alpha",), read_elu),
    "Softmax": (("axis",), read_softmax),
    "Reshape": (("target_shape",), _read_reshape),
    "ZeroPadding2D": (("padding", "data_format"), _read_zero_padding),
    "pad": (("pad_width", "mode", "constant_values"), _read_pad),
    "Permute": (("dims",), _read_permute),
    "Rescaling": (_ANY_ARGUMENTS, _SKIP_SCALING),
    "Normalization": (_ANY_ARGUMENTS, _SKIP_SCALING),
    "RandomFlip": (_ANY_ARGUMENTS, _SKIP_AUGMENTATION),
    "RandomRotation": (_ANY_ARGUMENTS, _SKIP_AUGMENTATION),
    "RandomZoom": (_ANY_ARGUMENTS, _SKIP_AUGMENTATION),
    "RandomTranslation": (_ANY_ARGUMENTS, _SKIP_AUGMENTATION),
    "RandomContrast": (_ANY_ARGUMENTS, _SKIP_AUGMENTATION),
    "GaussianNoise": (_ANY_ARGUMENTS, _SKIP_AUGMENTATION),
}
_FUNCTION_OPS: OpTable = {
    **{name: ((), make_activation_reader(here)) for name, here in _ACTIVATION_NAMES.items()},
    "leaky_relu": (("negative_slope",), lambda arguments, shape: read_leaky_relu(arguments, 0.2)),
    "softmax": (("axis",), read_softmax),
    "log_softmax": (("axis",), read_softmax),
}
KERAS_OPS: OpTable = {
    name: (names, _with_common_arguments(reader)) for name, (names, reader) in (_LAYER_OPS | _FUNCTION_OPS).items()
}
