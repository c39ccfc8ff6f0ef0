"""Predictions for single images: probabilities and their description."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.engine.cache import cached
from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation
from playground.engine.model.build import expand_to_class_logits
from playground.engine.runs.repository import read_run
from playground.engine.runs.run import Run
from playground.engine.training.evaluate import evaluate
from playground.errors import StorageError
from playground.interpret.model import Model, load_model

Array = NDArray[np.float32]

_HIGH_CONFIDENCE, _LOW_CONFIDENCE, _CLOSE_MARGIN = 0.9, 0.25, 0.2
_MIN_NAMED_PROBABILITY = 0.005
_MAX_CACHED_BYTES = 16 * 2**20
_MAX_FEW_CLASSES = 10  # with more classes, 25 % can still be a clear prediction


@dataclass(frozen=True)
class Prediction:
    """Probabilities of all classes (they sum to 1), and the two most probable classes."""

    probabilities: tuple[float, ...]
    top_class: int
    second_class: int

    @property
    def is_certain(self) -> bool:
        """True if the highest probability is at least 90 %."""
        return self.probabilities[self.top_class] >= _HIGH_CONFIDENCE

    def describe(self, class_names: Sequence[str], doubts: Sequence[str] = ()) -> str:
        """Describe the confidence in words, to follow the name of the predicted class.

        ``doubts``: reasons to doubt the input, as clauses; with one of them no prediction is certain.
        """
        confidence = self._describe_confidence(class_names, has_doubts=bool(doubts))
        return f"{confidence}, but {' and '.join(doubts)}" if doubts else confidence

    def _describe_confidence(self, class_names: Sequence[str], *, has_doubts: bool) -> str:
        first, second = self.probabilities[self.top_class], self.probabilities[self.second_class]
        is_named = second >= _MIN_NAMED_PROBABILITY
        next_class = f", next {class_names[self.second_class]} ({second:.0%})" if is_named else ""
        if self.is_certain and not has_doubts:
            return f"certain ({first:.0%}){next_class}"
        if first < _LOW_CONFIDENCE and len(class_names) <= _MAX_FEW_CLASSES:
            return "unsure: no class stands out"
        if first - second < _CLOSE_MARGIN:
            names = class_names[self.top_class], class_names[self.second_class]
            return f"undecided between {names[0]} ({first:.0%}) and {names[1]} ({second:.0%})"
        return f"probable ({first:.0%}){next_class}"


def predict(model: Model, images: Sequence[Array]) -> tuple[Prediction, ...]:
    """Predict the class of each image; ``images`` float (channels, height, width), values 0 to 1."""
    if not images:
        return ()
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack(images).astype(np.float32, copy=False))
        return tuple(_to_prediction(row) for row in expand_to_class_logits(model.module(batch)))


def predict_snapshots(
    run: Run, image: Array, *, max_snapshots: int = 24, known: Mapping[int, Prediction] | None = None
) -> tuple[tuple[int, Prediction], ...]:
    """Predict an image's class at up to ``max_snapshots`` evenly spaced snapshots: (step, prediction) each.

    Unreadable snapshots are skipped. ``known``: predictions at steps that are not computed again.
    """
    steps = run.list_snapshot_steps()
    chosen = {steps[round(position)] for position in np.linspace(0, len(steps) - 1, min(max_snapshots, len(steps)))}
    content = image.tobytes()  # one object for all steps, since the cache keeps it
    predictions = []
    for step in sorted(chosen):
        with suppress(StorageError):
            prediction = (known or {}).get(step) or _predict_cached(
                run.folder, step, run.get_snapshot_mtime_ns(step), content, image.shape
            )
            predictions.append((step, prediction))
    return tuple(predictions)


@cached(max_bytes=_MAX_CACHED_BYTES)
def _predict_cached(folder: Path, step: int, _stamp: int, content: bytes, shape: tuple[int, ...]) -> Prediction:
    """Predict with a cache, since a page that follows a run asks for all steps at every new snapshot."""
    image = np.frombuffer(content, dtype=np.float32).reshape(shape)
    return predict(load_model(read_run(folder), step), [image])[0]


def prediction_from_logits(logits: Array) -> Prediction:
    """Make a prediction from the logits (units,) of an output layer."""
    return _to_prediction(expand_to_class_logits(torch.tensor(logits)[None])[0])


def _to_prediction(logits: Tensor) -> Prediction:
    probabilities = logits.double().softmax(0)
    order = probabilities.argsort(descending=True)
    return Prediction(tuple(probabilities.tolist()), int(order[0]), int(order[1]))


def evaluate_model(model: Model, data: LabeledImages) -> Evaluation:
    """Evaluate a network on labeled images."""
    return evaluate(model.module, data)
