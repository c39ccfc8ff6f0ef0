"""The supervisor with real worker processes; few of them, since each takes seconds to get warm."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.core.events import Pause, Resume, RunEnded, Step, Stop
from playground.core.presets import architecture_preset
from playground.core.recipe import Recipe
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import all_runs, find_run
from playground.engine.runs.run import Run
from playground.engine.training.trainer import Trainer
from playground.engine.workers.scheduler import Supervisor
from playground.errors import ArchitectureError, RecipeError, StoreError, UnknownNameError
from tests.engine.helpers import Script, assert_same_weights, figures, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
TINY = architecture_preset("tiny").architecture
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
def fleet(data_folder: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor()
    supervisor.warm()
    yield supervisor
    supervisor.close()


@pytest.fixture(autouse=True)
def _nothing_left_running(fleet: Supervisor) -> Iterator[None]:
    yield
    for run in reversed(fleet.active()):
        fleet.send(run.id, Stop())
    until(lambda: not fleet.active(), PATIENCE_S, "every run's end")


def wait_for_phase(fleet: Supervisor, run: Run, phase: str) -> None:
    until(lambda: fleet.tail(run).history().phase == phase, PATIENCE_S, f"the phase {phase}")


def wait_for_pauses(run: Run, steps: list[int]) -> None:
    until(lambda: [e.step for e in run.events() if e.kind == "paused"] == steps, PATIENCE_S, f"pauses at {steps}")


def wait_for_step(fleet: Supervisor, run: Run, step: int) -> None:
    until(lambda: fleet.tail(run).history().step >= step, PATIENCE_S, f"step {step}")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_start_for_some_batches_step_resume_pause_and_stop(fleet: Supervisor):
    run = fleet.start(TINY, ENDLESS, owner="me", batches=3)
    assert fleet.is_active(run.id)
    assert fleet.queue_position(run.id) is None
    wait_for_pauses(run, [0, 3])
    fleet.send(run.id, Step(batches=2))
    wait_for_pauses(run, [0, 3, 5])
    assert fleet.tail(run).history().phase == "paused"
    assert run.is_live()
    fleet.send(run.id, Resume())
    wait_for_step(fleet, run, 10)
    fleet.send(run.id, Pause())
    wait_for_phase(fleet, run, "paused")
    at = fleet.tail(run).history().step
    fleet.send(run.id, Step(batches=1))
    wait_for_pauses(run, [0, 3, 5, at, at + 1])
    fleet.send(run.id, Resume())
    fleet.send(run.id, Stop())
    wait_for_phase(fleet, run, "stopped")
    until(lambda: not fleet.is_active(run.id), PATIENCE_S, "the worker's end")
    assert run.can_resume()
    assert run.checkpoint()["step"] == run.history().step == run.snapshots()[-1]


def test_killed_resumed_and_undisturbed_runs_end_in_the_same_weights(fleet: Supervisor):
    """The undisturbed one waits in the queue behind the one that is killed."""
    settings = recipe(epochs=6, seed=4)
    killed, undisturbed, third = (fleet.start(TINY, settings) for _ in range(3))
    assert [run.id for run in fleet.active()] == [killed.id, undisturbed.id, third.id]
    assert [fleet.queue_position(run.id) for run in (killed, undisturbed, third)] == [None, 1, 2]
    fleet.send(third.id, Stop())
    assert third.history().phase == "stopped"
    assert not fleet.is_active(third.id)
    assert third.can_resume()
    assert not third.checkpoint_path.exists()
    until(killed.checkpoint_path.exists, PATIENCE_S, "a checkpoint")
    os.kill(fleet.worker_pids()[killed.id], signal.SIGKILL)
    until(lambda: not fleet.is_active(killed.id), PATIENCE_S, "the notice of the death")
    history = killed.history()
    assert history.phase == fleet.tail(killed).history().phase == "interrupted"
    assert history.ending is not None
    assert history.ending.finding == "worker_died"
    assert "killed (signal 9)" in history.ending.message
    assert "Resume" in history.ending.message
    wait_for_phase(fleet, undisturbed, "completed")
    fleet.resume(killed.id)
    wait_for_phase(fleet, killed, "completed")
    assert figures(killed.events()) == figures(undisturbed.events())
    last = killed.snapshots()[-1]
    assert last == undisturbed.snapshots()[-1] == 120
    assert_same_weights(killed.snapshot(last), undisturbed.snapshot(last))
    assert killed.checkpoint()["step"] == 120
    until(lambda: not fleet.is_active(killed.id), PATIENCE_S, "the worker's end")
    with pytest.raises(StoreError, match="cannot go on"):
        fleet.resume(killed.id)


PARENT = """
import sys, time
from playground.engine.workers.scheduler import Supervisor
from playground.engine.training.trainer import Trainer
from playground.core.presets import architecture_preset
from playground.core.recipe import Recipe
if __name__ == "__main__":
    supervisor = Supervisor(keep_warm=False)
    run = supervisor.start(architecture_preset("tiny").architecture, Recipe.read(sys.argv[1]))
    print(run.id, supervisor.worker_pids()[run.id], flush=True)
    time.sleep(600)
"""


def test_the_death_of_the_parent_saves_the_run(fleet: Supervisor):
    command = [sys.executable, "-c", PARENT, ENDLESS.canonical_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        run_id, pid = parent.stdout.readline().split()
        run = find_run(run_id)
        try:
            wait_for_step(fleet, run, 5)
            with pytest.raises(StoreError, match="training already"):
                fleet.resume(run.id)
        finally:
            parent.kill()
    until(lambda: not run.is_live(), PATIENCE_S, "the worker's last words")
    *_, last = run.events()
    assert isinstance(last, RunEnded)
    assert last.status == "interrupted"
    assert run.checkpoint()["step"] == last.step
    assert run.can_resume()
    until(lambda: is_gone(int(pid)), PATIENCE_S, "the orphan's end")
    trainer = Trainer(TINY, run.record.recipe)
    script = Script({last.step + 5: [Stop()]})
    script.trainer = trainer
    with Recorder(run) as recorder:
        list(recorder.follow(trainer, script))
    steps = [event.step for event in run.events() if event.kind == "step_done"]
    assert steps == list(range(1, last.step + 6))


def test_unknown_runs_and_impossible_ones(fleet: Supervisor):
    known = len(all_runs()[0])
    fleet.send("nope", Stop())
    assert not fleet.is_active("nope")
    assert fleet.queue_position("nope") is None
    fleet.forget("nope")
    with pytest.raises(UnknownNameError):
        fleet.resume("nope")
    with pytest.raises(StoreError, match="cannot go on"):
        fleet.resume("pretrained")
    with pytest.raises(ArchitectureError, match="cannot be trained"):
        fleet.start(architecture_preset("broken").architecture, recipe())
    with pytest.raises(RecipeError, match="at most 640"):
        fleet.start(TINY, recipe(batch_size=641))
    assert len(all_runs()[0]) == known
    assert fleet.active() == []


def test_closing_leaves_nobody_behind_and_every_run_saved(fleet: Supervisor):
    run, waiting = fleet.start(TINY, ENDLESS), fleet.start(TINY, ENDLESS)
    wait_for_step(fleet, run, 2)
    pids = list(fleet.worker_pids().values())
    assert pids
    fleet.close()
    assert all(is_gone(pid) for pid in pids)
    assert run.history().phase == "interrupted"
    assert run.can_resume()
    assert not waiting.is_live()
