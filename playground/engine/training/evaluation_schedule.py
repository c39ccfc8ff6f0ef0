"""Frequency of evaluations, checkpoints and reports."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationSchedule:
    """Frequency of evaluations, checkpoints and reports.

    All but ``report_interval_s`` depend on steps only, so that runs with the same seed are identical.
    """

    max_evaluations_per_epoch: int = 10
    validation_subset_size: int = 1000
    checkpoints_per_epoch: int = 4
    report_interval_s: float = 0.1

    def get_evaluations_per_epoch(self, train_size: int) -> int:
        """Evaluations per epoch: fewer for small datasets, so that evaluation takes less time than training."""
        return max(1, min(self.max_evaluations_per_epoch, train_size // (2 * self.validation_subset_size)))
