"""Background tasks: long work in a process of its own, so that no page waits and canceling takes effect at once.

Such a process prints one JSON object a line: ``{"stage", "completed", "total"}`` while it works, and at its end
``{"error": [what, expected, fix]}`` or ``{"result_name": name}``. Other lines (a library's prints) are ignored, but
count as its last words, as its stderr does.
"""

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from playground.engine.child_process import ChildProcess
from playground.engine.progress import Progress
from playground.errors import PlaygroundError

_PROCESS_SLOTS = threading.BoundedSemaphore(2)  # each takes a core, and a pretrained network's some hundred MB
_POLL_INTERVAL_S = 0.2


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
        self._module, self._arguments = module, arguments
        self._cancelled = threading.Event()
        self._process: ChildProcess | None = None
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
            self._run_process()
        except OSError as error:
            self.error = PlaygroundError(f"The background task cannot start: {error}.", fix="Close other programs.")
        finally:
            _PROCESS_SLOTS.release()

    def _run_process(self) -> None:
        with self._start_lock:
            if self._cancelled.is_set():
                return
            self.progress = Progress("Starting")
            process = self._process = ChildProcess(self._module, *self._arguments)
        with process:
            for line in process.read_lines():
                self._handle_line(line)
            exit_code = process.wait()
            if exit_code and self.error is None and not self._cancelled.is_set():
                last_line = process.read_last_stderr_line() or self._stray_output
                self.error = PlaygroundError(
                    f"The background task ended with code {exit_code}. {last_line:.200}".rstrip(),
                    fix="Try again; partial downloads are kept.",
                )

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
