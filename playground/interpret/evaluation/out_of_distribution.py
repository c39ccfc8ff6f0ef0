"""Out-of-distribution detection by k-nearest-neighbor distance.

The features of an image in the pretrained network are compared with those of training images.
Source: Sun, Ming, Zhu and Li, "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022; here with the
features of three depths, since the last layers map noise near digits and the first layers map unknown signs near them.
The score is a property of the image, not of the user's network. Measured by ``python -m benchmarks.drawn_digits``.
"""

import contextlib
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from playground.core.datasets import Dataset
from playground.core.shapes import Shape
from playground.engine.cache import cached
from playground.engine.data.batch import scale_pixels
from playground.engine.data.mnist import is_unpacked
from playground.engine.data.pen_digits import load_pen_drawings
from playground.engine.data.rasterize import rasterize
from playground.engine.data.splits import load_first_train_images
from playground.engine.model.build import list_module_ranges
from playground.engine.runs.repository import load_pretrained_run
from playground.engine.workers.malloc import trim_memory
from playground.errors import PlaygroundError
from playground.interpret.inference import infer
from playground.interpret.model import load_model

Array = NDArray[np.float32]

_K = 5
_REFERENCE_DIGITS, _PEN_DRAWING_STRIDE = 2000, 8  # MNIST digits, and every eighth pen drawing
_CALIBRATION_DIGITS = 1000
_MAX_WAIT_S = 60
_BATCH_SIZE = 64  # small, since a server keeps the memory of the feature maps
_CLEAR_RATIO = 0.87  # measured by ``python -m benchmarks.photos``
_FALSE_POSITIVE_RATE = 0.01
"""Share of real digits that are classified as out-of-distribution; it determines the threshold."""


@dataclass(frozen=True)
class OodScore:
    """Distance of an image's features from known ones, and the threshold that 99 % of real digits stay below."""

    distance: float
    threshold: float

    @property
    def is_in_distribution(self) -> bool:
        """True if the distance is at most the threshold."""
        return self.distance <= self.threshold

    @property
    def is_clear_digit(self) -> bool:
        """True if the distance is well below the threshold, as is required of photos, which may show anything."""
        return self.distance <= _CLEAR_RATIO * self.threshold


class _OodDetector:
    """The pretrained network without its output layer, and its features of training images."""

    def __init__(self) -> None:
        self._model = load_model(load_pretrained_run())
        self._layers = list(self._model.module)[:-1]
        kinds = [type(layer) for layer in self._layers]
        last_pool = len(kinds) - 1 - kinds[::-1].index(nn.MaxPool2d)
        self._feature_layer_indices = (last_pool, kinds.index(nn.Flatten), len(kinds) - 1)
        digits = load_first_train_images("mnist", _REFERENCE_DIGITS + _CALIBRATION_DIGITS).images
        pens = np.stack([rasterize(drawing["strokes"]) for drawing in load_pen_drawings(_PEN_DRAWING_STRIDE)])
        self._reference_features = self._extract_features(
            torch.cat([scale_pixels(digits[:_REFERENCE_DIGITS]), torch.from_numpy(pens)])
        )
        distances = self._compute_distances(self._extract_features(scale_pixels(digits[_REFERENCE_DIGITS:])))
        self._threshold = float(distances.quantile(1 - _FALSE_POSITIVE_RATE))

    def score(self, image: Array) -> OodScore:
        outputs = infer(self._model, image)
        ends = {span.stop - 1: span.layer_index for span in list_module_ranges(self._model.architecture)}
        features = [
            functional.normalize(torch.tensor(outputs.find_layer(ends[index]).output).flatten()[None])
            for index in self._feature_layer_indices
        ]
        distance = self._compute_distances(torch.cat(features, dim=1))
        return OodScore(float(distance), self._threshold)

    def _extract_features(self, images: Tensor) -> Tensor:
        """Compute the outputs of the layers at three depths, each normalized to length 1: (count, values)."""
        parts = []
        with torch.inference_mode():
            for maps in torch.split(images, _BATCH_SIZE):
                features = []
                for index, layer in enumerate(self._layers):
                    maps = layer(maps)
                    if index in self._feature_layer_indices:
                        features.append(functional.normalize(maps.flatten(1)))
                parts.append(torch.cat(features, dim=1))
        return torch.cat(parts)

    def _compute_distances(self, features: Tensor) -> Tensor:
        """Compute each row's distance to its k-th nearest reference, from products since all parts have length 1."""
        products = (features @ self._reference_features.T).topk(_K, dim=1).values[:, -1]
        return (2 * len(self._feature_layer_indices) - 2 * products).clamp(min=0).sqrt()


@cached(max_bytes=16 * 2**20)
def _load_detector() -> _OodDetector:
    return _OodDetector()


def is_detector_ready() -> bool:
    """True if ``compute_ood_score`` answers at once; else call ``prepare_detector``."""
    return len(_load_detector.cache) > 0


def prepare_detector() -> None:
    """Load the reference images in advance.

    Waits for a worker process to unpack them: unpacking takes memory, which a worker frees when it ends.
    """
    for _ in range(_MAX_WAIT_S):
        if is_unpacked():
            break
        time.sleep(1)
    with contextlib.suppress(PlaygroundError):  # reported by ``compute_ood_score``
        _load_detector()
        trim_memory()


def compute_ood_score(image: Array) -> OodScore:
    """Score an image (1, 28, 28), values 0 to 1; the first call takes two seconds to load the reference images."""
    return _load_detector().score(image)


def reads_mnist_digits(dataset: Dataset, shape: Shape) -> bool:
    """Return True if a network for ``dataset`` reads the images that scores are defined for."""
    return dataset.subject == "digits" and dataset.has_strokes and shape == (1, 28, 28)


def list_digit_doubts(image: Array, *, is_photo: bool) -> tuple[str, ...]:
    """List reasons to doubt that an image (1, 28, 28) is a digit; photos must resemble one more closely."""
    score = compute_ood_score(image)
    is_digit = score.is_clear_digit if is_photo else score.is_in_distribution
    return () if is_digit else ("this does not look like a digit",)
