"""How often a run is measured and saved."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """How often a run is measured and saved; all but ``report_s`` in steps, so that every run of a seed is alike."""

    evaluations_per_epoch: int = 10
    quick_size: int = 1000
    checkpoints_per_epoch: int = 4
    report_s: float = 0.1
