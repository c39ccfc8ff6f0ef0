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
from playground.core.history import History, Phase
from playground.core.recipe import Recipe
from playground.engine.data.registry import dataset_for
from playground.engine.file_lock import is_locked, take_lock
from playground.engine.paths import cannot_write, clean_name, writing
from playground.engine.training.checkpoint import CHECKPOINT_KEYS, CHECKPOINT_SCHEMA
from playground.errors import PlaygroundError, SchemaError, StoreError

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
    def material_path(self) -> Path:
        """Weights and images that the run began with beside its recipe; most runs have none."""
        return self.folder / "material.safetensors"

    @property
    def lock_path(self) -> Path:
        """Held by the process that trains; empty."""
        return self.folder / "lock"

    def events(self) -> Iterator[Event]:
        """The log from the start, torn or unknown lines left out."""
        try:
            with self.log_path.open("rb") as log:
                for line in log:
                    event = parse_event(line)
                    if event is not None:
                        yield event
        except FileNotFoundError:
            return

    def history(self) -> History:
        """The log folded; a log that just ends, with nobody writing to it, is an interrupted run."""
        history = History.of(self.events())
        history.phase = self.phase(history)
        return history

    def phase(self, history: History) -> Phase:
        """The run's state, given its folded log: alive only while a process holds the log."""
        if history.phase in ("training", "paused") and not is_locked(self.lock_path):
            return "interrupted"
        return history.phase

    def dataset(self) -> Dataset:
        """The dataset that the run was trained on; a placeholder without images where it was deleted."""
        return dataset_for(self.record.recipe, self.record.architecture)

    def is_live(self) -> bool:
        """Whether a process is training it now."""
        return is_locked(self.lock_path)

    def can_resume(self, history: History | None = None, *, epochs: int | None = None) -> bool:
        """Whether something is left to do; a completed run goes on if ``epochs`` are more than it has.

        A run that was cut before its first checkpoint begins anew, which gives the same weights. ``history`` spares
        reading the log once more.
        """
        history = history or self.history()
        if self.is_live():
            return False
        match history.phase:
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
        return self.checkpoint_path.exists() or bool(self.checkpoints())

    def snapshots(self) -> tuple[int, ...]:
        """The steps whose weights can be looked at, in order."""
        return _steps_in(self.folder / "snapshots", ".safetensors")

    def checkpoints(self) -> tuple[int, ...]:
        """The steps from which the run can be forked, in order."""
        return _steps_in(self.folder / "checkpoints", ".pt")

    def snapshot_path(self, step: int) -> Path:
        """Where the weights of a step lie."""
        return self.folder / "snapshots" / f"{step}.safetensors"

    def checkpoint_path_at(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.folder / "checkpoints" / f"{step}.pt"

    def snapshot_stamp(self, step: int) -> int:
        """When the weights of a step were written: a resumed run may write those of a step again."""
        try:
            return self.snapshot_path(step).stat().st_mtime_ns
        except OSError:
            return 0

    def snapshot(self, step: int) -> dict[str, Tensor]:
        """The weights at a step; raises StoreError if there are none or they are damaged."""
        try:
            # Read whole: a mapped file that a crash or a delete takes away would take the process with it.
            return load_tensors(self.snapshot_path(step).read_bytes())
        except (OSError, SafetensorError) as problem:
            steps = ", ".join(str(kept) for kept in self.snapshots())
            raise StoreError(
                f"The weights of run {self.id} at step {step} cannot be read: {problem}.",
                expected=f"There are weights for steps: {steps or 'none'}.",
                fix="Choose another moment, or train again.",
            ) from problem

    def checkpoint(self, step: int | None = None) -> dict[str, Any]:
        """What the trainer saved at a step, or last; raises StoreError if there is nothing to go on from.

        Where the last one is damaged, the one before it serves: some batches are then trained again.
        """
        if step is not None:
            return self._read_checkpoint(self.checkpoint_path_at(step))
        try:
            return self._read_checkpoint(self.checkpoint_path)
        except SchemaError:
            raise
        except StoreError:
            for earlier in reversed(self.checkpoints()):
                with contextlib.suppress(StoreError):
                    return self._read_checkpoint(self.checkpoint_path_at(earlier))
            raise

    def _read_checkpoint(self, path: Path) -> dict[str, Any]:
        try:
            with zipfile.ZipFile(path) as parts:  # torch itself does not look at the checksums
                damaged = parts.testzip()
            if damaged:
                raise zipfile.BadZipFile(f"{damaged} has another checksum")
            loaded: Any = torch.load(path, weights_only=True, map_location="cpu")
        except FileNotFoundError:
            steps = ", ".join(str(kept) for kept in self.checkpoints())
            raise StoreError(
                f"Run {self.id} has no {'such ' if steps else ''}checkpoint to go on from.",
                expected=f"There are checkpoints at steps {steps}."
                if steps
                else "The first one is saved a quarter of the way through an epoch, and at every pause and stop.",
                fix="Choose one of them." if steps else "Train again.",
            ) from None
        except Exception as problem:  # torch raises many kinds here; whichever it is, the file cannot be used
            raise StoreError(
                f"The checkpoint of run {self.id} is damaged: {type(problem).__name__}.",
                expected="It is written beside its place and moved there, so the disk may be at fault.",
                fix="Its snapshots can still be looked at; train again to go on.",
            ) from problem
        schema = loaded.get("schema") if isinstance(loaded, dict) else None
        if isinstance(schema, int) and schema > CHECKPOINT_SCHEMA:
            raise SchemaError(f"The checkpoint of run {self.id} was written by a newer version.", fix="Update.")
        if schema == 1:
            raise SchemaError(
                f"The checkpoint of run {self.id} was written by an older version.",
                expected="Its curves and snapshots can still be looked at.",
                fix="Train again to go on.",
            )
        if schema != CHECKPOINT_SCHEMA or not loaded.keys() >= CHECKPOINT_KEYS:
            raise StoreError(f"The checkpoint of run {self.id} is not one.", fix="Train again to go on.")
        checkpoint: dict[str, Any] = loaded
        if not _belongs(checkpoint, self.record):
            raise StoreError(f"The checkpoint of run {self.id} is another run's.", fix="Train again to go on.")
        return checkpoint

    def ask_to_stop(self) -> None:
        """Have the process that trains this run, wherever it was started, end it with a checkpoint."""
        if sys.platform == "win32":
            raise StoreError("Windows lets no process ask another to end.", fix="Stop it in the app, or with Ctrl-C.")
        try:
            pid = int(self.lock_path.read_text()) if self.is_live() else 0
        except (OSError, ValueError):
            pid = 0
        if pid <= 0:
            raise StoreError(f"Run {self.id} is not training.", expected=f"It is {self.history().phase}.")
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError as problem:
            raise StoreError(f"The process {pid} that trains run {self.id} cannot be asked: {problem}.") from problem

    def renamed(self, name: str) -> "Run":
        """The run under another name, written to its record."""
        changed = Run(self.folder, self.record.model_copy(update={"name": clean_name(name) or self.record.name}))
        write_record(changed)
        return changed

    def delete(self) -> None:
        """Remove the folder; raises StoreError for the pretrained run and for one that is training."""
        if self.id == PRETRAINED:
            raise StoreError("The pretrained model comes with the program and stays.")
        doomed = hidden(self.folder)
        try:
            with self.lock_path.open("ab") as lock:
                if not take_lock(lock):
                    raise StoreError(f"Run {self.id} is training.", fix="Stop it first.")
                self.folder.rename(doomed)  # at once and whole: what is left of it is not listed
            shutil.rmtree(doomed)
        except OSError as problem:
            raise cannot_write(self.folder, problem) from problem


def write_record(run: Run) -> None:
    """Put a run's record on the disk, atomically."""
    with writing(run.folder / "run.json") as temporary:
        temporary.write_text(run.record.model_dump_json(by_alias=True, indent=2), encoding="utf-8")


def hidden(folder: Path) -> Path:
    """Where a run folder lies while it is made or deleted: not listed."""
    return folder.with_name(f".{folder.name}")


def _belongs(checkpoint: dict[str, Any], record: RunRecord) -> bool:
    """Whether a checkpoint is of a run's network and recipe, knobs aside."""
    try:
        recipe, architecture = Recipe.read(checkpoint["recipe"]), Architecture.read(checkpoint["architecture"])
    except PlaygroundError:
        return False
    return record.recipe.is_same_but_knobs(recipe) and record.architecture.is_same_but_dropout(architecture)


def _steps_in(folder: Path, suffix: str) -> tuple[int, ...]:
    found = (path.stem for path in folder.glob(f"*{suffix}"))
    return tuple(sorted(int(stem) for stem in found if stem.isdigit()))


def snapshot_bytes(weights: dict[str, Tensor]) -> bytes:
    """Weights as the bytes of a safetensors file."""
    return save_tensors(weights)


def checkpoint_bytes(checkpoint: dict[str, Any]) -> bytes:
    """A checkpoint as the bytes of its file."""
    buffer = BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def append_events(run: Run, *events: Event) -> None:
    """Add to the log of a run that no process is writing; a line torn by a crash stays a line of its own."""
    with run.log_path.open("ab") as log:
        log.write(b"\n" + b"".join(log_line(event) for event in events))


def log_line(event: Event) -> bytes:
    """An event as one line of the log."""
    return json.dumps(event.model_dump(mode="json"), separators=(",", ":")).encode() + b"\n"
