"""Inference on one image: one cached forward pass gives the activations of all layers and the prediction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.engine.cache import cached
from playground.interpret.activations.activations import LayerActivations, compute_activations
from playground.interpret.evaluation.predict import Prediction, prediction_from_logits
from playground.interpret.model import Model

_MAX_CACHED_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Inference:
    """Activations of every enabled layer in order, the output layer's being logits, and the prediction.

    ``model`` is part of it so that the cache, which keeps the model alive, counts its weights.
    """

    model: Model
    activations: tuple[LayerActivations, ...]
    prediction: Prediction

    def find_layer(self, layer_index: int) -> LayerActivations:
        """Return the activations of an enabled layer; raises StopIteration for any other."""
        return next(layer for layer in self.activations if layer.layer_index == layer_index)


def infer(model: Model, image: NDArray[np.float32]) -> Inference:
    """Run the model on an image (channels, height, width), values 0 to 1; cached by model and image."""
    return _infer(model, np.ascontiguousarray(image, dtype=np.float32).tobytes(), image.shape)


@cached(max_bytes=_MAX_CACHED_BYTES)
def _infer(model: Model, image_bytes: bytes, shape: tuple[int, ...]) -> Inference:
    activations = compute_activations(model, np.frombuffer(image_bytes, dtype=np.float32).reshape(shape))
    return Inference(model, activations, prediction_from_logits(activations[-1].output))
