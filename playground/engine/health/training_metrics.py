"""Metrics of a running training that diagnoses are made from."""

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.engine.health.suggestions import get_typical_lr

_CHANCE_LEVEL_MARGIN = 0.05


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
    """Metrics of earlier evaluations; numbers only, since checkpoints contain them."""

    last_loss: float = math.inf
    best_loss: float = math.inf
    best_validation_accuracy: float = 0.0
    best_validation_loss: float = math.inf
    epoch_accuracies: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingMetrics:
    """Metrics at one evaluation; accuracies are 0 to 1, ``recent_loss`` is a mean over the last batches."""

    architecture: Architecture
    recipe: Recipe
    train_size: int
    step: int
    epochs_trained: float
    lr: float
    recent_loss: float
    train_accuracy: float
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
        """True if the validation accuracy is no better than guessing, within noise, after a fifth of an epoch."""
        chance_level = 1 / self.architecture.classes
        noise = 2 * math.sqrt(chance_level * (1 - chance_level) / max(1, sum(self.label_counts)))
        limit = chance_level + min(_CHANCE_LEVEL_MARGIN, chance_level / 2) + noise
        return self.epochs_trained >= 0.2 and self.step >= 10 and self.validation_accuracy < limit

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
        share = min(max(self.validation_accuracy, 0.01), 0.99)
        return 2 * math.sqrt(share * (1 - share) / max(1, sum(self.label_counts)))

    @property
    def typical_lr(self) -> float:
        """Learning rate that works for most networks with this optimizer."""
        return get_typical_lr(self.recipe)

    @property
    def steps_per_epoch(self) -> float:
        """Batches per epoch so far."""
        return self.step / max(self.epochs_trained, 1e-9)

    @property
    def total_gradient_norm(self) -> float:
        """L2 norm of the gradient with respect to all probed weights."""
        return math.sqrt(sum(layer.norm**2 for layer in self.layer_gradients))


def update_metric_history(metric_history: MetricHistory, metrics: TrainingMetrics) -> MetricHistory:
    """Add the metrics of an evaluation; training accuracies are kept for the last ten whole epochs."""
    is_epoch_end = metrics.epochs_trained == int(metrics.epochs_trained)
    epoch_accuracies = metric_history.epoch_accuracies
    return replace(
        metric_history,
        last_loss=metrics.recent_loss,
        best_loss=min(metric_history.best_loss, metrics.recent_loss),
        best_validation_accuracy=max(metric_history.best_validation_accuracy, metrics.validation_accuracy),
        best_validation_loss=min(metric_history.best_validation_loss, metrics.validation_loss),
        epoch_accuracies=[*epoch_accuracies[-9:], metrics.train_accuracy] if is_epoch_end else epoch_accuracies,
    )
