"""All runs of one server: a queue, one running worker at a time, and a warm spare that waits for the next run.

Shared by every page. A page that closes, reloads or loses its connection changes nothing here.
"""

import atexit
import contextlib
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from playground.engine.estimate import guide_speed
from playground.engine.session import Session
from playground.engine.store import Run, create_run, find_run, log_line
from playground.engine.tail import LogTail
from playground.errors import ArchitectureError, RecipeError, StoreError, WorkerError
from playground.spec.architecture import Architecture
from playground.spec.datasets import find_dataset
from playground.spec.events import Change, Command, Diagnosed, Pause, RunEnded, RunFailed, Step, Stop
from playground.spec.recipe import Recipe
from playground.spec.summary import summarize
from playground.spec.validation import Limits, find_problems

MAX_QUEUE = 16


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
        atexit.register(self.close)

    # Asking for runs

    def start(
        self, architecture: Architecture, recipe: Recipe, *, owner: str | None = None, batches: int | None = None
    ) -> Run:
        """A new run, started now or queued; with ``batches`` it trains so many and then waits.

        Raises ArchitectureError or RecipeError for what cannot be trained, StoreError where the disk says no,
        WorkerError where no process can be started.
        """
        problems = find_problems(architecture, Limits(batch_size=recipe.batch_size))
        if problems:
            raise ArchitectureError("This network cannot be trained yet.", expected=str(problems[0]))
        _check_batch(recipe)
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
            if isinstance(command, Stop):
                for order in list(self._queue):
                    if order.run.id == run_id:
                        self._queue.remove(order)
                        self._end_in_log(order.run, "stopped")

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
            if len(self._tails) > 64:
                self._tails = {run_id: tail for run_id, tail in self._tails.items() if run_id in self._running}
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
            if self._keep_warm and idle and not (self._spare and self._spare.is_alive()):
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
        closers = [threading.Thread(target=session.close) for session in sessions]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()
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
        return _hand_over(Session(), order)

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
        with contextlib.suppress(OSError), run.log_path.open("ab") as log:
            log.write(log_line(RunFailed(step=history.step, elapsed_s=history.elapsed_s, **words)))

    def _end_in_log(
        self, run: Run, status: Literal["stopped", "interrupted"], message: str = "", code: int = 0
    ) -> None:
        history = self.tail(run).history()
        at = {"step": history.step, "elapsed_s": history.elapsed_s}
        lines = [log_line(RunEnded(status=status, **at))]
        if message:
            found = Diagnosed(finding="worker_died", message=message, figures={"exit_code": float(code)}, **at)
            lines.insert(0, log_line(found))
        with contextlib.suppress(OSError), run.log_path.open("ab") as log:
            # A process that was killed may have left half a line.
            log.write(b"\n" + b"".join(lines))


def _first_commands(batches: int | None) -> tuple[Command, ...]:
    return (Pause(), Step(batches=batches)) if batches else ()


def _hand_over(session: Session, order: _Order) -> Session:
    session.assign(order.run, resume=order.resume)
    for command in order.first_commands:
        session.send(command)
    return session


def _check_batch(recipe: Recipe) -> None:
    info = find_dataset(recipe.dataset)
    images = min(recipe.limit or info.train_size, info.train_size - recipe.validation_size)
    if recipe.batch_size > images:
        raise RecipeError(
            f"A batch of {recipe.batch_size:,} is larger than the {images:,} training images.",
            expected="A batch is a part of the training images.",
            fix=f"Choose a batch size of at most {images:,}.",
        )
