"""Keras 3 code of a network, with a function that loads a snapshot's weights."""

import textwrap
from collections.abc import Iterator, Sequence

from playground.codegen.keras_layers import KerasLayers, iter_keras_calls, list_keras_layers, list_keras_places
from playground.codegen.keras_training import generate_training_code
from playground.codegen.text import ensure_buildable, format_call, format_tuple, join_sections, sanitize_text
from playground.core.architecture import Architecture
from playground.core.datasets import DATASETS, Dataset
from playground.core.layers.shared.calls import KerasCall
from playground.core.recipe import Recipe
from playground.core.shapes import Shape, format_shape

_STANDARD_LIBRARY_IMPORTS = {
    "math.": "import math\n",
    "random.": "import random\n",
    "sys.": "import sys\n",
    "unicodedata.": "import unicodedata\n",
    "Path": "from pathlib import Path\n",
}
_NEGATIVE_INFINITY_PADDING_CODE = '''
@keras.saving.register_keras_serializable()
class NegativeInfinityPadding2D(layers.Layer):
    """Pads rows and columns with -inf, so that max pooling never takes the padding, also for negative values."""

    def __init__(self, padding, **options):
        super().__init__(**options)
        self.padding = padding

    def call(self, x):
        rows, columns = self.padding
        return keras.ops.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=-float("inf"))

'''
_LOAD_WEIGHTS_CODE = '''
def load_weights(model, path):
    """Load a snapshot of a run into the model; axes are transposed to Keras's order."""
    from safetensors.numpy import load_file

    snapshot = load_file(path)
    with_weights = [layer for layer in model.layers if layer.weights]
    tensors = ("weight", "bias", "running_mean", "running_var")
    for layer, modules in zip(with_weights, WEIGHT_MODULES, strict=True):
        names = [f"{module}.{tensor}" for module in modules.split() for tensor in tensors]
        arrays = [snapshot[name] for name in names if name in snapshot]
        axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
        values = [array.transpose(axes[array.ndim]) for array in arrays]
'''
_SPLIT_DEPTHWISE_CODE = """\
        # The channels of a depthwise kernel have one axis in PyTorch and two here: input channel and multiplier.
        values = [value.reshape(old.shape) for value, old in zip(values, layer.get_weights(), strict=True)]
"""
_SET_WEIGHTS_CODE = "        layer.set_weights(values)\n"
_SUMMARY_CODE = """
if __name__ == "__main__":
    make_model().summary()
"""


def to_keras(
    architecture: Architecture,
    recipe: Recipe | None = None,
    *,
    title: str = "A network",
    dataset: Dataset | None = None,
) -> str:
    """Generate a Python file with ``make_model`` and ``load_weights``; with a recipe, a program that trains with it.

    ``dataset`` is that of the recipe, and can be left out for one that every installation has. Raises ArchitectureError
    for a network that cannot be built, RecipeError for one whose number of classes is not that of the image folders.
    """
    ensure_buildable(architecture)
    steps = list_keras_layers(architecture)
    calls = [call for step in steps for call in iter_keras_calls(step.calls)]
    generate_body = _generate_functional_model if any(call.body for call in calls) else _generate_sequential_model
    body = generate_body(steps, architecture.input.shape)
    split_depthwise = _SPLIT_DEPTHWISE_CODE if any(call.has_depthwise_kernel for call in calls) else ""
    load_weights = f"{_LOAD_WEIGHTS_CODE}{split_depthwise}{_SET_WEIGHTS_CODE}"
    program = (
        generate_training_code(architecture, recipe, dataset or DATASETS[recipe.dataset]) if recipe else _SUMMARY_CODE
    )
    standard = "".join(line for use, line in _STANDARD_LIBRARY_IMPORTS.items() if use in program)
    numpy_import = "import numpy as np\n" if "np." in program else ""
    pillow_import = "from PIL import Image, ImageOps\n" if "Image." in program else ""
    head = f'''"""{sanitize_text(title)}, written by CNN Playground for Keras 3.

Input: (batch, {", ".join(map(str, _to_channels_last(architecture.input.shape)))}), values 0 to 1.
Output: probabilities; ``make_model(logits=True)`` leaves the last activation out.
Weights: a file of a run's snapshots folder, ``load_weights(model, path)``; this needs the package safetensors.
"""

{standard}{chr(10) if standard else ""}import keras
{numpy_import}from keras import layers
{pillow_import}
# Names of the layers with weights in a run's snapshot, in the order of ``model.layers``.
WEIGHT_MODULES = {format_tuple(list_keras_places(architecture))}'''
    make_model = f'''def make_model(logits=False):
    """The network, with fresh weights."""
{body}'''
    return join_sections(
        head,
        _NEGATIVE_INFINITY_PADDING_CODE if "NegativeInfinityPadding2D" in body else "",
        make_model,
        load_weights,
        program,
    )


def _generate_sequential_model(steps: Sequence[KerasLayers], input_shape: Shape) -> str:
    lines = [f"keras.Input({_to_channels_last(input_shape)}),"]
    for step in steps:
        lines += _add_shape_comment([_format_line("{},", call) for call in step.calls], step.output_shape)
    listed = textwrap.indent("\n".join(lines), " " * 12)
    return f"    return keras.Sequential(\n        [\n{listed}\n        ]\n    )"


def _generate_functional_model(steps: Sequence[KerasLayers], input_shape: Shape) -> str:
    lines = [f"inputs = x = keras.Input({_to_channels_last(input_shape)})"]
    for step in steps:
        lines += _add_shape_comment(
            [line for call in step.calls for line in _format_statements(call)], step.output_shape
        )
    return textwrap.indent("\n".join([*lines, "return keras.Model(inputs, x)"]), "    ")


def _format_statements(call: KerasCall) -> Iterator[str]:
    if not call.body:
        yield _format_line("x = {}(x)", call)
        return
    yield "shortcut = x"
    for part in call.body:
        yield _format_line("x = {}(x)", part)
    for part in call.shortcut:
        yield _format_line("shortcut = {}(shortcut)", part)
    yield f"x = layers.{call.name}()([x, shortcut])"


def _format_line(template: str, call: KerasCall) -> str:
    name = call.name if call.is_helper else f"layers.{call.name}"
    text = format_call(name, *call.positional, **call.arguments)
    for argument, expression in call.code.items():
        text = f"{text.removesuffix(')')}, {argument}={expression})"
    return template.format(text) + (f"  # {call.comment}" if call.comment else "")


def _add_shape_comment(lines: list[str], output_shape: Shape) -> list[str]:
    """Add the output shape of a layer as a comment to its last line."""
    return [*lines[:-1], f"{lines[-1]}  # {format_shape(_to_channels_last(output_shape))}"]


def _to_channels_last(shape: Shape) -> Shape:
    return (*shape[1:], shape[0])
