"""State of a run, folded from its events."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from playground.core.events import (
    Diagnosed,
    EpochDone,
    Evaluated,
    Event,
    Forked,
    HyperparameterChanged,
    HyperparametersRejected,
    Paused,
    Resumed,
    RunEnded,
    RunFailed,
    RunStarted,
    SnapshotSaved,
    StepDone,
)

RunStatus = Literal["waiting", "training", "paused", "completed", "stopped", "interrupted", "failed"]
_THROUGHPUT_WINDOW = 20
_MAX_EPOCHS = 10**6


@dataclass
class History:
    """Metrics and status of a run up to the last event added.

    ``train_*`` and ``step_epochs`` (epochs trained, as a fraction) have one value per batch, ``validation`` one per
    evaluation on the validation split. ``changed_hyperparameters`` are those that differ from the run's record.
    ``is_over``: the last event is the end of the run; ``end_diagnosis`` explains an end that the run itself did not
    choose. ``rejected_change`` is a rejected hyperparameter change that no valid change has followed yet.
    """

    status: RunStatus = "waiting"
    is_over: bool = False
    start_event: RunStarted | None = None
    steps: list[int] = field(default_factory=list)
    step_epochs: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    last_step: StepDone | None = None
    validation: list[Evaluated] = field(default_factory=list)
    test: Evaluated | None = None
    completed_epochs: list[EpochDone] = field(default_factory=list)
    hyperparameter_changes: list[HyperparameterChanged] = field(default_factory=list)
    changed_hyperparameters: dict[str, Any] = field(default_factory=dict)
    rejected_change: HyperparametersRejected | None = None
    fork_event: Forked | None = None
    snapshot_steps: list[int] = field(default_factory=list)
    last_diagnosis: Diagnosed | None = None
    end_diagnosis: Diagnosed | None = None
    failure: RunFailed | None = None
    elapsed_s: float = 0.0
    _planned_epochs: float = 1.0
    _throughputs: list[float] = field(default_factory=list)

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> "History":
        """Fold a whole log."""
        history = cls()
        for event in events:
            history.add(event)
        return history

    def copy(self) -> "History":
        """Copy the history; events added to the original do not change the copy."""
        lists: dict[str, Any] = {name: list(value) for name, value in vars(self).items() if isinstance(value, list)}
        return replace(self, **lists, changed_hyperparameters=dict(self.changed_hyperparameters))

    def add(self, event: Event) -> None:
        """Add the next event of the log."""
        self.elapsed_s = max(self.elapsed_s, event.elapsed_s)
        self.is_over = isinstance(event, RunEnded | RunFailed)
        match event:
            case RunStarted():
                self.start_event, self.status = event, "training"
                self._planned_epochs = event.total_steps / event.steps_per_epoch
            case StepDone():
                self._add_step(event)
            case Evaluated(split="test"):
                self.test = event
            case Evaluated(split="validation"):
                self.validation.append(event)
            case EpochDone():
                self.completed_epochs.append(event)
            case HyperparameterChanged():
                self.hyperparameter_changes.append(event)
                self.rejected_change = None
                self.changed_hyperparameters[event.hyperparameter] = event.after
                self._set_planned_epochs(event.after if event.hyperparameter == "epochs" else None)
            case HyperparametersRejected():
                self.rejected_change = event
            case Forked():
                self.fork_event, self.status, self.changed_hyperparameters = event, "stopped", {}
                self._set_planned_epochs(event.changes.get("epochs", (None, None))[1])
            case SnapshotSaved():
                if event.step not in self.snapshot_steps[-1:]:
                    self.snapshot_steps.append(event.step)
            case Paused():
                self.status = "paused"
            case Resumed():
                # A single step is over at once: it is not shown as training.
                self.status = "paused" if event.batches == 1 else "training"
                self.failure, self.test, self.end_diagnosis, self.rejected_change = None, None, None, None
            case Diagnosed(diagnosis="stopped" | "worker_died"):
                self.end_diagnosis = event
            case Diagnosed():
                self.last_diagnosis = event
            case RunEnded():
                self.status = event.status
            case RunFailed():
                self.status, self.failure = "failed", event
            case _:
                pass

    def _set_planned_epochs(self, epochs: Any) -> None:
        if isinstance(epochs, int | float) and 0 < epochs <= _MAX_EPOCHS:  # a log may hold any value
            self._planned_epochs = float(epochs)

    def _add_step(self, event: StepDone) -> None:
        self.last_step = event
        self.steps.append(event.step)
        self.step_epochs.append(event.epochs)
        self.train_loss.append(event.loss)
        self.train_accuracy.append(event.accuracy)
        self._throughputs = [*self._throughputs[-_THROUGHPUT_WINDOW:], event.images_per_second]

    @property
    def step(self) -> int:
        """Batches trained so far."""
        return self.last_step.step if self.last_step else 0

    @property
    def epoch(self) -> float:
        """Epochs trained so far, as a fraction."""
        return self.last_step.epochs if self.last_step else 0.0

    def epoch_at(self, step: int) -> float:
        """Epochs trained after ``step`` batches, as a fraction."""
        index = bisect_left(self.steps, step)
        return self.step_epochs[min(index, len(self.step_epochs) - 1)] if step > 0 and self.step_epochs else 0.0

    @property
    def planned_epochs(self) -> float:
        """Epochs that the run will have with its current hyperparameters; 1 before it started."""
        return self._planned_epochs

    @property
    def images_per_second(self) -> float:
        """Recent throughput: median over the last 20 batches."""
        return sorted(self._throughputs)[len(self._throughputs) // 2] if self._throughputs else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Estimated time to the end of the last epoch, from the mean speed so far; None before the first batch."""
        if not self.epoch:
            return None
        return max(0.0, self._planned_epochs - self.epoch) * self.elapsed_s / self.epoch

    @property
    def last_validation(self) -> Evaluated | None:
        """The latest evaluation on the validation split."""
        return self.validation[-1] if self.validation else None

    def summarize(self) -> dict[str, Any]:
        """Summary for ``train --json``, without the id of the run."""
        validation = self.last_validation
        return {
            "status": self.status,
            "steps": self.step,
            "epochs": len(self.completed_epochs),
            "seconds": round(self.elapsed_s, 3),
            "images_per_second": round(self.images_per_second, 1),
            "validation_accuracy": validation.accuracy if validation else None,
            "test_accuracy": self.test.accuracy if self.test else None,
            "test_loss": self.test.loss if self.test else None,
        }
