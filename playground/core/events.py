"""Protocol of a run: events (past tense) report what happened, commands (imperative) control it.

Last events of a log:

=============== ====================================================== ==========
last event      reason                                                 resumable
=============== ====================================================== ==========
``run_ended``   ``completed``: every epoch was trained                 with more
``run_ended``   ``stopped``: a user stopped it                         yes
``run_ended``   ``interrupted``: the program that ran it ended         yes
``run_failed``  the loss diverged, memory ran out, the disk is full …  from before
(none)          the process was killed                                 yes
=============== ====================================================== ==========

Logs of version 0.1 have other names for some events and fields; ``parse_event`` reads them too.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Split = Literal["train", "validation", "test"]
EndStatus = Literal["completed", "stopped", "interrupted"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    step: int = Field(description="Batches trained so far.")
    elapsed_s: float = Field(description="Seconds of training so far, without pauses.")


class RunStarted(_Event):
    """Training began; ``device`` and ``precision`` are the resolved values, never ``auto``."""

    kind: Literal["run_started"] = "run_started"
    train_size: int
    validation_size: int
    test_size: int
    steps_per_epoch: int = Field(ge=1)
    total_steps: int
    device: str
    precision: str
    eager_reason: str = Field(
        default="",
        exclude_if=lambda reason: not reason,  # absent, as in the logs of older versions
        description="Reason why steps are not replayed as captured CUDA graphs; empty if they are, and on a CPU.",
    )


class StepDone(_Event):
    """A batch was trained. Loss (mean) and accuracy are of this batch, before its update."""

    kind: Literal["step_done"] = "step_done"
    epochs: float = Field(ge=0, description="Epochs trained so far, as a fraction.")
    loss: float
    accuracy: float
    lr: float
    images_per_second: float


class Evaluated(_Event):
    """The network was evaluated on ``size`` images of a split."""

    kind: Literal["evaluated"] = "evaluated"
    split: Split
    loss: float
    accuracy: float
    size: int


class EpochDone(_Event):
    """An epoch was completed; loss and accuracy are means over its images."""

    kind: Literal["epoch_done"] = "epoch_done"
    epoch: int
    train_loss: float
    train_accuracy: float


class HyperparameterChanged(_Event):
    """A live hyperparameter changed: a field of the recipe, or ``dropout`` (one rate for each dropout layer)."""

    kind: Literal["hyperparameter_changed"] = "hyperparameter_changed"
    hyperparameter: str
    before: Any
    after: Any


class HyperparametersRejected(_Event):
    """A change of live hyperparameters was invalid and had no effect; ``reason`` names the error and its fix."""

    kind: Literal["hyperparameters_rejected"] = "hyperparameters_rejected"
    hyperparameters: dict[str, Any]
    reason: str


class Forked(_Event):
    """The run was forked: the log before this line is a copy of the parent's.

    ``changes``: recipe fields that differ from the parent's recipe at this step, each as (before, after).
    """

    kind: Literal["forked"] = "forked"
    parent: str
    changes: dict[str, tuple[Any, Any]] = {}


class SnapshotSaved(_Event):
    """The weights of this step were saved for inspection."""

    kind: Literal["snapshot_saved"] = "snapshot_saved"


class CheckpointSaved(_Event):
    """The full training state was saved; resuming from here is exact."""

    kind: Literal["checkpoint_saved"] = "checkpoint_saved"


class Paused(_Event):
    """Training is paused."""

    kind: Literal["paused"] = "paused"


class Resumed(_Event):
    """Training continues, after a pause or from a checkpoint."""

    kind: Literal["resumed"] = "resumed"
    batches: int | None = Field(
        default=None,
        exclude_if=lambda batches: batches is None,  # absent, as in the logs of older versions
        description="Number of batches until the next pause; None without one.",
    )


class Suggestion(BaseModel):
    """A change that one click applies: recipe fields, or a whole architecture, in this run or only in a new one."""

    model_config = ConfigDict(frozen=True)

    label: str
    recipe_changes: dict[str, Any] = {}
    architecture: dict[str, Any] | None = None
    requires_restart: bool = False


class Diagnosed(_Event):
    """A diagnosis of the run: its code, a message, the metrics it is based on and, if there is one, a suggestion."""

    kind: Literal["diagnosed"] = "diagnosed"
    diagnosis: str
    message: str
    metrics: dict[str, float] = {}
    suggestion: Suggestion | None = None


class RunEnded(_Event):
    """Training ended."""

    kind: Literal["run_ended"] = "run_ended"
    status: EndStatus


class RunFailed(_Event):
    """Training failed: what happened, what was expected, how to fix it."""

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
    | HyperparametersRejected
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
    """Pause after the current batch."""

    kind: Literal["pause"] = "pause"


class Resume(_Command):
    """Continue a paused run."""

    kind: Literal["resume"] = "resume"


class TrainSteps(_Command):
    """Train ``batches`` batches, then pause."""

    kind: Literal["step"] = "step"
    batches: int = Field(default=1, ge=1, le=100_000)


class Stop(_Command):
    """Save a checkpoint and end; ``reason``, if given, is shown to the user as a diagnosis."""

    kind: Literal["stop"] = "stop"
    status: Literal["stopped", "interrupted"] = "stopped"
    reason: str = ""


class UpdateHyperparameters(_Command):
    """Change live hyperparameters: recipe fields, and ``dropout`` with one rate for each dropout layer."""

    kind: Literal["update_hyperparameters"] = "update_hyperparameters"
    hyperparameters: dict[str, Any]


class SaveSnapshot(_Command):
    """Save a snapshot of the weights now."""

    kind: Literal["snapshot"] = "snapshot"


Command = Annotated[
    Pause | Resume | TrainSteps | Stop | UpdateHyperparameters | SaveSnapshot, Field(discriminator="kind")
]
_COMMAND_ADAPTER: TypeAdapter[Command] = TypeAdapter(Command)


# Version 0.1's names in logs: kind of event → (its name now, {field → its name now}).
_LEGACY_EVENTS: dict[str, tuple[str, dict[str, str]]] = {
    "knob_changed": ("hyperparameter_changed", {"knob": "hyperparameter"}),
    "diagnosed": ("diagnosed", {"finding": "diagnosis", "figures": "metrics"}),
}
_LEGACY_SUGGESTION_FIELDS = {"recipe": "recipe_changes", "anew": "requires_restart"}


def parse_event(line: str | bytes) -> Event | None:
    """Parse one line of a log, also of version 0.1; None for an incomplete line or an event of a newer version."""
    try:
        return _EVENT_ADAPTER.validate_json(line)
    except ValidationError:
        return _parse_legacy_event(line)


def _parse_legacy_event(line: str | bytes) -> Event | None:
    try:
        fields = json.loads(line)
        kind, new_names = _LEGACY_EVENTS[fields["kind"]]
        fields = _rename_keys(fields, new_names) | {"kind": kind}
        if isinstance(fields.get("suggestion"), dict):
            fields["suggestion"] = _rename_keys(fields["suggestion"], _LEGACY_SUGGESTION_FIELDS)
        return _EVENT_ADAPTER.validate_python(fields)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _rename_keys(fields: dict[str, Any], new_names: dict[str, str]) -> dict[str, Any]:
    return {new_names.get(name, name): value for name, value in fields.items()}


def parse_command(line: str | bytes) -> Command | None:
    """Parse one line from the scheduler; None if it is not a command."""
    try:
        return _COMMAND_ADAPTER.validate_json(line)
    except ValidationError:
        return None
