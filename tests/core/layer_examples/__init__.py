"""Example layers of every kind, one file a kind, for the conformance tests."""

import importlib
import pkgutil
from dataclasses import dataclass

import pytest

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Flatten, Layer, Output


@dataclass(frozen=True)
class LayerExample:
    """A layer; ``torch_import``: the layers that its PyTorch code is read as, where these are of other kinds."""

    layer: Layer
    torch_import: tuple[Layer, ...] = ()


def _load_examples() -> dict[str, tuple[LayerExample, ...]]:
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {name: importlib.import_module(f"{__name__}.{name}").EXAMPLES for name in names}


LAYER_EXAMPLES = _load_examples()
NUMBERED_EXAMPLES = {
    f"{kind}-{number}": example for kind, examples in LAYER_EXAMPLES.items() for number, example in enumerate(examples)
}
EXAMPLE_CASES = [pytest.param(example, id=name) for name, example in NUMBERED_EXAMPLES.items()]


def build_network_around(*layers: Layer) -> Architecture:
    """The smallest working network with these layers in it; vector layers come after a Flatten."""
    image = InputShape(channels=3, height=13, width=11)
    before = (Flatten(),) if layers[0].input_requirement == "vector" else ()
    after: tuple[Layer, ...] = () if layers[-1].is_output else (Output(),)
    shape = image.shape
    for layer in (*before, *layers):
        shape = layer.compute_output_shape(shape)
    if len(shape) == 3:
        after = (Flatten(), *after)
    return Architecture(input=image, classes=2, layers=(*before, *layers, *after))
