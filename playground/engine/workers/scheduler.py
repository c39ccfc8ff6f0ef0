"""All runs of one server: a queue, a few running workers, and a warm spare that waits for the next run.

Shared by every page. A page that closes, reloads or loses its connection changes nothing here.
"""

import atexit
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from playground.core.architecture import Architecture
from playground.core.events import Change, Command, Diagnosed, Event, Pause, RunEnded, RunFailed, Step, Stop
from playground.core.recipe import Recipe
from playground.core.summary import summarize
from playground.core.validation import find_problems
from playground.engine.data.custom.drawings import OwnDrawing
from playground.engine.data.registry import check_here
from playground.engine.runs.finetune import teach_run, teaching_recipe
from playground.engine.runs.fork import fork_run
from playground.engine.runs.log_reader import LogTail
from playground.engine.runs.owner import check_owner
from playground.engine.runs.repository import clear_leavings, create_run, find_run
from playground.engine.runs.run import Run, append_events
from playground.engine.runs.transfer import transfer_run
from playground.engine.training.checks import check_request
from playground.engine.training.cost_model import guide_speed
from playground.engine.workers.job import Order
from playground.engine.workers.limits import ServerLimits
from playground.engine.workers.worker_process import Session
from playground.errors import ArchitectureError, StoreError, WorkerError

_MOST_TAILS = 512
_SPARE_REST_S = 30.0


@dataclass(frozen=True)
class _Waiting:
    run: Run
    commands: tuple[Command, ...]
    owner: str | None


class Supervisor:
    """Starts, steers and watches worker processes; every method may be called from any thread.

    Runs belong to their ``owner``. Whoever asks (``by``) may steer what is their own or nobody's; None, the machine
    itself, may steer everything. Else OwnerError.
    """

    def __init__(self, *, limits: ServerLimits | None = None, keep_warm: bool = True) -> None:
        self.limits = limits or ServerLimits()
        self._keep_warm = keep_warm
        self._lock = threading.RLock()
        self._queue: deque[_Waiting] = deque()
        self._running: dict[str, Session] = {}
        self._log_sizes: dict[str, int] = {}  # when the worker got its run
        self._spare: Session | None = None
        self._tails: dict[str, LogTail] = {}
        self._images_per_second: float | None = None
        self._closed = False
        self._spare_died = -_SPARE_REST_S
        atexit.register(self.close)
        clear_leavings()

    # Asking for runs

    def start(
        self,
        architecture: Architecture,
        recipe: Recipe,
        parent: str | None = None,
        *,
        parent_step: int | None = None,
        name: str | None = None,
        owner: str | None = None,
        batches: int | None = None,
    ) -> Run:
        """A new run, started now or queued; with ``batches`` it trains so many and then waits.

        ``parent``: the run (anybody's) whose weights it begins with, as far as they fit, those of ``parent_step`` or
        the last ones; see ``transfer_run``.
        Raises ArchitectureError or RecipeError for what cannot be trained, MissingDataError for a data set that has
        to be fetched, StoreError where the disk says no,
        WorkerError where no process can be started or too many runs wait.
        """
        self._check(architecture, recipe)
        with self._lock:
            self._check_queue(owner)
            made = (architecture, recipe)
            if parent:
                run = transfer_run(find_run(parent), *made, step=parent_step, name=name, owner=owner)
            else:
                run = create_run(*made, name=name, owner=owner)
            self._enqueue(_Waiting(run, _first_commands(batches), owner))
        return run

    def resume(
        self,
        run_id: str,
        *,
        batches: int | None = None,
        knobs: dict[str, Any] | None = None,
        by: str | None = None,
    ) -> Run:
        """Go on from a run's last checkpoint, with other knobs if wanted; raises StoreError if that cannot be."""
        with self._lock:
            run = find_run(run_id)
            check_owner(run, by)
            if self.is_active(run.id) or run.is_live():
                raise StoreError(f"Run {run.id} is training already.")
            history = self.tail(run).history()
            if not run.can_resume(history, epochs=(knobs or {}).get("epochs")):
                raise StoreError(
                    f"Run {run.id} cannot go on: it is {history.phase}.",
                    expected="A run that was stopped or interrupted can; one that is completed, with more epochs.",
                    fix="Train again, or set more epochs.",
                )
            self._check(run.record.architecture, self._changed(run, knobs or {}))
            self._check_queue(by)
            first = (Change(knobs=knobs),) if knobs else ()
            self._enqueue(_Waiting(run, (*first, *_first_commands(batches)), by))
        return run

    def fork(self, run_id: str, step: int, recipe: Recipe, *, owner: str | None = None) -> Run:
        """A new run that goes on from a moment of another (anybody's) with other settings; see ``fork_run``."""
        parent = find_run(run_id)
        self._check(parent.record.architecture, recipe)
        with self._lock:
            self._check_queue(owner)
        run = fork_run(parent, step, recipe, name=f"{parent.record.name}, forked", owner=owner)
        with self._lock:
            self._enqueue(_Waiting(run, (), owner))
        return run

    def teach(self, run_id: str, drawings: tuple[OwnDrawing, ...], *, owner: str | None = None) -> Run:
        """A new run in which a net (anybody's, or the pretrained one) learns drawings; see ``teach_run``."""
        parent = find_run(run_id)
        self._check(parent.record.architecture, teaching_recipe(parent.record.recipe))
        with self._lock:
            self._check_queue(owner)
            run = teach_run(parent, drawings, owner=owner)
            self._enqueue(_Waiting(run, (), owner))
        return run

    def send(self, run_id: str, command: Command, *, by: str | None = None) -> None:
        """Pass a command to a run; a queued run that is stopped leaves the queue. Unknown runs are let be.

        Raises OwnerError, and for a change that the server does not allow RecipeError or ArchitectureError.
        """
        with self._lock:
            run = next((active for active in self.active() if active.id == run_id), None)
            if run is None:
                return
            check_owner(run, by)
            if isinstance(command, Change):
                self._check_knobs(run, command.knobs)
            session = self._running.get(run_id)
            if session:
                session.send(command)
                return
            place = next(place for place, waiting in enumerate(self._queue) if waiting.run.id == run_id)
            waiting = self._queue[place]
            if isinstance(command, Stop):
                del self._queue[place]
                self._end_in_log(run, "stopped")
            else:
                self._queue[place] = replace(waiting, commands=(*waiting.commands, command))

    def _check(self, architecture: Architecture, recipe: Recipe) -> None:
        problems = find_problems(architecture, self.limits.for_recipe(recipe))
        if problems:
            raise ArchitectureError("This network cannot be trained yet.", expected=str(problems[0]))
        self.limits.check(recipe)
        check_request(architecture, recipe)
        check_here(recipe.dataset)

    def _check_knobs(self, run: Run, knobs: dict[str, Any]) -> None:
        architecture, changed = run.record.architecture, self._changed(run, knobs)
        architecture.with_dropout_rates(knobs.get("dropout", architecture.dropout_rates))
        self.limits.check(changed)
        check_request(architecture, changed)
        if "batch_size" in knobs:
            self._check(architecture, changed)

    def _changed(self, run: Run, knobs: dict[str, Any]) -> Recipe:
        """A run's recipe with its knobs as they stand, and then ``knobs``."""
        turned = self.tail(run).history().knobs | knobs
        return run.record.recipe.with_knobs({knob: value for knob, value in turned.items() if knob != "dropout"})

    def _check_queue(self, owner: str | None) -> None:
        if len(self._running) < self.limits.max_running:
            return
        if len(self._queue) >= self.limits.max_queue:
            raise WorkerError(f"{len(self._queue)} runs are waiting already.", fix="Wait, or stop one of them.")
        own = sum(waiting.owner == owner for waiting in self._queue)
        if owner is not None and own >= self.limits.max_queue_per_person:
            raise WorkerError(f"{own} of your runs are waiting already.", fix="Wait, or stop one of them.")

    def _enqueue(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        problem = self._pump().get(waiting.run.id)
        if problem:
            raise problem

    # Watching

    def is_active(self, run_id: str) -> bool:
        """Whether a run is training, paused or queued here."""
        with self._lock:
            return run_id in self._running or any(waiting.run.id == run_id for waiting in self._queue)

    def is_starting(self, run_id: str) -> bool:
        """Whether a worker has the run and has not said anything yet."""
        with self._lock:
            session = self._running.get(run_id)
            return bool(session and session.run and _log_size(session.run) == self._log_sizes.get(run_id))

    def queue_position(self, run_id: str) -> int | None:
        """1 for the next to start; None if it does not wait."""
        with self._lock:
            ids = [waiting.run.id for waiting in self._queue]
            return ids.index(run_id) + 1 if run_id in ids else None

    def active(self) -> list[Run]:
        """Runs that train, pause or wait, in the order they were asked for."""
        with self._lock:
            training = [session.run for session in self._running.values() if session.run]
            return [*training, *(waiting.run for waiting in self._queue)]

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

    def _pump(self) -> dict[str, WorkerError]:
        """Start what can be started; the runs for which that failed, which their logs say too."""
        failed: dict[str, WorkerError] = {}
        while self._queue and len(self._running) < self.limits.max_running and not self._closed:
            waiting = self._queue.popleft()
            try:
                session = self._session_for(waiting)
            except WorkerError as problem:
                self._fail_in_log(waiting.run, problem)
                failed[waiting.run.id] = problem
                continue
            self._running[waiting.run.id] = session
            threading.Thread(target=self._watch, args=(waiting.run, session), daemon=True).start()
        return failed

    def _session_for(self, waiting: _Waiting) -> Session:
        """The spare with the order given to it, or a new worker where the spare is gone."""
        spare, self._spare = self._spare, None
        if spare:
            with contextlib.suppress(WorkerError):
                return self._hand_over(spare, waiting)
            spare.close(patience_s=0)
        fresh = Session()
        try:
            return self._hand_over(fresh, waiting)
        except WorkerError:
            fresh.close(patience_s=0)
            raise

    def _hand_over(self, session: Session, waiting: _Waiting) -> Session:
        order = Order(
            run=str(waiting.run.folder),
            commands=waiting.commands,
            max_run_s=self.limits.max_run_s,
            max_pause_s=self.limits.max_pause_s,
        )
        self._log_sizes[waiting.run.id] = _log_size(waiting.run)
        session.assign(waiting.run, order)
        return session

    def _watch(self, run: Run, session: Session) -> None:
        code = session.wait()
        if code != 0 and not self._closed:
            self._report_death(run, session, code)
        speed = self.tail(run).history().images_per_second
        with self._lock:
            batch_size = run.record.recipe.batch_size
            self._learn_speed(guide_speed(summarize(run.record.architecture), batch_size, speed))
            self._running.pop(run.id, None)
            self._log_sizes.pop(run.id, None)
            session.dispose()
            if not self._closed:
                self._pump()
                self.warm()

    def _report_death(self, run: Run, session: Session, code: int) -> None:
        """Say in the run's own log that its process died, so that every page and a later server can tell."""
        history = self.tail(run).history()
        if history.is_over:
            return
        if code < 0:
            complaints = session.complaints()
            no_memory = code == -9 or "memory" in complaints or "bad_alloc" in complaints
            reason = f"The training process was killed (signal {-code})"
            reason += ", most likely because memory ran out." if no_memory else "."
        else:
            reason = f"The training process ended with code {code}: {session.last_words()}"
        self._end_in_log(run, "interrupted", f"{reason} Resume goes on from the last checkpoint.", code)

    def _fail_in_log(self, run: Run, problem: WorkerError) -> None:
        words = {"what": problem.what, "expected": problem.expected, "fix": problem.fix}
        self._say_in_log(run, lambda at: (RunFailed(**at, **words),))

    def _end_in_log(
        self, run: Run, status: Literal["stopped", "interrupted"], message: str = "", code: int = 0
    ) -> None:
        def last_events(at: dict[str, Any]) -> tuple[Event, ...]:
            ended = RunEnded(status=status, **at)
            if not message:
                return (ended,)
            figures = {"exit_code": float(code)}
            return (Diagnosed(finding="worker_died", message=message, figures=figures, **at), ended)

        self._say_in_log(run, last_events)

    def _say_in_log(self, run: Run, last_events: Callable[[dict[str, Any]], tuple[Event, ...]]) -> None:
        history = self.tail(run).history()
        if run.is_live() or history.is_over:  # another server took it up, or it ended before it was to go on
            return
        with contextlib.suppress(OSError):
            append_events(run, *last_events({"step": history.step, "elapsed_s": history.elapsed_s}))


def _log_size(run: Run) -> int:
    try:
        return run.log_path.stat().st_size
    except OSError:
        return 0


def _first_commands(batches: int | None) -> tuple[Command, ...]:
    return (Pause(), Step(batches=batches)) if batches else ()
