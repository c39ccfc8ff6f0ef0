"""Keras layers whose padding depends on the maps, and slopes of leaky ReLU: the outputs are those of Keras."""

import numpy as np
import pytest
import torch

from playground.code_import.read_code import parse_code
from playground.engine.model.build import build_model
from tests.codegen.exported_code import executed

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
_LAYERS = {
    "stride 2 on even maps": ("(12, 12, 2)", "Conv2D(3, 3, strides=2, padding='same')"),
    "stride 3 on maps that are not square": ("(13, 11, 2)", "Conv2D(3, 5, strides=3, padding='same')"),
    "stride 2, even kernel": ("(11, 12, 2)", "Conv2D(3, 4, strides=2, padding='same')"),
    "kernel of one pixel": ("(11, 12, 2)", "Conv2D(3, 1, strides=2, padding='same')"),
    "pooling of odd maps": ("(7, 9, 2)", "Conv2D(3, 3, padding='same'), MaxPooling2D(2, padding='same')"),
    "overlapping pooling": ("(12, 12, 2)", "Conv2D(3, 3), MaxPooling2D(3, strides=2, padding='same')"),
    "padding layers": ("(8, 8, 2)", "ZeroPadding2D(((0, 1), (2, 0))), Conv2D(3, 3), ZeroPadding2D((1, 2))"),
    "pooling after a padding layer": ("(8, 8, 2)", "ZeroPadding2D(((0, 1), (1, 0))), MaxPooling2D(2, padding='same')"),
    "strides after a padding layer": (
        "(8, 8, 2)",
        "ZeroPadding2D(((0, 1), (1, 0))), Conv2D(3, 3, strides=2, padding='same')",
    ),
    "global pooling after a padding layer": ("(8, 8, 2)", "Conv2D(3, 3), ZeroPadding2D(1), GlobalMaxPooling2D()"),
    "MobileNet": ("(8, 8, 2)", "ZeroPadding2D(((0, 1), (0, 1))), Conv2D(3, 3, strides=2), ReLU(negative_slope=0.1)"),
    "slopes": ("(8, 8, 2)", "Conv2D(3, 3, activation='leaky_relu'), LeakyReLU(), LeakyReLU(negative_slope=0.05)"),
    "blocks": ("(12, 12, 2)", "SeparableConv2D(3, 3, strides=2, padding='same'), GlobalMaxPooling2D()"),
}


@pytest.mark.parametrize("name", _LAYERS)
def test_imported_network_computes_the_outputs_of_keras(name: str) -> None:
    shape, layers = _LAYERS[name]
    code = f"import keras\nfrom keras.layers import *\nmodel = keras.Sequential([Input({shape}), {layers}"
    code += "])\n" if "GlobalMax" in layers else ", Flatten()])\n"
    keras_model = executed(code)["model"]
    parsed = parse_code(code.replace("])\n", ", Dense(2)])\n"))
    assert parsed.notes == ()
    network = build_model(parsed.architecture)[:-1].eval()
    generator = np.random.default_rng(1)
    for variable, parameter in zip(keras_model.weights, network.parameters(), strict=True):
        weights = generator.normal(size=variable.shape).astype(np.float32)
        variable.assign(weights)
        ordered = weights.transpose(3, 2, 0, 1) if weights.ndim == 4 else weights
        parameter.data = torch.from_numpy(ordered.reshape(parameter.shape).copy())
    images = generator.normal(size=(2, *keras_model.input_shape[1:])).astype(np.float32)
    values = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.inference_mode():
        for module in network:
            is_flatten = isinstance(module, torch.nn.Flatten)
            values = module(values.permute(0, 2, 3, 1) if is_flatten and values.ndim == 4 else values)
    np.testing.assert_allclose(values.numpy(), keras_model.predict(images, verbose=0), atol=1e-4)
