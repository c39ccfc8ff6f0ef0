"""Invalid commands and commands after the end of a run."""

import contextlib
import os
import signal
from io import TextIOWrapper
from pathlib import Path

import pytest

from playground.core.events import Command, Pause, Resume, SaveSnapshot, Stop, TrainSteps, UpdateHyperparameters
from playground.engine.workers.scheduler import Scheduler
from playground.engine.workers.worker_process import WorkerProcess
from playground.errors import PlaygroundError, WorkerError
from tests.engine.helpers import (
    until,
)
from tests.faults.injecting import (
    BRIEF,
    SMALL,
    assert_undisturbed,
    read_run_files,
)
from tests.faults.processes import (
    TIMEOUT_S,
    fault,
    needs_forks,
    read_process_state,
    wait_for,
    wait_for_end,
)
from tests.narrowing import require_type

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
def test_invalid_commands_are_ignored(scheduler: Scheduler) -> None:
    run = scheduler.submit(SMALL, BRIEF, pause_after_batches=6)
    wait_for(run, "paused", 6)
    worker = require_type(scheduler._queue.list_workers()[run.id], WorkerProcess)
    require_type(worker._process._process.stdin, TextIOWrapper).buffer.write(b"\xff\xfe\n")
    invalid = [{"lr": "high", "nonsense": 1}, {"dropout": "much"}]
    for line in [*GARBAGE, *(UpdateHyperparameters(hyperparameters=changes).model_dump_json() for changes in invalid)]:
        worker._write_line(line)
    for changes in invalid:
        with pytest.raises(PlaygroundError):
            scheduler.send_command(run.id, UpdateHyperparameters(hyperparameters=changes))
    scheduler.send_command(run.id, Resume())
    wait_for_end(scheduler, run)
    assert_undisturbed(run)


@needs_forks
def test_worker_without_a_valid_job_exits_with_a_reason(forks: Path) -> None:
    for line in GARBAGE[1:7]:
        orphan = WorkerProcess()
        orphan._write_line(line)
        assert orphan.wait() == 1
        assert orphan.read_stderr_tail()
        orphan.release()


@needs_forks
def test_commands_after_the_end_of_a_run_change_nothing(scheduler: Scheduler) -> None:
    """Commands reach a worker after its last batch, a worker that is gone, and a server without a worker."""
    with fault("log run_ended", action="stop"):
        run = scheduler.submit(SMALL, BRIEF)
    pid = scheduler.get_worker_pids()[run.id]
    until(lambda: read_process_state(pid) == "T", TIMEOUT_S, "the worker to stop")
    commands: list[Command] = [
        Pause(),
        TrainSteps(batches=3),
        SaveSnapshot(),
        UpdateHyperparameters(hyperparameters={"lr": 0.5}),
        Stop(),
        Resume(),
    ]
    for command in commands:
        scheduler.send_command(run.id, command)
    os.kill(pid, signal.SIGCONT)
    while scheduler.is_active(run.id):
        with contextlib.suppress(WorkerError):
            scheduler.send_command(run.id, Pause())
    wait_for_end(scheduler, run)
    assert_undisturbed(run)
    before = read_run_files(run)
    for command in commands:
        scheduler.send_command(run.id, command)
    assert read_run_files(run) == before
