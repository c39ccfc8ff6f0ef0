"""One worker process as the server sees it: started warm, given a run, sent commands, ended."""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from typing import IO

from playground.core.events import Command
from playground.engine.child_env import child_environment
from playground.engine.runs.run import Run
from playground.engine.workers.job import Order
from playground.engine.workers.malloc import BEFORE_THE_START
from playground.errors import WorkerError

_PATIENCE_S = 5.0


class Session:
    """A worker process. Its pipe is the lifeline: when this process goes, the worker saves and ends."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.images_per_second: float | None = None
        self.ready = threading.Event()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._writing = threading.Lock()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "playground.engine.workers.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=BEFORE_THE_START | child_environment(),
                start_new_session=True,
            )
        except OSError as problem:
            self._errors.close()
            raise WorkerError(
                f"The training process cannot be started: {problem}.",
                expected="The machine has room for one more Python process with torch (about 500 MB).",
                fix="Close other programs and try again.",
            ) from problem
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The operating system's number of the process."""
        return self.process.pid

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def assign(self, run: Run, order: Order) -> None:
        """Give the worker its run; raises WorkerError if it is gone."""
        self.run = run
        self._write(order.model_dump_json())

    def send(self, command: Command) -> None:
        """Ask something of the run; raises WorkerError if the worker is gone."""
        self._write(command.model_dump_json())

    def wait(self) -> int:
        """Wait for the end; the exit code, negative for a signal."""
        code = self.process.wait()
        self._listener.join(_PATIENCE_S)
        return code

    def dispose(self) -> None:
        """Let go of the pipes of a process that has ended."""
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()

    def last_words(self) -> str:
        """The last line that the process wrote to its standard error."""
        return self.complaints().rpartition("\n")[2]

    def complaints(self) -> str:
        """The end of what the process wrote to its standard error."""
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        return self._errors.read()[-4000:].decode(errors="replace").strip()

    def release(self) -> None:
        """Close the pipe, by which a run is saved as interrupted."""
        with contextlib.suppress(OSError, ValueError):
            if self.process.stdin:
                self.process.stdin.close()

    def close(self, *, patience_s: float = _PATIENCE_S) -> None:
        """Release the process and wait for its end; kill it if that takes too long."""
        self.release()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._listener.join(_PATIENCE_S)
        self.dispose()

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()

    def _write(self, line: str) -> None:
        try:
            with self._writing:
                if self.process.stdin is None:
                    raise OSError("no pipe")
                self.process.stdin.write(line + "\n")
                self.process.stdin.flush()
        except (OSError, ValueError) as problem:
            raise WorkerError(
                f"The training process cannot be reached: {problem}.",
                expected=self.last_words(),
                fix="If the run was interrupted, resume it.",
            ) from problem

    def _listen(self) -> None:
        if self.process.stdout is None:
            return
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                self.images_per_second = float(said["images_per_second"]) or None
                self.ready.set()
