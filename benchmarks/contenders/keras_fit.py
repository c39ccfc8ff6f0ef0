"""Keras ``fit`` with the settings of its tutorials. Needs an environment with Keras and TensorFlow."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

_OUTPUT_FD = os.dup(1)
os.dup2(2, 1)  # standard output carries the results only; Keras prints there too

import keras  # noqa: E402 -- after standard output was redirected


def _build_model() -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def _load_split(data: str, split: str) -> tuple[Any, Any]:
    arrays = np.load(data)
    return arrays[f"{split}_images"][..., None].astype("float32") / 255, arrays[f"{split}_labels"]


class _ThroughputTimer(keras.callbacks.Callback):  # type: ignore[misc]  # keras declares no types
    """Count batches from the 20th on, and end the training when the time is over."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.started_at, self.elapsed_s, self.batches = seconds, 0.0, 0.0, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        if batch == 20:
            self.started_at, self.batches = now, 0
        elif self.started_at:
            self.batches += 1
        if self.started_at and now - self.started_at > self.seconds:
            self.elapsed_s = now - self.started_at
            self.model.stop_training = True
            raise _TimeLimitReachedError


class _TimeLimitReachedError(Exception):
    pass


def measure_throughput(data: str, seconds: float, batch_size: int) -> dict[str, Any]:
    """Measure training images per second for about ``seconds``."""
    images, labels = _load_split(data, "train")
    model = _build_model()
    model.fit(
        images[: batch_size * 4], labels[: batch_size * 4], batch_size=batch_size, verbose=0
    )  # compiles the model
    timer = _ThroughputTimer(seconds)
    with contextlib.suppress(_TimeLimitReachedError):
        model.fit(images, labels, batch_size=batch_size, epochs=10, verbose=0, callbacks=[timer])
    return {"images_per_second": timer.batches * batch_size / timer.elapsed_s}


def measure_time_to_accuracy(data: str, seed: int, target: float, batch_size: int, most_epochs: int) -> dict[str, Any]:
    """Measure the seconds of ``fit``, without evaluations, to the end of the first epoch that reaches ``target``."""
    keras.utils.set_random_seed(seed)
    images, labels = _load_split(data, "train")
    test_images, test_labels = _load_split(data, "test")
    model = _build_model()
    spent, accuracy = 0.0, 0.0
    for epoch in range(1, most_epochs + 1):
        started_at = time.perf_counter()
        model.fit(images, labels, batch_size=batch_size, epochs=1, verbose=0)
        spent += time.perf_counter() - started_at
        accuracy = model.evaluate(test_images, test_labels, batch_size=1000, verbose=0)[1]
        if accuracy >= target:
            return {"seconds": spent, "epochs": epoch, "accuracy": accuracy}
    return {"seconds": None, "epochs": most_epochs, "accuracy": accuracy}


_MEASUREMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "speed": measure_throughput,
    "race": measure_time_to_accuracy,
}

if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        result = _MEASUREMENTS[request.pop("do")](**request)
        os.write(_OUTPUT_FD, (json.dumps(result) + "\n").encode())
