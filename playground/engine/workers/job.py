"""Job of a worker: the run to train, its first commands, and its time limits."""

from pydantic import BaseModel, ConfigDict

from playground.core.events import Command


class JobSpec(BaseModel):
    """A run to train from its last checkpoint; ``initial_commands`` precede its next batch. No limit where None."""

    model_config = ConfigDict(frozen=True)

    run_folder: str
    initial_commands: tuple[Command, ...] = ()
    max_run_s: float | None = None
    max_pause_s: float | None = None
