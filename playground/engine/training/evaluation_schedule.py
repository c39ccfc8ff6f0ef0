"""How often a run is measured and saved."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationSchedule:
    """How often a run is measured and saved; all but ``report_interval_s`` in steps, so that every run of a seed is alike."""

    max_evaluations_per_epoch: int = 10
    validation_subset_size: int = 1000
    checkpoints_per_epoch: int = 4
    report_interval_s: float = 0.1

    def get_evaluations_per_epoch(self, train_size: int) -> int:
        """Evaluations an epoch: fewer on little data, so that measuring does not take longer than training."""
        return max(1, min(self.max_evaluations_per_epoch, train_size // (2 * self.validation_subset_size)))
