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
    KnobChanged,
    Paused,
    Resumed,
    RunEnded,
    RunFailed,
    RunStarted,
    SnapshotSaved,
    StepDone,
)

Phase = Literal["waiting", "training", "paused", "completed", "stopped", "interrupted", "failed"]
_RECENT_STEPS = 20
_MOST_EPOCHS = 10**6


@dataclass
class History:
    """All that a log tells so far. Feed it events in order; reading it is free.

    ``train_*`` and ``places`` (epochs trained, with the fraction) hold one value a batch; ``validation`` every
    measurement on the validation split; ``knobs`` what differs from the run's record by now; ``is_over`` whether the
    log says how the run ended, ``ending`` why, where it was not its own end.
    """

    phase: Phase = "waiting"
    is_over: bool = False
    started: RunStarted | None = None
    steps: list[int] = field(default_factory=list)
    places: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    last_step: StepDone | None = None
    validation: list[Evaluated] = field(default_factory=list)
    test: Evaluated | None = None
    epochs: list[EpochDone] = field(default_factory=list)
    knob_changes: list[KnobChanged] = field(default_factory=list)
    knobs: dict[str, Any] = field(default_factory=dict)
    forked: Forked | None = None
    snapshots: list[int] = field(default_factory=list)
    diagnosis: Diagnosed | None = None
    ending: Diagnosed | None = None
    failure: RunFailed | None = None
    elapsed_s: float = 0.0
    _epochs_planned: float = 1.0
    _rates: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Event]) -> "History":
        """The fold of a whole log."""
        history = cls()
        for event in events:
            history.add(event)
        return history

    def copy(self) -> "History":
        """A history of its own, which later events do not reach."""
        lists: dict[str, Any] = {name: list(value) for name, value in vars(self).items() if isinstance(value, list)}
        return replace(self, **lists, knobs=dict(self.knobs))

    def add(self, event: Event) -> None:
        """One event more."""
        self.elapsed_s = max(self.elapsed_s, event.elapsed_s)
        self.is_over = isinstance(event, RunEnded | RunFailed)
        match event:
            case RunStarted():
                self.started, self.phase = event, "training"
                self._epochs_planned = event.total_steps / event.steps_per_epoch
            case StepDone():
                self._add_step(event)
            case Evaluated(split="test"):
                self.test = event
            case Evaluated(split="validation"):
                self.validation.append(event)
            case EpochDone():
                self.epochs.append(event)
            case KnobChanged():
                self.knob_changes.append(event)
                self.knobs[event.knob] = event.after
                self._plan(event.after if event.knob == "epochs" else None)
            case Forked():
                self.forked, self.phase, self.knobs = event, "stopped", {}
                self._plan(event.changes.get("epochs", (None, None))[1])
            case SnapshotSaved():
                if event.step not in self.snapshots[-1:]:
                    self.snapshots.append(event.step)
            case Paused():
                self.phase = "paused"
            case Resumed():
                self.phase, self.failure, self.test, self.ending = "training", None, None, None
            case Diagnosed(finding="stopped" | "worker_died"):
                self.ending = event
            case Diagnosed():
                self.diagnosis = event
            case RunEnded():
                self.phase = event.status
            case RunFailed():
                self.phase, self.failure = "failed", event
            case _:
                pass

    def _plan(self, epochs: Any) -> None:
        if isinstance(epochs, int | float) and 0 < epochs <= _MOST_EPOCHS:  # what a log says may be anything
            self._epochs_planned = float(epochs)

    def _add_step(self, event: StepDone) -> None:
        self.last_step = event
        self.steps.append(event.step)
        self.places.append(event.epochs)
        self.train_loss.append(event.loss)
        self.train_accuracy.append(event.accuracy)
        self._rates = [*self._rates[-_RECENT_STEPS:], event.images_per_second]

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
        return self.places[min(place, len(self.places) - 1)] if step > 0 and self.places else 0.0

    @property
    def epochs_planned(self) -> float:
        """How many epochs the run is to have, as its knobs stand now; 1 before it began."""
        return self._epochs_planned

    @property
    def images_per_second(self) -> float:
        """The recent speed: median over the last batches."""
        return sorted(self._rates)[len(self._rates) // 2] if self._rates else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Until the last epoch ends, at the mean speed so far, evaluations included; None before the first batch."""
        if not self.epoch:
            return None
        return max(0.0, self._epochs_planned - self.epoch) * self.elapsed_s / self.epoch

    @property
    def last_validation(self) -> Evaluated | None:
        """The newest measurement on the validation split."""
        return self.validation[-1] if self.validation else None

    def figures(self) -> dict[str, Any]:
        """The contract of ``train --json``, less the run's id."""
        validation = self.last_validation
        return {
            "status": self.phase,
            "steps": self.step,
            "epochs": len(self.epochs),
            "seconds": round(self.elapsed_s, 3),
            "images_per_second": round(self.images_per_second, 1),
            "validation_accuracy": validation.accuracy if validation else None,
            "test_accuracy": self.test.accuracy if self.test else None,
            "test_loss": self.test.loss if self.test else None,
        }
