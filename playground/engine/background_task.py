"""Background tasks: long work in a process of its own, so that no page waits and canceling takes effect at once.

Such a process prints one JSON object a line: ``{"stage", "completed", "total"}`` while it works, and at its end
``{"error": [what, expected, fix]}`` or ``{"result_name": name}``. Other lines (a library's prints) are ignored, but
count as its last words, as its stderr does.
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO, Any

from playground.engine.child_env import build_child_environment
from playground.engine.progress import Progress
from playground.errors import PlaygroundError

_PROCESS_SLOTS = threading.BoundedSemaphore(2)  # each takes a core, and a pretrained network's some hundred MB
_POLL_INTERVAL_S = 0.2
_MAX_LINE_LENGTH = 100_000  # characters; no message is that long, and a line without an end must not fill the memory


def report_progress(updates: Iterator[Progress | str]) -> None:
    """Do work in a background process and print its progress; a string among the updates names the result."""
    last_reported = None
    try:
        for update in updates:
            if isinstance(update, str):
                _write_message({"result_name": update})
            elif last_reported != (percent := (update.stage, 100 * update.completed // max(1, update.total))):
                last_reported = percent
                _write_message(asdict(update))
    except PlaygroundError as error:
        _write_message({"error": [error.what, error.expected, error.fix]})


def _write_message(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class BackgroundTask:
    """A module of the package that runs as a background process and reports its progress.

    ``progress`` is its last report, ``result_name`` the name of the result (a dataset's), ``error`` the reason for an
    early end. At most two tasks run at a time; the others wait.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self.progress = Progress("Waiting for other tasks to finish")
        self.result_name: str | None = None
        self.error: PlaygroundError | None = None
        self._command = [sys.executable, "-m", module, *arguments]
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._stray_output = ""
        self._start_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """True until the task has ended, also while it waits for its turn."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """End the task; partial downloads are kept."""
        self._cancelled.set()
        with self._start_lock:
            if self._process:
                self._process.terminate()

    def wait(self) -> None:
        """Block until the task has ended."""
        self._thread.join()

    def _run(self) -> None:
        while not _PROCESS_SLOTS.acquire(timeout=_POLL_INTERVAL_S):
            if self._cancelled.is_set():
                return
        try:
            with tempfile.TemporaryFile() as stderr:
                self._run_process(stderr)
        except OSError as error:
            self.error = PlaygroundError(f"The background task cannot start: {error}.", fix="Close other programs.")
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
                encoding="utf-8",
                errors="replace",
                env=build_child_environment(),
            )
        assert process.stdout is not None  # noqa: S101 -- for the type checker: it is a pipe
        with process.stdout as stdout:
            while line := stdout.readline(_MAX_LINE_LENGTH):
                self._handle_line(line)
        if process.wait() and self.error is None and not self._cancelled.is_set():
            self.error = PlaygroundError(
                f"The background task ended with code {process.returncode}. {self._read_last_line(stderr):.200}".rstrip(),
                fix="Try again; partial downloads are kept.",
            )

    def _read_last_line(self, stderr: IO[bytes]) -> str:
        """Last line of stderr, or of the output that was no message."""
        stderr.seek(0)
        return (stderr.read().decode(errors="replace").strip() or self._stray_output).rpartition("\n")[2]

    def _handle_line(self, line: str) -> None:
        try:
            match json.loads(line):
                case {"error": [str(what), str(expected), str(fix)]}:
                    self.error = PlaygroundError(what, expected=expected, fix=fix)
                case {"result_name": str(name)}:
                    self.result_name = name
                case {"stage": str(stage), "completed": int(completed), "total": int(total)}:
                    self.progress = Progress(stage, completed, total)
                case _:
                    self._stray_output = line.strip() or self._stray_output
        except (ValueError, RecursionError):  # not JSON
            self._stray_output = line.strip() or self._stray_output
