"""Run ownership."""

from playground.engine.runs.run import Run
from playground.errors import OwnershipError


def check_owner(run: Run, user: str | None) -> None:
    """Raise OwnershipError where ``user`` may not control a run; None, the machine itself, may."""
    if user is not None and run.record.owner not in (None, user):
        raise OwnershipError(
            f"{run.record.name} is another person's run.",
            expected="A run is controlled by the browser that started it, or on the machine that it runs on.",
            fix="Start your own, or fork this one.",
        )
