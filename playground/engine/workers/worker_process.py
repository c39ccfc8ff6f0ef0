"""Worker handle for a local process: started warm, given a job, sent commands, ended."""

import contextlib
import json
import threading

from playground.core.events import Command
from playground.engine.child_process import ChildProcess
from playground.engine.workers.job import JobSpec
from playground.engine.workers.malloc import WORKER_ENVIRONMENT
from playground.errors import WorkerError

_CLOSE_TIMEOUT_S = 5.0


class WorkerProcess:
    """A local worker process. Its standard input is its lifeline: when this process ends, the worker saves and ends."""

    def __init__(self) -> None:
        self.reference_images_per_second: float | None = None
        self.ready = threading.Event()
        self._write_lock = threading.Lock()
        try:
            self._process = ChildProcess(
                "playground.engine.workers.worker",
                accepts_input=True,
                environment=WORKER_ENVIRONMENT,
                is_own_session=True,
            )
        except OSError as error:
            raise WorkerError(
                f"The training process cannot be started: {error}.",
                expected="The machine has room for one more Python process with torch (about 500 MB).",
                fix="Close other programs and try again.",
            ) from error
        self._reader_thread = threading.Thread(target=self._read_ready_message, daemon=True)
        self._reader_thread.start()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Check that the process has not ended."""
        return self._process.is_alive()

    def assign(self, job: JobSpec) -> None:
        """Give the worker its job; raises WorkerError if it is gone."""
        self._write_line(job.model_dump_json())

    def send_command(self, command: Command) -> None:
        """Send a command to the run; raises WorkerError if the worker is gone."""
        self._write_line(command.model_dump_json())

    def wait(self) -> int:
        """Wait for the end; returns the exit code, negative for a signal."""
        exit_code = self._process.wait()
        self._reader_thread.join(_CLOSE_TIMEOUT_S)
        return exit_code or 0

    def read_stderr_tail(self) -> str:
        """Read the end of what the process wrote to its standard error."""
        return self._process.read_stderr_tail()

    def request_end(self) -> None:
        """Close the standard input, upon which the worker saves its run as interrupted."""
        self._process.close_stdin()

    def terminate(self, *, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Request the end and wait for it; kill the process after ``timeout_s`` seconds."""
        self.request_end()
        if self._process.wait(timeout_s) is None:
            self._process.kill()
        self._reader_thread.join(_CLOSE_TIMEOUT_S)
        self.release()

    def release(self) -> None:
        """Close the pipes of a process that has ended."""
        self._process.close_pipes()

    def _write_line(self, line: str) -> None:
        try:
            with self._write_lock:
                self._process.write_line(line)
        except OSError as error:
            raise WorkerError(
                f"The training process cannot be reached: {error}.",
                expected=self._process.read_last_stderr_line(),
                fix="If the run was interrupted, resume it.",
            ) from error

    def _read_ready_message(self) -> None:
        for line in self._process.read_lines():
            with contextlib.suppress(ValueError, TypeError, KeyError):  # a library may print lines of its own
                self.reference_images_per_second = float(json.loads(line)["images_per_second"]) or None
                self.ready.set()
