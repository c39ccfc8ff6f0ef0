"""Launcher of local processes, with a warm spare worker for the next run."""

import contextlib
import threading
import time

from playground.engine.workers.job import JobSpec
from playground.engine.workers.worker_process import WorkerProcess
from playground.errors import WorkerError

_SPARE_RESTART_DELAY_S = 30.0


class LocalLauncher:
    """Starts workers as processes on this machine; no lock is held while a process starts."""

    def __init__(self, *, keep_spare_worker: bool = True) -> None:
        self._keep_spare_worker = keep_spare_worker
        self._lock = threading.Lock()
        self._spare: WorkerProcess | None = None
        self._is_starting_spare = False
        self._is_closed = False
        self._spare_died_at = -_SPARE_RESTART_DELAY_S

    @property
    def reference_images_per_second(self) -> float | None:
        """Training speed of the guide network, measured by the spare worker while it warmed up."""
        spare = self._spare
        return spare.reference_images_per_second if spare else None

    @property
    def spare_pid(self) -> int | None:
        """Process id of the spare worker."""
        spare = self._spare
        return spare.pid if spare else None

    def start(self, job: JobSpec) -> WorkerProcess:
        """Give the job to the spare worker, or to a new one where the spare is gone."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare:
            with contextlib.suppress(WorkerError):
                spare.assign(job)
                return spare
            spare.terminate(timeout_s=0)
        worker = WorkerProcess()
        try:
            worker.assign(job)
        except WorkerError:
            worker.terminate(timeout_s=0)
            raise
        return worker

    def prepare(self) -> None:
        """Start a spare worker unless there is one; a worker that died is replaced after 30 seconds."""
        with self._lock:
            if self._spare and not self._spare.is_alive():
                self._spare.release()
                self._spare, self._spare_died_at = None, time.monotonic()
            is_too_early = time.monotonic() - self._spare_died_at <= _SPARE_RESTART_DELAY_S
            if self._spare or self._is_starting_spare or self._is_closed or not self._keep_spare_worker or is_too_early:
                return
            self._is_starting_spare = True
        worker = None
        try:
            with contextlib.suppress(WorkerError):  # the next start tries again, and reports the error
                worker = WorkerProcess()
        finally:
            with self._lock:
                self._is_starting_spare = False
                if not self._is_closed:
                    self._spare, worker = worker, None
        if worker:
            worker.terminate()

    def wait_until_prepared(self, timeout_s: float) -> bool:
        """Wait until the spare worker is warm; False if that takes longer than ``timeout_s``."""
        spare = self._spare
        return spare.ready.wait(timeout_s) if spare else False

    def close(self) -> None:
        """End the spare worker."""
        with self._lock:
            self._is_closed = True
            spare, self._spare = self._spare, None
        if spare:
            spare.terminate()
