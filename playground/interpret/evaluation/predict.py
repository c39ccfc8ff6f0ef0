"""From an image to probabilities, and to words."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation
from playground.engine.model.build import expand_to_class_logits
from playground.engine.runs.repository import read_run
from playground.engine.runs.run import Run
from playground.engine.training.evaluate import evaluate
from playground.errors import StorageError
from playground.interpret.model import Model, load_model

Array = NDArray[np.float32]

_MAX_FEW_CLASSES = 10  # classes: of a hundred, a fourth of the certainty is much


@dataclass(frozen=True)
class Prediction:
    """Probabilities of every class (adding up to 1), and the first and second guess."""

    probabilities: tuple[float, ...]
    top_class: int
    second_class: int

    def describe(self, class_names: Sequence[str]) -> str:
        """How sure the net is, as people say it; ``class_names`` are the classes'."""
        first, second = self.probabilities[self.top_class], self.probabilities[self.second_class]
        if first >= 0.9:
            return f"sure, then {class_names[self.second_class]} ({second:.0%})" if second >= 0.005 else "sure"
        if first < 0.25 and len(class_names) <= _MAX_FEW_CLASSES:
            return "no idea: many are about equally likely"
        if first - second < 0.2:
            return f"torn between {class_names[self.top_class]} and {class_names[self.second_class]}"
        return f"leaning to {class_names[self.top_class]} ({first:.0%}), then {class_names[self.second_class]} ({second:.0%})"


def predict(model: Model, images: Sequence[Array]) -> tuple[Prediction, ...]:
    """One prediction an image; ``images`` float (channels, height, width), values 0 to 1."""
    if not images:
        return ()
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack(images).astype(np.float32, copy=False))
        return tuple(_to_prediction(row) for row in expand_to_class_logits(model.module(batch)))


def predict_snapshots(
    run: Run, image: Array, *, max_snapshots: int = 24, known: Mapping[int, Prediction] | None = None
) -> tuple[tuple[int, Prediction], ...]:
    """What the run's net said of an image at up to ``max_snapshots`` of its snapshots, evenly chosen, with their steps.

    Snapshots that cannot be read, or vanish meanwhile, are left out. ``known``: predictions at steps that are not
    computed again.
    """
    steps = run.list_snapshot_steps()
    chosen = {steps[round(place)] for place in np.linspace(0, len(steps) - 1, min(max_snapshots, len(steps)))}
    content = image.tobytes()  # one object for all moments: it stays with what is remembered
    found = []
    for step in sorted(chosen):
        with suppress(StorageError):
            prediction = (known or {}).get(step) or _predict_cached(
                run.folder, step, run.get_snapshot_mtime_ns(step), content, image.shape
            )
            found.append((step, prediction))
    return tuple(found)


@lru_cache(maxsize=1024)
def _predict_cached(folder: Path, step: int, _stamp: int, content: bytes, shape: tuple[int, ...]) -> Prediction:
    """Remembered, since a page that follows a run asks for all moments again whenever there is one more."""
    image = np.frombuffer(content, dtype=np.float32).reshape(shape)
    return predict(load_model(read_run(folder), step), [image])[0]


def prediction_from_logits(logits: Array) -> Prediction:
    """The prediction that an output layer's scores (units,) stand for."""
    return _to_prediction(expand_to_class_logits(torch.from_numpy(logits)[None])[0])


def _to_prediction(scores: Tensor) -> Prediction:
    probabilities = scores.double().softmax(0)
    order = probabilities.argsort(descending=True)
    return Prediction(tuple(probabilities.tolist()), int(order[0]), int(order[1]))


def evaluate_model(model: Model, data: LabeledImages) -> Evaluation:
    """Evaluate a network on labeled images."""
    return evaluate(model.module, data)
