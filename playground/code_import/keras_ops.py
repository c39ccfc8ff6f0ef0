"""Conversion of Keras layers and functions, including the argument names of Keras 1."""

from dataclasses import replace

from playground.code_import.arguments import Arguments, UnsupportedCallError
from playground.code_import.interpreter.values import Call, LibraryName, Unknown
from playground.code_import.ops import (
    ARITHMETIC_ARGUMENTS,
    SCALING_REASON,
    InputShapeOp,
    Op,
    OpReader,
    OpTable,
    PermuteOp,
    ScalingOp,
    SqueezeOp,
    list_imports,
    make_activation_reader,
    make_global_max_pool_ops,
    make_identity_reader,
    make_padding_ops,
    make_skip_reader,
    read_arithmetic,
    read_elu,
    read_leaky_relu,
    read_softmax,
)
from playground.core.layers import Activation, Flatten
from playground.core.layers.shared.activation_functions import ActivationName
from playground.core.layers.shared.call_import import CallImport, LayerImport
from playground.core.shapes import Shape

_ACTIVATION_NAMES: dict[str, ActivationName] = {
    "relu": "relu",
    "elu": "elu",
    "gelu": "gelu",
    "silu": "silu",
    "swish": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
}
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
    """Add the arguments common to all Keras layers: input shape, trainable, initializers, regularizers and names."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        stated = _read_input_shape(arguments)
        pieces = reader(arguments, stated.complete(shape) if stated else shape)
        if not arguments.read_flag("trainable"):
            pieces = [_freeze(piece) for piece in pieces]
        arguments.drop_with_note(*_TRAINING_ARGUMENTS)
        arguments.ignore(*_IGNORED_ARGUMENTS)
        return [stated, *pieces] if stated else pieces

    return read


def _freeze(op: Op) -> Op:
    if isinstance(op, LayerImport) and op.layer.has_weights:
        return replace(op, layer=op.layer.replace(trainable=False))
    return op


def _read_input_shape(arguments: Arguments) -> InputShapeOp | None:
    """Read the input shape of a layer (channels last); None if it is not stated as numbers."""
    batched = arguments.pop("batch_input_shape", "batch_shape")
    given = arguments.pop("input_shape", "input_dim", "shape")
    if isinstance(batched, list | tuple):
        given = batched[1:]
    match [given] if isinstance(given, int) else given:
        case [int() as channels, int() as height, int() as width] if channels <= 4 < width:
            arguments.add_note("The input shape was read as channels first.")
            return InputShapeOp((channels, height, width))
        case [int() as height, int() as width, int() as channels]:
            return InputShapeOp((channels, height, width))
        case [None, None, int() as channels]:
            return InputShapeOp((channels, None, None))
        case [int() as height, int() as width]:
            return InputShapeOp((1, height, width))
        case [int() as size]:
            return InputShapeOp((size,))
    return None


def _read_activation_argument(arguments: Arguments) -> list[Op]:
    """Read the argument ``activation``: a name, a function or a layer."""
    given = arguments.pop("activation")
    if isinstance(given, Call):
        return _read_nested_call(given, arguments, ())
    name = given.short_name if isinstance(given, LibraryName) else given
    if name in (None, "linear"):
        return []
    if isinstance(name, str) and name in KERAS_OPS and name.islower():
        return _read_nested_call(Call(name, (), {}, arguments.call.node), arguments, ())
    reason = name.reason if isinstance(name, Unknown) else name
    raise UnsupportedCallError("has an unsupported activation" + (f": {reason}" if isinstance(reason, str) else ""))


def _read_nested_call(call: Call, outer_arguments: Arguments, shape: Shape) -> list[Op]:
    """Read a layer that is an argument of another layer."""
    if call.name not in KERAS_OPS:
        raise UnsupportedCallError(f"contains {call.name}, which is not supported")
    names, reader = KERAS_OPS[call.name]
    inner = Arguments(call, names, outer_arguments.add_note)
    pieces = reader(inner, shape)
    inner.reject_unread()
    return pieces


def _make_kind_reader(item: CallImport) -> OpReader:
    """Return the reader of a layer kind's call, with its argument ``activation``."""

    def read(arguments: Arguments, shape: Shape) -> list[Op]:
        imported = item.read(arguments, shape)
        activation = _read_activation_argument(arguments) if item.takes_activation else []
        return [imported, *activation] if imported else activation

    return read


def _read_relu(arguments: Arguments, shape: Shape) -> list[Op]:
    arguments.require_value("max_value")
    arguments.require_value("threshold", 0, 0.0)
    slope = arguments.read_number("negative_slope", default=0)
    if slope:
        return [LayerImport(Activation(activation="leaky_relu", negative_slope=slope))]
    return make_activation_reader("relu")(arguments, shape)


def _read_reshape(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read a reshape that flattens, or that states the input shape."""
    return _read_target_shape(arguments, arguments.pop("target_shape"))


def _read_batch_reshape(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read ``tf.reshape(x, [-1, 28, 28, 1])``, whose shape begins with the batch."""
    target = arguments.pop("shape", "newshape")
    return _read_target_shape(arguments, target[1:] if isinstance(target, list | tuple) else target)


def _read_target_shape(arguments: Arguments, target: object) -> list[Op]:
    match target:
        case [int() as size]:
            return [LayerImport(Flatten(), size if size > 0 else None)]
        case [int() as height, int() as width, int() as channels] if min(height, width, channels) > 0:
            return [InputShapeOp((channels, height, width))]
    raise UnsupportedCallError("is an unsupported reshape; it must flatten the image or state the input shape")


def _read_expand_dims(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read ``tf.expand_dims(x, -1)`` of images without an axis for the channel."""
    if arguments.read_integer("axis") not in (-1, 3):
        raise UnsupportedCallError("adds an axis that is not the channel's")
    return [InputShapeOp((1, None, None))]


def _read_squeeze(arguments: Arguments, shape: Shape) -> list[Op]:
    axis = arguments.pop("axis")
    return [SqueezeOp(None if axis is None else arguments.to_integer(axis, "axis"))]


def _read_scaling(arguments: Arguments, shape: Shape) -> list[Op]:
    return [*_SKIP_SCALING(arguments, shape), ScalingOp()]


def _read_resizing(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read ``Resizing`` and crops at the start: the app resizes images to the input shape itself."""
    height, width = arguments.read_integer("height"), arguments.read_integer("width")
    arguments.add_note(f"{arguments.call.name} is omitted: images are resized to the input shape.")
    arguments.ignore_remaining()
    return [InputShapeOp((None, height, width))]


def _read_global_max_pooling(arguments: Arguments, shape: Shape) -> list[Op]:
    keeps_axes = arguments.read_flag("keepdims", default=False)
    return [*make_global_max_pool_ops(arguments, shape), *([] if keeps_axes else [LayerImport(Flatten())])]


def _read_zero_padding(arguments: Arguments, shape: Shape) -> list[Op]:
    match arguments.pop("padding"):
        case None:
            return make_padding_ops((1, 1, 1, 1))
        case int() as pixels:
            return make_padding_ops((pixels,) * 4)
        case ((top, bottom), (left, right)):
            return make_padding_ops((left, right, top, bottom))
        case (rows, columns):
            return make_padding_ops((columns, columns, rows, rows))
    raise UnsupportedCallError("must pad height and width by whole numbers of pixels")


def _read_pad(arguments: Arguments, shape: Shape) -> list[Op]:
    """Read ``keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=…)``."""
    value = arguments.read_number("constant_values", default=0)
    match arguments.pop("pad_width", "paddings"):
        case ((0, 0), (top, bottom), (left, right), (0, 0)) if value in (0, -float("inf")):
            return make_padding_ops((left, right, top, bottom), is_negative_infinity=value != 0)
    raise UnsupportedCallError("must pad height and width with zeros, or with negative infinity")


def _read_permute(arguments: Arguments, shape: Shape) -> list[Op]:
    arguments.require_value("dims", (3, 1, 2))
    return [PermuteOp()]


_GLOBAL_MAX_POOLING_NAMES = ("GlobalMaxPooling2D", "GlobalMaxPool2D")
_ANY_ARGUMENTS = ("first", "second", "third", "fourth")
_SKIP_AUGMENTATION = make_skip_reader("augmentation is part of the recipe")
_SKIP_SCALING = make_skip_reader(SCALING_REASON)
_AUGMENTATION_NAMES = (
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
    *("RandomHeight", "RandomWidth", "RandomHue", "RandomSaturation", "RandomSharpness", "RandomColorJitter"),
    *("RandomGrayscale", "RandomShear", "RandomErasing", "RandomGaussianBlur", "GaussianNoise"),
)

_LAYER_OPS: OpTable = {
    "Input": (("shape", "batch_size", "dtype"), make_identity_reader()),
    "InputLayer": (("shape", "batch_size", "dtype"), make_identity_reader()),
    "Activation": (("activation",), lambda arguments, shape: _read_activation_argument(arguments)),
    "ReLU": (("max_value", "negative_slope", "threshold"), _read_relu),
    "LeakyReLU": (("negative_slope",), lambda arguments, shape: read_leaky_relu(arguments, 0.3)),
    "ELU": (("alpha",), read_elu),
    "Softmax": (("axis",), read_softmax),
    "Reshape": (("target_shape",), _read_reshape),
    "ZeroPadding2D": (("padding", "data_format"), _read_zero_padding),
    "pad": (("pad_width", "mode", "constant_values"), _read_pad),
    "Permute": (("dims",), _read_permute),
    "Rescaling": (_ANY_ARGUMENTS, _read_scaling),
    "Normalization": (_ANY_ARGUMENTS, _read_scaling),
    **dict.fromkeys(_AUGMENTATION_NAMES, (_ANY_ARGUMENTS, _SKIP_AUGMENTATION)),
    **dict.fromkeys(("Resizing", "CenterCrop", "RandomCrop"), (("height", "width"), _read_resizing)),
    **dict.fromkeys(_GLOBAL_MAX_POOLING_NAMES, (("data_format", "keepdims"), _read_global_max_pooling)),
}
_FUNCTION_OPS: OpTable = {
    **{name: ((), make_activation_reader(here)) for name, here in _ACTIVATION_NAMES.items()},
    "leaky_relu": (("negative_slope",), lambda arguments, shape: read_leaky_relu(arguments, 0.2)),
    "softmax": (("axis",), read_softmax),
    "log_softmax": (("axis",), read_softmax),
}
_TENSOR_OPS: OpTable = {
    "reshape": (("shape",), _read_batch_reshape),
    "expand_dims": (("axis",), _read_expand_dims),
    "squeeze": (("axis",), _read_squeeze),
    "arithmetic": (ARITHMETIC_ARGUMENTS, read_arithmetic),
}
_KIND_OPS: OpTable = {
    name: (item.arguments, _make_kind_reader(item)) for item in list_imports("keras") for name in item.names
}
KERAS_OPS: OpTable = {
    name: (names, _with_common_arguments(reader))
    for name, (names, reader) in (_KIND_OPS | _LAYER_OPS | _FUNCTION_OPS).items()
} | _TENSOR_OPS
