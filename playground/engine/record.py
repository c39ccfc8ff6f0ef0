"""Writing a run: each event is made true on the disk first (weights, checkpoint), then logged."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from playground.engine.home import cannot_write, writing
from playground.engine.inbox import Inbox
from playground.engine.locks import take_lock
from playground.engine.store import Run, checkpoint_bytes, log_line, snapshot_bytes
from playground.engine.train import Trainer
from playground.errors import StoreError
from playground.spec.events import CheckpointSaved, Event, RunFailed, SnapshotSaved, parse_event

MAX_SNAPSHOTS = 96
MAX_SNAPSHOT_BYTES = 200 * 1000**2


class Recorder:
    """The one writer of a run folder; holds the run's lock, by which others know that the run is alive."""

    def __init__(self, run: Run, *, from_step: int | None = None) -> None:
        self.run = run
        self._from_step = from_step
        self._log: IO[bytes] | None = None
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> "Recorder":
        with contextlib.ExitStack() as opened:
            try:
                lock = opened.enter_context(self.run.lock_path.open("ab"))
                if not take_lock(lock):
                    raise StoreError(
                        f"Run {self.run.id} is being trained by another process.", fix="Stop it there first."
                    )
                if self._from_step is not None:
                    self._rewind(self._from_step)
                self._log = opened.enter_context(self.run.log_path.open("ab", buffering=0))
            except OSError as problem:
                raise cannot_write(self.run.log_path, problem) from problem
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _rewind(self, step: int) -> None:
        """Drop what was logged after the checkpoint at ``step``: a killed run repeats those batches, bit for bit.

        The log becomes another file under the same name, by which readers notice that it began anew.
        """
        lines = self.run.log_path.read_bytes().splitlines()
        parsed = [(line, event) for line in lines if (event := parse_event(line)) is not None and event.step <= step]
        # A process killed between writing the checkpoint and logging it has logged nothing after it either.
        saved = [place for place, (_, event) in enumerate(parsed) if _is_checkpoint(event, step)]
        kept = [line + b"\n" for line, _ in parsed[: saved[-1] + 1 if saved else None]]
        with writing(self.run.log_path) as temporary:
            temporary.write_bytes(b"".join(kept))
        for later in self.run.snapshots():
            if later > step:
                self._snapshot_path(later).unlink(missing_ok=True)

    def follow(self, trainer: Trainer, inbox: Inbox) -> Iterator[Event]:
        """Drive a trainer to its end, recording every event before passing it on.

        A disk that says no ends the run with a ``run_failed`` that says so (logged if the disk allows that much).
        """
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
            with writing(self.run.checkpoint_path) as temporary:
                temporary.write_bytes(checkpoint_bytes(trainer.checkpoint()))
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
        with writing(self._snapshot_path(step)) as temporary:
            temporary.write_bytes(content)
        allowed = max(2, min(MAX_SNAPSHOTS, MAX_SNAPSHOT_BYTES // max(1, len(content))))
        for old in thinned(self.run.snapshots(), allowed):
            self._snapshot_path(old).unlink(missing_ok=True)

    def _snapshot_path(self, step: int) -> Path:
        return self.run.folder / "snapshots" / f"{step}.safetensors"


def _is_checkpoint(event: Event, step: int) -> bool:
    return isinstance(event, CheckpointSaved) and event.step == step


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
