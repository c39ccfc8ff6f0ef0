"""From an image to probabilities, and to words."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.engine.data.batch import Images
from playground.engine.model.build import class_scores
from playground.engine.runs.repository import read_run
from playground.engine.runs.run import Run
from playground.engine.training.evaluate import confusion_matrix, measure
from playground.errors import StoreError
from playground.interpret.model import Model, load_model

Array = NDArray[np.float32]

_FEW = 10  # classes: of a hundred, a fourth of the certainty is much


@dataclass(frozen=True)
class Prediction:
    """Probabilities of every class (adding up to 1), and the first and second guess."""

    probabilities: tuple[float, ...]
    first: int
    second: int

    def words(self, names: Sequence[str]) -> str:
        """How sure the net is, as people say it; ``names`` are the classes'."""
        first, second = self.probabilities[self.first], self.probabilities[self.second]
        if first >= 0.9:
            return f"sure, then {names[self.second]} ({second:.0%})" if second >= 0.005 else "sure"
        if first < 0.25 and len(names) <= _FEW:
            return "no idea: many are about equally likely"
        if first - second < 0.2:
            return f"torn between {names[self.first]} and {names[self.second]}"
        return f"leaning to {names[self.first]} ({first:.0%}), then {names[self.second]} ({second:.0%})"


@dataclass(frozen=True)
class Evaluation:
    """A network measured on a split: figures over all images and per class, and the confusion matrix.

    ``confusion[i][j]``: how many images of class i were taken for class j.
    """

    split: str
    size: int
    accuracy: float
    loss: float
    per_class_accuracy: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]


def predict(model: Model, images: Sequence[Array]) -> tuple[Prediction, ...]:
    """One prediction an image; ``images`` float (channels, height, width), values 0 to 1."""
    if not images:
        return ()
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack(images).astype(np.float32, copy=False))
        return tuple(_prediction(row) for row in class_scores(model.module(batch)))


def course(run: Run, image: Array, *, most: int = 24) -> tuple[tuple[int, Prediction], ...]:
    """What the run's net said of an image at up to ``most`` of its snapshots, evenly chosen, with their steps.

    Snapshots that cannot be read, or vanish meanwhile, are left out.
    """
    steps = run.snapshots()
    chosen = {steps[round(place)] for place in np.linspace(0, len(steps) - 1, min(most, len(steps)))}
    content = image.tobytes()  # one object for all moments: it stays with what is remembered
    found = []
    for step in sorted(chosen):
        with suppress(StoreError):
            found.append((step, _said(run.folder, step, run.snapshot_stamp(step), content, image.shape)))
    return tuple(found)


@lru_cache(maxsize=1024)
def _said(folder: Path, step: int, _stamp: int, content: bytes, shape: tuple[int, ...]) -> Prediction:
    """Remembered, since a page that follows a run asks for all moments again whenever there is one more."""
    image = np.frombuffer(content, dtype=np.float32).reshape(shape)
    return predict(load_model(read_run(folder), step), [image])[0]


def probabilities_of(scores: Array) -> Prediction:
    """The prediction that an output layer's scores (units,) stand for."""
    return _prediction(class_scores(torch.from_numpy(scores)[None])[0])


def _prediction(scores: Tensor) -> Prediction:
    probabilities = scores.double().softmax(0)
    order = probabilities.argsort(descending=True)
    return Prediction(tuple(probabilities.tolist()), int(order[0]), int(order[1]))


def evaluate(model: Model, data: Images, split: str) -> Evaluation:
    """Measure a network on images it was not trained on."""
    measured = measure(model.module, data)
    matrix = confusion_matrix(measured.scores, data.labels)
    right = matrix.diagonal().double() / matrix.sum(1).clamp(min=1)
    return Evaluation(
        split=split,
        size=len(data),
        accuracy=measured.accuracy,
        loss=measured.loss,
        per_class_accuracy=tuple(right.tolist()),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
    )
