"""Scheduler with a launcher that starts no processes: queue, slots, spare worker, failures and stops."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.core.events import Command, Pause, Resume, RunEnded, Stop, TrainSteps, UpdateHyperparameters
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.engine.runs.repository import create_run, list_runs, read_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import append_events
from playground.engine.workers import run_log, scheduler
from playground.engine.workers.job import JobSpec
from playground.engine.workers.launcher import Launcher, WorkerHandle
from playground.engine.workers.limits import ServerLimits
from playground.engine.workers.local_launcher import LocalLauncher
from playground.engine.workers.scheduler import Scheduler
from playground.errors import StorageError, WorkerError
from tests.engine.helpers import until

TINY = get_architecture_preset("tiny").architecture
SHORT = Recipe(limit=64, batch_size=32, validation_size=20, epochs=2, precision="float32", device="cpu")
TIMEOUT_S = 20


class FakeWorker:
    """A worker that ends when the test says so."""

    def __init__(self, job: JobSpec, pid: int) -> None:
        self.job, self.pid = job, pid
        self.run = read_run(Path(job.run_folder))
        self.commands: list[Command] = []
        self.stderr = ""
        self.is_released = False
        self._ended = threading.Event()
        self._exit_code = 0

    def end(self, exit_code: int = 0, stderr: str = "") -> None:
        self._exit_code, self.stderr = exit_code, stderr
        self._ended.set()

    def send_command(self, command: Command) -> None:
        if not self.is_alive():
            raise WorkerError("The worker is gone.")
        self.commands.append(command)

    def is_alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self) -> int:
        assert self._ended.wait(TIMEOUT_S)
        return self._exit_code

    def request_end(self) -> None:
        if self.is_alive():
            append_events(self.run.log_path, RunEnded(step=0, elapsed_s=0, status="interrupted"))
            self.end()

    def terminate(self) -> None:
        self.request_end()
        self.release()

    def read_stderr_tail(self) -> str:
        return self.stderr

    def release(self) -> None:
        self.is_released = True


class FakeLauncher:
    """A launcher of fake workers; ``gate`` holds every start back while it is cleared."""

    reference_images_per_second = 123.0
    spare_pid: int | None = None

    def __init__(self) -> None:
        self.workers: list[FakeWorker] = []
        self.prepared = 0
        self.is_closed = False
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()
        self.starting = threading.Event()

    def start(self, job: JobSpec) -> FakeWorker:
        self.starting.set()
        assert self.gate.wait(TIMEOUT_S)
        if self.errors:
            raise self.errors.pop(0)
        self.workers.append(FakeWorker(job, 1000 + len(self.workers)))
        return self.workers[-1]

    def prepare(self) -> None:
        self.prepared += 1
        self.spare_pid = 7

    def wait_until_prepared(self, timeout_s: float) -> bool:
        return self.prepared > 0

    def close(self) -> None:
        self.is_closed = True


class FakeScheduler(Scheduler):
    """A scheduler with its fake launcher at hand."""

    def __init__(self, **limits: Any) -> None:
        self.launcher = FakeLauncher()
        super().__init__(limits=ServerLimits(**limits), launcher=self.launcher)

    @property
    def workers(self) -> list[FakeWorker]:
        return self.launcher.workers


@pytest.fixture
def make_fleet(home: Path) -> Iterator[Callable[..., FakeScheduler]]:
    fleets: list[FakeScheduler] = []

    def make(**limits: Any) -> FakeScheduler:
        fleets.append(FakeScheduler(**limits))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.launcher.gate.set()
        fleet.close()


def in_thread(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def ended(fleet: FakeScheduler, *runs: Run) -> None:
    ids = {run.id for run in runs}
    until(lambda: not ids & fleet.get_worker_pids().keys(), TIMEOUT_S, "the slot to be freed")
    assert not any(fleet.is_active(run.id) for run in runs)


def test_ended_run_is_not_active_while_its_process_ends(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    run = fleet.submit(get_architecture_preset("tiny").architecture, SHORT)
    assert fleet.is_starting(run.id)
    append_events(run.log_path, RunEnded(step=3, elapsed_s=1, status="stopped"))
    assert not fleet.is_active(run.id)
    assert run.id in fleet.get_worker_pids(), "the process still has its slot"
    resumed = in_thread(lambda: fleet.resume(run.id))
    fleet.workers[0].end()
    resumed.join(TIMEOUT_S)
    assert len(fleet.workers) == 2
    assert fleet.is_active(run.id), "starting again, although the log still ends with the end of the run"


def test_fake_and_local_launcher_fulfil_the_protocol() -> None:
    launchers: list[Launcher] = [FakeLauncher(), LocalLauncher(keep_spare_worker=False)]
    assert [launcher.spare_pid for launcher in launchers] == [None, None]


def test_job_has_the_commands_and_limits_of_the_run(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet(max_run_s=5, max_pause_s=6)
    run = fleet.submit(TINY, SHORT, pause_after_batches=3)
    (worker,) = fleet.workers
    assert worker.job == JobSpec(
        run_folder=str(run.folder),
        initial_commands=(Pause(), TrainSteps(batches=3)),
        max_run_s=5,
        max_pause_s=6,
    )
    assert fleet.get_worker_pids() == {run.id: 1000}
    assert fleet.reference_images_per_second == 123.0


def test_runs_beyond_the_slots_wait_in_order(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet(max_running=2)
    runs = [fleet.submit(TINY, SHORT) for _ in range(5)]
    assert [fleet.get_queue_position(run.id) for run in runs] == [None, None, 1, 2, 3]
    assert [run.id for run in fleet.list_active_runs()] == [run.id for run in runs]
    fleet.workers[1].end()
    until(lambda: len(fleet.workers) == 3, TIMEOUT_S, "the next start")
    assert fleet.workers[2].run.id == runs[2].id
    assert [fleet.get_queue_position(run.id) for run in runs[3:]] == [1, 2]
    assert not fleet.is_active(runs[1].id)
    assert fleet.workers[1].is_released


def test_stopped_queued_run_leaves_the_queue_and_its_log_says_so(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    running, first, second = (fleet.submit(TINY, SHORT) for _ in range(3))
    fleet.send_command(first.id, Stop())
    assert first.read_history().status == "stopped"
    assert not fleet.is_active(first.id)
    assert fleet.get_queue_position(second.id) == 1
    assert fleet.is_active(running.id)
    assert fleet.workers[0].commands == []


def test_commands_of_a_queued_run_precede_its_first_batch(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    fleet.submit(TINY, SHORT)
    waiting = fleet.submit(TINY, SHORT)
    change = UpdateHyperparameters(hyperparameters={"lr": 0.5})
    fleet.send_command(waiting.id, change)
    fleet.send_command(waiting.id, Pause())
    assert fleet.get_queued_commands(waiting.id) == (change, Pause())
    fleet.workers[0].end()
    until(lambda: len(fleet.workers) == 2, TIMEOUT_S, "the next start")
    assert fleet.workers[1].job.initial_commands == (change, Pause())
    assert fleet.workers[1].commands == []


def test_other_calls_answer_while_a_worker_starts(make_fleet: Callable[..., FakeScheduler]) -> None:
    """A start may take seconds; meanwhile pages read the status and send commands, which the worker gets in order."""
    fleet = make_fleet()
    fleet.launcher.gate.clear()
    thread = in_thread(lambda: fleet.submit(TINY, SHORT))
    assert fleet.launcher.starting.wait(TIMEOUT_S)
    answered = threading.Event()

    def ask() -> None:
        (run,) = fleet.list_active_runs()
        assert fleet.is_active(run.id)
        assert fleet.is_starting(run.id)
        assert fleet.get_queue_position(run.id) is None
        assert fleet.get_worker_pids() == {}
        fleet.send_command(run.id, Pause())
        fleet.send_command(run.id, Resume())
        waiting = fleet.submit(TINY, SHORT)
        assert fleet.get_queue_position(waiting.id) == 1
        answered.set()

    asking = in_thread(ask)
    assert answered.wait(TIMEOUT_S), "a call waits for the start of a worker"
    asking.join()
    assert fleet.workers == []
    fleet.launcher.gate.set()
    thread.join()
    fleet.send_command(fleet.workers[0].run.id, Stop())
    assert fleet.workers[0].commands == [Pause(), Resume(), Stop()]


@pytest.mark.parametrize("creator", ["create_run", "fork_run", "create_finetuning_run"])
def test_other_calls_answer_while_a_run_is_written(
    make_fleet: Callable[..., FakeScheduler], monkeypatch: pytest.MonkeyPatch, creator: str
) -> None:
    fleet = make_fleet(max_running=1)
    parent = fleet.submit(TINY, SHORT)
    is_writing, gate = threading.Event(), threading.Event()

    def write_slowly(*_: object, **__: object) -> Run:
        is_writing.set()
        assert gate.wait(TIMEOUT_S)
        return list_runs()[0][0]

    monkeypatch.setattr(scheduler, creator, write_slowly)
    calls: dict[str, Callable[[], object]] = {
        "create_run": lambda: fleet.submit(TINY, SHORT),
        "fork_run": lambda: fleet.fork(parent.id, 1, SHORT),
        "create_finetuning_run": lambda: fleet.finetune(parent.id, ()),
    }
    thread = in_thread(calls[creator])
    assert is_writing.wait(TIMEOUT_S)
    answered = threading.Event()

    def ask() -> None:
        fleet.list_active_runs()
        fleet.send_command(parent.id, Pause())
        fleet.get_log_reader(parent).read_history()
        answered.set()

    in_thread(ask)
    assert answered.wait(TIMEOUT_S), "a call waits for the disk"
    gate.set()
    thread.join()


def test_places_are_reserved_while_runs_are_written(
    make_fleet: Callable[..., FakeScheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two forks at once cannot both take the last place of the queue."""
    fleet = make_fleet(max_queue=1)
    parent = fleet.submit(TINY, SHORT)
    is_writing, gate = threading.Event(), threading.Event()

    def write_slowly(*_: object, **__: object) -> Run:
        is_writing.set()
        assert gate.wait(TIMEOUT_S)
        return create_run(TINY, SHORT)

    monkeypatch.setattr(scheduler, "fork_run", write_slowly)
    thread = in_thread(lambda: fleet.fork(parent.id, 1, SHORT))
    assert is_writing.wait(TIMEOUT_S)
    known = len(list_runs()[0])
    with pytest.raises(WorkerError, match="1 runs are waiting already"):
        fleet.fork(parent.id, 1, SHORT)
    assert len(list_runs()[0]) == known
    gate.set()
    thread.join()
    assert len(fleet.list_active_runs()) == 2


def test_run_is_resumed_only_once(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet(max_running=2)
    run = fleet.submit(TINY, SHORT)
    append_events(run.log_path, RunEnded(step=0, elapsed_s=0, status="stopped"))
    fleet.workers[0].end()
    ended(fleet, run)
    fleet.launcher.starting.clear()
    fleet.launcher.gate.clear()
    thread = in_thread(lambda: fleet.resume(run.id))
    assert fleet.launcher.starting.wait(TIMEOUT_S)
    with pytest.raises(StorageError, match="training already"):
        fleet.resume(run.id)
    fleet.launcher.gate.set()
    thread.join()
    assert len(fleet.workers) == 2


def test_failed_start_is_reported_logged_and_frees_the_slot(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    fleet.launcher.errors.append(WorkerError("No process.", expected="Memory.", fix="Close programs."))
    with pytest.raises(WorkerError, match="No process"):
        fleet.submit(TINY, SHORT)
    (run,) = list_runs()[0]
    failure = run.read_history().failure
    assert failure is not None
    assert (failure.what, failure.expected, failure.fix) == ("No process.", "Memory.", "Close programs.")
    assert fleet.list_active_runs() == []
    fleet.submit(TINY, SHORT)
    assert len(fleet.workers) == 1


def test_failed_start_of_a_queued_run_does_not_hold_up_the_next(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    fleet.submit(TINY, SHORT)
    second, third = fleet.submit(TINY, SHORT), fleet.submit(TINY, SHORT)
    fleet.launcher.errors.append(WorkerError("No process."))
    fleet.workers[0].end()
    until(lambda: len(fleet.workers) == 2, TIMEOUT_S, "the start of the third run")
    assert fleet.workers[1].run.id == third.id
    assert second.read_history().status == "failed"


def test_unexpected_error_of_a_start_frees_the_slot(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    fleet.launcher.errors.append(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        fleet.submit(TINY, SHORT)
    assert fleet.list_active_runs() == []


def test_error_while_watching_frees_the_slot(
    make_fleet: Callable[..., FakeScheduler], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = make_fleet()
    run, waiting = fleet.submit(TINY, SHORT), fleet.submit(TINY, SHORT)

    def fail(*_: object) -> float:
        raise ZeroDivisionError("no such speed")

    monkeypatch.setattr(scheduler, "convert_to_reference_speed", fail)
    fleet.workers[0].end()
    ended(fleet, run)
    until(lambda: len(fleet.workers) == 2, TIMEOUT_S, "the next start")
    assert fleet.workers[1].run.id == waiting.id
    assert "no such speed" in caplog.text


@pytest.mark.parametrize(
    ("exit_code", "stderr", "message"),
    [
        (-9, "", "killed (signal 9), most likely because memory ran out."),
        (-6, "std::bad_alloc", "killed (signal 6), most likely because memory ran out."),
        (-15, "", "killed (signal 15). Resume"),
        (3, "Traceback\nValueError: no", "ended with code 3: ValueError: no Resume"),
    ],
)
def test_death_of_a_worker_is_logged_with_its_reason(
    make_fleet: Callable[..., FakeScheduler], exit_code: int, stderr: str, message: str
) -> None:
    fleet = make_fleet()
    run = fleet.submit(TINY, SHORT)
    fleet.workers[0].end(exit_code, stderr)
    ended(fleet, run)
    history = run.read_history()
    assert history.status == "interrupted"
    assert history.end_diagnosis is not None
    assert message in history.end_diagnosis.message
    assert history.end_diagnosis.metrics == {"exit_code": exit_code}


def test_end_that_the_worker_logged_stays_the_end(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    run = fleet.submit(TINY, SHORT)
    append_events(run.log_path, RunEnded(step=0, elapsed_s=0, status="stopped"))
    fleet.workers[0].end(1, "complaint")
    ended(fleet, run)
    assert [event.kind for event in run.read_events()] == ["run_ended"]


def test_spare_worker_is_prepared_when_no_run_trains(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    fleet.ensure_spare_worker()
    assert fleet.launcher.prepared == 1
    assert fleet.get_worker_pids() == {"spare": 7}
    assert fleet.wait_for_spare_worker(0)
    run = fleet.submit(TINY, SHORT)
    prepared = fleet.launcher.prepared
    fleet.ensure_spare_worker()
    assert fleet.launcher.prepared == prepared, "a run trains and needs the cores"
    fleet.workers[0].end()
    ended(fleet, run)
    until(lambda: fleet.launcher.prepared > prepared, TIMEOUT_S, "the next spare")


def test_closing_ends_running_and_queued_runs(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    run, waiting = fleet.submit(TINY, SHORT), fleet.submit(TINY, SHORT)
    fleet.close()
    assert run.read_history().status == "interrupted"
    assert waiting.read_history().status == "stopped"
    assert fleet.workers[0].is_released
    assert fleet.launcher.is_closed
    ended(fleet, run, waiting)
    assert len(fleet.workers) == 1
    prepared = fleet.launcher.prepared
    fleet.ensure_spare_worker()
    assert fleet.launcher.prepared == prepared


def test_closing_while_a_worker_starts_ends_it(make_fleet: Callable[..., FakeScheduler]) -> None:
    fleet = make_fleet()
    fleet.launcher.gate.clear()
    thread = in_thread(lambda: fleet.submit(TINY, SHORT))
    assert fleet.launcher.starting.wait(TIMEOUT_S)
    fleet.close()
    fleet.launcher.gate.set()
    thread.join()
    (worker,) = fleet.workers
    assert not worker.is_alive()
    assert worker.is_released
    assert fleet.list_active_runs() == []


def test_worker_that_dies_before_it_gets_its_commands_is_a_failed_start(
    make_fleet: Callable[..., FakeScheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet()
    start = fleet.launcher.start

    def start_dying(job: JobSpec) -> WorkerHandle:
        fleet.send_command(Path(job.run_folder).name, Pause())
        worker = start(job)
        worker.end(1)
        return worker

    monkeypatch.setattr(fleet.launcher, "start", start_dying)
    with pytest.raises(WorkerError, match="gone"):
        fleet.submit(TINY, SHORT)
    assert fleet.list_active_runs() == []
    assert list_runs()[0][0].read_history().status == "failed"


def test_oldest_log_readers_are_dropped(
    make_fleet: Callable[..., FakeScheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "_MAX_LOG_READERS", 2)
    fleet = make_fleet(max_queue=9)
    runs = [fleet.submit(TINY, SHORT) for _ in range(3)]
    readers = [fleet.get_log_reader(run) for run in runs]
    assert fleet.get_log_reader(runs[2]) is readers[2]
    assert fleet.get_log_reader(runs[0]) is not readers[0]
    fleet.discard_log_reader(runs[2].id)
    assert fleet.get_log_reader(runs[2]) is not readers[2]
