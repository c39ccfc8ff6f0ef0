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
from playground.engine.file_lock import acquire_lock
from playground.engine.paths import atomic_write, make_write_error
from playground.engine.runs.run import Run, serialize_checkpoint, serialize_event, serialize_snapshot
from playground.engine.training.commands import CommandSource
from playground.engine.training.trainer import Trainer
from playground.errors import StorageError

MAX_SNAPSHOTS = 96
MAX_CHECKPOINTS = 24
MAX_KEPT_BYTES = 200 * 1000**2
"""For the snapshots of a run, and again for its checkpoints."""


class Recorder:
    """The one writer of a run folder; holds the run's lock, by which others know that the run is alive."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._log: IO[bytes] | None = None
        self._open_files = contextlib.ExitStack()

    def __enter__(self) -> "Recorder":
        with contextlib.ExitStack() as opened:
            try:
                lock = acquire_lock(self.run.lock_path)
                if lock is None:
                    raise StorageError(
                        f"Run {self.run.id} is being trained by another process.", fix="Stop it there first."
                    )
                opened.callback(lock.release)
                self.run.pid_path.write_text(str(os.getpid()), encoding="utf-8")  # for ``cnn-playground stop``
                opened.callback(_remove_quietly, self.run.pid_path)
                for left_over in self.run.folder.rglob(".*"):  # by a process killed while it wrote
                    if left_over.is_file():
                        left_over.unlink(missing_ok=True)
            except OSError as problem:
                raise make_write_error(self.run.folder, problem) from problem
            self._open_files = opened.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open_files.close()

    def _restore_trainer(self, trainer: Trainer) -> None:
        """Bring the trainer to where the run stands, and drop what was logged after that: it comes again, bit for bit.

        A run without a checkpoint begins anew. The log becomes another file under the same name.
        """
        kept, step = b"", 0
        (self.run.folder / "snapshots").mkdir(exist_ok=True)  # an empty folder is easily left behind by a copy
        if self.run.has_checkpoint():
            checkpoint = self.run.load_checkpoint()
            trainer.restore(checkpoint)
            kept, step = read_truncated_log(self.run, checkpoint), trainer.step
        with atomic_write(self.run.log_path) as temporary:
            temporary.write_bytes(kept)
        for later in self.run.list_snapshot_steps():
            if later > step:
                self.run.get_snapshot_path(later).unlink(missing_ok=True)
        for later in self.run.list_checkpoint_steps():
            if later > step:
                self.run.get_checkpoint_path(later).unlink(missing_ok=True)
        self._log = self._open_files.enter_context(self.run.log_path.open("ab", buffering=0))

    def run_trainer(self, trainer: Trainer, command_source: CommandSource) -> Iterator[Event]:
        """Drive a new trainer from where the run stands to its end, recording every event before passing it on.

        A disk that says no ends the run with a ``run_failed`` that says so (logged if the disk allows that much).
        """
        # Only now, with the lock held: another process may have trained the run further since this one was started.
        try:
            self._restore_trainer(trainer)
        except OSError as problem:
            raise make_write_error(self.run.folder, problem) from problem
        for event in trainer.run(command_source):
            try:
                self._record_event(event, trainer)
            except StorageError as problem:
                words = {"what": problem.what, "expected": problem.expected, "fix": problem.fix}
                yield self._try_log_failure(RunFailed(step=event.step, elapsed_s=event.elapsed_s, **words))
                return
            yield event

    def _record_event(self, event: Event, trainer: Trainer) -> None:
        if not (self.run.folder / "run.json").exists():  # not to be made again, half, by the next checkpoint
            raise StorageError(f"Run {self.run.id} was deleted while it trained.", fix="Train again.")
        if isinstance(event, SnapshotSaved):
            self._save_snapshot(event.step, trainer)
        elif isinstance(event, CheckpointSaved):
            log_bytes = self.run.log_path.stat().st_size
            save_checkpoint(self.run, trainer.create_checkpoint() | {"log_bytes": log_bytes})
        self._append_event(event)

    def _append_event(self, event: Event, *, prefix: bytes = b"") -> None:
        if self._log is None:
            raise StorageError(f"The log of run {self.run.id} is not open.")
        line = prefix + serialize_event(event)
        try:
            # A full disk takes the half that fits, without a word.
            if self._log.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as problem:
            raise make_write_error(self.run.log_path, problem) from problem

    def _try_log_failure(self, failure: RunFailed) -> RunFailed:
        with contextlib.suppress(StorageError):
            self._append_event(failure, prefix=b"\n")  # the line before it may be torn
        return failure

    def _save_snapshot(self, step: int, trainer: Trainer) -> None:
        content = serialize_snapshot(trainer.get_weights())
        with atomic_write(self.run.get_snapshot_path(step)) as temporary:
            temporary.write_bytes(content)
        for old in select_for_pruning(self.run.list_snapshot_steps(), _compute_max_kept(MAX_SNAPSHOTS, len(content))):
            self.run.get_snapshot_path(old).unlink(missing_ok=True)


def _remove_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def save_checkpoint(run: Run, checkpoint: dict[str, Any]) -> None:
    """Keep a checkpoint as a moment to fork from, and as the newest, from which the run is resumed."""
    content = serialize_checkpoint(checkpoint)
    moment = run.get_checkpoint_path(checkpoint["step"])
    try:
        moment.parent.mkdir(exist_ok=True)
    except OSError as problem:
        raise make_write_error(moment.parent, problem) from problem
    with atomic_write(moment) as temporary:
        temporary.write_bytes(content)
    with atomic_write(run.checkpoint_path) as temporary:
        link_or_copy(moment, temporary)
    for old in select_for_pruning(run.list_checkpoint_steps(), _compute_max_kept(MAX_CHECKPOINTS, len(content))):
        run.get_checkpoint_path(old).unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source`` where the disk can do that, else a copy."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def read_truncated_log(run: Run, checkpoint: dict[str, Any]) -> bytes:
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
    return kept + serialize_event(CheckpointSaved(step=step, elapsed_s=round(checkpoint["elapsed_s"], 4)))


def _compute_max_kept(max_count: int, file_bytes: int) -> int:
    return max(2, min(max_count, MAX_KEPT_BYTES // max(1, file_bytes)))


def select_for_pruning(steps: tuple[int, ...], max_kept: int) -> tuple[int, ...]:
    """Which snapshots to give up so that ``max_kept`` stay: each time the one whose neighbours are closest.

    The first and the last always stay. Closeness is relative to the step, so that early moments, in which most
    happens, stay denser than late ones.
    """
    kept, dropped = list(steps), []
    while len(kept) > max(2, max_kept):
        gaps = [(kept[i + 1] - kept[i - 1]) / (kept[i] + 1) for i in range(1, len(kept) - 1)]
        dropped.append(kept.pop(1 + gaps.index(min(gaps))))
    return tuple(dropped)
