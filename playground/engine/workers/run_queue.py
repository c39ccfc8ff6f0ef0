"""Queue of runs and the slots in which they train."""

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from playground.core.events import Command, Stop
from playground.engine.runs.run import Run
from playground.engine.workers.launcher import WorkerHandle
from playground.engine.workers.limits import ServerLimits
from playground.errors import StorageError, WorkerError


@dataclass(frozen=True)
class QueuedRun:
    """A run that waits, with the commands that its worker gets first."""

    run: Run
    commands: tuple[Command, ...]
    owner: str | None


@dataclass
class ActiveRun:
    """A run in a slot; ``worker`` is None while it starts, and ``late_commands`` wait for it.

    ``started_at``: time on the monotonic clock at which it got the slot.
    """

    run: Run
    initial_log_size: int | None = None
    worker: WorkerHandle | None = None
    late_commands: list[Command] = field(default_factory=list)
    started_at: float = field(default_factory=time.monotonic)


class RunQueue:
    """Runs that wait and runs that train. Every method is atomic, and none of them waits for a disk or a process."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._queue: deque[QueuedRun] = deque()
        self._active: dict[str, ActiveRun] = {}
        self._reserved_owners: Counter[str | None] = Counter()
        self._reserved_run_ids: set[str] = set()
        self._is_closed = False

    @contextlib.contextmanager
    def reserve(self, owner: str | None, run_id: str | None = None) -> Iterator[None]:
        """Reserve a place while a run is created or checked, so that nobody else takes it before ``add``.

        Raises WorkerError where too many runs wait, StorageError where the run ``run_id`` is active already.
        """
        with self._lock:
            if run_id is not None and (run_id in self._reserved_run_ids or self._find(run_id)):
                raise StorageError(f"Run {run_id} is training already.")
            self._check_limits(owner)
            self._reserved_owners[owner] += 1
            if run_id is not None:
                self._reserved_run_ids.add(run_id)
        try:
            yield
        finally:
            with self._lock:
                self._reserved_owners[owner] -= 1
                self._reserved_run_ids.discard(run_id or "")

    def add(self, queued_run: QueuedRun) -> None:
        """Append a run to the queue."""
        with self._lock:
            self._queue.append(queued_run)

    def take_next(self) -> tuple[QueuedRun, ActiveRun] | None:
        """Move the next run into a free slot; None where there is no run, no slot, or the queue is closed."""
        with self._lock:
            if self._is_closed or not self._queue or len(self._active) >= self._limits.max_running:
                return None
            queued_run = self._queue.popleft()
            active_run = ActiveRun(queued_run.run)
            self._active[queued_run.run.id] = active_run
            return queued_run, active_run

    def attach_worker(self, active_run: ActiveRun, worker: WorkerHandle) -> bool:
        """Attach the worker that was started for a run, and send it the late commands; False if the queue was closed.

        Raises WorkerError if the worker is gone already.
        """
        with self._lock:
            if self._is_closed:
                return False
            for command in active_run.late_commands:  # under the lock: a later command must not overtake them
                worker.send_command(command)
            active_run.worker = worker
            return True

    def release_slot(self, run_id: str) -> None:
        """Free the slot of a run that has ended or did not start."""
        with self._lock:
            self._active.pop(run_id, None)

    def route_command(self, run_id: str, command: Command) -> WorkerHandle | None:
        """Find the worker that gets a command; without one the command waits with its run.

        A queued run that is stopped leaves the queue; see ``is_active``.
        """
        with self._lock:
            active_run = self._active.get(run_id)
            if active_run:
                if active_run.worker is None:
                    active_run.late_commands.append(command)
                return active_run.worker
            for index, queued_run in enumerate(self._queue):
                if queued_run.run.id == run_id:
                    if isinstance(command, Stop):
                        del self._queue[index]
                    else:
                        self._queue[index] = replace(queued_run, commands=(*queued_run.commands, command))
                    break
            return None

    def close(self) -> tuple[list[QueuedRun], list[ActiveRun]]:
        """Stop taking runs; returns those that waited and those in a slot."""
        with self._lock:
            self._is_closed = True
            queued_runs = list(self._queue)
            self._queue.clear()
            return queued_runs, list(self._active.values())

    @property
    def is_closed(self) -> bool:
        """True after ``close``."""
        return self._is_closed

    def is_active(self, run_id: str) -> bool:
        """Check whether a run is in a slot or waits."""
        with self._lock:
            return self._find(run_id) is not None

    def find(self, run_id: str) -> Run | None:
        """Find a run that is in a slot or waits."""
        with self._lock:
            return self._find(run_id)

    def find_active(self, run_id: str) -> ActiveRun | None:
        """Find a run that is in a slot."""
        with self._lock:
            return self._active.get(run_id)

    def get_position(self, run_id: str) -> int | None:
        """Position in the queue, 1 for the next run; None if it does not wait."""
        with self._lock:
            ids = [queued_run.run.id for queued_run in self._queue]
            return ids.index(run_id) + 1 if run_id in ids else None

    def get_queued_commands(self, run_id: str) -> tuple[Command, ...]:
        """Commands that wait with a queued run; none if it does not wait."""
        with self._lock:
            return next((queued.commands for queued in self._queue if queued.run.id == run_id), ())

    def list_runs(self) -> list[Run]:
        """Runs in slots, then those that wait, in the order in which they were added."""
        with self._lock:
            return [*(active.run for active in self._active.values()), *(queued.run for queued in self._queue)]

    def list_workers(self) -> dict[str, WorkerHandle]:
        """Workers by the id of their run."""
        with self._lock:
            return {run_id: active.worker for run_id, active in self._active.items() if active.worker}

    @property
    def has_active_runs(self) -> bool:
        """True while a run is in a slot."""
        return bool(self._active)

    def _find(self, run_id: str) -> Run | None:
        active_run = self._active.get(run_id)
        if active_run:
            return active_run.run
        return next((queued.run for queued in self._queue if queued.run.id == run_id), None)

    def _check_limits(self, owner: str | None) -> None:
        free_slots = max(0, self._limits.max_running - len(self._active))
        waiting = len(self._queue) + self._reserved_owners.total() - free_slots
        if waiting < 0:
            return
        if waiting >= self._limits.max_queue:
            raise WorkerError(f"{waiting} runs are waiting already.", fix="Wait, or stop one of them.")
        owned = sum(queued.owner == owner for queued in self._queue) + self._reserved_owners[owner]
        if owner is not None and owned >= self._limits.max_queue_per_person:
            raise WorkerError(f"{owned} of your runs are waiting already.", fix="Wait, or stop one of them.")
