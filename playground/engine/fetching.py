"""A data set on its way here: fetched by a process of its own, so that no page waits and a cancel takes at once."""

import json
import subprocess
import sys
import threading

from playground.engine.fetch import Progress
from playground.errors import DownloadError, PlaygroundError


class Fetch:
    """One fetch from its start; ``progress`` is what it said last, ``problem`` what ended it too early."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.progress = Progress("Starting")
        self.problem: PlaygroundError | None = None
        self._cancelled = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "playground.engine.fetch", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def is_going_on(self) -> bool:
        """Whether there is something to wait for."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """End it; what was downloaded is kept for the next time."""
        self._cancelled = True
        self._process.terminate()

    def wait(self) -> None:
        """Until it is over."""
        self._thread.join()

    def _follow(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 -- for the type checker: it is a pipe
        for line in self._process.stdout:
            value = json.loads(line)
            if "problem" in value:
                what, expected, fix = value["problem"]
                self.problem = DownloadError(what, expected=expected, fix=fix)
            else:
                self.progress = Progress(**value)
        if self._process.wait() and self.problem is None and not self._cancelled:
            self.problem = DownloadError(
                f"Fetching ended with code {self._process.returncode}.", fix="Try again; what was fetched is kept."
            )
