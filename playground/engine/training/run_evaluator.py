"""Evaluation of a run's validation and test images during its training, with health probes."""

import contextlib

import torch
from torch import nn

from playground.core.architecture import Architecture
from playground.engine.data.splits import Splits
from playground.engine.health.probes import HealthProbes
from playground.engine.metrics import Evaluation
from playground.engine.training.captured_evaluation import CapturedEvaluator
from playground.engine.training.captured_step import CapturedLearner
from playground.engine.training.errors import DIVERGENCE_THRESHOLD, make_divergence_error
from playground.engine.training.evaluate import evaluate
from playground.engine.training.learner import Learner


class RunEvaluator:
    """Evaluator of a learner's model; it replays captured forward passes if the learner replays captured steps.

    All evaluations raise DivergedError if the loss is not finite or far too high. ``health_probes`` hold the
    activations of the last evaluation of validation images.
    """

    def __init__(
        self,
        model: nn.Sequential,
        architecture: Architecture,
        learner: Learner,
        splits: Splits,
        device: torch.device,
        *,
        validation_subset_size: int,
    ) -> None:
        self._model = model
        self._learner = learner
        self._train_size = len(splits.train)
        self.validation = splits.validation.to(device)
        self.validation_subset = self.validation.sample(validation_subset_size)
        self.test = splits.test.to(device)
        self.health_probes = HealthProbes(model, architecture)
        self.captured_evaluator = self._create_captured_evaluator()

    def evaluate_validation(self, *, is_epoch_end: bool) -> Evaluation:
        """Evaluate a sample of the validation images; at the end of an epoch all, unless they are the larger split."""
        is_full = is_epoch_end and len(self.validation) <= self._train_size
        data = self.validation if is_full else self.validation_subset
        if self.captured_evaluator is not None:
            return self._check(self.captured_evaluator.evaluate(data, with_probes=True))
        with self.health_probes.record_activations():
            return self._check(evaluate(self._model, data))

    def evaluate_test(self) -> Evaluation:
        """Evaluate all test images."""
        if self.captured_evaluator is not None:
            return self._check(self.captured_evaluator.evaluate(self.test))
        return self._check(evaluate(self._model, self.test))

    def _check(self, evaluation: Evaluation) -> Evaluation:
        if not evaluation.loss < DIVERGENCE_THRESHOLD:  # the last batch may have diverged
            raise make_divergence_error(self._learner.step, evaluation.loss, self._learner.lr)
        return evaluation

    def _create_captured_evaluator(self) -> CapturedEvaluator | None:
        """Create the evaluator of a learner with captured steps, with graphs for every split that a run evaluates."""
        if not isinstance(self._learner, CapturedLearner):
            return None
        evaluator = CapturedEvaluator(self._model, self.health_probes, self._learner.graph_capture)
        with contextlib.suppress(torch.OutOfMemoryError):  # raised again by the first evaluation
            for data in (self.validation_subset, self.validation):
                evaluator.capture(data, with_probes=True)
            evaluator.capture(self.test)
        return evaluator
