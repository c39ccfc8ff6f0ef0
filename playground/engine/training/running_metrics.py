"""Running metrics of training: batches that wait to be reported, sums of the epoch, recent losses and accuracies."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from playground.engine.training.errors import DIVERGENCE_THRESHOLD, make_divergence_error
from playground.engine.training.learner import BatchResult, Learner

_MAX_RECENT_LOSSES = 50
_MAX_RECENT_IMAGES = 2000
"""Images of the rolling accuracy: few enough to follow a fast rise, enough for a noise below one percentage point."""


@dataclass(frozen=True)
class BatchMetrics:
    """Metrics of one batch on the host; ``images_per_second`` is the rate of its reporting interval."""

    batch: BatchResult
    loss: float
    accuracy: float
    images_per_second: float


class RunningMetrics:
    """Metrics between two events of a trainer; fetched from the device together, so that no step waits for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._batches: list[BatchResult] = []
        self._interval_started_at = clock()
        self._recent_losses: deque[float] = deque(maxlen=_MAX_RECENT_LOSSES)
        self._recent_counts: deque[tuple[float, int]] = deque()  # correct and all images of each recent batch
        self._recent_correct, self._recent_size = 0.0, 0
        self._loss_sum = self._correct_count = self._image_count = 0.0

    @property
    def interval_s(self) -> float:
        """Seconds since the last report."""
        return self._clock() - self._interval_started_at

    @property
    def recent_loss(self) -> float:
        """Mean loss of the last batches; 0 before the first."""
        return sum(self._recent_losses) / max(1, len(self._recent_losses))

    @property
    def recent_accuracy(self) -> float:
        """Share of the last ``recent_size`` training images that were predicted correctly; 0 before the first."""
        return self._recent_correct / max(1, self.recent_size)

    @property
    def recent_size(self) -> int:
        """Number of images of ``recent_accuracy``: up to 2,000, but at most an epoch and at least the last batch."""
        return self._recent_size

    @property
    def epoch_loss(self) -> float:
        """Mean loss of the epoch so far."""
        return self._loss_sum / max(1.0, self._image_count)

    @property
    def epoch_accuracy(self) -> float:
        """Share of the epoch's images so far that were predicted correctly."""
        return self._correct_count / max(1.0, self._image_count)

    def add(self, batch: BatchResult) -> None:
        """Keep a batch for the next report."""
        self._batches.append(batch)

    def start_interval(self) -> None:
        """Start a reporting interval without batches."""
        self._batches, self._interval_started_at = [], self._clock()

    def report(self, learner: Learner) -> Iterator[BatchMetrics]:
        """Fetch the metrics of the interval's batches and start the next one; raises DivergedError."""
        batches, started_at = self._batches, self._interval_started_at
        self.start_interval()
        if not batches:
            return
        learner.compute_metrics()
        losses = torch.stack([batch.loss for batch in batches]).tolist()
        correct_counts = torch.stack([batch.correct_count for batch in batches]).tolist()
        # The clock is read after the metrics have arrived, so that the device's remaining work is counted.
        rate = sum(batch.size for batch in batches) / max(1e-9, self._clock() - started_at)
        for batch, loss, correct_count in zip(batches, losses, correct_counts, strict=True):
            if not loss < DIVERGENCE_THRESHOLD:  # also true of NaN
                raise make_divergence_error(batch.step, loss, batch.lr)
            self._loss_sum += loss * batch.size
            self._correct_count += correct_count
            self._image_count += batch.size
            self._recent_losses.append(loss)
            self._add_recent_count(correct_count, batch.size, min(_MAX_RECENT_IMAGES, learner.images_per_epoch))
            yield BatchMetrics(batch, loss, correct_count / batch.size, rate)

    def _add_recent_count(self, correct_count: float, size: int, max_images: float = math.inf) -> None:
        self._recent_counts.append((correct_count, size))
        self._recent_correct, self._recent_size = self._recent_correct + correct_count, self._recent_size + size
        while len(self._recent_counts) > 1 and self._recent_size > max_images:
            correct_count, size = self._recent_counts.popleft()
            self._recent_correct, self._recent_size = self._recent_correct - correct_count, self._recent_size - size

    def reset_epoch(self) -> None:
        """Start the sums of a new epoch."""
        self._loss_sum = self._correct_count = self._image_count = 0.0

    def reset_recent(self) -> None:
        """Forget recent losses and accuracies, which a changed hyperparameter made incomparable."""
        self._recent_losses.clear()
        self._recent_counts.clear()
        self._recent_correct, self._recent_size = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        """Entries of a checkpoint."""
        sums = [self._loss_sum, self._correct_count, self._image_count]
        recent_counts = [list(counts) for counts in self._recent_counts]
        return {"epoch_sums": sums, "recent_losses": list(self._recent_losses), "recent_counts": recent_counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the entries of a checkpoint."""
        self._loss_sum, self._correct_count, self._image_count = state_dict["epoch_sums"]
        self._recent_losses.extend(state_dict["recent_losses"])
        for correct_count, size in state_dict.get("recent_counts", ()):  # older checkpoints have none
            self._add_recent_count(correct_count, size)
