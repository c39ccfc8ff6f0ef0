"""What a worker is told first: which run, how it begins, and how long it may take."""

from pydantic import BaseModel, ConfigDict

from playground.spec.events import Command


class Order(BaseModel):
    """A run to train; ``commands`` are followed before its first batch. Seconds of None: as long as it takes."""

    model_config = ConfigDict(frozen=True)

    run: str
    resume: bool = False
    commands: tuple[Command, ...] = ()
    max_run_s: float | None = None
    max_pause_s: float | None = None
