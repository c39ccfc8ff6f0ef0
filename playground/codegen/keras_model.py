"""WRITE a network as a Keras 3 file that stands by itself: the same shapes and numbers, and a run's weights fit it."""

import textwrap
from collections.abc import Iterator, Sequence

from playground.codegen.keras_training import training_code
from playground.codegen.text import call_text, check_writable, file_text, plain, tuple_text
from playground.codegen.torch_model import weight_places
from playground.core.architecture import Architecture, Step
from playground.core.layers import Flatten, Output, Residual, TorchCall
from playground.core.layers.base import changed_arguments
from playground.core.recipe import Recipe
from playground.core.shapes import Shape, shape_text

_ACTIVATIONS = {"ReLU": "relu", "ELU": "elu", "GELU": "gelu", "SiLU": "silu", "Sigmoid": "sigmoid", "Tanh": "tanh"}
_LOW_PADDING = '''
@keras.saving.register_keras_serializable()
class LowPadding2D(layers.Layer):
    """Puts -inf around the maps, so that max pooling never takes the padding, whatever the sign of the values."""

    def __init__(self, padding, **options):
        super().__init__(**options)
        self.padding = padding

    def call(self, maps):
        sides = (self.padding, self.padding)
        return keras.ops.pad(maps, ((0, 0), sides, sides, (0, 0)), constant_values=-float("inf"))

'''
_LOAD_WEIGHTS = '''
def load_weights(model, path):
    """Fill the model with a snapshot of a run: the same numbers, their axes in Keras's order."""
    from safetensors.numpy import load_file

    snapshot = load_file(path)
    with_weights = [layer for layer in model.layers if layer.weights]
    for layer, place in zip(with_weights, PLACES, strict=True):
        names = (f"{place}.{name}" for name in ("weight", "bias", "running_mean", "running_var"))
        weight, *others = [snapshot[name] for name in names if name in snapshot]
        axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[weight.ndim]
        layer.set_weights([weight.transpose(axes), *others])
'''
_SUMMARY = """
if __name__ == "__main__":
    make_model().summary()
"""


def to_keras(architecture: Architecture, recipe: Recipe | None = None, *, title: str = "A network") -> str:
    """A Python file with ``make_model`` and ``load_weights``; with a recipe, a program that trains by it.

    Raises ArchitectureError for a network that cannot be built.
    """
    check_writable(architecture)
    body = _functional(architecture) if _has_blocks(architecture) else _sequential(architecture)
    program = training_code(architecture, recipe) if recipe else _SUMMARY
    standard = "".join(f"import {name}\n" for name in ("math", "pathlib", "random", "sys") if f"{name}." in program)
    others = "import keras\nimport numpy\n" if "numpy." in program else "import keras\n"
    head = f'''"""{plain(title)}, written by CNN Playground for Keras 3.

Input: (batch, {", ".join(map(str, _channels_last(architecture.input.shape)))}), values 0 to 1.
Output: probabilities; ``make_model(logits=True)`` leaves the last activation out.
Weights: a file of a run's snapshots folder, ``load_weights(model, path)``; this needs the package safetensors.
"""

{standard}{chr(10) if standard else ""}{others}from keras import layers

# What a run's snapshot calls the layers with weights, in the order of ``model.layers``.
PLACES = {tuple_text(weight_places(architecture))}'''
    make_model = f'''def make_model(logits=False):
    """The network, with fresh weights."""
{body}'''
    return file_text(head, _LOW_PADDING if "LowPadding2D" in body else "", make_model, _LOAD_WEIGHTS, program)


def _sequential(architecture: Architecture) -> str:
    lines = [f"keras.Input({_channels_last(architecture.input.shape)}),"]
    for step in architecture.steps():
        lines += _statements(step, "{},")
    listed = textwrap.indent("\n".join(lines), " " * 12)
    return f"    return keras.Sequential(\n        [\n{listed}\n        ]\n    )"


def _functional(architecture: Architecture) -> str:
    lines = [f"inputs = x = keras.Input({_channels_last(architecture.input.shape)})"]
    for step in architecture.steps():
        lines += _statements(step, "x = {}(x)")
    return textwrap.indent("\n".join([*lines, "return keras.Model(inputs, x)"]), "    ")


def _statements(step: Step, form: str) -> list[str]:
    """One line a Keras layer, written into ``form``; the last one tells the shape."""
    first, *others = calls = list(step.layer.torch_calls(step.input_shape))
    lines: list[str] = []
    if first.name == "Residual":
        lines, calls = list(_block(first)), others
    if isinstance(step.layer, Flatten) and _loses_order(step.input_shape):
        lines.append(form.format("layers.Permute((3, 1, 2))") + "  # PyTorch lays maps in a row channel by channel")
    texts = _translated(calls)
    if isinstance(step.layer, Output):
        texts = [_with(texts[0], f'activation=None if logits else "{step.layer.activation}"')]
    lines += map(form.format, texts)
    return [*lines[:-1], f"{lines[-1]}  # {shape_text(_channels_last(step.output_shape))}"]


def _block(block: TorchCall) -> Iterator[str]:
    yield "shortcut = x"
    for text in _translated(block.body):
        yield f"x = {text}(x)"
    for text in _translated([block.shortcut] if block.shortcut else []):
        yield f"shortcut = {text}(shortcut)"
    yield "x = layers.Add()([x, shortcut])"


def _translated(calls: Sequence[TorchCall]) -> list[str]:
    """The Keras layers that do what these torch modules do."""
    texts: list[str] = []
    for call in calls:
        arguments = call.arguments
        match call.name:
            case "Conv2d":
                texts += _convolution(**arguments)
            case "Linear":
                bias = changed_arguments({"use_bias": True}, use_bias=arguments.get("bias", True))
                texts.append(call_text("layers.Dense", arguments["out_features"], **bias))
            case "BatchNorm1d" | "BatchNorm2d":
                texts.append(_batch_norm(**arguments))
            case "MaxPool2d":
                texts += _pooling("MaxPooling2D", "LowPadding2D", **arguments)
            case "AvgPool2d":
                texts += _pooling("AveragePooling2D", "layers.ZeroPadding2D", **arguments)
            case "AdaptiveAvgPool2d":
                texts.append("layers.GlobalAveragePooling2D()")
            case "Flatten" if texts:  # after Keras's global pooling nothing is left to flatten
                pass
            case "Flatten":
                texts.append("layers.Flatten()")
            case "Dropout":
                texts.append(call_text("layers.Dropout", arguments["p"]))
            case "LeakyReLU":
                texts.append("layers.LeakyReLU(0.01)")
            case name if texts and _takes_activation(texts[-1]):
                texts[-1] = _with(texts[-1], f'activation="{_ACTIVATIONS[name]}"')
            case name:
                texts.append(call_text("layers.Activation", _ACTIVATIONS[name]))
    return texts


def _convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> list[str]:
    texts = []
    if isinstance(padding, int) and padding and stride == 1 and 2 * padding == dilation * (kernel_size - 1):
        padding = "same"
    if isinstance(padding, int) and padding:
        texts.append(call_text("layers.ZeroPadding2D", padding))
    # Keras refuses both at once: there every place is computed, and those between are dropped.
    strides = 1 if dilation > 1 else stride
    named = changed_arguments(
        {"strides": 1, "padding": 0, "dilation_rate": 1, "groups": 1, "use_bias": True},
        strides=strides,
        padding="same" if padding == "same" else 0,
        dilation_rate=dilation,
        groups=groups,
        use_bias=bias,
    )
    texts.append(call_text("layers.Conv2D", out_channels, kernel_size, **named))
    if strides != stride:
        texts.append(call_text("layers.MaxPooling2D", 1, strides=stride))
    return texts


def _pooling(name: str, padder: str, kernel_size: int, stride: int | None = None, padding: int = 0) -> list[str]:
    named = {"strides": stride} if stride else {}
    padded = [call_text(padder, padding)] if padding else []
    return [*padded, call_text(f"layers.{name}", kernel_size, **named)]


def _batch_norm(num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> str:
    # Keras counts the share that stays; rounded, since 1 - 0.1 is 0.9 to people only.
    return call_text("layers.BatchNormalization", momentum=round(1 - momentum, 12), epsilon=eps)


def _takes_activation(text: str) -> bool:
    return text.startswith(("layers.Conv2D", "layers.Dense")) and "activation=" not in text


def _with(text: str, argument: str) -> str:
    return f"{text.removesuffix(')')}, {argument})"


def _has_blocks(architecture: Architecture) -> bool:
    return any(isinstance(step.layer, Residual) for step in architecture.steps())


def _loses_order(shape: Shape) -> bool:
    """Whether flattening with the channels last gives another order than with the channels first."""
    return len(shape) == 3 and shape[0] > 1 and shape[1] * shape[2] > 1


def _channels_last(shape: Shape) -> Shape:
    return (*shape[1:], shape[0])
