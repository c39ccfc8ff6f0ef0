"""Doing a run over: the same network, recipe and seed, with the same knobs turned after the same batches."""

from collections.abc import Iterator, Sequence

from torch import Tensor, equal

from playground.core.events import Change, Command, Event, Forked, KnobChanged, Stop
from playground.engine.runs.initial_state import material_of, trainer_for
from playground.engine.runs.run import Run
from playground.engine.training.commands import NoCommands
from playground.engine.training.trainer import Trainer
from playground.errors import StoreError


class KnobInbox(NoCommands):
    """Turns knobs as a log says they were turned, and stops where it ends."""

    def __init__(self, log: Sequence[Event], trainer: Trainer) -> None:
        self._turns = [event for event in log if isinstance(event, KnobChanged)]
        self._last_step = max((event.step for event in log), default=0)
        self._trainer = trainer

    def poll(self) -> Sequence[Command]:
        """The knobs that were turned after the batch that was just trained."""
        due = [turn for turn in self._turns if turn.step <= self._trainer.step]
        self._turns = self._turns[len(due) :]
        found: list[Command] = [Change(knobs={turn.knob: turn.after}) for turn in due]
        return [*found, Stop()] if self._trainer.step >= self._last_step and not self._trainer.is_done else found


class Replay:
    """A run trained once more in this process, nothing written; ``run()`` yields its events, as a trainer does.

    Raises StoreError for a run that has no weights to compare with, or that began in another one.
    """

    def __init__(self, run: Run) -> None:
        log = list(run.events())
        if any(isinstance(event, Forked) for event in log):
            raise StoreError(
                f"{run.record.name} is a fork: it began in run {run.record.parent}.", fix="Replay that one."
            )
        if not run.snapshots():
            raise StoreError(f"Run {run.id} has no weights to compare with.", fix="Train it first.")
        self._run = run
        self._trainer = trainer_for(run.record.architecture, run.record.recipe, material_of(run))
        self._inbox = KnobInbox(log, self._trainer)
        self.compared: dict[int, bool] = {}
        """Whether the weights were the same bit for bit, by step, for every snapshot that both have."""

    def run(self) -> Iterator[Event]:
        """Every event of the replay."""
        kept = set(self._run.snapshots())
        for event in self._trainer.run(self._inbox):
            if event.kind == "snapshot_saved" and event.step in kept:
                self.compared[event.step] = _same(self._run.snapshot(event.step), self._trainer.weights())
            yield event


def _same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
