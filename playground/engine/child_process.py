"""Child processes that run a module of this program."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from types import TracebackType

_STDERR_TAIL_BYTES = 4000
_MAX_LINE_LENGTH = 100_000  # characters: a line without an end must not fill the memory


_NEW_GROUP_FLAG: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # exists only on Windows


class ChildProcess:
    """A module of this program in its own Python process, with pipes in UTF-8 and its standard error kept in a file.

    The child imports from the same folders as this process. Raises OSError if the process cannot be started.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        accepts_input: bool = False,
        environment: Mapping[str, str] | None = None,
        is_own_session: bool = False,
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 -- open as long as the process is used
        try:
            self._process: subprocess.Popen[str] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE if accepts_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                encoding="utf-8",
                errors="replace",
                env=build_child_environment() | dict(environment or {}),
                start_new_session=is_own_session,  # a Ctrl-C in the terminal does not reach it
                creationflags=_NEW_GROUP_FLAG if is_own_session else 0,  # the same on Windows
            )
        except BaseException:
            self._stderr.close()
            raise

    def __enter__(self) -> "ChildProcess":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self.close_pipes()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Check that the process has not ended."""
        return self._process.poll() is None

    def write_line(self, line: str) -> None:
        """Write a line to the standard input; raises OSError if the process does not read it any longer."""
        if self._process.stdin is None:
            raise OSError("it has no standard input")
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except ValueError as error:  # the pipe was closed
            raise OSError(str(error)) from error

    def read_lines(self) -> Iterator[str]:
        """Iterate over the lines of the standard output until it ends or the pipe is closed."""
        if self._process.stdout is not None:
            with contextlib.suppress(OSError, ValueError):
                while line := self._process.stdout.readline(_MAX_LINE_LENGTH):
                    yield line

    def read_stderr_tail(self) -> str:
        """Read the last 4,000 bytes that the process wrote to its standard error."""
        try:
            self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - _STDERR_TAIL_BYTES))
            return self._stderr.read().decode(errors="replace").strip()
        except ValueError:  # the file is closed, perhaps by another thread since this call began
            return ""

    def read_last_stderr_line(self) -> str:
        """Read the last line that the process wrote to its standard error."""
        return self.read_stderr_tail().rpartition("\n")[2]

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the end; returns the exit code (negative for a signal), or None after ``timeout_s`` seconds."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process at once and wait for its end."""
        self._process.kill()
        self._process.wait()

    def close_stdin(self) -> None:
        """Close the standard input, which the process reads as its end."""
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin:
                self._process.stdin.close()

    def close_pipes(self) -> None:
        """Close all pipes of a process that has ended."""
        self.close_stdin()
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdout:
                self._process.stdout.close()
        self._stderr.close()


def build_child_environment() -> dict[str, str]:
    """Build the environment of a child process: the same modules, since the program may not be installed, and UTF-8."""
    python_path = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": python_path, "PYTHONIOENCODING": "utf-8"}
