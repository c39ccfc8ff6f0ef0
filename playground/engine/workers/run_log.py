"""Logs of the scheduler's runs: shared readers, and the last events of a run whose worker cannot write them."""

import contextlib
import threading
from typing import Any, Literal

from playground.core.events import Diagnosed, Event, RunEnded, RunFailed
from playground.core.history import History
from playground.engine.runs.log_reader import LogReader
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import append_events
from playground.engine.workers.launcher import WorkerHandle
from playground.errors import WorkerError

_MAX_LOG_READERS = 512


class LogReaderCache:
    """One log reader for each run, shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[str, LogReader] = {}

    def get(self, run: Run) -> LogReader:
        """Get the reader of a run's log."""
        with self._lock:
            if run.id not in self._readers and len(self._readers) >= _MAX_LOG_READERS:
                self._readers.pop(next(iter(self._readers)))
            return self._readers.setdefault(run.id, LogReader(run))

    def discard(self, run_id: str) -> None:
        """Drop the reader of a deleted run."""
        with self._lock:
            self._readers.pop(run_id, None)


def get_log_size(run: Run) -> int:
    """Size of a run's log in bytes; 0 where it cannot be read."""
    try:
        return run.log_path.stat().st_size
    except OSError:
        return 0


def log_failure(run: Run, history: History, error: WorkerError) -> None:
    """Log that a run could not be started."""
    failed = RunFailed(**_get_position(history), what=error.what, expected=error.expected, fix=error.fix)
    _append_final_events(run, history, failed)


def log_end(run: Run, history: History, status: Literal["stopped", "interrupted"]) -> None:
    """Log that a run was ended before it started."""
    _append_final_events(run, history, RunEnded(**_get_position(history), status=status))


def log_worker_exit(run: Run, history: History, worker: WorkerHandle, exit_code: int) -> None:
    """Log why a worker died, so that every page and a later server can show it; nothing if the run's log has an end."""
    if history.is_over:
        return
    stderr_tail = worker.read_stderr_tail()
    if exit_code < 0:
        is_out_of_memory = exit_code == -9 or "memory" in stderr_tail or "bad_alloc" in stderr_tail
        reason = f"The training process was killed (signal {-exit_code})"
        reason += ", most likely because memory ran out." if is_out_of_memory else "."
    else:
        last_line = stderr_tail.rpartition("\n")[2]
        reason = f"The training process ended with code {exit_code}: {last_line}"
    diagnosed = Diagnosed(
        **_get_position(history),
        diagnosis="worker_died",
        message=f"{reason} Resume continues from the last checkpoint.",
        metrics={"exit_code": float(exit_code)},
    )
    _append_final_events(run, history, diagnosed, RunEnded(**_get_position(history), status="interrupted"))


def _get_position(history: History) -> dict[str, Any]:
    return {"step": history.step, "elapsed_s": history.elapsed_s}


def _append_final_events(run: Run, history: History, *events: Event) -> None:
    if run.is_live() or history.is_over:  # another server trains it, or it ended before it was to be resumed
        return
    with contextlib.suppress(OSError):
        append_events(run.log_path, *events)
