"""Following a growing log: each new line is read once, however many pages look at the run."""

import os
import threading

from playground.engine.store import Run
from playground.spec.events import parse_event
from playground.spec.history import History


class LogTail:
    """A run's history that catches up with its log when asked; safe to share between threads."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._offset = 0
        self._file: int | None = None
        self._history = History()

    def history(self) -> History:
        """The fold of everything logged so far; the phase takes into account whether anybody still writes."""
        with self._lock:
            self._catch_up()
            # Liveness is asked after reading, and the log read once more if it has just ended: else the last lines
            # of a run that ends between the two would look like a crash.
            if self._history.phase in ("training", "paused") and not self.run.is_live():
                self._catch_up()
            seen = self._history.copy()
        seen.phase = self.run.phase(seen)
        return seen

    def _catch_up(self) -> None:
        try:
            log = self.run.log_path.open("rb")
        except OSError:
            return
        with log:
            status = os.fstat(log.fileno())
            if status.st_ino != self._file or status.st_size < self._offset:
                self._file, self._offset, self._history = status.st_ino, 0, History()
            log.seek(self._offset)
            content = log.read()
        whole = content.rfind(b"\n") + 1
        for line in content[:whole].splitlines():
            event = parse_event(line)
            if event is not None:
                self._history.add(event)
        self._offset += whole
