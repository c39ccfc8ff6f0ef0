"""Writing a run: each event is made true on the disk first (weights, checkpoint), then logged."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from playground.core.events import CheckpointSaved, Event, RunFailed, SnapshotSaved, parse_event
from playground.engine.file_lock import take_lock
from playground.engine.paths import cannot_write, writing
from playground.engine.runs.run import Run, checkpoint_bytes, log_line, snapshot_bytes
from playground.engine.training.commands import Inbox
from playground.engine.training.trainer import Trainer
from playground.errors import StoreError

MAX_SNAPSHOTS = 96
MAX_CHECKPOINTS = 24
MAX_KEPT_BYTES = 200 * 1000**2
"""For the snapshots of a run, and again for its checkpoints."""


class Recorder:
    """The one writer of a run folder; holds the run's lock, by which others know that the run is alive."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._log: IO[bytes] | None = None
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> "Recorder":
        with contextlib.ExitStack() as opened:
            try:
                lock = opened.enter_context(self.run.lock_path.open("ab", buffering=0))
                if not take_lock(lock):
                    raise StoreError(
                        f"Run {self.run.id} is being trained by another process.", fix="Stop it there first."
                    )
                lock.truncate(0)
                opened.callback(_empty, lock)  # else its number might one day be another process's
                lock.write(str(os.getpid()).encode())  # whom ``cnn-playground stop`` asks
                for left_over in self.run.folder.rglob(".*"):  # by a process killed while it wrote
                    if left_over.is_file():
                        left_over.unlink(missing_ok=True)
            except OSError as problem:
                raise cannot_write(self.run.folder, problem) from problem
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _take_up(self, trainer: Trainer) -> None:
        """Bring the trainer to where the run stands, and drop what was logged after that: it comes again, bit for bit.

        A run without a checkpoint begins anew. The log becomes another file under the same name.
        """
        kept, step = b"", 0
        (self.run.folder / "snapshots").mkdir(exist_ok=True)  # an empty folder is easily left behind by a copy
        if self.run.has_checkpoint():
            checkpoint = self.run.checkpoint()
            trainer.restore(checkpoint)
            kept, step = log_until(self.run, checkpoint), trainer.step
        with writing(self.run.log_path) as temporary:
            temporary.write_bytes(kept)
        for later in self.run.snapshots():
            if later > step:
                self.run.snapshot_path(later).unlink(missing_ok=True)
        for later in self.run.checkpoints():
            if later > step:
                self.run.checkpoint_path_at(later).unlink(missing_ok=True)
        self._log = self._opened.enter_context(self.run.log_path.open("ab", buffering=0))

    def follow(self, trainer: Trainer, inbox: Inbox) -> Iterator[Event]:
        """Drive a new trainer from where the run stands to its end, recording every event before passing it on.

        A disk that says no ends the run with a ``run_failed`` that says so (logged if the disk allows that much).
        """
        # Only now, with the lock held: another process may have trained the run further since this one was started.
        try:
            self._take_up(trainer)
        except OSError as problem:
            raise cannot_write(self.run.folder, problem) from problem
        for event in trainer.run(inbox):
            try:
                self._record(event, trainer)
            except StoreError as problem:
                words = {"what": problem.what, "expected": problem.expected, "fix": problem.fix}
                yield self._log_if_possible(RunFailed(step=event.step, elapsed_s=event.elapsed_s, **words))
                return
            yield event

    def _record(self, event: Event, trainer: Trainer) -> None:
        if not (self.run.folder / "run.json").exists():  # not to be made again, half, by the next checkpoint
            raise StoreError(f"Run {self.run.id} was deleted while it trained.", fix="Train again.")
        if isinstance(event, SnapshotSaved):
            self._save_snapshot(event.step, trainer)
        elif isinstance(event, CheckpointSaved):
            log_bytes = self.run.log_path.stat().st_size
            save_checkpoint(self.run, trainer.checkpoint() | {"log_bytes": log_bytes})
        self._append(event)

    def _append(self, event: Event, *, before: bytes = b"") -> None:
        if self._log is None:
            raise StoreError(f"The log of run {self.run.id} is not open.")
        line = before + log_line(event)
        try:
            # A full disk takes the half that fits, without a word.
            if self._log.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as problem:
            raise cannot_write(self.run.log_path, problem) from problem

    def _log_if_possible(self, failure: RunFailed) -> RunFailed:
        with contextlib.suppress(StoreError):
            self._append(failure, before=b"\n")  # the line before it may be torn
        return failure

    def _save_snapshot(self, step: int, trainer: Trainer) -> None:
        content = snapshot_bytes(trainer.weights())
        with writing(self.run.snapshot_path(step)) as temporary:
            temporary.write_bytes(content)
        for old in thinned(self.run.snapshots(), _allowed(MAX_SNAPSHOTS, len(content))):
            self.run.snapshot_path(old).unlink(missing_ok=True)


def _empty(lock: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        lock.truncate(0)


def save_checkpoint(run: Run, checkpoint: dict[str, Any]) -> None:
    """Keep a checkpoint as a moment to fork from, and as the newest, from which the run is resumed."""
    content = checkpoint_bytes(checkpoint)
    moment = run.checkpoint_path_at(checkpoint["step"])
    try:
        moment.parent.mkdir(exist_ok=True)
    except OSError as problem:
        raise cannot_write(moment.parent, problem) from problem
    with writing(moment) as temporary:
        temporary.write_bytes(content)
    with writing(run.checkpoint_path) as temporary:
        same_bytes(moment, temporary)
    for old in thinned(run.checkpoints(), _allowed(MAX_CHECKPOINTS, len(content))):
        run.checkpoint_path_at(old).unlink(missing_ok=True)


def same_bytes(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source`` where the disk can do that, else a copy."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def log_until(run: Run, checkpoint: dict[str, Any]) -> bytes:
    """A run's log up to a checkpoint and the line that tells of it; of a log that was damaged, what can be read."""
    length, step = checkpoint["log_bytes"], checkpoint["step"]
    try:
        log = run.log_path.read_bytes()
    except FileNotFoundError:
        log = b""
    kept = log[:length]
    whole = len(log) >= length and kept[-1:] in (b"\n", b"")
    if not whole or any(line and parse_event(line) is None for line in kept.splitlines()):
        events = [(line, parse_event(line)) for line in log.splitlines()]
        kept = b"".join(line + b"\n" for line, event in events if event is not None and event.step <= step)
    return kept + log_line(CheckpointSaved(step=step, elapsed_s=round(checkpoint["elapsed_s"], 4)))


def _allowed(most: int, size: int) -> int:
    return max(2, min(most, MAX_KEPT_BYTES // max(1, size)))


def thinned(steps: tuple[int, ...], allowed: int) -> tuple[int, ...]:
    """Which snapshots to give up so that ``allowed`` stay: each time the one whose neighbours are closest.

    The first and the last always stay. Closeness is relative to the step, so that early moments, in which most
    happens, stay denser than late ones.
    """
    kept, dropped = list(steps), []
    while len(kept) > max(2, allowed):
        gaps = [(kept[i + 1] - kept[i - 1]) / (kept[i] + 1) for i in range(1, len(kept) - 1)]
        dropped.append(kept.pop(1 + gaps.index(min(gaps))))
    return tuple(dropped)
