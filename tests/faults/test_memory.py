"""Out-of-memory errors of workers and of every allocation site."""

import contextlib
from pathlib import Path

import pytest
import torch

from playground.engine.runs import recorder
from playground.engine.runs.repository import create_run
from playground.engine.training import learner, run_evaluator
from playground.engine.workers.scheduler import Scheduler
from tests.faults.injecting import (
    SLIM,
    SMALL,
    TINY,
    FailingCall,
    assert_on_disk,
    assert_resumable,
    assert_undisturbed,
    list_reported,
    recipe,
    train_in_process,
)
from tests.faults.processes import (
    fault,
    needs_forks,
    wait_for_end,
)

STARVATION_POINTS = {
    "training": ("batch", 7),
    "evaluating": ("evaluate", 1),
    "logging": ("log step_done", 7),
    "saving": ("make a temporary file", 12),
}


@needs_forks
@pytest.mark.parametrize("activity", STARVATION_POINTS)
def test_run_resumes_after_its_worker_runs_out_of_memory(scheduler: Scheduler, activity: str) -> None:
    """The system grants no more memory, and all that was granted is filled."""
    with fault(*STARVATION_POINTS[activity], action="starve"):
        run = scheduler.submit(SMALL, recipe(epochs=4, batch_size=160))
    wait_for_end(scheduler, run)
    reported = list_reported(run.read_events())
    assert_resumable(run, "failed" if run.read_history().failure else "interrupted", "memory")
    assert_on_disk(run, reported)
    scheduler.resume(run.id)
    wait_for_end(scheduler, run)
    assert_undisturbed(run, reported)


MEMORY_ERRORS = {
    "processor": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    "device": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "python": MemoryError(),
    "cpp": MemoryError("std::bad_alloc"),
}


@pytest.mark.parametrize("function", ["augment", "evaluate", "serialize_checkpoint", "serialize_snapshot"])
@pytest.mark.parametrize("error", MEMORY_ERRORS)
def test_out_of_memory_error_is_reported(memory_disk: Path, error: str, function: str) -> None:
    owner = {"augment": learner, "evaluate": run_evaluator}.get(function, recorder)
    run = create_run(SLIM, TINY)
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(MemoryError, RuntimeError):
        patch.setattr(owner, function, FailingCall(getattr(owner, function), 4, MEMORY_ERRORS[error]))
        train_in_process(run)
    reported = list_reported(run.read_events())
    assert_resumable(run, "failed", "emory")
    assert_on_disk(run, reported)
    train_in_process(run)
    assert_undisturbed(run, reported)
