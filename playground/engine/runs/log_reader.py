"""Reader of a growing log: each line is parsed once for all pages."""

import threading

from playground.core.events import parse_event
from playground.core.history import History
from playground.engine.runs.run import Run

_OVERLAP_BYTES = 512


class LogReader:
    """History of a run that reads new lines of its log on request; safe to share between threads."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._offset = 0
        self._last_bytes = b""
        self._history = History()

    def read_history(self) -> History:
        """Fold everything logged so far; the status takes into account whether a process still trains the run."""
        with self._lock:
            self._read_new_events()
            # A run may end between reading and the check of its lock; without reading again, that would look like a
            # crash.
            if self._history.status in ("training", "paused") and not self.run.is_live():
                self._read_new_events()
            history = self._history.copy()
        history.status = self.run.determine_phase(history)
        return history

    def is_over(self) -> bool:
        """Check whether the last event is the end of the run."""
        with self._lock:
            self._read_new_events()
            return self._history.is_over

    def _read_new_events(self) -> None:
        try:
            log = self.run.log_path.open("rb")
        except OSError:
            return
        with log:
            log.seek(self._offset - len(self._last_bytes))
            content = log.read()
            if not content.startswith(self._last_bytes):  # a resumed run rewrote its log up to its checkpoint
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
