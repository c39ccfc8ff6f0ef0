"""Following a growing log: each new line is read once, however many pages look at the run."""

import threading

from playground.core.events import parse_event
from playground.core.history import History
from playground.engine.runs.run import Run

_OVERLAP_BYTES = 512


class LogReader:
    """A run's history that catches up with its log when asked; safe to share between threads."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._offset = 0
        self._last_bytes = b""
        self._history = History()

    def read_history(self) -> History:
        """The fold of everything logged so far; the phase takes into account whether anybody still writes."""
        with self._lock:
            self._read_new_events()
            # Liveness is asked after reading, and the log read once more if it has just ended: else the last lines
            # of a run that ends between the two would look like a crash.
            if self._history.status in ("training", "paused") and not self.run.is_live():
                self._read_new_events()
            seen = self._history.copy()
        seen.status = self.run.determine_phase(seen)
        return seen

    def _read_new_events(self) -> None:
        try:
            log = self.run.log_path.open("rb")
        except OSError:
            return
        with log:
            log.seek(self._offset - len(self._last_bytes))
            content = log.read()
            if not content.startswith(self._last_bytes):  # a resumed run began its log anew, without what it repeats
                self._offset, self._last_bytes, self._history = 0, b"", History()
                log.seek(0)
                content = log.read()
        new = content[len(self._last_bytes) : content.rfind(b"\n") + 1]
        for line in new.splitlines():
            event = parse_event(line)
            if event is not None:
                self._history.add(event)
        self._offset += len(new)
        self._last_bytes = (self._last_bytes + new)[-_OVERLAP_BYTES:]
