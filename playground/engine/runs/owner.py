"""Whose a run is."""

from playground.engine.runs.run import Run
from playground.errors import OwnerError


def check_owner(run: Run, by: str | None) -> None:
    """Raise OwnerError where ``by`` may not steer a run; None, the machine itself, may."""
    if by is not None and run.record.owner not in (None, by):
        raise OwnerError(
            f"{run.record.name} is another person's run.",
            expected="A run is steered by whoever started it, or on the machine that it runs on.",
            fix="Start your own, or fork this one.",
        )
