"""All runs of one server: a queue, one running worker at a time, and a warm spare that waits for the next run.

Shared by every page. A page that closes, reloads or loses its connection changes nothing here.
"""

import atexit
import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Literal

from playground.engine.estimate import guide_speed
from playground.engine.limits import machine_limits
from playground.engine.session import Session
from playground.engine.store import Run, append_events, create_run, find_run
from playground.engine.tail import LogTail
from playground.engine.trouble import check_request
from playground.errors import ArchitectureError, StoreError, WorkerError
from playground.spec.architecture import Architecture
from playground.spec.events import Change, Command, Diagnosed, Event, Pause, RunEnded, RunFailed, Step, Stop
from playground.spec.recipe import Recipe
from playground.spec.summary import summarize
from playground.spec.validation import find_problems

MAX_QUEUE = 16
_MOST_TAILS = 512
_SPARE_REST_S = 30.0


@dataclass(frozen=True)
class _Order:
    run: Run
    resume: bool
    first_commands: tuple[Command, ...]


class Supervisor:
    """Starts, steers and watches worker processes; every method may be called from any thread."""

    def __init__(self, *, max_running: int = 1, keep_warm: bool = True) -> None:
        self._max_running = max_running
        self._keep_warm = keep_warm
        self._lock = threading.RLock()
        self._queue: deque[_Order] = deque()
        self._running: dict[str, Session] = {}
        self._spare: Session | None = None
        self._tails: dict[str, LogTail] = {}
        self._images_per_second: float | None = None
        self._closed = False
        self._spare_died = -_SPARE_REST_S
        atexit.register(self.close)

    # Asking for runs

    def start(
        self, architecture: Architecture, recipe: Recipe, *, owner: str | None = None, batches: int | None = None
    ) -> Run:
        """A new run, started now or queued; with ``batches`` it trains so many and then waits.

        Raises ArchitectureError or RecipeError for what cannot be trained, StoreError where the disk says no,
        WorkerError where no process can be started.
        """
        problems = find_problems(architecture, machine_limits(recipe))
        if problems:
            raise ArchitectureError("This network cannot be trained yet.", expected=str(problems[0]))
        check_request(architecture, recipe)
        with self._lock:
            if len(self._queue) >= MAX_QUEUE:
                raise WorkerError(f"{MAX_QUEUE} runs are waiting already.", fix="Wait, or stop one of them.")
            run = create_run(architecture, recipe, owner=owner)
            self._queue.append(_Order(run, False, _first_commands(batches)))
            self._pump()
        return run

    def resume(self, run_id: str, *, batches: int | None = None, knobs: dict[str, Any] | None = None) -> Run:
        """Go on from a run's last checkpoint, with other knobs if wanted; raises StoreError if that cannot be."""
        with self._lock:
            run = find_run(run_id)
            if self.is_active(run.id) or run.is_live():
                raise StoreError(f"Run {run.id} is training already.")
            if not run.can_resume():
                raise StoreError(
                    f"Run {run.id} cannot go on.",
                    expected="A run that was stopped or interrupted after its first checkpoint can.",
                    fix="Train again.",
                )
            first = _first_commands(batches)
            if knobs:
                first = (Change(knobs=knobs), *first)
            self._queue.append(_Order(run, True, first))
            self._pump()
        return run

    def send(self, run_id: str, command: Command) -> None:
        """Pass a command to a run; a queued run that is stopped leaves the queue. Unknown runs are let be."""
        with self._lock:
            session = self._running.get(run_id)
            if session:
                session.send(command)
                return
            for place, order in enumerate(self._queue):
                if order.run.id == run_id and isinstance(command, Stop):
                    del self._queue[place]
                    self._end_in_log(order.run, "stopped")
                    return
                if order.run.id == run_id:
                    self._queue[place] = replace(order, first_commands=(*order.first_commands, command))

    # Watching

    def is_active(self, run_id: str) -> bool:
        """Whether a run is training, paused or queued here."""
        with self._lock:
            return run_id in self._running or any(order.run.id == run_id for order in self._queue)

    def queue_position(self, run_id: str) -> int | None:
        """1 for the next to start; None if it does not wait."""
        with self._lock:
            waiting = [order.run.id for order in self._queue]
            return waiting.index(run_id) + 1 if run_id in waiting else None

    def active(self) -> list[Run]:
        """Runs that train, pause or wait, in the order they were asked for."""
        with self._lock:
            training = [session.run for session in self._running.values() if session.run]
            return [*training, *(order.run for order in self._queue)]

    def tail(self, run: Run) -> LogTail:
        """The shared follower of a run's log."""
        with self._lock:
            if run.id not in self._tails and len(self._tails) >= _MOST_TAILS:
                self._tails.pop(next(iter(self._tails)))
            return self._tails.setdefault(run.id, LogTail(run))

    def forget(self, run_id: str) -> None:
        """Let go of a deleted run's follower."""
        with self._lock:
            self._tails.pop(run_id, None)

    @property
    def images_per_second(self) -> float | None:
        """Training speed of the guide's net on this machine: the best that a warm worker or a run has shown so far."""
        with self._lock:
            self._learn_speed(self._spare.images_per_second if self._spare else None)
            return self._images_per_second

    def _learn_speed(self, guide_images_per_second: float | None) -> None:
        # The best one: whatever else the machine did at the time can only have made a measurement slower.
        self._images_per_second = max(self._images_per_second or 0, guide_images_per_second or 0) or None

    def worker_pids(self) -> dict[str, int]:
        """Process numbers by run id; the spare's under ``spare``."""
        with self._lock:
            found = {run_id: session.pid for run_id, session in self._running.items()}
            return found | ({"spare": self._spare.pid} if self._spare else {})

    # Processes

    def warm(self) -> None:
        """Have a spare worker ready, so that the next run starts at once; not while one trains and needs the cores."""
        with self._lock:
            idle = not self._running and not self._closed
            if self._spare and not self._spare.is_alive():
                self._spare.dispose()
                self._spare, self._spare_died = None, time.monotonic()
            rested = time.monotonic() - self._spare_died > _SPARE_REST_S
            if self._keep_warm and idle and rested and not self._spare:
                with contextlib.suppress(WorkerError):  # asked for again, and then reported, when a run needs it
                    self._spare = Session()

    def wait_until_warm(self, timeout_s: float) -> bool:
        """Whether the spare got ready in time."""
        self.warm()
        spare = self._spare
        return spare.ready.wait(timeout_s) if spare else False

    def close(self) -> None:
        """End every worker; their runs are saved as interrupted."""
        with self._lock:
            self._closed = True
            while self._queue:
                self._end_in_log(self._queue.popleft().run, "stopped")
            sessions = [*self._running.values(), *([self._spare] if self._spare else [])]
            self._spare = None
        # All are told first, so that they save at the same time; no thread can be started while Python ends.
        for session in sessions:
            session.release()
        for session in sessions:
            session.close()
        atexit.unregister(self.close)

    def _pump(self) -> None:
        while self._queue and len(self._running) < self._max_running and not self._closed:
            order = self._queue.popleft()
            try:
                session = self._session_for(order)
            except WorkerError as problem:
                self._fail_in_log(order.run, problem)
                raise
            self._running[order.run.id] = session
            threading.Thread(target=self._watch, args=(order.run, session), daemon=True).start()

    def _session_for(self, order: _Order) -> Session:
        """The spare with the order given to it, or a new worker where the spare is gone."""
        spare, self._spare = self._spare, None
        if spare:
            with contextlib.suppress(WorkerError):
                return _hand_over(spare, order)
            spare.close(patience_s=0)
        fresh = Session()
        try:
            return _hand_over(fresh, order)
        except WorkerError:
            fresh.close(patience_s=0)
            raise

    def _watch(self, run: Run, session: Session) -> None:
        code = session.wait()
        if code != 0 and not self._closed:
            self._report_death(run, session, code)
        speed = self.tail(run).history().images_per_second
        with self._lock:
            self._learn_speed(guide_speed(summarize(run.record.architecture), speed))
            self._running.pop(run.id, None)
            session.dispose()
            if not self._closed:
                with contextlib.suppress(WorkerError):  # said in the log of the run that it keeps from starting
                    self._pump()
                self.warm()

    def _report_death(self, run: Run, session: Session, code: int) -> None:
        """Say in the run's own log that its process died, so that every page and a later server can tell."""
        history = self.tail(run).history()
        if history.phase == "failed":
            return
        if code < 0:
            reason = f"The training process was killed (signal {-code})"
            reason += ", most likely because memory ran out." if code == -9 else "."
        else:
            reason = f"The training process ended with code {code}: {session.last_words()}"
        self._end_in_log(run, "interrupted", f"{reason} Resume goes on from the last checkpoint.", code)

    def _fail_in_log(self, run: Run, problem: WorkerError) -> None:
        history = self.tail(run).history()
        words = {"what": problem.what, "expected": problem.expected, "fix": problem.fix}
        with contextlib.suppress(OSError):
            append_events(run, RunFailed(step=history.step, elapsed_s=history.elapsed_s, **words))

    def _end_in_log(
        self, run: Run, status: Literal["stopped", "interrupted"], message: str = "", code: int = 0
    ) -> None:
        history = self.tail(run).history()
        at = {"step": history.step, "elapsed_s": history.elapsed_s}
        events: list[Event] = [RunEnded(status=status, **at)]
        if message:
            figures = {"exit_code": float(code)}
            events.insert(0, Diagnosed(finding="worker_died", message=message, figures=figures, **at))
        with contextlib.suppress(OSError):
            append_events(run, *events)


def _first_commands(batches: int | None) -> tuple[Command, ...]:
    return (Pause(), Step(batches=batches)) if batches else ()


def _hand_over(session: Session, order: _Order) -> Session:
    session.assign(order.run, resume=order.resume)
    for command in order.first_commands:
        session.send(command)
    return session
