"""What a worker is told first: which run, how it begins, and how long it may take."""

from pydantic import BaseModel, ConfigDict

from playground.core.events import Command


class JobSpec(BaseModel):
    """A run to train from where it stands; ``initial_commands`` come before its next batch. Seconds of None: no limit."""

    model_config = ConfigDict(frozen=True)

    run_folder: str
    initial_commands: tuple[Command, ...] = ()
    max_run_s: float | None = None
    max_pause_s: float | None = None
