"""Progress of long work: the one type that downloads, evaluation, projections and background tasks report."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Result = TypeVar("Result")


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


Steps: TypeAlias = Generator[Progress, None, Result]
"""Work in steps: yields its progress before each step and returns its result. Closing the generator cancels the work.

The first progress comes at once, so that a page shows it without waiting for its turn.
"""


def run_to_end(steps: Generator[Any, None, Result]) -> Result:
    """Do all steps of work and return its result, without showing the progress."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
