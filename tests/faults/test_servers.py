"""Servers end, sleep, fail to start a worker, and share a data folder."""

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
    Refused,
    assert_found_again,
    assert_on_disk,
    assert_whole,
    told,
)
from tests.faults.processes import (
    FORKING,
    PATIENCE_S,
    SLOW,
    Forked,
    Server,
    fault,
    lock_holder,
    needs_forks,
    state_of,
    wait_for,
    wait_for_death,
    wait_for_end,
)

ENDINGS_OF_A_SERVER = {
    "killed": (False, signal.SIGKILL),
    "terminated, tidily": (True, signal.SIGTERM),
}


@needs_forks
@pytest.mark.parametrize("ending", ENDINGS_OF_A_SERVER)
def test_a_server_that_ends_leaves_every_run_to_go_on(serve: Callable[..., Server], fleet: Scheduler, ending: str):
    """One trains, one is paused, two wait."""
    tidy, number = ENDINGS_OF_A_SERVER[ending]
    server = serve(tidy=tidy, max_running=2)
    (paused_id,) = server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=6)
    training_id, *waiting_ids = server.do("start", recipe=BRIEF.model_dump(), times=3, fault=SLOW)
    paused, training, *waiting = (find_run(run_id) for run_id in (paused_id, training_id, *waiting_ids))
    pids = server.do("pids").values()
    wait_for(paused, "paused", 6)
    wait_for(training, "checkpoint_saved")
    reported = {run.id: told(run.read_events()) for run in (paused, training)}
    server.end(number)
    wait_for_death(*pids)
    for run in (paused, training):
        assert_found_again(run, "interrupted")
        assert_on_disk(run, reported[run.id])
        *_, last = run.read_events()
        assert isinstance(last, events.RunEnded)
        assert run.load_checkpoint()["step"] == last.step
        reported[run.id] = told(run.read_events())
    for run in waiting:
        assert_found_again(run, "stopped" if tidy else "waiting")
    fleet.send_command(waiting[1].id, Stop())  # another server's run: nothing happens
    for run in (paused, training, waiting[0]):
        fleet.resume(run.id)
    wait_for_end(fleet, paused, training, waiting[0])
    for run in (paused, training, waiting[0]):
        assert_whole(run, reported.get(run.id, set()))


@needs_forks
@pytest.mark.parametrize("asleep_at", ["birth", "half 8.pt", "log paused"])
def test_a_server_that_dies_while_its_worker_sleeps(serve: Callable[..., Server], fleet: Scheduler, asleep_at: str):
    server = serve()
    batches = 6 if "paused" in asleep_at else None
    lies_in_wait = {"point": asleep_at, "at": 1, "action": "stop"}
    (run_id,) = server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=batches, fault=lies_in_wait)
    (pid,) = server.do("pids").values()
    until(lambda: state_of(pid) == "T", PATIENCE_S, "the worker's sleep")
    server.end()
    run = find_run(run_id)
    if asleep_at != "birth":
        with pytest.raises(StorageError, match="training already"):
            fleet.resume(run.id)
        with pytest.raises(StorageError, match="Stop it first"):
            delete_run(run)
    os.kill(pid, signal.SIGCONT)
    wait_for_death(pid)
    assert_found_again(run, "waiting" if asleep_at == "birth" else "interrupted")
    reported = told(run.read_events())
    fleet.resume(run.id)
    wait_for_end(fleet, run)
    assert_whole(run, reported)


@needs_forks
@pytest.mark.parametrize("batches", [None, 6], ids=["training", "paused"])
def test_a_worker_asked_from_outside_to_end_saves(fleet: Scheduler, batches: int | None):
    with fault(**SLOW):
        run = fleet.submit(SMALL, BRIEF, pause_after_batches=batches)
    wait_for(run, "paused" if batches else "checkpoint_saved", batches or 0)
    request_stop(run)
    wait_for_end(fleet, run)
    assert_found_again(run, "stopped", *["asked to end from outside"] * (batches is None))
    reported = told(run.read_events())
    assert run.load_checkpoint()["step"] == run.read_history().step
    fleet.resume(run.id)
    wait_for_end(fleet, run)
    assert_whole(run, reported)


@needs_forks
def test_a_spare_worker_that_was_killed_keeps_no_run_from_training(forks: Path):
    supervisor = Scheduler()
    try:
        assert supervisor.wait_for_spare_worker(PATIENCE_S)
        spare = supervisor.get_worker_pids()["spare"]
        os.kill(spare, signal.SIGKILL)
        wait_for_death(spare)
        run = supervisor.submit(SMALL, BRIEF)
        wait_for_end(supervisor, run)
        assert_whole(run)
    finally:
        supervisor.close()


@needs_forks
def test_a_worker_that_cannot_be_started_keeps_nobody_else_waiting(fleet: Scheduler, monkeypatch: pytest.MonkeyPatch):
    first = fleet.submit(SMALL, BRIEF, pause_after_batches=6)
    second, third = fleet.submit(SMALL, BRIEF), fleet.submit(SMALL, BRIEF)
    wait_for(first, "paused", 6)
    no_process = OSError(errno.ENOMEM, "Cannot allocate memory")
    monkeypatch.setattr(FORKING, "Popen", Refused(Forked, 1, no_process))
    fleet.send_command(first.id, Resume())
    until(lambda: second.read_history().failure, PATIENCE_S, "the notice of the failure")
    assert "cannot be started" in second.read_history().failure.what
    until(lambda: third.read_history().status == "completed", PATIENCE_S, "the end of the next run")
    assert_whole(third)
    no_process.__traceback__ = None
    gc.collect()  # whatever was left open complains here, not in another test


# Two servers on one data folder


def both(left: Server, right: Server, what: str, **said: Any) -> list[Any]:
    """The answers of two servers that are asked at the same time."""
    for server in (left, right):
        server.ask(what, **said)
    return [server.answer() for server in (left, right)]


@needs_forks
def test_two_servers_that_resume_the_same_run_train_it_once(serve: Callable[..., Server], fleet: Scheduler):
    """Both workers are held before they look at the run, so that both servers find it free."""
    with fault("batch", 7):
        run = fleet.submit(SMALL, BRIEF)
    wait_for_end(fleet, run)
    reported = told(run.read_events())
    left, right = serve(), serve()
    asleep = {"point": "birth", "at": 1, "action": "stop"}
    assert both(left, right, "resume", run_id=run.id, pause_after_batches=5, fault=asleep) == [run.id, run.id]
    pids = [server.do("pids")[run.id] for server in (left, right)]
    until(lambda: [state_of(pid) for pid in pids] == ["T", "T"], PATIENCE_S, "both workers' sleep")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    until(lambda: "" in map(state_of, pids), PATIENCE_S, "the end of the worker that came second")
    assert run.is_live(), "the first one goes on"
    assert [pid for pid in pids if state_of(pid)] == [lock_holder(run)]
    wait_for(run, "paused", 10)
    for server in (left, right):
        assert "training already" in server.do("resume", run_id=run.id)["error"]
        assert "is training" in server.do("delete", run_id=run.id)["error"]
    with pytest.raises(StorageError, match="training already"):
        fleet.resume(run.id)
    for server in (left, right):
        server.do("send", run_id=run.id, command=Resume().model_dump())
    wait_for_death(*pids)
    assert [event.step for event in run.read_events() if event.kind == "resumed"] == [5, 5, 10]
    assert not run.read_history().failure
    assert_whole(run, reported)


@needs_forks
def test_two_servers_that_start_runs_at_once_never_share_one(serve: Callable[..., Server], fleet: Scheduler):
    left, right = serve(), serve()
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
        run = fleet.resume(run_id)
        wait_for_end(fleet, run)
        assert_whole(run)


def wait_for_run_end(run: Run) -> None:
    until(lambda: not run.is_live() and run.read_history().status != "training", PATIENCE_S, "the end of a run")


@needs_forks
def test_a_run_that_another_server_trains_or_pauses_cannot_be_deleted(serve: Callable[..., Server], fleet: Scheduler):
    server = serve(max_running=2)
    training, paused, waiting, deleted = (
        find_run(server.do("start", recipe=settled.model_dump(), pause_after_batches=batches)[0])
        for settled, batches in ((ENDLESS, None), (BRIEF, 6), (BRIEF, None), (BRIEF, None))
    )
    wait_for(training, "checkpoint_saved")
    wait_for(paused, "paused", 6)
    for run in (training, paused):
        with pytest.raises(StorageError, match="is training"):
            delete_run(run)
    delete_run(deleted)  # it waits there, and nothing has been trained
    for run, command in ((paused, Resume()), (training, Stop())):
        server.do("send", run_id=run.id, command=command.model_dump())
    until(lambda: server.do("active") == [], PATIENCE_S, "the end of the queue")
    assert_whole(paused)
    assert_whole(waiting)
    assert not deleted.folder.exists()
    assert_found_again(training, "stopped")


@needs_forks
def test_a_run_that_another_server_took_from_the_queue_is_not_trained_twice(
    serve: Callable[..., Server], fleet: Scheduler
):
    server = serve()
    first, second = (
        find_run(server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=batches)[0]) for batches in (6, None)
    )
    wait_for(first, "paused", 6)
    fleet.resume(second.id)
    wait_for_end(fleet, second)
    assert_whole(second)
    server.do("send", run_id=first.id, command=Resume().model_dump())
    until(lambda: server.do("active") == [], PATIENCE_S, "the end of the queue")
    assert_whole(first)
    assert_whole(second)


@needs_forks
def test_a_server_that_slept_over_its_worker_s_death_leaves_the_log_to_the_next(
    serve: Callable[..., Server], fleet: Scheduler
):
    server = serve()
    run = find_run(server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=6)[0])
    wait_for(run, "paused", 6)
    (pid,) = server.do("pids").values()
    os.kill(server.pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    wait_for_death(pid)
    fleet.resume(run.id, pause_after_batches=6)
    wait_for(run, "paused", 12)
    os.kill(server.pid, signal.SIGCONT)
    until(lambda: server.do("active") == [], PATIENCE_S, "the server's notice")
    assert run.read_history().status == "paused"
    fleet.send_command(run.id, Resume())
    wait_for_end(fleet, run)
    assert_whole(run)
