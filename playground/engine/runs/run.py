"""Runs on disk: the run folder is the truth that every screen, command and test reads.

``<home>/runs/<id>/{run.json, events.jsonl, snapshots/<step>.safetensors, checkpoint.pt, checkpoints/<step>.pt}``.
Every file but the log is written beside its place and moved there; the log only grows, and a line torn by a crash is
dropped when read. ``checkpoint.pt`` is the newest one; earlier ones stay as moments to fork from.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.events import Event, parse_event
from playground.core.history import History, RunStatus
from playground.core.recipe import Recipe
from playground.engine.data.registry import resolve_dataset
from playground.engine.file_lock import acquire_lock, is_locked
from playground.engine.paths import atomic_write, clean_name, make_write_error
from playground.engine.training.checkpoint import CHECKPOINT_SCHEMA, REQUIRED_CHECKPOINT_KEYS, rename_legacy_keys
from playground.errors import PlaygroundError, SchemaVersionError, StorageError

PRETRAINED = "pretrained"


class RunRecord(BaseModel):
    """``run.json``: what was asked for, and what it ran on."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: int = Field(default=1, alias="schema")
    id: str
    name: str
    created: str
    architecture: Architecture
    recipe: Recipe
    parent: str | None = None
    parent_step: int | None = None
    versions: dict[str, str] = {}
    device: str = ""
    owner: str | None = None


@dataclass(frozen=True)
class Run:
    """One run folder. Reading it is always allowed; only the process that trains appends to its log."""

    folder: Path
    record: RunRecord

    @property
    def id(self) -> str:
        """The run's id, which names its folder."""
        return self.record.id

    @property
    def log_path(self) -> Path:
        """The event log."""
        return self.folder / "events.jsonl"

    @property
    def checkpoint_path(self) -> Path:
        """What exact resumption needs."""
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
        """The log from the start, torn or unknown lines left out."""
        try:
            with self.log_path.open("rb") as log:
                for line in log:
                    event = parse_event(line)
                    if event is not None:
                        yield event
        except FileNotFoundError:
            return

    def read_history(self) -> History:
        """The log folded; a log that just ends, with nobody writing to it, is an interrupted run."""
        history = History.from_events(self.read_events())
        history.status = self.determine_phase(history)
        return history

    def determine_phase(self, history: History) -> RunStatus:
        """The run's state, given its folded log: alive only while a process holds the log."""
        if history.status in ("training", "paused") and not is_locked(self.lock_path):
            return "interrupted"
        return history.status

    def get_dataset(self) -> Dataset:
        """The dataset that the run was trained on; a placeholder without images where it was deleted."""
        return resolve_dataset(self.record.recipe, self.record.architecture)

    def is_live(self) -> bool:
        """Whether a process is training it now."""
        return is_locked(self.lock_path)

    def can_resume(self, history: History | None = None, *, epochs: int | None = None) -> bool:
        """Whether something is left to do; a completed run goes on if ``epochs`` are more than it has.

        A run that was cut before its first checkpoint begins anew, which gives the same weights. ``read_history`` spares
        reading the log once more.
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
        """Whether there is something to go on from."""
        return self.checkpoint_path.exists() or bool(self.list_checkpoint_steps())

    def list_snapshot_steps(self) -> tuple[int, ...]:
        """The steps whose weights can be looked at, in order."""
        return _list_steps(self.folder / "snapshots", ".safetensors")

    def list_checkpoint_steps(self) -> tuple[int, ...]:
        """The steps from which the run can be forked, in order."""
        return _list_steps(self.folder / "checkpoints", ".pt")

    def get_snapshot_path(self, step: int) -> Path:
        """Where the weights of a step lie."""
        return self.folder / "snapshots" / f"{step}.safetensors"

    def get_checkpoint_path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.folder / "checkpoints" / f"{step}.pt"

    def get_snapshot_mtime_ns(self, step: int) -> int:
        """When the weights of a step were written: a resumed run may write those of a step again."""
        try:
            return self.get_snapshot_path(step).stat().st_mtime_ns
        except OSError:
            return 0

    def load_snapshot(self, step: int) -> dict[str, Tensor]:
        """The weights at a step; raises StoreError if there are none or they are damaged."""
        try:
            # Read whole: a mapped file that a crash or a delete takes away would take the process with it.
            return load_tensors(self.get_snapshot_path(step).read_bytes())
        except (OSError, SafetensorError) as problem:
            steps = ", ".join(str(kept) for kept in self.list_snapshot_steps())
            raise StorageError(
                f"The weights of run {self.id} at step {step} cannot be read: {problem}.",
                expected=f"There are weights for steps: {steps or 'none'}.",
                fix="Choose another moment, or train again.",
            ) from problem

    def load_checkpoint(self, step: int | None = None) -> dict[str, Any]:
        """What the trainer saved at a step, or last; raises StoreError if there is nothing to go on from.

        Where the last one is damaged, the one before it serves: some batches are then trained again.
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
            with zipfile.ZipFile(path) as parts:  # torch itself does not look at the checksums
                damaged = parts.testzip()
            if damaged:
                raise zipfile.BadZipFile(f"{damaged} has another checksum")
            loaded: Any = torch.load(path, weights_only=True, map_location="cpu")
        except FileNotFoundError:
            steps = ", ".join(str(kept) for kept in self.list_checkpoint_steps())
            raise StorageError(
                f"Run {self.id} has no {'such ' if steps else ''}checkpoint to go on from.",
                expected=f"There are checkpoints at steps {steps}."
                if steps
                else "The first one is saved a quarter of the way through an epoch, and at every pause and stop.",
                fix="Choose one of them." if steps else "Train again.",
            ) from None
        except Exception as problem:  # torch raises many kinds here; whichever it is, the file cannot be used
            raise StorageError(
                f"The checkpoint of run {self.id} is damaged: {type(problem).__name__}.",
                expected="It is written beside its place and moved there, so the disk may be at fault.",
                fix="Its snapshots can still be looked at; train again to go on.",
            ) from problem
        schema = loaded.get("schema") if isinstance(loaded, dict) else None
        if isinstance(schema, int) and schema > CHECKPOINT_SCHEMA:
            raise SchemaVersionError(f"The checkpoint of run {self.id} was written by a newer version.", fix="Update.")
        if schema == 1:
            raise SchemaVersionError(
                f"The checkpoint of run {self.id} was written by an older version.",
                expected="Its curves and snapshots can still be looked at.",
                fix="Train again to go on.",
            )
        if schema != CHECKPOINT_SCHEMA or not loaded.keys() >= REQUIRED_CHECKPOINT_KEYS:
            raise StorageError(f"The checkpoint of run {self.id} is not one.", fix="Train again to go on.")
        checkpoint = rename_legacy_keys(loaded)
        if not _is_checkpoint_of_run(checkpoint, self.record):
            raise StorageError(f"The checkpoint of run {self.id} is another run's.", fix="Train again to go on.")
        return checkpoint

    def request_stop(self) -> None:
        """Have the process that trains this run, wherever it was started, end it with a checkpoint."""
        if sys.platform == "win32":
            raise StorageError("Windows lets no process ask another to end.", fix="Stop it in the app, or with Ctrl-C.")
        try:
            pid = int(self.pid_path.read_text(encoding="utf-8")) if self.is_live() else 0
        except (OSError, ValueError):
            pid = 0
        if pid <= 0:
            raise StorageError(f"Run {self.id} is not training.", expected=f"It is {self.read_history().status}.")
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError as problem:
            raise StorageError(f"The process {pid} that trains run {self.id} cannot be asked: {problem}.") from problem

    def rename(self, name: str) -> "Run":
        """The run under another name, written to its record."""
        changed = Run(self.folder, self.record.model_copy(update={"name": clean_name(name) or self.record.name}))
        write_record(changed)
        return changed

    def delete(self) -> None:
        """Remove the folder; raises StoreError for the pretrained run and for one that is training."""
        if self.id == PRETRAINED:
            raise StorageError("The pretrained model comes with the program and stays.")
        doomed = get_hidden_folder(self.folder)
        try:
            lock = acquire_lock(self.lock_path)
            if lock is None:
                raise StorageError(f"Run {self.id} is training.", fix="Stop it first.")
            lock.release()  # Windows does not rename a folder that contains an open file
            self.folder.rename(doomed)  # atomic: a partly deleted run is not listed
            shutil.rmtree(doomed)
        except OSError as problem:
            raise make_write_error(self.folder, problem) from problem


def write_record(run: Run) -> None:
    """Put a run's record on the disk, atomically."""
    with atomic_write(run.folder / "run.json") as temporary:
        temporary.write_text(run.record.model_dump_json(by_alias=True, indent=2), encoding="utf-8")


def get_hidden_folder(folder: Path) -> Path:
    """Where a run folder lies while it is made or deleted: not listed."""
    return folder.with_name(f".{folder.name}")


def _is_checkpoint_of_run(checkpoint: dict[str, Any], record: RunRecord) -> bool:
    """Whether a checkpoint is of a run's network and recipe, knobs aside."""
    try:
        recipe, architecture = (
            Recipe.from_json(checkpoint["recipe"]),
            Architecture.from_json(checkpoint["architecture"]),
        )
    except PlaygroundError:
        return False
    return record.recipe.is_equal_except_live_hyperparameters(
        recipe
    ) and record.architecture.is_equal_except_dropout_rates(architecture)


def _list_steps(folder: Path, suffix: str) -> tuple[int, ...]:
    found = (path.stem for path in folder.glob(f"*{suffix}"))
    return tuple(sorted(int(stem) for stem in found if stem.isdigit()))


def serialize_snapshot(weights: dict[str, Tensor]) -> bytes:
    """Weights as the bytes of a safetensors file."""
    return save_tensors(weights)


def serialize_checkpoint(checkpoint: dict[str, Any]) -> bytes:
    """A checkpoint as the bytes of its file."""
    buffer = BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def append_events(run: Run, *events: Event) -> None:
    """Add to the log of a run that no process is writing; a line torn by a crash stays a line of its own."""
    with run.log_path.open("ab") as log:
        log.write(b"\n" + b"".join(serialize_event(event) for event in events))


def serialize_event(event: Event) -> bytes:
    """An event as one line of the log."""
    return json.dumps(event.model_dump(mode="json"), separators=(",", ":")).encode() + b"\n"
