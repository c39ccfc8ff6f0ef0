"""Clocks are set back, workers and whole machines sleep."""

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from playground.core.events import Resume, Stop
from playground.engine.runs import repository as catalogue
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
    assert_found_again,
    assert_whole,
    go_on,
    told,
)
from tests.faults.processes import (
    PATIENCE_S,
    SLOW,
    Server,
    fault,
    needs_forks,
    state_of,
    wait_for,
    wait_for_end,
)


class Earlier(datetime):
    """A clock that was set back by an hour more each time that it is read."""

    hours = 0

    @classmethod
    def now(cls, tz: Any = None) -> "Earlier":
        Earlier.hours += 1
        return datetime.now(tz) - timedelta(hours=Earlier.hours)  # type: ignore[return-value]


def test_a_clock_that_is_set_back_between_runs_and_in_the_middle_of_one(home: Path, monkeypatch: pytest.MonkeyPatch):
    first = create_run(SLIM, TINY)
    moments_told = iter(range(2_000_000_000, 0, -1000))
    monkeypatch.setattr(catalogue, "datetime", Earlier)
    monkeypatch.setattr(time, "time", lambda: float(next(moments_told)))
    runs = [first, *(create_run(SLIM, TINY) for _ in range(5))]
    assert len({run.id for run in runs}) == 6
    assert sorted(list_runs()[0], key=lambda run: run.id) == sorted(runs, key=lambda run: run.id)
    assert [run.record.name for run in runs] == [f"Run {number}" for number in range(1, 7)]
    for run in runs[:3]:
        go_on(run, Script({4: [Stop()]}))
        for path in run.folder.rglob("*"):
            os.utime(path, (0, 0))
        reported = told(run.read_events())
        assert_found_again(run, "stopped")
        go_on(run)
        assert_whole(run, reported)
        assert 0 <= run.read_history().elapsed_s < 60


def test_the_latest_run_is_the_last_that_was_made_whatever_the_clock_says(home: Path, monkeypatch: pytest.MonkeyPatch):
    create_run(SLIM, TINY)
    monkeypatch.setattr(catalogue, "datetime", Earlier)
    run = create_run(SLIM, TINY)
    assert find_run("latest") == run


def test_the_latest_of_many_runs_made_at_once_is_the_last(quick_disk: Path):
    for _ in range(8):
        run = create_run(SLIM, TINY)
        assert find_run("latest") == run


ASLEEP_S = 0.5  # how long the sleep is that is tried, and no wait for anything


@needs_forks
def test_a_worker_that_sleeps_goes_on(fleet: Scheduler):
    began = time.monotonic()
    with fault("half 8.pt", action="stop"):
        run = fleet.submit(SMALL, BRIEF)
    pid = fleet.get_worker_pids()[run.id]
    until(lambda: state_of(pid) == "T", PATIENCE_S, "the worker's sleep")
    time.sleep(ASLEEP_S)
    reported = told(run.read_events())
    assert run.is_live()
    assert run.read_history().status == fleet.get_log_reader(run).read_history().status == "training"
    os.kill(pid, signal.SIGCONT)
    wait_for_end(fleet, run)
    assert_whole(run, reported)
    assert run.read_history().elapsed_s <= time.monotonic() - began


@needs_forks
def test_a_laptop_that_sleeps_goes_on_with_server_and_worker(serve: Callable[..., Server]):
    server = serve()
    run = find_run(server.do("start", recipe=BRIEF.model_dump(), batches=16, fault=SLOW)[0])
    (pid,) = server.do("pids").values()
    wait_for(run, "step_done", 1)
    for stopped in (pid, server.pid):
        os.kill(stopped, signal.SIGSTOP)
    time.sleep(ASLEEP_S)
    for stopped in (server.pid, pid):
        os.kill(stopped, signal.SIGCONT)
    wait_for(run, "paused", 16)
    reported = told(run.read_events())
    server.do("send", run_id=run.id, command=Resume().model_dump())
    until(lambda: server.do("active") == [], PATIENCE_S, "the run's end")
    assert_whole(run, reported)
