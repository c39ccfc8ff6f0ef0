"""Doing a run over: the same network, recipe and seed, with the same knobs turned after the same batches."""

from collections.abc import Iterator, Sequence

from torch import Tensor, equal

from playground.core.events import Command, Event, Forked, HyperparameterChanged, Stop, UpdateHyperparameters
from playground.engine.runs.initial_state import create_trainer, load_initial_state
from playground.engine.runs.run import Run
from playground.engine.training.commands import NullCommandSource
from playground.engine.training.trainer import Trainer
from playground.errors import StorageError


class ReplayCommandSource(NullCommandSource):
    """Turns knobs as a log says they were turned, and stops where it ends."""

    def __init__(self, log: Sequence[Event], trainer: Trainer) -> None:
        self._hyperparameter_changes = [event for event in log if isinstance(event, HyperparameterChanged)]
        self._last_step = max((event.step for event in log), default=0)
        self._trainer = trainer

    def poll(self) -> Sequence[Command]:
        """The knobs that were turned after the batch that was just trained."""
        due = [turn for turn in self._hyperparameter_changes if turn.step <= self._trainer.step]
        self._hyperparameter_changes = self._hyperparameter_changes[len(due) :]
        found: list[Command] = [
            UpdateHyperparameters(hyperparameters={turn.hyperparameter: turn.after}) for turn in due
        ]
        return [*found, Stop()] if self._trainer.step >= self._last_step and not self._trainer.is_finished else found


class Replay:
    """A run trained once more in this process, nothing written; ``run_folder()`` yields its events, as a trainer does.

    Raises StoreError for a run that has no weights to compare with, or that began in another one.
    """

    def __init__(self, run: Run) -> None:
        log = list(run.read_events())
        if any(isinstance(event, Forked) for event in log):
            raise StorageError(
                f"{run.record.name} is a fork: it began in run {run.record.parent}.", fix="Replay that one."
            )
        if not run.list_snapshot_steps():
            raise StorageError(f"Run {run.id} has no weights to compare with.", fix="Train it first.")
        self._run = run
        self._trainer = create_trainer(run.record.architecture, run.record.recipe, load_initial_state(run))
        self._command_source = ReplayCommandSource(log, self._trainer)
        self.snapshot_matches: dict[int, bool] = {}
        """Whether the weights were the same bit for bit, by step, for every snapshot that both have."""

    def run(self) -> Iterator[Event]:
        """Every event of the replay."""
        kept = set(self._run.list_snapshot_steps())
        for event in self._trainer.run(self._command_source):
            if event.kind == "snapshot_saved" and event.step in kept:
                self.snapshot_matches[event.step] = _are_weights_equal(
                    self._run.load_snapshot(event.step), self._trainer.get_weights()
                )
            yield event


def _are_weights_equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
