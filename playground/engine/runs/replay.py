"""Replay a run: train the same network, recipe and seed again, with the same changes after the same batches."""

from collections.abc import Iterator, Sequence

from torch import Tensor, equal

from playground.core.events import Command, Event, Forked, HyperparameterChanged, Stop, UpdateHyperparameters
from playground.engine.runs.initial_state import create_trainer, load_initial_state
from playground.engine.runs.run import Run
from playground.engine.training.command_sources import NullCommandSource
from playground.engine.training.trainer import Trainer
from playground.errors import StorageError


class ReplayCommandSource(NullCommandSource):
    """Command source that repeats the hyperparameter changes of a log, and stops where it ends."""

    def __init__(self, log: Sequence[Event], trainer: Trainer) -> None:
        self._hyperparameter_changes = [event for event in log if isinstance(event, HyperparameterChanged)]
        self._last_step = max((event.step for event in log), default=0)
        self._trainer = trainer

    def poll(self) -> Sequence[Command]:
        """Changes that were made after the batch that was just trained."""
        due = [change for change in self._hyperparameter_changes if change.step <= self._trainer.step]
        self._hyperparameter_changes = self._hyperparameter_changes[len(due) :]
        commands: list[Command] = [
            UpdateHyperparameters(hyperparameters={change.hyperparameter: change.after}) for change in due
        ]
        return (
            [*commands, Stop()] if self._trainer.step >= self._last_step and not self._trainer.is_finished else commands
        )


class Replay:
    """One replay in this process; it writes nothing, and ``run()`` yields its events as a trainer does.

    Raises StorageError for a run without snapshots to compare with, or for a fork.
    """

    def __init__(self, run: Run) -> None:
        log = list(run.read_events())
        if any(isinstance(event, Forked) for event in log):
            raise StorageError(
                f"{run.record.name} is a fork: it started in run {run.record.parent}.", fix="Replay that one."
            )
        if not run.list_snapshot_steps():
            raise StorageError(f"Run {run.id} has no weights to compare with.", fix="Train it first.")
        self._run = run
        self._trainer = create_trainer(run.record.architecture, run.record.recipe, load_initial_state(run))
        self._command_source = ReplayCommandSource(log, self._trainer)
        self.snapshot_matches: dict[int, bool] = {}
        """Step → True if the weights are equal bit for bit, for every snapshot that both have."""

    def run(self) -> Iterator[Event]:
        """Yield every event of the replay."""
        kept = set(self._run.list_snapshot_steps())
        for event in self._trainer.run(self._command_source):
            if event.kind == "snapshot_saved" and event.step in kept:
                self.snapshot_matches[event.step] = _are_weights_equal(
                    self._run.load_snapshot(event.step), self._trainer.get_weights()
                )
            yield event


def _are_weights_equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
