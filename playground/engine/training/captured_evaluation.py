"""Evaluation as captured CUDA graphs: forward for every number of images at once, with the health probes or without."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from playground.engine.data.batch import LabeledImages
from playground.engine.health.probes import HealthProbes
from playground.engine.metrics import Evaluation
from playground.engine.training.cuda_graph import GraphCapture
from playground.engine.training.evaluate import EVALUATION_BATCH_SIZE, compute_logits


@dataclass
class _CapturedForward:
    """A captured forward pass, the tensors it reads and writes, and what the probes noted in it."""

    replay: Callable[[], None]
    images: Tensor
    logits: Tensor
    max_activations: list[Tensor | None]


class CapturedEvaluator:
    """Evaluates forward network while it trains, by replayed forward passes; the numbers are those of ``evaluate``."""

    def __init__(self, model: nn.Sequential, probes: HealthProbes, graph_capture: GraphCapture) -> None:
        self._model = model
        self._probes = probes
        self._graph_capture = graph_capture
        self._forwards: dict[tuple[int, bool], _CapturedForward] = {}

    def capture(self, data: LabeledImages, *, with_probes: bool = False) -> None:
        """Capture what evaluating ``data`` needs."""
        for place, batch in enumerate(torch.split(data.images, EVALUATION_BATCH_SIZE)):
            self._get_forward(batch, with_probes=with_probes and place == 0)

    def evaluate(self, data: LabeledImages, *, with_probes: bool = False) -> Evaluation:
        """The network on all of ``data``; with ``with_probes``, the health probes see the first batch."""
        found = []
        for place, batch in enumerate(torch.split(data.images, EVALUATION_BATCH_SIZE)):
            forward = self._get_forward(batch, with_probes=with_probes and place == 0)
            forward.images.copy_(batch)
            forward.replay()
            found.append(forward.logits.clone())
            if with_probes and place == 0:
                self._probes.max_activations = forward.max_activations
        return Evaluation.from_logits(torch.cat(found), data.labels)

    def _get_forward(self, images: Tensor, *, with_probes: bool) -> _CapturedForward:
        key = len(images), with_probes
        if key not in self._forwards:
            self._forwards[key] = self._capture_forward(images, with_probes=with_probes)
        return self._forwards[key]

    def _capture_forward(self, images: Tensor, *, with_probes: bool) -> _CapturedForward:
        found = _CapturedForward(lambda: None, images.clone(), torch.empty(0), [])

        def run() -> None:
            was_training = self._model.training
            self._model.eval()
            try:
                with torch.no_grad(), self._probes.record_activations() if with_probes else contextlib.nullcontext():
                    found.logits = compute_logits(self._model, found.images)
            finally:
                self._model.train(was_training)
            if with_probes:
                found.max_activations = self._probes.max_activations

        found.replay = self._graph_capture.capture(run, ())
        return found
