"""What happens in a run (events, past tense) and what may be asked of it (commands, imperative): the whole protocol.

Which event ends a run, and how:

=============== ====================================================== ==========
last event      because                                                resumable
=============== ====================================================== ==========
``run_ended``   ``completed``: every epoch was trained                 with more
``run_ended``   ``stopped``: somebody asked for it                     yes
``run_ended``   ``interrupted``: the program around it went away       yes
``run_failed``  the loss diverged, memory ran out, the disk is full …  from before
(none)          the process was killed; the log just ends              yes
=============== ====================================================== ==========
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Split = Literal["train", "validation", "test"]
EndStatus = Literal["completed", "stopped", "interrupted"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    step: int = Field(description="Batches trained so far.")
    elapsed_s: float = Field(description="Seconds of training so far, pauses left out.")


class RunStarted(_Event):
    """Training began; ``device`` and ``precision`` are what was chosen."""

    kind: Literal["run_started"] = "run_started"
    train_size: int
    validation_size: int
    test_size: int
    steps_per_epoch: int = Field(ge=1)
    total_steps: int
    device: str
    precision: str


class StepDone(_Event):
    """A batch was trained: mean loss and share of right answers on it, before its update."""

    kind: Literal["step_done"] = "step_done"
    epochs: float = Field(ge=0, description="Epochs trained so far, with the fraction.")
    loss: float
    accuracy: float
    lr: float
    images_per_second: float


class Evaluated(_Event):
    """The network was measured on ``size`` images of a split."""

    kind: Literal["evaluated"] = "evaluated"
    split: Split
    loss: float
    accuracy: float
    size: int


class EpochDone(_Event):
    """Every training image was seen once more; the figures are means over the epoch's batches."""

    kind: Literal["epoch_done"] = "epoch_done"
    epoch: int
    train_loss: float
    train_accuracy: float


class HyperparameterChanged(_Event):
    """A recipe value, or the network's ``dropout`` rates, changed in mid-run."""

    kind: Literal["knob_changed"] = "knob_changed"
    knob: str
    before: Any
    after: Any


class Forked(_Event):
    """Everything before this line is the parent's log; from here on the run is one of its own.

    ``changes``: the recipe's fields that differ from the parent's at that moment, each as (before, after).
    """

    kind: Literal["forked"] = "forked"
    parent: str
    changes: dict[str, tuple[Any, Any]] = {}


class SnapshotSaved(_Event):
    """The weights at this step can be looked at."""

    kind: Literal["snapshot_saved"] = "snapshot_saved"


class CheckpointSaved(_Event):
    """The run can be resumed from exactly here."""

    kind: Literal["checkpoint_saved"] = "checkpoint_saved"


class Paused(_Event):
    """Training waits."""

    kind: Literal["paused"] = "paused"


class Resumed(_Event):
    """Training goes on, after a pause or from a checkpoint."""

    kind: Literal["resumed"] = "resumed"


class Suggestion(BaseModel):
    """What one click changes: fields of the recipe, or the whole network; ``anew``: only a new run can take it up."""

    model_config = ConfigDict(frozen=True)

    label: str
    recipe: dict[str, Any] = {}
    architecture: dict[str, Any] | None = None
    anew: bool = False


class Diagnosed(_Event):
    """A finding in plain words, with the figures behind it and, where something can be done, a suggestion."""

    kind: Literal["diagnosed"] = "diagnosed"
    finding: str
    message: str
    figures: dict[str, float] = {}
    suggestion: Suggestion | None = None


class RunEnded(_Event):
    """Training is over."""

    kind: Literal["run_ended"] = "run_ended"
    status: EndStatus


class RunFailed(_Event):
    """Training cannot go on: what happened, what was expected, how to fix it."""

    kind: Literal["run_failed"] = "run_failed"
    what: str
    expected: str = ""
    fix: str = ""


Event = Annotated[
    RunStarted
    | StepDone
    | Evaluated
    | EpochDone
    | HyperparameterChanged
    | Forked
    | SnapshotSaved
    | CheckpointSaved
    | Paused
    | Resumed
    | Diagnosed
    | RunEnded
    | RunFailed,
    Field(discriminator="kind"),
]
_EVENT_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pause(_Command):
    """Wait after the current batch."""

    kind: Literal["pause"] = "pause"


class Resume(_Command):
    """Go on."""

    kind: Literal["resume"] = "resume"


class TrainSteps(_Command):
    """Train so many batches, then wait."""

    kind: Literal["step"] = "step"
    batches: int = Field(default=1, ge=1, le=100_000)


class Stop(_Command):
    """End here, with a checkpoint; ``status`` says on whose behalf, ``reason`` what the user should be told."""

    kind: Literal["stop"] = "stop"
    status: Literal["stopped", "interrupted"] = "stopped"
    reason: str = ""


class UpdateHyperparameters(_Command):
    """Set knobs to other values: fields of the recipe, and ``dropout`` with one rate for each dropout layer."""

    kind: Literal["change"] = "change"
    knobs: dict[str, Any]


class SaveSnapshot(_Command):
    """Save the weights as they are now."""

    kind: Literal["snapshot"] = "snapshot"


Command = Annotated[
    Pause | Resume | TrainSteps | Stop | UpdateHyperparameters | SaveSnapshot, Field(discriminator="kind")
]
_COMMAND_ADAPTER: TypeAdapter[Command] = TypeAdapter(Command)


def parse_event(line: str | bytes) -> Event | None:
    """One line of a log; None for a torn line or an event of a newer version."""
    try:
        return _EVENT_ADAPTER.validate_json(line)
    except ValidationError:
        return None


def parse_command(line: str | bytes) -> Command | None:
    """One line from the supervisor; None if it is no command."""
    try:
        return _COMMAND_ADAPTER.validate_json(line)
    except ValidationError:
        return None
