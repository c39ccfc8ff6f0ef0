"""Metrics of a running training that diagnoses are made from."""

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.engine.health.suggestions import get_typical_lr

_CHANCE_LEVEL_MARGIN = 0.05
_MIN_CHANCE_STEPS = 10
_MIN_BATCH_NORM_STEPS = 100
"""Batches after which running statistics with PyTorch's momentum of 0.1 have forgotten their start."""


class DeadChannels(NamedTuple):
    """Number of a ReLU's channels that are 0 on all probed images, of all its channels."""

    layer_name: str
    dead_count: int
    channel_count: int


class LayerGradient(NamedTuple):
    """L2 norm of the loss's gradient with respect to a layer's weights, and the number of these weights."""

    layer_name: str
    norm: float
    weight_count: int

    @property
    def rms(self) -> float:
        """Root mean square of the gradient: comparable between layers of different size."""
        return self.norm / math.sqrt(self.weight_count)


@dataclass(frozen=True)
class MetricHistory:
    """Metrics of earlier evaluations; numbers only, since checkpoints contain them.

    ``evaluations_since_best_loss`` counts those after the one with ``best_validation_loss``.
    """

    last_loss: float = math.inf
    best_loss: float = math.inf
    best_validation_accuracy: float = 0.0
    best_validation_loss: float = math.inf
    epoch_accuracies: list[float] = field(default_factory=list)
    evaluations_since_best_loss: int = 0


@dataclass(frozen=True)
class TrainingMetrics:
    """Metrics at one evaluation; accuracies are 0 to 1.

    ``recent_loss`` is a mean over the last batches, ``train_accuracy`` the share of the last ``train_accuracy_size``
    images, so that both describe the network as it is now; ``epoch_accuracy`` is the mean of the epoch so far.
    """

    architecture: Architecture
    recipe: Recipe
    train_size: int
    step: int
    epochs_trained: float
    lr: float
    recent_loss: float
    train_accuracy: float
    train_accuracy_size: int
    epoch_accuracy: float
    validation_accuracy: float
    validation_loss: float
    dead_channels: tuple[DeadChannels, ...] = ()
    layer_gradients: tuple[LayerGradient, ...] = ()
    predicted_counts: tuple[int, ...] = ()
    label_counts: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def generalization_gap(self) -> float:
        """Training accuracy minus validation accuracy."""
        return self.train_accuracy - self.validation_accuracy

    @property
    def is_at_chance_level(self) -> bool:
        """True if neither accuracy is better than guessing, within noise, after a fifth of an epoch and the warm-up.

        A network with batch norm may predict training batches well long before its running statistics fit.
        """
        if self.epochs_trained < 0.2 or self.step < _MIN_CHANCE_STEPS or self.is_warming_up:
            return False
        return self._is_chance(self.validation_accuracy, sum(self.label_counts)) and self._is_chance(
            self.train_accuracy, self.train_accuracy_size
        )

    def _is_chance(self, accuracy: float, size: int) -> bool:
        chance_level = 1 / self.architecture.classes
        noise = 2 * math.sqrt(chance_level * (1 - chance_level) / max(1, size))
        return accuracy < chance_level + min(_CHANCE_LEVEL_MARGIN, chance_level / 2) + noise

    @property
    def is_warming_up(self) -> bool:
        """True while the schedule raises the learning rate."""
        return self.epochs_trained < self.recipe.schedule.warm_up_share * self.recipe.epochs

    @property
    def is_validation_reliable(self) -> bool:
        """False while the running statistics of batch norm lag behind the weights."""
        return self.step >= _MIN_BATCH_NORM_STEPS or not self.architecture.uses_batch_statistics

    @property
    def chance_loss(self) -> float:
        """Cross-entropy of uniform predictions."""
        return math.log(self.architecture.classes)

    @property
    def min_loss(self) -> float:
        """Smallest possible training loss: not zero with label smoothing."""
        classes, smoothing = self.architecture.classes, self.recipe.label_smoothing
        shares = [1 - smoothing + smoothing / classes, *([smoothing / classes] * (classes - 1))]
        return -sum(share * math.log(share) for share in shares if share > 0)

    @property
    def accuracy_noise(self) -> float:
        """Two standard errors of the validation accuracy."""
        return 2 * math.sqrt(_compute_variance(self.validation_accuracy, sum(self.label_counts)))

    @property
    def gap_noise(self) -> float:
        """Two standard errors of the generalization gap."""
        variance = _compute_variance(self.validation_accuracy, sum(self.label_counts))
        return 2 * math.sqrt(variance + _compute_variance(self.train_accuracy, self.train_accuracy_size))

    @property
    def typical_lr(self) -> float:
        """Learning rate that works for most networks with this optimizer."""
        return get_typical_lr(self.recipe)

    @property
    def usual_lr(self) -> float:
        """A usual setting of the learning rate for this optimizer and schedule."""
        return get_typical_lr(self.recipe) * self.recipe.schedule.peak_lr_factor

    @property
    def steps_per_epoch(self) -> float:
        """Batches per epoch so far."""
        return self.step / max(self.epochs_trained, 1e-9)

    @property
    def total_gradient_norm(self) -> float:
        """L2 norm of the gradient with respect to all probed weights."""
        return math.sqrt(sum(layer.norm**2 for layer in self.layer_gradients))


def _compute_variance(accuracy: float, size: int) -> float:
    """Variance of an accuracy that was measured on ``size`` images."""
    share = min(max(accuracy, 0.01), 0.99)
    return share * (1 - share) / max(1, size)


def update_metric_history(metric_history: MetricHistory, metrics: TrainingMetrics) -> MetricHistory:
    """Add the metrics of an evaluation; mean training accuracies are kept for the last ten whole epochs."""
    is_epoch_end = metrics.epochs_trained == int(metrics.epochs_trained)
    epoch_accuracies = metric_history.epoch_accuracies
    is_best_loss = metrics.validation_loss < metric_history.best_validation_loss
    return replace(
        metric_history,
        last_loss=metrics.recent_loss,
        best_loss=min(metric_history.best_loss, metrics.recent_loss),
        best_validation_accuracy=max(metric_history.best_validation_accuracy, metrics.validation_accuracy),
        best_validation_loss=min(metric_history.best_validation_loss, metrics.validation_loss),
        epoch_accuracies=[*epoch_accuracies[-9:], metrics.epoch_accuracy] if is_epoch_end else epoch_accuracies,
        evaluations_since_best_loss=0 if is_best_loss else metric_history.evaluations_since_best_loss + 1,
    )
