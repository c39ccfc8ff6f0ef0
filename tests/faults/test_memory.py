"""Memory runs out, wherever."""

import contextlib
from pathlib import Path

import pytest
import torch

from playground.engine.runs import recorder as record
from playground.engine.runs.repository import create_run
from playground.engine.training import learner
from playground.engine.training import trainer as train
from playground.engine.workers.scheduler import Scheduler
from tests.faults.injecting import (
    SLIM,
    SMALL,
    TINY,
    Refused,
    assert_found_again,
    assert_on_disk,
    assert_whole,
    go_on,
    recipe,
    told,
)
from tests.faults.processes import (
    fault,
    needs_forks,
    wait_for_end,
)

STARVING = {
    "training": ("batch", 7),
    "evaluating": ("evaluate", 1),
    "logging": ("log step_done", 7),
    "saving": ("make a temporary file", 12),
}


@needs_forks
@pytest.mark.parametrize("moment", STARVING)
def test_a_worker_without_memory_can_go_on(fleet: Scheduler, moment: str):
    """It gets no more from the system, and has filled what it had."""
    with fault(*STARVING[moment], action="starve"):
        run = fleet.submit(SMALL, recipe(epochs=4, batch_size=160))
    wait_for_end(fleet, run)
    reported = told(run.read_events())
    assert_found_again(run, "failed" if run.read_history().failure else "interrupted", "memory")
    assert_on_disk(run, reported)
    fleet.resume(run.id)
    wait_for_end(fleet, run)
    assert_whole(run, reported)


NO_MEMORY = {
    "processor": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    "device": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "python": MemoryError(),
    "cpp": MemoryError("std::bad_alloc"),
}


@pytest.mark.parametrize("place", ["augment", "evaluate", "serialize_checkpoint", "serialize_snapshot"])
@pytest.mark.parametrize("problem", NO_MEMORY)
def test_memory_that_ends_anywhere_is_told(quick_disk: Path, problem: str, place: str):
    owner = {"augment": learner, "evaluate": train}.get(place, record)
    run = create_run(SLIM, TINY)
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(MemoryError, RuntimeError):
        patch.setattr(owner, place, Refused(getattr(owner, place), 4, NO_MEMORY[problem]))
        go_on(run)
    reported = told(run.read_events())
    assert_found_again(run, "failed", "emory")
    assert_on_disk(run, reported)
    go_on(run)
    assert_whole(run, reported)
