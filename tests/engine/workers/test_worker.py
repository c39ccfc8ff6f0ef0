"""The supervisor with real worker processes; few of them, since each takes seconds to get warm."""

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
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import find_run, list_runs
from playground.engine.runs.run import Run
from playground.engine.training.trainer import Trainer
from playground.engine.workers.scheduler import Scheduler
from playground.errors import ArchitectureError, RecipeError, StorageError, UnknownNameError
from tests.engine.helpers import Script, assert_same_weights, figures, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
TINY = get_architecture_preset("tiny").architecture
PATIENCE_S = 60


def recipe(**fields: object) -> Recipe:
    return Recipe(**({"limit": 640, "batch_size": 32, "validation_size": 200} | fields))


ENDLESS = recipe(epochs=1000)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fleet")
    cache = Path(os.environ["CNN_PLAYGROUND_HOME"]) / "cache"
    cache.mkdir(exist_ok=True)
    (folder / "cache").symlink_to(cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_PLAYGROUND_HOME", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")  # threads of a tiny net on shared cores mostly wait for each other
        yield folder


@pytest.fixture(scope="module")
def fleet(data_folder: Path) -> Iterator[Scheduler]:
    supervisor = Scheduler()
    supervisor.ensure_spare_worker()
    yield supervisor
    supervisor.close()


@pytest.fixture(autouse=True)
def _nothing_left_running(fleet: Scheduler) -> Iterator[None]:
    yield
    for run in reversed(fleet.list_active_runs()):
        fleet.send_command(run.id, Stop())
    until(lambda: not fleet.list_active_runs(), PATIENCE_S, "every run's end")


def wait_for_phase(fleet: Scheduler, run: Run, phase: str) -> None:
    until(lambda: fleet.get_log_reader(run).read_history().status == phase, PATIENCE_S, f"the phase {phase}")


def wait_for_pauses(run: Run, steps: list[int]) -> None:
    until(lambda: [e.step for e in run.read_events() if e.kind == "paused"] == steps, PATIENCE_S, f"pauses at {steps}")


def wait_for_step(fleet: Scheduler, run: Run, step: int) -> None:
    until(lambda: fleet.get_log_reader(run).read_history().step >= step, PATIENCE_S, f"step {step}")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_start_for_some_batches_step_resume_pause_and_stop(fleet: Scheduler):
    run = fleet.submit(TINY, ENDLESS, owner="me", pause_after_batches=3)
    assert fleet.is_active(run.id)
    assert fleet.get_queue_position(run.id) is None
    wait_for_pauses(run, [0, 3])
    fleet.send_command(run.id, TrainSteps(batches=2))
    wait_for_pauses(run, [0, 3, 5])
    assert fleet.get_log_reader(run).read_history().status == "paused"
    assert run.is_live()
    fleet.send_command(run.id, Resume())
    wait_for_step(fleet, run, 10)
    fleet.send_command(run.id, Pause())
    wait_for_phase(fleet, run, "paused")
    at = fleet.get_log_reader(run).read_history().step
    fleet.send_command(run.id, TrainSteps(batches=1))
    wait_for_pauses(run, [0, 3, 5, at, at + 1])
    fleet.send_command(run.id, Resume())
    fleet.send_command(run.id, Stop())
    wait_for_phase(fleet, run, "stopped")
    until(lambda: not fleet.is_active(run.id), PATIENCE_S, "the worker's end")
    assert run.can_resume()
    assert run.load_checkpoint()["step"] == run.read_history().step == run.list_snapshot_steps()[-1]


def test_killed_resumed_and_undisturbed_runs_end_in_the_same_weights(fleet: Scheduler):
    """The undisturbed one waits in the queue behind the one that is killed."""
    settings = recipe(epochs=6, seed=4)
    killed, undisturbed, third = (fleet.submit(TINY, settings) for _ in range(3))
    assert [run.id for run in fleet.list_active_runs()] == [killed.id, undisturbed.id, third.id]
    assert [fleet.get_queue_position(run.id) for run in (killed, undisturbed, third)] == [None, 1, 2]
    fleet.send_command(third.id, Stop())
    assert third.read_history().status == "stopped"
    assert not fleet.is_active(third.id)
    assert third.can_resume()
    assert not third.checkpoint_path.exists()
    until(killed.checkpoint_path.exists, PATIENCE_S, "a checkpoint")
    os.kill(fleet.get_worker_pids()[killed.id], signal.SIGKILL)
    until(lambda: not fleet.is_active(killed.id), PATIENCE_S, "the notice of the death")
    history = killed.read_history()
    assert history.status == fleet.get_log_reader(killed).read_history().status == "interrupted"
    assert history.end_diagnosis is not None
    assert history.end_diagnosis.diagnosis == "worker_died"
    assert "killed (signal 9)" in history.end_diagnosis.message
    assert "Resume" in history.end_diagnosis.message
    wait_for_phase(fleet, undisturbed, "completed")
    fleet.resume(killed.id)
    wait_for_phase(fleet, killed, "completed")
    assert figures(killed.read_events()) == figures(undisturbed.read_events())
    last = killed.list_snapshot_steps()[-1]
    assert last == undisturbed.list_snapshot_steps()[-1] == 120
    assert_same_weights(killed.load_snapshot(last), undisturbed.load_snapshot(last))
    assert killed.load_checkpoint()["step"] == 120
    until(lambda: not fleet.is_active(killed.id), PATIENCE_S, "the worker's end")
    with pytest.raises(StorageError, match="cannot go on"):
        fleet.resume(killed.id)


PARENT = """
import sys, time
from playground.engine.workers.scheduler import Scheduler
from playground.engine.training.trainer import Trainer
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
if __name__ == "__main__":
    supervisor = Scheduler(keep_spare_worker=False)
    run = supervisor.submit(get_architecture_preset("tiny").architecture, Recipe.from_json(sys.argv[1]))
    print(run.id, supervisor.get_worker_pids()[run.id], flush=True)
    time.sleep(600)
"""


def test_the_death_of_the_parent_saves_the_run(fleet: Scheduler):
    command = [sys.executable, "-c", PARENT, ENDLESS.to_canonical_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        run_id, pid = parent.stdout.readline().split()
        run = find_run(run_id)
        try:
            wait_for_step(fleet, run, 5)
            with pytest.raises(StorageError, match="training already"):
                fleet.resume(run.id)
        finally:
            parent.kill()
    until(lambda: not run.is_live(), PATIENCE_S, "the worker's last words")
    *_, last = run.read_events()
    assert isinstance(last, RunEnded)
    assert last.status == "interrupted"
    assert run.load_checkpoint()["step"] == last.step
    assert run.can_resume()
    until(lambda: is_gone(int(pid)), PATIENCE_S, "the orphan's end")
    trainer = Trainer(TINY, run.record.recipe)
    script = Script({last.step + 5: [Stop()]})
    script.trainer = trainer
    with Recorder(run) as recorder:
        list(recorder.run_trainer(trainer, script))
    steps = [event.step for event in run.read_events() if event.kind == "step_done"]
    assert steps == list(range(1, last.step + 6))


def test_unknown_runs_and_impossible_ones(fleet: Scheduler):
    known = len(list_runs()[0])
    fleet.send_command("nope", Stop())
    assert not fleet.is_active("nope")
    assert fleet.get_queue_position("nope") is None
    fleet.discard_log_reader("nope")
    with pytest.raises(UnknownNameError):
        fleet.resume("nope")
    with pytest.raises(StorageError, match="cannot go on"):
        fleet.resume("pretrained")
    with pytest.raises(ArchitectureError, match="cannot be trained"):
        fleet.submit(get_architecture_preset("broken").architecture, recipe())
    with pytest.raises(RecipeError, match="at most 640"):
        fleet.submit(TINY, recipe(batch_size=641))
    assert len(list_runs()[0]) == known
    assert fleet.list_active_runs() == []


def test_closing_leaves_nobody_behind_and_every_run_saved(fleet: Scheduler):
    run, waiting = fleet.submit(TINY, ENDLESS), fleet.submit(TINY, ENDLESS)
    wait_for_step(fleet, run, 2)
    pids = list(fleet.get_worker_pids().values())
    assert pids
    fleet.close()
    assert all(is_gone(pid) for pid in pids)
    assert run.read_history().status == "interrupted"
    assert run.can_resume()
    assert not waiting.is_live()
