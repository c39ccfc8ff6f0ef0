"""Scheduler of one server: starts queued runs in free slots, passes commands to them, and watches their workers.

All pages share it. A page that is closed, reloaded or disconnected changes nothing here.
"""

import atexit
import logging
import threading
import time
from typing import Any

from playground.core.architecture import Architecture
from playground.core.events import Command, Pause, Stop, TrainSteps, UpdateHyperparameters
from playground.core.recipe import Recipe
from playground.core.summary import summarize
from playground.core.validation import validate
from playground.engine.data.custom.drawings import LabeledDrawing
from playground.engine.data.dataset_lookup import ensure_available, resolve_dataset
from playground.engine.runs.finetune import create_finetuning_run, make_finetuning_recipe
from playground.engine.runs.fork import fork_run
from playground.engine.runs.log_reader import LogReader
from playground.engine.runs.owner import check_owner
from playground.engine.runs.repository import create_run, find_run, remove_stale_files
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import create_transfer_run
from playground.engine.training.checks import check_training_config
from playground.engine.training.cost_model import convert_to_reference_speed
from playground.engine.workers.job import JobSpec
from playground.engine.workers.launcher import Launcher, WorkerHandle
from playground.engine.workers.limits import ServerLimits
from playground.engine.workers.local_launcher import LocalLauncher
from playground.engine.workers.run_log import LogReaderCache, get_log_size, log_end, log_failure, log_worker_exit
from playground.engine.workers.run_queue import ActiveRun, QueuedRun, RunQueue
from playground.errors import ArchitectureError, StorageError, WorkerError

_EXIT_TIMEOUT_S, _EXIT_POLL_S = 10.0, 0.02
_logger = logging.getLogger(__name__)


class Scheduler:
    """Starts, controls and watches workers; every method may be called from any thread, and no lock spans slow work.

    Runs belong to their ``owner``. A ``user`` may control their own runs and those without an owner; None, the machine
    itself, may control all. Otherwise OwnershipError.
    """

    def __init__(
        self, *, limits: ServerLimits | None = None, keep_spare_worker: bool = True, launcher: Launcher | None = None
    ) -> None:
        self.limits = limits or ServerLimits()
        self._launcher: Launcher = launcher or LocalLauncher(keep_spare_worker=keep_spare_worker)
        self._queue = RunQueue(self.limits)
        self._log_readers = LogReaderCache()
        self._best_images_per_second = 0.0
        atexit.register(self.close)
        remove_stale_files()

    # Requests

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
        """Create a run and start or queue it; with ``pause_after_batches`` it pauses after that many batches.

        ``parent``: the run (of any owner) whose weights initialize this one where they fit, at ``parent_step`` or at
        its last step; see ``create_transfer_run``.
        Raises ArchitectureError or RecipeError for a configuration that cannot be trained, DatasetUnavailableError for
        a dataset that is not downloaded, StorageError for a failed write, WorkerError where no process can be started
        or too many runs wait.
        """
        self._check_training_config(architecture, recipe)
        with self._queue.reserve(owner):
            if parent:
                run = create_transfer_run(
                    find_run(parent), architecture, recipe, step=parent_step, name=name, owner=owner
                )
            else:
                run = create_run(architecture, recipe, name=name, owner=owner)
            self._queue.add(QueuedRun(run, _make_initial_commands(pause_after_batches), owner))
        self._start_or_raise(run)
        return run

    def resume(
        self,
        run_id: str,
        *,
        pause_after_batches: int | None = None,
        hyperparameters: dict[str, Any] | None = None,
        user: str | None = None,
    ) -> Run:
        """Resume a run from its last checkpoint, with changed hyperparameters if given.

        Raises StorageError where the run cannot be resumed, and what ``submit`` raises.
        """
        run = find_run(run_id)
        check_owner(run, user)
        self._wait_for_ended_worker(run.id)
        with self._queue.reserve(user, run.id):
            if run.is_live():
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
            changes = (UpdateHyperparameters(hyperparameters=hyperparameters),) if hyperparameters else ()
            self._queue.add(QueuedRun(run, (*changes, *_make_initial_commands(pause_after_batches)), user))
        self._start_or_raise(run)
        return run

    def fork(self, run_id: str, step: int, recipe: Recipe, *, owner: str | None = None) -> Run:
        """Fork a run (of any owner) at a step and train the fork with ``recipe``; see ``fork_run``."""
        parent = find_run(run_id)
        self._check_training_config(parent.record.architecture, recipe)
        with self._queue.reserve(owner):
            run = fork_run(parent, step, recipe, name=f"{parent.record.name}, forked", owner=owner)
            self._queue.add(QueuedRun(run, (), owner))
        self._start_or_raise(run)
        return run

    def finetune(self, run_id: str, drawings: tuple[LabeledDrawing, ...], *, owner: str | None = None) -> Run:
        """Fine-tune a run (of any owner, or the pretrained one) on drawings; see ``create_finetuning_run``."""
        parent = find_run(run_id)
        recipe = make_finetuning_recipe(parent.get_current_recipe())
        self._check_training_config(parent.record.architecture, recipe)
        with self._queue.reserve(owner):
            run = create_finetuning_run(parent, drawings, owner=owner)
            self._queue.add(QueuedRun(run, (), owner))
        self._start_or_raise(run)
        return run

    def send_command(self, run_id: str, command: Command, *, user: str | None = None) -> None:
        """Pass a command to a run; a queued run that is stopped leaves the queue. Unknown runs are ignored.

        Raises OwnershipError, and RecipeError or ArchitectureError for a change that the server does not allow.
        """
        run = self._queue.find(run_id)
        if run is None:
            return
        check_owner(run, user)
        if isinstance(command, UpdateHyperparameters):
            self._check_hyperparameters(run, command.hyperparameters)
        worker = self._queue.route_command(run_id, command)
        if worker:
            worker.send_command(command)
        elif isinstance(command, Stop) and not self._queue.is_active(run_id):
            log_end(run, self.get_log_reader(run).read_history(), "stopped")

    def _check_training_config(self, architecture: Architecture, recipe: Recipe) -> None:
        dataset = resolve_dataset(recipe, architecture)
        problems = validate(architecture, self.limits.compute_model_limits(recipe), dataset)
        if problems:
            raise ArchitectureError("This network cannot be trained yet.", expected=str(problems[0]))
        self.limits.check_epochs(recipe)
        check_training_config(architecture, recipe)
        ensure_available(recipe.dataset)

    def _check_hyperparameters(self, run: Run, hyperparameters: dict[str, Any]) -> None:
        architecture, recipe = run.record.architecture, self._apply_hyperparameters(run, hyperparameters)
        architecture.with_dropout_rates(hyperparameters.get("dropout", architecture.dropout_rates))
        self.limits.check_epochs(recipe)
        check_training_config(architecture, recipe)
        if "batch_size" in hyperparameters:
            self._check_training_config(architecture, recipe)

    def _apply_hyperparameters(self, run: Run, hyperparameters: dict[str, Any]) -> Recipe:
        """Apply the changes made so far, and then ``hyperparameters``, to a run's recipe."""
        changes = self.get_log_reader(run).read_history().changed_hyperparameters | hyperparameters
        return run.record.recipe.update_hyperparameters(
            {name: value for name, value in changes.items() if name != "dropout"}
        )

    # Status

    def is_active(self, run_id: str) -> bool:
        """Check whether a run is training, paused or queued here; its process may outlive the end of the run."""
        active_run = self._queue.find_active(run_id)
        if active_run is None:
            return self._queue.is_active(run_id)
        return self.is_starting(run_id) or not self.get_log_reader(active_run.run).is_over()

    def is_starting(self, run_id: str) -> bool:
        """Check whether a run has a slot and its worker has not logged an event yet."""
        return self.get_starting_seconds(run_id) is not None

    def get_starting_seconds(self, run_id: str) -> float | None:
        """Seconds since a starting run got its slot; None for any other run."""
        active_run = self._queue.find_active(run_id)
        if active_run is None or active_run.initial_log_size not in (None, get_log_size(active_run.run)):
            return None
        return time.monotonic() - active_run.started_at

    def get_queue_position(self, run_id: str) -> int | None:
        """Position in the queue, 1 for the next run; None if it does not wait."""
        return self._queue.get_position(run_id)

    def get_queued_commands(self, run_id: str) -> tuple[Command, ...]:
        """Commands that a queued run gets when it starts; none if it does not wait."""
        return self._queue.get_queued_commands(run_id)

    def list_active_runs(self) -> list[Run]:
        """Runs that train, pause or wait, in the order in which they were requested."""
        return self._queue.list_runs()

    def get_log_reader(self, run: Run) -> LogReader:
        """Get the shared reader of a run's log."""
        return self._log_readers.get(run)

    def discard_log_reader(self, run_id: str) -> None:
        """Drop the reader of a deleted run."""
        self._log_readers.discard(run_id)

    @property
    def reference_images_per_second(self) -> float | None:
        """Training speed of the guide network on this machine: the best that a warm worker or a run has shown."""
        # The best one: other work on the machine can only make a measurement slower.
        self._update_reference_speed(self._launcher.reference_images_per_second)
        return self._best_images_per_second or None

    def _update_reference_speed(self, images_per_second: float | None) -> None:
        self._best_images_per_second = max(self._best_images_per_second, images_per_second or 0)

    def get_worker_pids(self) -> dict[str, int]:
        """Process ids by the id of the run; that of the spare worker under ``spare``."""
        pids = {run_id: worker.pid for run_id, worker in self._queue.list_workers().items()}
        spare_pid = self._launcher.spare_pid
        return pids | ({"spare": spare_pid} if spare_pid is not None else {})

    # Workers

    def ensure_spare_worker(self) -> None:
        """Warm up a worker for the next run; not while a run trains and needs the cores."""
        if not self._queue.has_active_runs and not self._queue.is_closed:
            self._launcher.prepare()

    def wait_for_spare_worker(self, timeout_s: float) -> bool:
        """Wait until the spare worker is warm; False if that takes longer than ``timeout_s``."""
        self.ensure_spare_worker()
        return self._launcher.wait_until_prepared(timeout_s)

    def close(self) -> None:
        """End every worker; their runs are saved as interrupted."""
        queued_runs, active_runs = self._queue.close()
        for queued_run in queued_runs:
            log_end(queued_run.run, self.get_log_reader(queued_run.run).read_history(), "stopped")
        workers = [active_run.worker for active_run in active_runs if active_run.worker]
        # All are asked first, so that they save at the same time; no thread can be started while Python exits.
        for worker in workers:
            worker.request_end()
        for worker in workers:
            worker.terminate()
        self._launcher.close()
        atexit.unregister(self.close)

    def _wait_for_ended_worker(self, run_id: str) -> None:
        """Wait for the process of a run that has ended, which still has its slot for a moment."""
        give_up_at = time.monotonic() + _EXIT_TIMEOUT_S
        while self._queue.is_active(run_id) and not self.is_active(run_id) and time.monotonic() < give_up_at:
            time.sleep(_EXIT_POLL_S)

    def _start_or_raise(self, run: Run) -> None:
        error = self._start_queued_runs().get(run.id)
        if error:
            raise error

    def _start_queued_runs(self) -> dict[str, WorkerError]:
        """Start runs while slots are free; returns the errors of runs that did not start, which are also logged."""
        errors: dict[str, WorkerError] = {}
        while taken := self._queue.take_next():
            queued_run, active_run = taken
            try:
                self._start_run(queued_run, active_run)
            except WorkerError as error:
                self._queue.release_slot(queued_run.run.id)
                log_failure(queued_run.run, self.get_log_reader(queued_run.run).read_history(), error)
                errors[queued_run.run.id] = error
            except BaseException:
                self._queue.release_slot(queued_run.run.id)
                raise
        return errors

    def _start_run(self, queued_run: QueuedRun, active_run: ActiveRun) -> None:
        job = JobSpec(
            run_folder=str(queued_run.run.folder),
            initial_commands=queued_run.commands,
            max_run_s=self.limits.max_run_s,
            max_pause_s=self.limits.max_pause_s,
        )
        active_run.initial_log_size = get_log_size(queued_run.run)
        worker = self._launcher.start(job)
        try:
            is_attached = self._queue.attach_worker(active_run, worker)
        except WorkerError:
            worker.terminate()
            raise
        if is_attached:
            threading.Thread(target=self._watch_worker, args=(queued_run.run, worker), daemon=True).start()
        else:  # the scheduler was closed meanwhile
            self._queue.release_slot(queued_run.run.id)
            worker.terminate()

    def _watch_worker(self, run: Run, worker: WorkerHandle) -> None:
        try:
            exit_code = worker.wait()
            history = self.get_log_reader(run).read_history()
            if exit_code != 0 and not self._queue.is_closed:
                log_worker_exit(run, history, worker, exit_code)
            self._update_reference_speed(
                convert_to_reference_speed(
                    summarize(run.record.architecture), run.record.recipe.batch_size, history.images_per_second
                )
            )
        except Exception:  # the slot must be freed whatever goes wrong here
            _logger.exception("Watching the worker of run %s failed", run.id)
        finally:
            self._queue.release_slot(run.id)
            worker.release()
            if not self._queue.is_closed:
                self._start_queued_runs()
                self.ensure_spare_worker()


def _make_initial_commands(pause_after_batches: int | None) -> tuple[Command, ...]:
    return (Pause(), TrainSteps(batches=pause_after_batches)) if pause_after_batches else ()
