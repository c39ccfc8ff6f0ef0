"""Evaluation as captured CUDA graphs, one for each batch size, with and without health probes."""

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
    """A captured forward pass with its input, its output and the activations that the probes recorded."""

    replay: Callable[[], None]
    images: Tensor
    logits: Tensor
    max_activations: list[Tensor | None]


class CapturedEvaluator:
    """Evaluator that replays captured forward passes; it gives the numbers of ``evaluate``."""

    def __init__(self, model: nn.Sequential, probes: HealthProbes, graph_capture: GraphCapture) -> None:
        self._model = model
        self._probes = probes
        self._graph_capture = graph_capture
        self._forwards: dict[tuple[int, bool], _CapturedForward] = {}

    def capture(self, data: LabeledImages, *, with_probes: bool = False) -> None:
        """Capture the forward passes that evaluating ``data`` takes."""
        for index, batch in enumerate(torch.split(data.images, EVALUATION_BATCH_SIZE)):
            self._get_forward(batch, with_probes=with_probes and index == 0)

    def evaluate(self, data: LabeledImages, *, with_probes: bool = False) -> Evaluation:
        """Evaluate the network on all of ``data``; ``with_probes`` records activations of the first batch."""
        logits = []
        for index, batch in enumerate(torch.split(data.images, EVALUATION_BATCH_SIZE)):
            forward = self._get_forward(batch, with_probes=with_probes and index == 0)
            forward.images.copy_(batch)
            forward.replay()
            logits.append(forward.logits.clone())
            if with_probes and index == 0:
                self._probes.max_activations = forward.max_activations
        return Evaluation.from_logits(torch.cat(logits), data.labels)

    def _get_forward(self, images: Tensor, *, with_probes: bool) -> _CapturedForward:
        key = len(images), with_probes
        if key not in self._forwards:
            self._forwards[key] = self._capture_forward(images, with_probes=with_probes)
        return self._forwards[key]

    def _capture_forward(self, images: Tensor, *, with_probes: bool) -> _CapturedForward:
        forward = _CapturedForward(lambda: None, images.clone(), torch.empty(0), [])

        def run() -> None:
            was_training = self._model.training
            self._model.eval()
            try:
                with torch.no_grad(), self._probes.record_activations() if with_probes else contextlib.nullcontext():
                    forward.logits = compute_logits(self._model, forward.images)
            finally:
                self._model.train(was_training)
            if with_probes:
                forward.max_activations = self._probes.max_activations

        forward.replay = self._graph_capture.capture(run, ())
        return forward
