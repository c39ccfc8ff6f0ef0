"""Whether an image is of the kind that a net was made for: a net names one of its classes for any image whatever.

The image is compared with training images as the pretrained model sees them, by the distance to the k-th nearest.
Source: Sun, Ming, Zhu and Li, "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022; here at three depths
at once, since noise looks like digits to the last layers and an odd sign to the first ones. It is a property of the
image, not of the net that answers, so it is judged by the one net that is known to see. What is found and what is
missed: ``python -m benchmarks.drawn_digits``.
"""

import contextlib
import threading
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from playground.engine.data.batch import scale_pixels
from playground.engine.data.mnist import is_unpacked
from playground.engine.data.pen_digits import pen_drawings
from playground.engine.data.rasterize import fit_strokes
from playground.engine.data.splits import first_images
from playground.engine.runs.repository import pretrained_run
from playground.engine.workers.malloc import give_back_memory
from playground.errors import PlaygroundError
from playground.interpret.model import load_model

Array = NDArray[np.float32]

_NEIGHBOUR = 5
_DIGITS, _EVERY_PEN_DRAWING = 2000, 8  # compared with: so many digits of MNIST, and every eighth pen drawing
_CALIBRATED_ON = 1000
_PATIENCE = 60  # seconds
_AT_ONCE = 64  # few, so that a server does not grow by their feature maps
_FALSE_ALARMS = 0.01
"""Share of real digits that are called unfamiliar; this sets the limit."""


@dataclass(frozen=True)
class Familiarity:
    """How far an image is from what is known, and how far 99 of 100 real ones are."""

    distance: float
    limit: float

    @property
    def is_familiar(self) -> bool:
        """Whether the image is as near as real ones are."""
        return self.distance <= self.limit


class _Judge:
    """The pretrained model up to its output layer, with training images as it sees them."""

    def __init__(self) -> None:
        self._layers = list(load_model(pretrained_run()).module)[:-1]
        kinds = [type(layer) for layer in self._layers]
        last_pool = len(kinds) - 1 - kinds[::-1].index(nn.MaxPool2d)
        self._depths = (last_pool, kinds.index(nn.Flatten), len(kinds) - 1)
        digits = first_images("mnist", _DIGITS + _CALIBRATED_ON).images
        pens = np.stack([fit_strokes(drawing["strokes"]) for drawing in pen_drawings(_EVERY_PEN_DRAWING)])
        self._known = self._seen(torch.cat([scale_pixels(digits[:_DIGITS]), torch.from_numpy(pens)]))
        distances = self._distances(self._seen(scale_pixels(digits[_DIGITS:])))
        self._limit = float(distances.quantile(1 - _FALSE_ALARMS))

    def judge(self, image: Array) -> Familiarity:
        distance = self._distances(self._seen(torch.from_numpy(image)[None]))
        return Familiarity(float(distance), self._limit)

    def _seen(self, images: Tensor) -> Tensor:
        """What the layers at the three depths put out, each of the length 1: (count, values)."""
        parts = []
        with torch.inference_mode():
            for maps in torch.split(images, _AT_ONCE):
                found = []
                for place, layer in enumerate(self._layers):
                    maps = layer(maps)
                    if place in self._depths:
                        found.append(functional.normalize(maps.flatten(1)))
                parts.append(torch.cat(found, dim=1))
        return torch.cat(parts)

    def _distances(self, seen: Tensor) -> Tensor:
        """Of every row from its k-th nearest; the three parts of each have the length 1, so a product tells it."""
        products = (seen @ self._known.T).topk(_NEIGHBOUR, dim=1).values[:, -1]
        return (2 * len(self._depths) - 2 * products).clamp(min=0).sqrt()


_lock = threading.Lock()
_made: list[_Judge] = []


def _judge() -> _Judge:
    with _lock:
        if not _made:
            _made.append(_Judge())
        return _made[0]


def is_prepared() -> bool:
    """Whether an answer comes at once; else somebody should call ``prepare``."""
    return bool(_made)


def prepare() -> None:
    """Look at the images to compare with, so that the first answer comes as fast as the others.

    Unpacking them is left to the first worker: it takes memory, which a worker gives back when it ends.
    """
    for _ in range(_PATIENCE):
        if is_unpacked():
            break
        time.sleep(1)
    with contextlib.suppress(PlaygroundError):  # damaged files are told when they are asked for
        _judge()
        give_back_memory()


def familiarity(image: Array) -> Familiarity:
    """Of an image (1, 28, 28), values 0 to 1. The first call takes two seconds: it looks at some thousand images."""
    return _judge().judge(image)
