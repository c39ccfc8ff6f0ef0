"""Launcher protocol: how the scheduler starts training, on this machine or elsewhere."""

from typing import Protocol

from playground.core.events import Command
from playground.engine.workers.job import JobSpec


class WorkerHandle(Protocol):
    """One started job. Every method may be called from any thread."""

    @property
    def pid(self) -> int:
        """Process id of the worker, or a number that stands for it."""

    def send_command(self, command: Command) -> None:
        """Send a command to the run; raises WorkerError if the worker is gone."""

    def is_alive(self) -> bool:
        """Check that the worker has not ended."""

    def wait(self) -> int:
        """Wait for the end; returns the exit code, 0 for success and negative for a signal."""

    def request_end(self) -> None:
        """Ask the worker to save its run as interrupted and to end; returns at once."""

    def terminate(self) -> None:
        """Request the end, wait a few seconds, then kill the worker; releases everything that it holds here."""

    def read_stderr_tail(self) -> str:
        """Read the end of what the worker wrote to its standard error."""

    def release(self) -> None:
        """Release the resources of a worker that has ended."""


class Launcher(Protocol):
    """Starts workers. Every method may be called from any thread."""

    @property
    def reference_images_per_second(self) -> float | None:
        """Training speed of the guide network on this launcher's machine, if it was measured."""

    @property
    def spare_pid(self) -> int | None:
        """Process id of the warm worker, if there is one."""

    def start(self, job: JobSpec) -> WorkerHandle:
        """Start a job; raises WorkerError if that fails."""

    def prepare(self) -> None:
        """Warm up a worker for the next start, where the launcher keeps one; never fails."""

    def wait_until_prepared(self, timeout_s: float) -> bool:
        """Wait until the next start will be fast; False if that takes longer than ``timeout_s``."""

    def close(self) -> None:
        """End the workers that have no job."""
