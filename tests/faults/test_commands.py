"""Commands that make no sense, or come too late."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from playground.core.events import Pause, Resume, SaveSnapshot, Stop, TrainSteps, UpdateHyperparameters
from playground.engine.workers.scheduler import Scheduler
from playground.engine.workers.worker_process import WorkerProcess
from playground.errors import PlaygroundError, WorkerError
from tests.engine.helpers import (
    until,
)
from tests.faults.injecting import (
    BRIEF,
    SMALL,
    assert_whole,
    freeze,
)
from tests.faults.processes import (
    PATIENCE_S,
    fault,
    needs_forks,
    state_of,
    wait_for,
    wait_for_end,
)

GARBAGE = [
    "",
    "no command",
    "{}",
    "[1, 2",
    "null",
    '{"kind": "explode"}',
    '{"kind": "step", "batches": -1}',
    "\0" * 9000,
]


@needs_forks
def test_garbage_among_the_commands_is_let_be(fleet: Scheduler):
    run = fleet.submit(SMALL, BRIEF, pause_after_batches=6)
    wait_for(run, "paused", 6)
    worker = fleet._queue.list_workers()[run.id]
    worker._process._process.stdin.buffer.write(b"\xff\xfe\n")
    nonsense = [{"lr": "high", "nonsense": 1}, {"dropout": "much"}]
    for line in [*GARBAGE, *(UpdateHyperparameters(hyperparameters=knobs).model_dump_json() for knobs in nonsense)]:
        worker._write_line(line)
    for knobs in nonsense:
        with pytest.raises(PlaygroundError):
            fleet.send_command(run.id, UpdateHyperparameters(hyperparameters=knobs))
    fleet.send_command(run.id, Resume())
    wait_for_end(fleet, run)
    assert_whole(run)


@needs_forks
def test_a_worker_that_gets_no_order_ends_and_says_why(forks: Path):
    for line in GARBAGE[1:7]:
        orphan = WorkerProcess()
        orphan._write_line(line)
        assert orphan.wait() == 1
        assert orphan.read_stderr_tail()
        orphan.release()


@needs_forks
def test_commands_that_come_after_the_end_change_nothing(fleet: Scheduler):
    """Some reach a worker that has trained its last batch, some one that is gone, some a server that knows it is."""
    with fault("log run_ended", action="stop"):
        run = fleet.submit(SMALL, BRIEF)
    pid = fleet.get_worker_pids()[run.id]
    until(lambda: state_of(pid) == "T", PATIENCE_S, "the worker's sleep")
    commands = [
        Pause(),
        TrainSteps(batches=3),
        SaveSnapshot(),
        UpdateHyperparameters(hyperparameters={"lr": 0.5}),
        Stop(),
        Resume(),
    ]
    for command in commands:
        fleet.send_command(run.id, command)
    os.kill(pid, signal.SIGCONT)
    while fleet.is_active(run.id):
        with contextlib.suppress(WorkerError):
            fleet.send_command(run.id, Pause())
    assert_whole(run)
    before = freeze(run)
    for command in commands:
        fleet.send_command(run.id, command)
    assert freeze(run) == before
