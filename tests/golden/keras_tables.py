"""The networks of the presets, built by hand in Keras, and the tables that Keras makes of them.

``KERAS_BACKEND=torch python tests/golden/keras_tables.py > tests/golden/keras-tables.json`` writes the golden file: for
each preset a row for every layer, [class, output shape without batch (channels last), trainable parameters, all of
them], and a last one for the whole model. Nothing of the program is imported here.
"""

import json
import math
import sys
from typing import Any

import keras
from keras import layers

Model = Any


def guide(activation: str = "relu", pooling: Any = layers.MaxPooling2D) -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation=activation),
            pooling((2, 2)),
            layers.Conv2D(64, (3, 3), activation=activation),
            pooling((2, 2)),
            layers.Conv2D(64, (3, 3), activation=activation),
            layers.Flatten(),
            layers.Dense(64, activation=activation),
            layers.Dense(10, activation="softmax"),
        ]
    )


def simple(height: int = 28, width: int = 28, channels: int = 1) -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(height, width, channels)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def blocks() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(16, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(32, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def lenet5() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(6, (5, 5), padding="same", activation="tanh"),
            layers.AveragePooling2D((2, 2)),
            layers.Conv2D(16, (5, 5), activation="tanh"),
            layers.AveragePooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def dash() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(16, (5, 5), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(32, (5, 5), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def tiny() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(8, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(16, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(16, (3, 3), activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def normalized() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def residual() -> Model:
    inputs = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(16, (3, 3), padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)

    shortcut = x
    x = layers.Conv2D(16, (3, 3), padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.Conv2D(16, (3, 3), padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, shortcut])
    x = layers.Activation("relu")(x)

    shortcut = layers.Conv2D(32, (1, 1), strides=2)(x)
    x = layers.Conv2D(32, (3, 3), strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.Conv2D(32, (3, 3), padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, shortcut])
    x = layers.Activation("relu")(x)

    shortcut = layers.Conv2D(64, (1, 1), strides=2)(x)
    x = layers.Conv2D(64, (3, 3), strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.Conv2D(64, (3, 3), padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, shortcut])
    x = layers.Activation("relu")(x)

    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(10, activation="softmax")(x)
    return keras.Model(inputs, outputs)


def vgg() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), padding="same", activation="relu"),
            layers.Conv2D(32, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def separable() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(16, (3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.DepthwiseConv2D((3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Conv2D(32, (1, 1), use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D((2, 2)),
            layers.DepthwiseConv2D((3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Conv2D(64, (1, 1), use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D((2, 2)),
            layers.DepthwiseConv2D((3, 3), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Conv2D(64, (1, 1), use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def all_convolutional() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), padding="same", activation="relu"),
            layers.Conv2D(32, (3, 3), strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.Conv2D(64, (3, 3), strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.Conv2D(64, (1, 1), activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def logistic() -> Model:
    return keras.Sequential([keras.Input(shape=(28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])


def mlp() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def one_pixel() -> Model:
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((4, 4)),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((4, 4)),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def models() -> dict[str, Model]:
    """By the names of the presets."""
    return {
        "guide": guide(),
        "guide-sigmoid": guide(activation="sigmoid"),
        "guide-tanh": guide(activation="tanh"),
        "guide-average": guide(pooling=layers.AveragePooling2D),
        "simple": simple(),
        "simple-64": simple(64, 64, 3),
        "cifar-exercise": simple(32, 32, 3),
        "blocks": blocks(),
        "lenet5": lenet5(),
        "dash": dash(),
        "tiny": tiny(),
        "normalized": normalized(),
        "residual": residual(),
        "vgg": vgg(),
        "separable": separable(),
        "all-convolutional": all_convolutional(),
        "logistic": logistic(),
        "mlp": mlp(),
        "overfitting": guide(),
        "rate-too-high": guide(),
        "batch-of-one": guide(),
        "huge-batch": guide(),
        "no-activation": guide(activation="linear", pooling=layers.AveragePooling2D),
        "too-much-pooling": one_pixel(),
    }


def table(model: Model) -> list[list[Any]]:
    """Rows of ``model.summary()``: class, output shape and numbers of parameters."""
    built = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    return [*(row(layer, layer.output) for layer in built), row(model, model.outputs[0])]


def row(layer: Any, output: Any) -> list[Any]:
    trainable = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
    return [type(layer).__name__, list(output.shape[1:]), trainable, layer.count_params()]


def text() -> str:
    """The golden file: a layer a line, so that a difference can be read."""
    tables = {name: map(json.dumps, table(model)) for name, model in models().items()}
    return "{" + ",".join(f'\n"{name}": [\n ' + ",\n ".join(rows) + "]" for name, rows in tables.items()) + "}\n"


if __name__ == "__main__":
    sys.stdout.write(text())
