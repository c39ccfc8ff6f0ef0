"""A run's events folded into what charts, tables and the command line show."""

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
    """All that a log tells so far. Feed it events in order; reading it is free.

    ``train_*`` and ``step_epochs`` (epochs trained, with the fraction) hold one value a batch; ``validation`` every
    measurement on the validation split; ``changed_hyperparameters`` what differs from the run's record by now; ``is_over`` whether the
    log says how the run ended, ``end_diagnosis`` why, where it was not its own end.
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
        """The fold of a whole log."""
        history = cls()
        for event in events:
            history.add(event)
        return history

    def copy(self) -> "History":
        """A history of its own, which later events do not reach."""
        lists: dict[str, Any] = {name: list(value) for name, value in vars(self).items() if isinstance(value, list)}
        return replace(self, **lists, changed_hyperparameters=dict(self.changed_hyperparameters))

    def add(self, event: Event) -> None:
        """One event more."""
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
                self.changed_hyperparameters[event.knob] = event.after
                self._set_planned_epochs(event.after if event.knob == "epochs" else None)
            case Forked():
                self.fork_event, self.status, self.changed_hyperparameters = event, "stopped", {}
                self._set_planned_epochs(event.changes.get("epochs", (None, None))[1])
            case SnapshotSaved():
                if event.step not in self.snapshot_steps[-1:]:
                    self.snapshot_steps.append(event.step)
            case Paused():
                self.status = "paused"
            case Resumed():
                self.status, self.failure, self.test, self.end_diagnosis = "training", None, None, None
            case Diagnosed(finding="stopped" | "worker_died"):
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
        if isinstance(epochs, int | float) and 0 < epochs <= _MAX_EPOCHS:  # what a log says may be anything
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
        """Epochs trained so far, with the fraction."""
        return self.last_step.epochs if self.last_step else 0.0

    def epoch_at(self, step: int) -> float:
        """Epochs trained when ``step`` batches were."""
        place = bisect_left(self.steps, step)
        return self.step_epochs[min(place, len(self.step_epochs) - 1)] if step > 0 and self.step_epochs else 0.0

    @property
    def planned_epochs(self) -> float:
        """How many epochs the run is to have, as its knobs stand now; 1 before it began."""
        return self._planned_epochs

    @property
    def images_per_second(self) -> float:
        """The recent speed: median over the last batches."""
        return sorted(self._throughputs)[len(self._throughputs) // 2] if self._throughputs else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Until the last epoch ends, at the mean speed so far, evaluations included; None before the first batch."""
        if not self.epoch:
            return None
        return max(0.0, self._planned_epochs - self.epoch) * self.elapsed_s / self.epoch

    @property
    def last_validation(self) -> Evaluated | None:
        """The newest measurement on the validation split."""
        return self.validation[-1] if self.validation else None

    def summarize(self) -> dict[str, Any]:
        """The contract of ``train --json``, less the run's id."""
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
