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

from playground.engine.child import child_environment
from playground.errors import PlaygroundError


@dataclass(frozen=True)
class Progress:
    """What is being done, in words, and how far it is; ``total`` is 0 while that is unknown."""

    doing: str
    done: int = 0
    total: int = 0


def tell(steps: Iterator[Progress | str]) -> None:
    """Do work for a process that reads along; a string among its steps names what it made."""
    said = None
    try:
        for step in steps:
            if isinstance(step, str):
                _say({"made": step})
            elif said != (said := (step.doing, 100 * step.done // max(1, step.total))):
                _say(asdict(step))
    except PlaygroundError as problem:
        _say({"problem": [problem.what, problem.expected, problem.fix]})


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Errand:
    """One errand from its start: a module of the package that tells its work, and what it is to be done with.

    ``progress`` is what it said last, ``made`` the name of what came of it, ``problem`` what ended it too early.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self.progress = Progress("Starting")
        self.made: str | None = None
        self.problem: PlaygroundError | None = None
        self._cancelled = False
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=child_environment(),
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
        with self._process.stdout as said:
            for line in said:
                self._take(json.loads(line))
        if self._process.wait() and self.problem is None and not self._cancelled:
            self._errors.seek(0)
            last_words = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            self.problem = PlaygroundError(
                f"The work ended with code {self._process.returncode}. {last_words:.200}".rstrip(),
                fix="Try again; what was downloaded is kept.",
            )
        self._errors.close()

    def _take(self, value: dict[str, Any]) -> None:
        if "problem" in value:
            what, expected, fix = value["problem"]
            self.problem = PlaygroundError(what, expected=expected, fix=fix)
        elif "made" in value:
            self.made = value["made"]
        else:
            self.progress = Progress(**value)
