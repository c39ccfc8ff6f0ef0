"""Golden file for the import of Keras configurations: models that Keras built, and the text of their ``to_json()``.

``KERAS_BACKEND=torch python tests/golden/keras_configs.py > tests/golden/keras-configs.json`` writes the golden file. A
program is imported as code and by its configuration; both give the same network.
"""

import json
from typing import Any

import keras

from playground.codegen.keras_model import to_keras
from playground.core.presets import ARCHITECTURE_PRESETS

_PRESETS = ("guide", "lenet5", "residual", "separable")
_PROGRAMS = {
    "activation layers": """
model = keras.Sequential([
    keras.Input((20, 24, 3)),
    keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, activation=keras.layers.LeakyReLU(0.01)),
    keras.layers.BatchNormalization(trainable=False),
    keras.layers.Activation("gelu"),
    keras.layers.DepthwiseConv2D(3, padding="same"),
    keras.layers.SeparableConv2D(8, 3, activation="relu"),
    keras.layers.GroupNormalization(4),
    keras.layers.AveragePooling2D(2),
    keras.layers.SpatialDropout2D(0.25),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(1, activation="sigmoid"),
])
""",
    "functional": """
image = keras.Input((28, 28, 1), name="image")
x = keras.layers.Rescaling(1 / 255)(image)
x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
y = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
y = keras.layers.Conv2D(8, 3, padding="same")(y)
x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x), training=False)
model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(x))
""",
    "models in models": """
stem = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(8, 3), keras.layers.ReLU()])
maps = keras.Input((26, 26, 8))
head = keras.Model(maps, keras.layers.Dense(10)(keras.layers.Flatten()(keras.layers.MaxPooling2D()(maps))))
image = keras.Input((28, 28, 1))
model = keras.Model(image, head(stem(image)))
""",
}


def build_programs() -> dict[str, str]:
    """Return all programs by name; each defines ``model``."""
    presets = {name: to_keras(ARCHITECTURE_PRESETS[name].architecture) for name in _PRESETS}
    return presets | {name: f"import keras\n{program}" for name, program in _PROGRAMS.items()}


def _serialize(program: str) -> dict[str, object]:
    namespace: dict[str, Any] = {"__name__": "program"}
    exec(program, namespace)
    model = namespace.get("model") or namespace["make_model"]()
    return {"code": program, "config": json.loads(model.to_json())}


if __name__ == "__main__":
    keras.utils.clear_session()
    print(json.dumps({name: _serialize(program) for name, program in build_programs().items()}, indent=1))
