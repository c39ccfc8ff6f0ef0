"""Clocks that are set back; suspended workers and machines."""

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from playground.core.events import Resume, Stop
from playground.engine.runs import repository
from playground.engine.runs.repository import create_run, find_run, list_runs
from playground.engine.workers.scheduler import Scheduler
from tests.engine.helpers import (
    Script,
    until,
)
from tests.faults.injecting import (
    BRIEF,
    SLIM,
    SMALL,
    TINY,
    assert_resumable,
    assert_undisturbed,
    list_reported,
    train_in_process,
)
from tests.faults.processes import (
    SLOW,
    TIMEOUT_S,
    Server,
    fault,
    needs_forks,
    read_process_state,
    wait_for,
    wait_for_end,
)


class Earlier(datetime):
    """Clock that is set back by one more hour at each reading."""

    hours = 0

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        Earlier.hours += 1
        return datetime.now(tz) - timedelta(hours=Earlier.hours)


def test_runs_survive_a_clock_that_is_set_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = create_run(SLIM, TINY)
    clock_readings = iter(range(2_000_000_000, 0, -1000))
    monkeypatch.setattr(repository, "datetime", Earlier)
    monkeypatch.setattr(time, "time", lambda: float(next(clock_readings)))
    runs = [first, *(create_run(SLIM, TINY) for _ in range(5))]
    assert len({run.id for run in runs}) == 6
    assert sorted(list_runs()[0], key=lambda run: run.id) == sorted(runs, key=lambda run: run.id)
    assert [run.record.name for run in runs] == [f"Run {number}" for number in range(1, 7)]
    for run in runs[:3]:
        train_in_process(run, Script({4: [Stop()]}))
        for path in run.folder.rglob("*"):
            os.utime(path, (0, 0))
        reported = list_reported(run.read_events())
        assert_resumable(run, "stopped")
        train_in_process(run)
        assert_undisturbed(run, reported)
        assert 0 <= run.read_history().elapsed_s < 60


def test_latest_run_is_the_last_created_although_the_clock_was_set_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run(SLIM, TINY)
    monkeypatch.setattr(repository, "datetime", Earlier)
    run = create_run(SLIM, TINY)
    assert find_run("latest") == run


def test_latest_of_many_runs_created_at_once_is_the_last(memory_disk: Path) -> None:
    for _ in range(8):
        run = create_run(SLIM, TINY)
        assert find_run("latest") == run


ASLEEP_S = 0.5  # duration of the tested sleep, not a wait for a condition


@needs_forks
def test_suspended_worker_continues(scheduler: Scheduler) -> None:
    began = time.monotonic()
    with fault("half 8.pt", action="stop"):
        run = scheduler.submit(SMALL, BRIEF)
    pid = scheduler.get_worker_pids()[run.id]
    until(lambda: read_process_state(pid) == "T", TIMEOUT_S, "the worker to stop")
    time.sleep(ASLEEP_S)
    reported = list_reported(run.read_events())
    assert run.is_live()
    assert run.read_history().status == scheduler.get_log_reader(run).read_history().status == "training"
    os.kill(pid, signal.SIGCONT)
    wait_for_end(scheduler, run)
    assert_undisturbed(run, reported)
    assert run.read_history().elapsed_s <= time.monotonic() - began


@needs_forks
def test_server_and_worker_continue_after_the_machine_sleeps(start_server: Callable[..., Server]) -> None:
    server = start_server()
    run = find_run(server.do("start", recipe=BRIEF.model_dump(), pause_after_batches=16, fault=SLOW)[0])
    (pid,) = server.do("pids").values()
    wait_for(run, "step_done", 1)
    for stopped in (pid, server.pid):
        os.kill(stopped, signal.SIGSTOP)
    time.sleep(ASLEEP_S)
    for stopped in (server.pid, pid):
        os.kill(stopped, signal.SIGCONT)
    wait_for(run, "paused", 16)
    reported = list_reported(run.read_events())
    server.do("send", run_id=run.id, command=Resume().model_dump())
    until(lambda: server.do("active") == [], TIMEOUT_S, "the run's end")
    assert_undisturbed(run, reported)
