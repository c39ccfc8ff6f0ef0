"""Recorder of a run: writes the weights or checkpoint of an event first, then logs the event."""

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
from playground.engine.paths import atomic_write, make_write_error, remove_file
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_checkpoint, serialize_event, serialize_snapshot
from playground.engine.training.command_sources import CommandSource
from playground.engine.training.trainer import Trainer
from playground.errors import StorageError

MAX_SNAPSHOTS = 96
MAX_CHECKPOINTS = 24
MAX_KEPT_BYTES = 200 * 1000**2
"""Limit for the snapshots of a run, and the same for its checkpoints."""


class Recorder:
    """The only writer of a run folder; holds the lock of the run, which tells other processes that it is alive."""

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
                if not self._has_record():
                    # ``filelock`` created the folder again, if it was deleted at this moment.
                    opened.close()
                    shutil.rmtree(self.run.folder, ignore_errors=True)
                    raise self._make_deleted_error()
                self.run.pid_path.write_text(str(os.getpid()), encoding="utf-8")  # for ``cnn-playground stop``
                opened.callback(_remove_quietly, self.run.pid_path)
                for stale_file in self.run.folder.rglob(".*"):  # from a process that was killed while it wrote
                    if stale_file.is_file():
                        stale_file.unlink(missing_ok=True)
            except OSError as error:
                raise make_write_error(self.run.folder, error) from error
            self._open_files = opened.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open_files.close()

    def _restore_trainer(self, trainer: Trainer) -> None:
        """Restore the last checkpoint and truncate the log to it: the rest is trained and logged again, bit for bit.

        A run without a checkpoint starts again. The log becomes a new file under the same name.
        """
        kept, step = b"", 0
        (self.run.folder / "snapshots").mkdir(exist_ok=True)  # copying a run may leave out an empty folder
        if self.run.has_checkpoint():
            checkpoint = self.run.load_checkpoint()
            trainer.restore(checkpoint)
            kept, step = read_truncated_log(self.run, checkpoint), trainer.step
        with atomic_write(self.run.log_path) as temporary:
            temporary.write_bytes(kept)
        for later in self.run.list_snapshot_steps():
            if later > step:
                remove_file(self.run.get_snapshot_path(later))
        for later in self.run.list_checkpoint_steps():
            if later > step:
                remove_file(self.run.get_checkpoint_path(later))
        self._log = self._open_files.enter_context(self.run.log_path.open("ab", buffering=0))

    def run_trainer(self, trainer: Trainer, command_source: CommandSource) -> Iterator[Event]:
        """Run a new trainer from the last checkpoint to its end, recording every event before yielding it.

        A failed write ends the run with ``run_failed`` (logged if the disk permits it).
        """
        # With the lock held: another process may have trained the run further since this one was started.
        try:
            self._restore_trainer(trainer)
        except OSError as error:
            raise make_write_error(self.run.folder, error) from error
        for event in trainer.run(command_source):
            try:
                self._record_event(event, trainer)
            except StorageError as error:
                words = {"what": error.what, "expected": error.expected, "fix": error.fix}
                yield self._try_log_failure(RunFailed(step=event.step, elapsed_s=event.elapsed_s, **words))
                return
            yield event

    def _has_record(self) -> bool:
        return (self.run.folder / "run.json").exists()

    def _make_deleted_error(self) -> StorageError:
        return StorageError(f"Run {self.run.id} was deleted while it trained.", fix="Train again.")

    def _record_event(self, event: Event, trainer: Trainer) -> None:
        if not self._has_record():  # the next checkpoint must not create the folder again
            raise self._make_deleted_error()
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
            # A full disk writes the part that fits, without an error.
            if self._log.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise make_write_error(self.run.log_path, error) from error

    def _try_log_failure(self, failure: RunFailed) -> RunFailed:
        with contextlib.suppress(StorageError):
            self._append_event(failure, prefix=b"\n")  # the line before may be incomplete
        return failure

    def _save_snapshot(self, step: int, trainer: Trainer) -> None:
        content = serialize_snapshot(trainer.get_weights())
        with atomic_write(self.run.get_snapshot_path(step)) as temporary:
            temporary.write_bytes(content)
        for old in select_for_pruning(self.run.list_snapshot_steps(), _compute_max_kept(MAX_SNAPSHOTS, len(content))):
            _remove_quietly(self.run.get_snapshot_path(old))


def _remove_quietly(path: Path) -> None:
    """Delete a file, or leave it to the next time: on Windows a file that a page reads cannot be deleted."""
    with contextlib.suppress(OSError):
        path.unlink()


def save_checkpoint(run: Run, checkpoint: dict[str, Any]) -> None:
    """Save a checkpoint as one to fork from and as the newest one, from which the run is resumed."""
    content = serialize_checkpoint(checkpoint)
    path = run.get_checkpoint_path(checkpoint["step"])
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise make_write_error(path.parent, error) from error
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    with atomic_write(run.checkpoint_path) as temporary:
        link_or_copy(path, temporary)
    for old in select_for_pruning(run.list_checkpoint_steps(), _compute_max_kept(MAX_CHECKPOINTS, len(content))):
        _remove_quietly(run.get_checkpoint_path(old))


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link ``source`` to ``target`` where the file system can do that, otherwise copy it."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def read_truncated_log(run: Run, checkpoint: dict[str, Any]) -> bytes:
    """Read a run's log up to and including the line of a checkpoint; of a damaged log, the lines that can be read."""
    length, step = checkpoint["log_bytes"], checkpoint["step"]
    try:
        log = run.log_path.read_bytes()
    except FileNotFoundError:
        log = b""
    kept = log[:length]
    is_complete = len(log) >= length and kept[-1:] in (b"\n", b"")
    if not is_complete or any(line and parse_event(line) is None for line in kept.splitlines()):
        events = [(line, parse_event(line)) for line in log.splitlines()]
        kept = b"".join(line + b"\n" for line, event in events if event is not None and event.step <= step)
    return kept + serialize_event(CheckpointSaved(step=step, elapsed_s=round(checkpoint["elapsed_s"], 4)))


def _compute_max_kept(max_count: int, file_bytes: int) -> int:
    return max(2, min(max_count, MAX_KEPT_BYTES // max(1, file_bytes)))


def select_for_pruning(steps: tuple[int, ...], max_kept: int) -> tuple[int, ...]:
    """Select the steps to delete so that ``max_kept`` stay: repeatedly the one whose neighbors are closest.

    The first and the last step always stay. Distance is relative to the step, so that early steps, in which most
    changes, stay denser than late ones.
    """
    kept, dropped = list(steps), []
    while len(kept) > max(2, max_kept):
        gaps = [(kept[i + 1] - kept[i - 1]) / (kept[i] + 1) for i in range(1, len(kept) - 1)]
        dropped.append(kept.pop(1 + gaps.index(min(gaps))))
    return tuple(dropped)
