"""Progress of long work: the one type that downloads, evaluation, projections and background tasks report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The stage that work has reached, in words, and how far the stage is; ``total`` is 0 while that is unknown."""

    stage: str
    completed: int = 0
    total: int = 0

    @property
    def fraction(self) -> float:
        """Completed share, 0 to 1; 0 while the total is unknown."""
        return min(1.0, self.completed / self.total) if self.total else 0.0
