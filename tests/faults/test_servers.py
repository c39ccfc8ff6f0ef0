"""Servers that end, are suspended, fail to start a worker, or share a data folder."""

import errno
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from playground.core import events
from playground.core.events import Resume, Stop
from playground.engine.runs.manage import delete_run, request_stop
from playground.engine.runs.repository import find_run, list_runs
from playground.engine.runs.run import Run
from playground.engine.workers.scheduler import Scheduler
from playground.errors import StorageError
from tests.engine.helpers import (
    until,
)
from tests.faults.injecting import (
    BRIEF,
    ENDLESS,
    SMALL,
    FailingCall,
    assert_on_disk,
    assert_resumable,
    assert_undisturbed,
    list_reported,
)
from tests.faults.processes import (
    FORKING,
    SLOW,
    TIMEOUT_S,
    Forked,
    Server,
    fault,
    needs_forks,
    read_lock_holder,
    read_process_state,
    wait_for,
    wait_for_death,
    wait_for_end,
)
from tests.narrowing import require

SERVER_ENDINGS = {
    "killed": (False, signal.SIGKILL),
    "terminated": (True, signal.SIGTERM),
}


@needs_forks
@pytest.mark.parametrize("ending", SERVER_ENDINGS)
def test_every_run_can_resume_after_the_server_ends(
    start_server: Callable[..., Server], scheduler: Scheduler, ending: str
) -> None:
    """One run trains, one is paused, two wait."""
    tidy, number = SERVER_ENDINGS[ending]
    server = start_server(tidy=tidy, max_running=2)
    (paused_id,) = server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=6)
    training_id, *waiting_ids = server.do("start", recipe=BRIEF.model_dump(), times=3, fault=SLOW)
    paused, training, *waiting = (find_run(run_id) for run_id in (paused_id, training_id, *waiting_ids))
    pids = server.do("pids").values()
    wait_for(paused, "paused", 6)
    wait_for(training, "checkpoint_saved")
    reported = {run.id: list_reported(run.read_events()) for run in (paused, training)}
    server.end(number)
    wait_for_death(*pids)
    for run in (paused, training):
        assert_resumable(run, "interrupted")
        assert_on_disk(run, reported[run.id])
        *_, last = run.read_events()
        assert isinstance(last, events.RunEnded)
        assert run.load_checkpoint()["step"] == last.step
        reported[run.id] = list_reported(run.read_events())
    for run in waiting:
        assert_resumable(run, "stopped" if tidy else "waiting")
    scheduler.send_command(waiting[1].id, Stop())  # a run of another server: the command is ignored
    for run in (paused, training, waiting[0]):
        scheduler.resume(run.id)
    wait_for_end(scheduler, paused, training, waiting[0])
    for run in (paused, training, waiting[0]):
        assert_undisturbed(run, reported.get(run.id, set()))


@needs_forks
@pytest.mark.parametrize("stopped_at", ["birth", "half 8.pt", "log paused"])
def test_suspended_worker_saves_its_run_after_its_server_was_killed(
    start_server: Callable[..., Server], scheduler: Scheduler, stopped_at: str
) -> None:
    server = start_server()
    batches = 6 if "paused" in stopped_at else None
    stop_fault = {"point": stopped_at, "at": 1, "action": "stop"}
    (run_id,) = server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=batches, fault=stop_fault)
    (pid,) = server.do("pids").values()
    until(lambda: read_process_state(pid) == "T", TIMEOUT_S, "the worker to stop")
    server.end()
    run = find_run(run_id)
    if stopped_at != "birth":
        with pytest.raises(StorageError, match="training already"):
            scheduler.resume(run.id)
        with pytest.raises(StorageError, match="Stop it first"):
            delete_run(run)
    os.kill(pid, signal.SIGCONT)
    wait_for_death(pid)
    assert_resumable(run, "waiting" if stopped_at == "birth" else "interrupted")
    reported = list_reported(run.read_events())
    scheduler.resume(run.id)
    wait_for_end(scheduler, run)
    assert_undisturbed(run, reported)


@needs_forks
@pytest.mark.parametrize("batches", [None, 6], ids=["training", "paused"])
def test_worker_saves_after_an_external_stop_request(scheduler: Scheduler, batches: int | None) -> None:
    with fault(**SLOW):
        run = scheduler.submit(SMALL, BRIEF, pause_after_batches=batches)
    wait_for(run, "paused" if batches else "checkpoint_saved", batches or 0)
    request_stop(run)
    wait_for_end(scheduler, run)
    assert_resumable(run, "stopped", *["asked to end from outside"] * (batches is None))
    reported = list_reported(run.read_events())
    assert run.load_checkpoint()["step"] == run.read_history().step
    scheduler.resume(run.id)
    wait_for_end(scheduler, run)
    assert_undisturbed(run, reported)


@needs_forks
def test_run_trains_although_the_spare_worker_was_killed(forks: Path) -> None:
    scheduler = Scheduler()
    try:
        assert scheduler.wait_for_spare_worker(TIMEOUT_S)
        spare = scheduler.get_worker_pids()["spare"]
        os.kill(spare, signal.SIGKILL)
        wait_for_death(spare)
        run = scheduler.submit(SMALL, BRIEF)
        wait_for_end(scheduler, run)
        assert_undisturbed(run)
    finally:
        scheduler.close()


@needs_forks
def test_failed_worker_start_does_not_block_the_queue(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scheduler.submit(SMALL, BRIEF, pause_after_batches=6)
    second, third = scheduler.submit(SMALL, BRIEF), scheduler.submit(SMALL, BRIEF)
    wait_for(first, "paused", 6)
    no_process = OSError(errno.ENOMEM, "Cannot allocate memory")
    monkeypatch.setattr(FORKING, "Popen", FailingCall(Forked, 1, no_process))
    scheduler.send_command(first.id, Resume())
    until(lambda: second.read_history().failure, TIMEOUT_S, "the notice of the failure")
    assert "cannot be started" in require(second.read_history().failure).what
    until(lambda: third.read_history().status == "completed", TIMEOUT_S, "the end of the next run")
    assert_undisturbed(third)
    no_process.__traceback__ = None
    gc.collect()  # unclosed files raise their warning in this test, not in another


# Two servers on one data folder


def both(left: Server, right: Server, what: str, **arguments: Any) -> list[Any]:
    """Send a request to two servers at the same time and return both answers."""
    for server in (left, right):
        server.ask(what, **arguments)
    return [server.answer() for server in (left, right)]


@needs_forks
def test_run_resumed_by_two_servers_is_trained_once(start_server: Callable[..., Server], scheduler: Scheduler) -> None:
    """Both workers are stopped before they open the run, so that both servers find it free."""
    with fault("batch", 7):
        run = scheduler.submit(SMALL, BRIEF)
    wait_for_end(scheduler, run)
    reported = list_reported(run.read_events())
    left, right = start_server(), start_server()
    stop_fault = {"point": "birth", "at": 1, "action": "stop"}
    assert both(left, right, "resume", run_id=run.id, pause_after_batches=5, fault=stop_fault) == [run.id, run.id]
    pids = [server.do("pids")[run.id] for server in (left, right)]
    until(lambda: [read_process_state(pid) for pid in pids] == ["T", "T"], TIMEOUT_S, "both workers to stop")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    until(lambda: "" in map(read_process_state, pids), TIMEOUT_S, "the end of the worker that came second")
    assert run.is_live(), "the first worker trains"
    assert [pid for pid in pids if read_process_state(pid)] == [read_lock_holder(run)]
    wait_for(run, "paused", 10)
    for server in (left, right):
        assert "training already" in server.do("resume", run_id=run.id)["error"]
        assert "is training" in server.do("delete", run_id=run.id)["error"]
    with pytest.raises(StorageError, match="training already"):
        scheduler.resume(run.id)
    for server in (left, right):
        server.do("send", run_id=run.id, command=Resume().model_dump())
    wait_for_death(*pids)
    assert [event.step for event in run.read_events() if event.kind == "resumed"] == [5, 5, 10]
    assert not run.read_history().failure
    assert_undisturbed(run, reported)


@needs_forks
def test_runs_started_by_two_servers_at_once_are_distinct(
    start_server: Callable[..., Server], scheduler: Scheduler
) -> None:
    left, right = start_server(), start_server()
    started = both(left, right, "start", recipe=BRIEF.model_dump(), times=6)
    ids = [run_id for answer in started for run_id in answer]
    assert len(set(ids)) == 12
    runs, unreadable = list_runs()
    assert {run.id for run in runs} == set(ids)
    assert not unreadable
    for server, (first, *_) in zip((left, right), started, strict=True):
        server.end()
        wait_for_run_end(find_run(first))
    firsts = {answer[0] for answer in started}
    assert all(run.read_history().status == "waiting" and run.can_resume() for run in runs if run.id not in firsts)
    for run_id in (started[0][-1], started[1][-1]):
        run = scheduler.resume(run_id)
        wait_for_end(scheduler, run)
        assert_undisturbed(run)


def wait_for_run_end(run: Run) -> None:
    until(lambda: not run.is_live() and run.read_history().status != "training", TIMEOUT_S, "the end of a run")


@needs_forks
def test_run_active_on_another_server_cannot_be_deleted(
    start_server: Callable[..., Server], scheduler: Scheduler
) -> None:
    server = start_server(max_running=2)
    training, paused, waiting, deleted = (
        find_run(server.do("start", recipe=recipe.model_dump(), pause_after_batches=batches)[0])
        for recipe, batches in ((ENDLESS, None), (BRIEF, 6), (BRIEF, None), (BRIEF, None))
    )
    wait_for(training, "checkpoint_saved")
    wait_for(paused, "paused", 6)
    for run in (training, paused):
        with pytest.raises(StorageError, match="is training"):
            delete_run(run)
    delete_run(deleted)  # queued on the other server, not yet trained
    for run, command in ((paused, Resume()), (training, Stop())):
        server.do("send", run_id=run.id, command=command.model_dump())
    until(lambda: server.do("active") == [], TIMEOUT_S, "the end of the queue")
    assert_undisturbed(paused)
    assert_undisturbed(waiting)
    assert not deleted.folder.exists()
    assert_resumable(training, "stopped")


@needs_forks
def test_queued_run_trained_by_another_server_is_not_trained_twice(
    start_server: Callable[..., Server], scheduler: Scheduler
) -> None:
    server = start_server()
    first, second = (
        find_run(server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=batches)[0]) for batches in (6, None)
    )
    wait_for(first, "paused", 6)
    scheduler.resume(second.id)
    wait_for_end(scheduler, second)
    assert_undisturbed(second)
    server.do("send", run_id=first.id, command=Resume().model_dump())
    until(lambda: server.do("active") == [], TIMEOUT_S, "the end of the queue")
    assert_undisturbed(first)
    assert_undisturbed(second)


@needs_forks
def test_suspended_server_does_not_log_the_death_of_a_worker_of_a_resumed_run(
    start_server: Callable[..., Server], scheduler: Scheduler
) -> None:
    server = start_server()
    run = find_run(server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=6)[0])
    wait_for(run, "paused", 6)
    (pid,) = server.do("pids").values()
    os.kill(server.pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    wait_for_death(pid)
    scheduler.resume(run.id, pause_after_batches=6)
    wait_for(run, "paused", 12)
    os.kill(server.pid, signal.SIGCONT)
    until(lambda: server.do("active") == [], TIMEOUT_S, "the server's notice")
    assert run.read_history().status == "paused"
    scheduler.send_command(run.id, Resume())
    wait_for_end(scheduler, run)
    assert_undisturbed(run)
