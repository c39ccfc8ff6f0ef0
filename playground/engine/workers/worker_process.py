"""One worker process as the server sees it: started warm, given a run, sent commands, ended."""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from typing import IO

from playground.core.events import Command
from playground.engine.child_env import build_child_environment
from playground.engine.runs.run import Run
from playground.engine.workers.job import JobSpec
from playground.engine.workers.malloc import WORKER_ENVIRONMENT
from playground.errors import WorkerError

_CLOSE_TIMEOUT_S = 5.0


class WorkerProcess:
    """A worker process. Its pipe is the lifeline: when this process goes, the worker saves and ends."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.reference_images_per_second: float | None = None
        self.ready = threading.Event()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._write_lock = threading.Lock()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "playground.engine.workers.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                env=WORKER_ENVIRONMENT | build_child_environment(),
                start_new_session=True,
            )
        except OSError as problem:
            self._stderr.close()
            raise WorkerError(
                f"The training process cannot be started: {problem}.",
                expected="The machine has room for one more Python process with torch (about 500 MB).",
                fix="Close other programs and try again.",
            ) from problem
        self._reader_thread = threading.Thread(target=self._read_ready_message, daemon=True)
        self._reader_thread.start()

    @property
    def pid(self) -> int:
        """The operating system's number of the process."""
        return self.process.pid

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def assign(self, run: Run, job: JobSpec) -> None:
        """Give the worker its run; raises WorkerError if it is gone."""
        self.run = run
        self._write_line(job.model_dump_json())

    def send_command(self, command: Command) -> None:
        """Ask something of the run; raises WorkerError if the worker is gone."""
        self._write_line(command.model_dump_json())

    def wait(self) -> int:
        """Wait for the end; the exit code, negative for a signal."""
        code = self.process.wait()
        self._reader_thread.join(_CLOSE_TIMEOUT_S)
        return code

    def close_pipes(self) -> None:
        """Let go of the pipes of a process that has ended."""
        for stream in (self.process.stdin, self.process.stdout, self._stderr):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()

    def read_last_stderr_line(self) -> str:
        """The last line that the process wrote to its standard error."""
        return self.read_stderr_tail().rpartition("\n")[2]

    def read_stderr_tail(self) -> str:
        """The end of what the process wrote to its standard error."""
        if self._stderr.closed:
            return ""
        self._stderr.seek(0)
        return self._stderr.read()[-4000:].decode(errors="replace").strip()

    def close_stdin(self) -> None:
        """Close the pipe, by which a run is saved as interrupted."""
        with contextlib.suppress(OSError, ValueError):
            if self.process.stdin:
                self.process.stdin.close()

    def close(self, *, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Release the process and wait for its end; kill it if that takes too long."""
        self.close_stdin()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader_thread.join(_CLOSE_TIMEOUT_S)
        self.close_pipes()

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()

    def _write_line(self, line: str) -> None:
        try:
            with self._write_lock:
                if self.process.stdin is None:
                    raise OSError("no pipe")
                self.process.stdin.write(line + "\n")
                self.process.stdin.flush()
        except (OSError, ValueError) as problem:
            raise WorkerError(
                f"The training process cannot be reached: {problem}.",
                expected=self.read_last_stderr_line(),
                fix="If the run was interrupted, resume it.",
            ) from problem

    def _read_ready_message(self) -> None:
        if self.process.stdout is None:
            return
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                self.reference_images_per_second = float(said["images_per_second"]) or None
                self.ready.set()
