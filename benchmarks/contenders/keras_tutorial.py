"""Keras tutorial: ``python keras_tutorial.py MODEL.py DATA.npz EPOCHS BATCH SEED``.

Trains the network that ``make_model`` of the given file returns, as tutorials do: adam, ``fit``, then ``evaluate``.
"""

import contextlib
import json
import os
import runpy
import sys
import time

import numpy as np

_OUTPUT_FD = os.dup(1)
os.dup2(2, 1)  # standard output carries the results only; Keras prints there too

import keras  # noqa: E402 -- after standard output was redirected


def main(model_file: str, data: str, epochs: str, batch_size: str, seed: str) -> None:
    keras.utils.set_random_seed(int(seed))
    arrays = np.load(data)
    images = {
        part: arrays[f"{part}_images"].transpose(0, 2, 3, 1).astype("float32") / 255 for part in ("train", "test")
    }
    with contextlib.redirect_stdout(sys.stderr):
        model = runpy.run_path(model_file)["make_model"](logits=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    started_at = time.perf_counter()
    model.fit(images["train"], arrays["train_labels"], epochs=int(epochs), batch_size=int(batch_size), verbose=0)
    seconds = time.perf_counter() - started_at
    accuracy = model.evaluate(images["test"], arrays["test_labels"], batch_size=1000, verbose=0)[1]
    os.write(_OUTPUT_FD, json.dumps({"seconds": seconds, "accuracy": accuracy}).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
