"""Errands: long work in a process of its own, so that no page waits and a cancel takes at once.

Such a process prints one JSON value a line: ``{"doing", "done", "total"}`` while it goes on, at last
``{"problem": [what, expected, fix]}``, or ``{"made": name}`` where something came of it that has a name.
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

from playground.engine.child_env import build_child_environment
from playground.errors import PlaygroundError

_PROCESS_SLOTS = threading.BoundedSemaphore(2)  # each takes a core, and a pretrained net's some hundred MB
_POLL_INTERVAL_S = 0.2


@dataclass(frozen=True)
class Progress:
    """What is being done, in words, and how far it is; ``total`` is 0 while that is unknown."""

    description: str
    completed: int = 0
    total: int = 0


def report_progress(updates: Iterator[Progress | str]) -> None:
    """Do work for a process that reads along; a string among its steps names what it made."""
    said = None
    try:
        for step in updates:
            if isinstance(step, str):
                _write_message({"made": step})
            elif said != (said := (step.description, 100 * step.completed // max(1, step.total))):
                _write_message(asdict(step))
    except PlaygroundError as problem:
        _write_message({"problem": [problem.what, problem.expected, problem.fix]})


def _write_message(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class BackgroundTask:
    """One errand from its start: a module of the package that tells its work, and what it is to be done with.

    ``progress`` is what it said last, ``made`` the name of what came of it, ``error`` what ended it too early.
    Two are run at a time; the others wait.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self.progress = Progress("Waiting for others to be done")
        self.result_name: str | None = None
        self.error: PlaygroundError | None = None
        self._command = [sys.executable, "-m", module, *arguments]
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._start_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether there is something to wait for."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """End it; what was downloaded is kept for the next time."""
        self._cancelled.set()
        with self._start_lock:
            if self._process:
                self._process.terminate()

    def wait(self) -> None:
        """Until it is over."""
        self._thread.join()

    def _run(self) -> None:
        while not _PROCESS_SLOTS.acquire(timeout=_POLL_INTERVAL_S):
            if self._cancelled.is_set():
                return
        try:
            with tempfile.TemporaryFile() as errors:
                self._run_process(errors)
        except OSError as problem:
            self.error = PlaygroundError(f"The work cannot be started: {problem}.", fix="Close other programs.")
        finally:
            _PROCESS_SLOTS.release()

    def _run_process(self, stderr: IO[bytes]) -> None:
        with self._start_lock:
            if self._cancelled.is_set():
                return
            self.progress = Progress("Starting")
            process = self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=build_child_environment(),
            )
        assert process.stdout is not None  # noqa: S101 -- for the type checker: it is a pipe
        with process.stdout as said:
            for line in said:
                self._handle_message(json.loads(line))
        if process.wait() and self.error is None and not self._cancelled.is_set():
            stderr.seek(0)
            last_words = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            self.error = PlaygroundError(
                f"The work ended with code {process.returncode}. {last_words:.200}".rstrip(),
                fix="Try again; what was downloaded is kept.",
            )

    def _handle_message(self, message: dict[str, Any]) -> None:
        if "problem" in message:
            what, expected, fix = message["problem"]
            self.error = PlaygroundError(what, expected=expected, fix=fix)
        elif "made" in message:
            self.result_name = message["made"]
        else:
            self.progress = Progress(**message)
