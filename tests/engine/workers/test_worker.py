"""Scheduler with real worker processes; few of them, since each takes seconds to start."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.core.events import Pause, Resume, RunEnded, Stop, TrainSteps
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.engine.runs.repository import find_run, list_runs
from playground.engine.runs.run import Run
from playground.engine.training.trainer import Trainer
from playground.engine.workers.scheduler import Scheduler
from playground.errors import ArchitectureError, RecipeError, StorageError, UnknownNameError
from tests.data_folder import use_data_folder
from tests.engine.helpers import Script, assert_same_weights, figures, record_run, until
from tests.narrowing import require, require_type

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
TINY = get_architecture_preset("tiny").architecture
TIMEOUT_S = 60


def recipe(**fields: object) -> Recipe:
    return Recipe(**({"limit": 640, "batch_size": 32, "validation_size": 200} | fields))


ENDLESS = recipe(epochs=1000)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("scheduler")
    with use_data_folder(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # more threads slow a tiny network down on shared cores
        yield folder


@pytest.fixture(scope="module")
def scheduler(data_folder: Path) -> Iterator[Scheduler]:
    scheduler = Scheduler()
    scheduler.ensure_spare_worker()
    yield scheduler
    scheduler.close()


@pytest.fixture(autouse=True)
def _nothing_left_running(scheduler: Scheduler) -> Iterator[None]:
    yield
    for run in reversed(scheduler.list_active_runs()):
        scheduler.send_command(run.id, Stop())
    until(lambda: not scheduler.list_active_runs(), TIMEOUT_S, "every run to end")


def wait_for_status(scheduler: Scheduler, run: Run, status: str) -> None:
    until(lambda: scheduler.get_log_reader(run).read_history().status == status, TIMEOUT_S, f"the status {status}")


def wait_for_pauses(run: Run, steps: list[int]) -> None:
    until(lambda: [e.step for e in run.read_events() if e.kind == "paused"] == steps, TIMEOUT_S, f"pauses at {steps}")


def wait_for_step(scheduler: Scheduler, run: Run, step: int) -> None:
    until(lambda: scheduler.get_log_reader(run).read_history().step >= step, TIMEOUT_S, f"step {step}")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_pause_step_resume_and_stop_commands(scheduler: Scheduler) -> None:
    run = scheduler.submit(TINY, ENDLESS, owner="me", pause_after_batches=3)
    assert scheduler.is_active(run.id)
    assert scheduler.get_queue_position(run.id) is None
    wait_for_pauses(run, [0, 3])
    scheduler.send_command(run.id, TrainSteps(batches=2))
    wait_for_pauses(run, [0, 3, 5])
    assert scheduler.get_log_reader(run).read_history().status == "paused"
    assert run.is_live()
    scheduler.send_command(run.id, Resume())
    wait_for_step(scheduler, run, 10)
    scheduler.send_command(run.id, Pause())
    wait_for_status(scheduler, run, "paused")
    at = scheduler.get_log_reader(run).read_history().step
    scheduler.send_command(run.id, TrainSteps(batches=1))
    wait_for_pauses(run, [0, 3, 5, at, at + 1])
    scheduler.send_command(run.id, Resume())
    scheduler.send_command(run.id, Stop())
    wait_for_status(scheduler, run, "stopped")
    until(lambda: not scheduler.is_active(run.id), TIMEOUT_S, "the worker to end")
    assert run.can_resume()
    assert run.load_checkpoint()["step"] == run.read_history().step == run.list_snapshot_steps()[-1]


def test_killed_resumed_and_undisturbed_runs_end_in_the_same_weights(scheduler: Scheduler) -> None:
    """The undisturbed run waits in the queue behind the killed one."""
    shared_recipe = recipe(epochs=6, seed=4)
    killed, undisturbed, third = (scheduler.submit(TINY, shared_recipe) for _ in range(3))
    assert [run.id for run in scheduler.list_active_runs()] == [killed.id, undisturbed.id, third.id]
    assert [scheduler.get_queue_position(run.id) for run in (killed, undisturbed, third)] == [None, 1, 2]
    scheduler.send_command(third.id, Stop())
    assert third.read_history().status == "stopped"
    assert not scheduler.is_active(third.id)
    assert third.can_resume()
    assert not third.checkpoint_path.exists()
    until(killed.checkpoint_path.exists, TIMEOUT_S, "a checkpoint")
    os.kill(scheduler.get_worker_pids()[killed.id], signal.SIGKILL)
    until(lambda: not scheduler.is_active(killed.id), TIMEOUT_S, "the scheduler to notice the death")
    history = killed.read_history()
    assert history.status == scheduler.get_log_reader(killed).read_history().status == "interrupted"
    assert history.end_diagnosis is not None
    assert history.end_diagnosis.diagnosis == "worker_died"
    assert "killed (signal 9)" in history.end_diagnosis.message
    assert "Resume" in history.end_diagnosis.message
    wait_for_status(scheduler, undisturbed, "completed")
    scheduler.resume(killed.id)
    wait_for_status(scheduler, killed, "completed")
    assert figures(killed.read_events()) == figures(undisturbed.read_events())
    last = killed.list_snapshot_steps()[-1]
    assert last == undisturbed.list_snapshot_steps()[-1] == 120
    assert_same_weights(killed.load_snapshot(last), undisturbed.load_snapshot(last))
    assert killed.load_checkpoint()["step"] == 120
    until(lambda: not scheduler.is_active(killed.id), TIMEOUT_S, "the worker to end")
    with pytest.raises(StorageError, match="cannot go on"):
        scheduler.resume(killed.id)


PARENT = """
import sys, time
from playground.engine.workers.scheduler import Scheduler
from playground.engine.training.trainer import Trainer
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
if __name__ == "__main__":
    scheduler = Scheduler(keep_spare_worker=False)
    run = scheduler.submit(get_architecture_preset("tiny").architecture, Recipe.from_json(sys.argv[1]))
    print(run.id, scheduler.get_worker_pids()[run.id], flush=True)
    time.sleep(600)
"""


def test_worker_saves_its_run_when_the_parent_dies(scheduler: Scheduler) -> None:
    command = [sys.executable, "-c", PARENT, ENDLESS.to_canonical_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        run_id, pid = require(parent.stdout).readline().split()
        run = find_run(run_id)
        try:
            wait_for_step(scheduler, run, 5)
            with pytest.raises(StorageError, match="training already"):
                scheduler.resume(run.id)
        finally:
            parent.kill()
    until(lambda: not run.is_live(), TIMEOUT_S, "the worker to end the run")
    *_, last = run.read_events()
    assert require_type(last, RunEnded).status == "interrupted"
    assert run.load_checkpoint()["step"] == last.step
    assert run.can_resume()
    until(lambda: is_gone(int(pid)), TIMEOUT_S, "the orphan to end")
    record_run(run, Trainer(TINY, run.record.recipe), Script({last.step + 5: [Stop()]}))
    steps = [event.step for event in run.read_events() if event.kind == "step_done"]
    assert steps == list(range(1, last.step + 6))


def test_unknown_and_invalid_runs_are_rejected(scheduler: Scheduler) -> None:
    known = len(list_runs()[0])
    scheduler.send_command("nope", Stop())
    assert not scheduler.is_active("nope")
    assert scheduler.get_queue_position("nope") is None
    scheduler.discard_log_reader("nope")
    with pytest.raises(UnknownNameError):
        scheduler.resume("nope")
    with pytest.raises(StorageError, match="cannot go on"):
        scheduler.resume("pretrained")
    with pytest.raises(ArchitectureError, match="cannot be trained"):
        scheduler.submit(get_architecture_preset("broken").architecture, recipe())
    with pytest.raises(RecipeError, match="at most 640"):
        scheduler.submit(TINY, recipe(batch_size=641))
    assert len(list_runs()[0]) == known
    assert scheduler.list_active_runs() == []


def test_close_ends_every_worker_and_saves_every_run(scheduler: Scheduler) -> None:
    run, waiting = scheduler.submit(TINY, ENDLESS), scheduler.submit(TINY, ENDLESS)
    wait_for_step(scheduler, run, 2)
    pids = list(scheduler.get_worker_pids().values())
    assert pids
    scheduler.close()
    assert all(is_gone(pid) for pid in pids)
    assert run.read_history().status == "interrupted"
    assert run.can_resume()
    assert not waiting.is_live()
