"""Run on disk: its folder is what every screen, command and test reads.

``<home>/runs/<id>/{run.json, events.jsonl, snapshots/<step>.safetensors, checkpoint.pt, checkpoints/<step>.pt}``.
Every file except the log is written to a temporary file and renamed. The log only grows; a line that a crash cut is
ignored. ``checkpoint.pt`` is the newest checkpoint; earlier ones are kept to fork from.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.events import Event, parse_event
from playground.core.history import History, RunStatus
from playground.core.recipe import Recipe
from playground.engine.data.dataset_lookup import resolve_dataset
from playground.engine.file_lock import is_locked
from playground.engine.runs.record import RunRecord
from playground.engine.runs.run_files import read_checkpoint
from playground.errors import ArchitectureError, RecipeError, SchemaVersionError, StorageError


@dataclass(frozen=True)
class Run:
    """One run folder. Any process may read it; only the process that trains appends to its log."""

    folder: Path
    record: RunRecord

    @property
    def id(self) -> str:
        """Id of the run, the name of its folder."""
        return self.record.id

    @property
    def log_path(self) -> Path:
        """Event log, one JSON object a line."""
        return self.folder / "events.jsonl"

    @property
    def checkpoint_path(self) -> Path:
        """Newest checkpoint, from which the run is resumed exactly."""
        return self.folder / "checkpoint.pt"

    @property
    def initial_state_path(self) -> Path:
        """Initial weights and extra images (most runs have none); an older run's file keeps its older name."""
        legacy_path = self.folder / "material.safetensors"  # version 0.1
        return legacy_path if legacy_path.exists() else self.folder / "initial_state.safetensors"

    @property
    def lock_path(self) -> Path:
        """Lock held by the process that trains; an empty file."""
        return self.folder / "lock"

    @property
    def pid_path(self) -> Path:
        """Process id of the process that trains."""
        return self.folder / "pid"

    def read_events(self) -> Iterator[Event]:
        """Iterate over the events of the log, without incomplete or unknown lines."""
        try:
            with self.log_path.open("rb") as log:
                for line in log:
                    event = parse_event(line)
                    if event is not None:
                        yield event
        except FileNotFoundError:
            return

    def read_history(self) -> History:
        """Fold the log into a history; a log without an end that no process writes is an interrupted run."""
        history = History.from_events(self.read_events())
        history.status = self.determine_phase(history)
        return history

    def determine_phase(self, history: History) -> RunStatus:
        """Status of the run, given its history: it trains only while a process holds the lock."""
        if history.status in ("training", "paused") and not is_locked(self.lock_path):
            return "interrupted"
        return history.status

    def get_current_recipe(self, history: History | None = None) -> Recipe:
        """Recipe with the live hyperparameters as they are now; ``history``, if given, saves reading the log."""
        changes = (history or self.read_history()).changed_hyperparameters
        try:
            return self.record.recipe.update_hyperparameters(
                {name: value for name, value in changes.items() if name != "dropout"}
            )
        except RecipeError:  # the log was edited by hand or written by another version
            return self.record.recipe

    def get_current_architecture(self, history: History | None = None) -> Architecture:
        """Network with the dropout rates as they are now; ``history``, if given, saves reading the log."""
        architecture = self.record.architecture
        rates = (history or self.read_history()).changed_hyperparameters.get("dropout", architecture.dropout_rates)
        try:
            return architecture.with_dropout_rates(rates)
        except (ArchitectureError, TypeError):  # the log was edited by hand or written by another version
            return architecture

    def get_dataset(self) -> Dataset:
        """Dataset of the run; a placeholder without images where it was deleted."""
        return resolve_dataset(self.record.recipe, self.record.architecture)

    def is_live(self) -> bool:
        """Check whether a process trains the run now."""
        return is_locked(self.lock_path)

    def can_resume(self, history: History | None = None, *, epochs: int | None = None) -> bool:
        """Check whether training can continue; a completed run continues only if ``epochs`` exceeds its own.

        A run that ended before its first checkpoint starts again, which gives the same weights. ``history``, if given,
        saves reading the log.
        """
        history = history or self.read_history()
        if self.is_live():
            return False
        match history.status:
            case "waiting" | "stopped" | "interrupted":
                return True
            case "failed":
                return self.has_checkpoint()
            case "completed":
                return self.has_checkpoint() and epochs is not None and epochs > history.epoch
            case _:
                return False

    def has_checkpoint(self) -> bool:
        """Check whether there is a checkpoint."""
        return self.checkpoint_path.exists() or bool(self.list_checkpoint_steps())

    def list_snapshot_steps(self) -> tuple[int, ...]:
        """Steps with a snapshot, in order."""
        return _list_steps(self.folder / "snapshots", ".safetensors")

    def list_checkpoint_steps(self) -> tuple[int, ...]:
        """Steps with a checkpoint to fork from, in order."""
        return _list_steps(self.folder / "checkpoints", ".pt")

    def get_snapshot_path(self, step: int) -> Path:
        """Path of the snapshot of a step."""
        return self.folder / "snapshots" / f"{step}.safetensors"

    def get_checkpoint_path(self, step: int) -> Path:
        """Path of the checkpoint of a step."""
        return self.folder / "checkpoints" / f"{step}.pt"

    def get_snapshot_mtime_ns(self, step: int) -> int:
        """Time of the snapshot of a step; a resumed run may write a step again. 0 where there is none."""
        try:
            return self.get_snapshot_path(step).stat().st_mtime_ns
        except OSError:
            return 0

    def load_snapshot(self, step: int) -> dict[str, Tensor]:
        """Load the weights of a step; raises StorageError where there are none or the file is damaged."""
        try:
            # Not memory-mapped: the process would crash if a mapped file were deleted.
            return load_tensors(self.get_snapshot_path(step).read_bytes())
        except (OSError, SafetensorError) as error:
            steps = ", ".join(str(kept) for kept in self.list_snapshot_steps())
            raise StorageError(
                f"The weights of run {self.id} at step {step} cannot be read: {error}.",
                expected=f"There are weights for steps: {steps or 'none'}.",
                fix="Choose another step, or train again.",
            ) from error

    def load_checkpoint(self, step: int | None = None) -> dict[str, Any]:
        """Load the checkpoint of a step, or the newest one; raises StorageError where there is none.

        If the newest one is damaged, the one before it is loaded: some batches are then trained again.
        """
        if step is not None:
            return self._read_checkpoint(self.get_checkpoint_path(step))
        try:
            return self._read_checkpoint(self.checkpoint_path)
        except SchemaVersionError:
            raise
        except StorageError:
            for earlier in reversed(self.list_checkpoint_steps()):
                with contextlib.suppress(StorageError):
                    return self._read_checkpoint(self.get_checkpoint_path(earlier))
            raise

    def _read_checkpoint(self, path: Path) -> dict[str, Any]:
        try:
            return read_checkpoint(path, self.record)
        except FileNotFoundError:
            steps = ", ".join(str(kept) for kept in self.list_checkpoint_steps())
            raise StorageError(
                f"Run {self.id} has no {'such ' if steps else ''}checkpoint to resume from.",
                expected=f"There are checkpoints at steps {steps}."
                if steps
                else "The first one is saved a quarter of the way through an epoch, and at every pause and stop.",
                fix="Choose one of them." if steps else "Train again.",
            ) from None


def _list_steps(folder: Path, suffix: str) -> tuple[int, ...]:
    found = (path.stem for path in folder.glob(f"*{suffix}"))
    return tuple(sorted(int(stem) for stem in found if stem.isdigit()))
