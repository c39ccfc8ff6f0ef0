"""WRITE a network as a Keras 3 file that stands by itself: the same shapes and numbers, and a run's weights fit it."""

import textwrap
from collections.abc import Iterator, Sequence

from playground.codegen.keras_training import generate_training_code
from playground.codegen.text import ensure_buildable, format_call, format_tuple, join_sections, sanitize_text
from playground.codegen.torch_model import list_weight_module_names
from playground.core.architecture import Architecture, ResolvedLayer
from playground.core.layers import Flatten, Output, Residual, TorchCall
from playground.core.layers.base import omit_defaults
from playground.core.recipe import Recipe
from playground.core.shapes import Shape, format_shape

_ACTIVATIONS = {"ReLU": "relu", "ELU": "elu", "GELU": "gelu", "SiLU": "silu", "Sigmoid": "sigmoid", "Tanh": "tanh"}
_NEGATIVE_INFINITY_PADDING_CODE = '''
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
_LOAD_WEIGHTS_CODE = '''
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
_SUMMARY_CODE = """
if __name__ == "__main__":
    make_model().summary()
"""


def to_keras(architecture: Architecture, recipe: Recipe | None = None, *, title: str = "A network") -> str:
    """A Python file with ``make_model`` and ``load_weights``; with a recipe, a program that trains by it.

    Raises ArchitectureError for a network that cannot be built.
    """
    ensure_buildable(architecture)
    body = (
        _generate_functional_model(architecture)
        if _has_residual_blocks(architecture)
        else _generate_sequential_model(architecture)
    )
    program = generate_training_code(architecture, recipe) if recipe else _SUMMARY_CODE
    standard = "".join(f"import {name}\n" for name in ("math", "pathlib", "random", "sys") if f"{name}." in program)
    others = "import keras\nimport numpy\n" if "numpy." in program else "import keras\n"
    head = f'''"""{sanitize_text(title)}, written by CNN Playground for Keras 3.

Input: (batch, {", ".join(map(str, _to_channels_last(architecture.input.shape)))}), values 0 to 1.
Output: probabilities; ``make_model(logits=True)`` leaves the last activation out.
Weights: a file of a run's snapshots folder, ``load_weights(model, path)``; this needs the package safetensors.
"""

{standard}{chr(10) if standard else ""}{others}from keras import layers

# What a run's snapshot calls the layers with weights, in the order of ``model.layers``.
PLACES = {format_tuple(list_weight_module_names(architecture))}'''
    make_model = f'''def make_model(logits=False):
    """The network, with fresh weights."""
{body}'''
    return join_sections(
        head, _NEGATIVE_INFINITY_PADDING_CODE if "LowPadding2D" in body else "", make_model, _LOAD_WEIGHTS_CODE, program
    )


def _generate_sequential_model(architecture: Architecture) -> str:
    lines = [f"keras.Input({_to_channels_last(architecture.input.shape)}),"]
    for step in architecture.resolve_layers():
        lines += _generate_statements(step, "{},")
    listed = textwrap.indent("\n".join(lines), " " * 12)
    return f"    return keras.Sequential(\n        [\n{listed}\n        ]\n    )"


def _generate_functional_model(architecture: Architecture) -> str:
    lines = [f"inputs = x = keras.Input({_to_channels_last(architecture.input.shape)})"]
    for step in architecture.resolve_layers():
        lines += _generate_statements(step, "x = {}(x)")
    return textwrap.indent("\n".join([*lines, "return keras.Model(inputs, x)"]), "    ")


def _generate_statements(resolved: ResolvedLayer, template: str) -> list[str]:
    """One line a Keras layer, written into ``template``; the last one tells the shape."""
    first, *others = calls = list(resolved.layer.build_torch_calls(resolved.input_shape))
    lines: list[str] = []
    if first.name == "Residual":
        lines, calls = list(_generate_residual_block(first)), others
    if isinstance(resolved.layer, Flatten) and _is_flatten_order_dependent(resolved.input_shape):
        lines.append(template.format("layers.Permute((3, 1, 2))") + "  # PyTorch lays maps in a row channel by channel")
    texts = _translate_calls(calls)
    if isinstance(resolved.layer, Output):
        texts = [_append_argument(texts[0], f'activation=None if logits else "{resolved.layer.activation}"')]
    lines += map(template.format, texts)
    return [*lines[:-1], f"{lines[-1]}  # {format_shape(_to_channels_last(resolved.output_shape))}"]


def _generate_residual_block(block: TorchCall) -> Iterator[str]:
    yield "shortcut = x"
    for text in _translate_calls(block.body):
        yield f"x = {text}(x)"
    for text in _translate_calls([block.shortcut] if block.shortcut else []):
        yield f"shortcut = {text}(shortcut)"
    yield "x = layers.Add()([x, shortcut])"


def _translate_calls(calls: Sequence[TorchCall]) -> list[str]:
    """The Keras layers that do what these torch modules do."""
    texts: list[str] = []
    for call in calls:
        arguments = call.arguments
        match call.name:
            case "Conv2d":
                texts += _translate_convolution(**arguments)
            case "Linear":
                bias = omit_defaults({"use_bias": True}, use_bias=arguments.get("bias", True))
                texts.append(format_call("layers.Dense", arguments["out_features"], **bias))
            case "BatchNorm1d" | "BatchNorm2d":
                texts.append(_translate_batch_norm(**arguments))
            case "MaxPool2d":
                texts += _translate_pooling("MaxPooling2D", "LowPadding2D", **arguments)
            case "AvgPool2d":
                texts += _translate_pooling("AveragePooling2D", "layers.ZeroPadding2D", **arguments)
            case "AdaptiveAvgPool2d":
                texts.append("layers.GlobalAveragePooling2D()")
            case "Flatten" if texts:  # after Keras's global pooling nothing is left to flatten
                pass
            case "Flatten":
                texts.append("layers.Flatten()")
            case "Dropout":
                texts.append(format_call("layers.Dropout", arguments["p"]))
            case "LeakyReLU":
                texts.append("layers.LeakyReLU(0.01)")
            case name if texts and _can_take_activation(texts[-1]):
                texts[-1] = _append_argument(texts[-1], f'activation="{_ACTIVATIONS[name]}"')
            case name:
                texts.append(format_call("layers.Activation", _ACTIVATIONS[name]))
    return texts


def _translate_convolution(
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
        texts.append(format_call("layers.ZeroPadding2D", padding))
    # Keras refuses both at once: there every place is computed, and those between are dropped.
    strides = 1 if dilation > 1 else stride
    named = omit_defaults(
        {"strides": 1, "padding": 0, "dilation_rate": 1, "groups": 1, "use_bias": True},
        strides=strides,
        padding="same" if padding == "same" else 0,
        dilation_rate=dilation,
        groups=groups,
        use_bias=bias,
    )
    texts.append(format_call("layers.Conv2D", out_channels, kernel_size, **named))
    if strides != stride:
        texts.append(format_call("layers.MaxPooling2D", 1, strides=stride))
    return texts


def _translate_pooling(
    name: str, padding_layer: str, kernel_size: int, stride: int | None = None, padding: int = 0
) -> list[str]:
    named = {"strides": stride} if stride else {}
    padded = [format_call(padding_layer, padding)] if padding else []
    return [*padded, format_call(f"layers.{name}", kernel_size, **named)]


def _translate_batch_norm(num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> str:
    # Keras counts the share that stays; rounded, since 1 - 0.1 is 0.9 to people only.
    return format_call("layers.BatchNormalization", momentum=round(1 - momentum, 12), epsilon=eps)


def _can_take_activation(text: str) -> bool:
    return text.startswith(("layers.Conv2D", "layers.Dense")) and "activation=" not in text


def _append_argument(text: str, argument: str) -> str:
    return f"{text.removesuffix(')')}, {argument})"


def _has_residual_blocks(architecture: Architecture) -> bool:
    return any(isinstance(step.layer, Residual) for step in architecture.resolve_layers())


def _is_flatten_order_dependent(shape: Shape) -> bool:
    """Whether flattening with the channels last gives another order than with the channels first."""
    return len(shape) == 3 and shape[0] > 1 and shape[1] * shape[2] > 1


def _to_channels_last(shape: Shape) -> Shape:
    return (*shape[1:], shape[0])
