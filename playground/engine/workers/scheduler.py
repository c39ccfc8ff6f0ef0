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
from playground.core.events import (
    Command,
    Diagnosed,
    Event,
    Pause,
    RunEnded,
    RunFailed,
    Stop,
    TrainSteps,
    UpdateHyperparameters,
)
from playground.core.recipe import Recipe
from playground.core.summary import summarize
from playground.core.validation import validate
from playground.engine.data.custom.drawings import LabeledDrawing
from playground.engine.data.registry import ensure_available
from playground.engine.runs.finetune import create_finetuning_run, make_finetuning_recipe
from playground.engine.runs.fork import fork_run
from playground.engine.runs.log_reader import LogReader
from playground.engine.runs.owner import check_owner
from playground.engine.runs.repository import create_run, find_run, remove_stale_files
from playground.engine.runs.run import Run, append_events
from playground.engine.runs.transfer import create_transfer_run
from playground.engine.training.checks import check_training_config
from playground.engine.training.cost_model import convert_to_reference_speed
from playground.engine.workers.job import JobSpec
from playground.engine.workers.limits import ServerLimits
from playground.engine.workers.worker_process import WorkerProcess
from playground.errors import ArchitectureError, StorageError, WorkerError

_MAX_LOG_READERS = 512
_SPARE_RESTART_DELAY_S = 30.0


@dataclass(frozen=True)
class _QueuedRun:
    run: Run
    commands: tuple[Command, ...]
    owner: str | None


class Scheduler:
    """Starts, steers and watches worker processes; every method may be called from any thread.

    Runs belong to their ``owner``. Whoever asks (``by``) may steer what is their own or nobody's; None, the machine
    itself, may steer everything. Else OwnerError.
    """

    def __init__(self, *, limits: ServerLimits | None = None, keep_spare_worker: bool = True) -> None:
        self.limits = limits or ServerLimits()
        self._keep_spare_worker = keep_spare_worker
        self._lock = threading.RLock()
        self._queue: deque[_QueuedRun] = deque()
        self._running_workers: dict[str, WorkerProcess] = {}
        self._initial_log_sizes: dict[str, int] = {}  # when the worker got its run
        self._spare_worker: WorkerProcess | None = None
        self._log_readers: dict[str, LogReader] = {}
        self._reference_images_per_second: float | None = None
        self._is_closed = False
        self._spare_died_at = -_SPARE_RESTART_DELAY_S
        atexit.register(self.close)
        remove_stale_files()

    # Asking for runs

    def submit(
        self,
        architecture: Architecture,
        recipe: Recipe,
        parent: str | None = None,
        *,
        parent_step: int | None = None,
        name: str | None = None,
        owner: str | None = None,
        pause_after_batches: int | None = None,
    ) -> Run:
        """A new run, started now or queued; with ``pause_after_batches`` it trains so many and then waits.

        ``parent``: the run (anybody's) whose weights it begins with, as far as they fit, those of ``parent_step`` or
        the last ones; see ``create_transfer_run``.
        Raises ArchitectureError or RecipeError for what cannot be trained, MissingDataError for a data set that has
        to be fetched, StoreError where the disk says no,
        WorkerError where no process can be started or too many runs wait.
        """
        self._check_training_config(architecture, recipe)
        with self._lock:
            self._check_queue_limits(owner)
            made = (architecture, recipe)
            if parent:
                run = create_transfer_run(find_run(parent), *made, step=parent_step, name=name, owner=owner)
            else:
                run = create_run(*made, name=name, owner=owner)
            self._enqueue(_QueuedRun(run, _make_initial_commands(pause_after_batches), owner))
        return run

    def resume(
        self,
        run_id: str,
        *,
        pause_after_batches: int | None = None,
        hyperparameters: dict[str, Any] | None = None,
        user: str | None = None,
    ) -> Run:
        """Go on from a run's last checkpoint, with other knobs if wanted; raises StoreError if that cannot be."""
        with self._lock:
            run = find_run(run_id)
            check_owner(run, user)
            if self.is_active(run.id) or run.is_live():
                raise StorageError(f"Run {run.id} is training already.")
            history = self.get_log_reader(run).read_history()
            if not run.can_resume(history, epochs=(hyperparameters or {}).get("epochs")):
                raise StorageError(
                    f"Run {run.id} cannot go on: it is {history.status}.",
                    expected="A run that was stopped or interrupted can; one that is completed, with more epochs.",
                    fix="Train again, or set more epochs.",
                )
            self._check_training_config(
                run.record.architecture, self._apply_hyperparameters(run, hyperparameters or {})
            )
            self._check_queue_limits(user)
            first = (UpdateHyperparameters(hyperparameters=hyperparameters),) if hyperparameters else ()
            self._enqueue(_QueuedRun(run, (*first, *_make_initial_commands(pause_after_batches)), user))
        return run

    def fork(self, run_id: str, step: int, recipe: Recipe, *, owner: str | None = None) -> Run:
        """A new run that goes on from a moment of another (anybody's) with other settings; see ``fork_run``."""
        parent = find_run(run_id)
        self._check_training_config(parent.record.architecture, recipe)
        with self._lock:
            self._check_queue_limits(owner)
        run = fork_run(parent, step, recipe, name=f"{parent.record.name}, forked", owner=owner)
        with self._lock:
            self._enqueue(_QueuedRun(run, (), owner))
        return run

    def finetune(self, run_id: str, drawings: tuple[LabeledDrawing, ...], *, owner: str | None = None) -> Run:
        """A new run in which a net (anybody's, or the pretrained one) learns drawings; see ``create_finetuning_run``."""
        parent = find_run(run_id)
        self._check_training_config(parent.record.architecture, make_finetuning_recipe(parent.record.recipe))
        with self._lock:
            self._check_queue_limits(owner)
            run = create_finetuning_run(parent, drawings, owner=owner)
            self._enqueue(_QueuedRun(run, (), owner))
        return run

    def send_command(self, run_id: str, command: Command, *, user: str | None = None) -> None:
        """Pass a command to a run; a queued run that is stopped leaves the queue. Unknown runs are let be.

        Raises OwnerError, and for a change that the server does not allow RecipeError or ArchitectureError.
        """
        with self._lock:
            run = next((active for active in self.list_active_runs() if active.id == run_id), None)
            if run is None:
                return
            check_owner(run, user)
            if isinstance(command, UpdateHyperparameters):
                self._check_hyperparameters(run, command.hyperparameters)
            session = self._running_workers.get(run_id)
            if session:
                session.send_command(command)
                return
            place = next(place for place, waiting in enumerate(self._queue) if waiting.run.id == run_id)
            waiting = self._queue[place]
            if isinstance(command, Stop):
                del self._queue[place]
                self._log_end(run, "stopped")
            else:
                self._queue[place] = replace(waiting, commands=(*waiting.commands, command))

    def _check_training_config(self, architecture: Architecture, recipe: Recipe) -> None:
        problems = validate(architecture, self.limits.compute_model_limits(recipe))
        if problems:
            raise ArchitectureError("This network cannot be trained yet.", expected=str(problems[0]))
        self.limits.check_epochs(recipe)
        check_training_config(architecture, recipe)
        ensure_available(recipe.dataset)

    def _check_hyperparameters(self, run: Run, hyperparameters: dict[str, Any]) -> None:
        architecture, changed = run.record.architecture, self._apply_hyperparameters(run, hyperparameters)
        architecture.with_dropout_rates(hyperparameters.get("dropout", architecture.dropout_rates))
        self.limits.check_epochs(changed)
        check_training_config(architecture, changed)
        if "batch_size" in hyperparameters:
            self._check_training_config(architecture, changed)

    def _apply_hyperparameters(self, run: Run, hyperparameters: dict[str, Any]) -> Recipe:
        """A run's recipe with its knobs as they stand, and then ``changed_hyperparameters``."""
        turned = self.get_log_reader(run).read_history().changed_hyperparameters | hyperparameters
        return run.record.recipe.update_hyperparameters(
            {knob: value for knob, value in turned.items() if knob != "dropout"}
        )

    def _check_queue_limits(self, owner: str | None) -> None:
        if len(self._running_workers) < self.limits.max_running:
            return
        if len(self._queue) >= self.limits.max_queue:
            raise WorkerError(f"{len(self._queue)} runs are waiting already.", fix="Wait, or stop one of them.")
        own = sum(waiting.owner == owner for waiting in self._queue)
        if owner is not None and own >= self.limits.max_queue_per_person:
            raise WorkerError(f"{own} of your runs are waiting already.", fix="Wait, or stop one of them.")

    def _enqueue(self, queued_run: _QueuedRun) -> None:
        self._queue.append(queued_run)
        problem = self._start_queued_runs().get(queued_run.run.id)
        if problem:
            raise problem

    # Watching

    def is_active(self, run_id: str) -> bool:
        """Whether a run is training, paused or queued here."""
        with self._lock:
            return run_id in self._running_workers or any(waiting.run.id == run_id for waiting in self._queue)

    def is_starting(self, run_id: str) -> bool:
        """Whether a worker has the run and has not said anything yet."""
        with self._lock:
            session = self._running_workers.get(run_id)
            return bool(session and session.run and _get_log_size(session.run) == self._initial_log_sizes.get(run_id))

    def get_queue_position(self, run_id: str) -> int | None:
        """1 for the next to start; None if it does not wait."""
        with self._lock:
            ids = [waiting.run.id for waiting in self._queue]
            return ids.index(run_id) + 1 if run_id in ids else None

    def list_active_runs(self) -> list[Run]:
        """Runs that train, pause or wait, in the order they were asked for."""
        with self._lock:
            training = [session.run for session in self._running_workers.values() if session.run]
            return [*training, *(waiting.run for waiting in self._queue)]

    def get_log_reader(self, run: Run) -> LogReader:
        """The shared follower of a run's log."""
        with self._lock:
            if run.id not in self._log_readers and len(self._log_readers) >= _MAX_LOG_READERS:
                self._log_readers.pop(next(iter(self._log_readers)))
            return self._log_readers.setdefault(run.id, LogReader(run))

    def discard_log_reader(self, run_id: str) -> None:
        """Let go of a deleted run's follower."""
        with self._lock:
            self._log_readers.pop(run_id, None)

    @property
    def reference_images_per_second(self) -> float | None:
        """Training speed of the guide's net on this machine: the best that a warm worker or a run has shown so far."""
        with self._lock:
            self._update_reference_speed(self._spare_worker.reference_images_per_second if self._spare_worker else None)
            return self._reference_images_per_second

    def _update_reference_speed(self, images_per_second: float | None) -> None:
        # The best one: whatever else the machine did at the time can only have made a measurement slower.
        self._reference_images_per_second = max(self._reference_images_per_second or 0, images_per_second or 0) or None

    def get_worker_pids(self) -> dict[str, int]:
        """Process numbers by run id; the spare's under ``spare``."""
        with self._lock:
            found = {run_id: session.pid for run_id, session in self._running_workers.items()}
            return found | ({"spare": self._spare_worker.pid} if self._spare_worker else {})

    # Processes

    def ensure_spare_worker(self) -> None:
        """Have a spare worker ready, so that the next run starts at once; not while one trains and needs the cores."""
        with self._lock:
            idle = not self._running_workers and not self._is_closed
            if self._spare_worker and not self._spare_worker.is_alive():
                self._spare_worker.close_pipes()
                self._spare_worker, self._spare_died_at = None, time.monotonic()
            rested = time.monotonic() - self._spare_died_at > _SPARE_RESTART_DELAY_S
            if self._keep_spare_worker and idle and rested and not self._spare_worker:
                with contextlib.suppress(WorkerError):  # asked for again, and then reported, when a run needs it
                    self._spare_worker = WorkerProcess()

    def wait_for_spare_worker(self, timeout_s: float) -> bool:
        """Whether the spare got ready in time."""
        self.ensure_spare_worker()
        spare = self._spare_worker
        return spare.ready.wait(timeout_s) if spare else False

    def close(self) -> None:
        """End every worker; their runs are saved as interrupted."""
        with self._lock:
            self._is_closed = True
            while self._queue:
                self._log_end(self._queue.popleft().run, "stopped")
            sessions = [*self._running_workers.values(), *([self._spare_worker] if self._spare_worker else [])]
            self._spare_worker = None
        # All are told first, so that they save at the same time; no thread can be started while Python ends.
        for session in sessions:
            session.close_stdin()
        for session in sessions:
            session.close()
        atexit.unregister(self.close)

    def _start_queued_runs(self) -> dict[str, WorkerError]:
        """Start what can be started; the runs for which that failed, which their logs say too."""
        failed: dict[str, WorkerError] = {}
        while self._queue and len(self._running_workers) < self.limits.max_running and not self._is_closed:
            waiting = self._queue.popleft()
            try:
                session = self._assign_worker(waiting)
            except WorkerError as problem:
                self._log_failure(waiting.run, problem)
                failed[waiting.run.id] = problem
                continue
            self._running_workers[waiting.run.id] = session
            threading.Thread(target=self._wait_for_worker, args=(waiting.run, session), daemon=True).start()
        return failed

    def _assign_worker(self, queued_run: _QueuedRun) -> WorkerProcess:
        """The spare with the order given to it, or a new worker where the spare is gone."""
        spare, self._spare_worker = self._spare_worker, None
        if spare:
            with contextlib.suppress(WorkerError):
                return self._send_job(spare, queued_run)
            spare.close(timeout_s=0)
        fresh = WorkerProcess()
        try:
            return self._send_job(fresh, queued_run)
        except WorkerError:
            fresh.close(timeout_s=0)
            raise

    def _send_job(self, worker: WorkerProcess, queued_run: _QueuedRun) -> WorkerProcess:
        order = JobSpec(
            run_folder=str(queued_run.run.folder),
            initial_commands=queued_run.commands,
            max_run_s=self.limits.max_run_s,
            max_pause_s=self.limits.max_pause_s,
        )
        self._initial_log_sizes[queued_run.run.id] = _get_log_size(queued_run.run)
        worker.assign(queued_run.run, order)
        return worker

    def _wait_for_worker(self, run: Run, worker: WorkerProcess) -> None:
        code = worker.wait()
        if code != 0 and not self._is_closed:
            self._log_worker_exit(run, worker, code)
        speed = self.get_log_reader(run).read_history().images_per_second
        with self._lock:
            batch_size = run.record.recipe.batch_size
            self._update_reference_speed(
                convert_to_reference_speed(summarize(run.record.architecture), batch_size, speed)
            )
            self._running_workers.pop(run.id, None)
            self._initial_log_sizes.pop(run.id, None)
            worker.close_pipes()
            if not self._is_closed:
                self._start_queued_runs()
                self.ensure_spare_worker()

    def _log_worker_exit(self, run: Run, worker: WorkerProcess, exit_code: int) -> None:
        """Say in the run's own log that its process died, so that every page and a later server can tell."""
        history = self.get_log_reader(run).read_history()
        if history.is_over:
            return
        if exit_code < 0:
            complaints = worker.read_stderr_tail()
            no_memory = exit_code == -9 or "memory" in complaints or "bad_alloc" in complaints
            reason = f"The training process was killed (signal {-exit_code})"
            reason += ", most likely because memory ran out." if no_memory else "."
        else:
            reason = f"The training process ended with code {exit_code}: {worker.read_last_stderr_line()}"
        self._log_end(run, "interrupted", f"{reason} Resume goes on from the last checkpoint.", exit_code)

    def _log_failure(self, run: Run, error: WorkerError) -> None:
        words = {"what": error.what, "expected": error.expected, "fix": error.fix}
        self._append_final_events(run, lambda at: (RunFailed(**at, **words),))

    def _log_end(
        self, run: Run, status: Literal["stopped", "interrupted"], message: str = "", exit_code: int = 0
    ) -> None:
        def last_events(at: dict[str, Any]) -> tuple[Event, ...]:
            ended = RunEnded(status=status, **at)
            if not message:
                return (ended,)
            metrics = {"exit_code": float(exit_code)}
            return (Diagnosed(diagnosis="worker_died", message=message, metrics=metrics, **at), ended)

        self._append_final_events(run, last_events)

    def _append_final_events(self, run: Run, make_events: Callable[[dict[str, Any]], tuple[Event, ...]]) -> None:
        history = self.get_log_reader(run).read_history()
        if run.is_live() or history.is_over:  # another server took it up, or it ended before it was to go on
            return
        with contextlib.suppress(OSError):
            append_events(run, *make_events({"step": history.step, "elapsed_s": history.elapsed_s}))


def _get_log_size(run: Run) -> int:
    try:
        return run.log_path.stat().st_size
    except OSError:
        return 0


def _make_initial_commands(pause_after_batches: int | None) -> tuple[Command, ...]:
    return (Pause(), TrainSteps(batches=pause_after_batches)) if pause_after_batches else ()
