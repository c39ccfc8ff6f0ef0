"""Workers killed at any point: the run is listed, resumes and ends with the same weights."""

import os
import signal
from pathlib import Path

import pytest

from playground.core.events import Pause, Resume, SaveSnapshot, Stop, TrainSteps, UpdateHyperparameters
from playground.engine.runs.manage import delete_run
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run
from playground.engine.workers import worker
from playground.engine.workers.scheduler import Scheduler
from tests.engine.helpers import (
    Script,
    assert_same_weights,
)
from tests.faults.injecting import (
    BRIEF,
    SLIM,
    SMALL,
    TINY,
    assert_on_disk,
    assert_resumable,
    assert_undisturbed,
    kill_new_run,
    list_kill_states,
    list_reported,
    new_run,
    read_events,
    read_run_files,
    restore_run,
    train_in_process,
)
from tests.faults.processes import (
    fault,
    needs_forks,
    wait_for,
    wait_for_end,
)
from tests.narrowing import require

KILL_POINTS = {
    "before it reads its job": ("birth", 1),
    "before it writes the log": ("make a temporary file", 1),
    "before the first event": ("log run_started", 1),
    "before the first batch": ("batch", 1),
    "before the first checkpoint": ("batch", 3),
    "in the last batch": ("batch", 20),
    "while evaluating": ("evaluate", 1),
    "while testing": ("evaluate", 3),
    "in the middle of a snapshot": ("half 4.safetensors", 1),
    "in the middle of a later checkpoint": ("half 8.pt", 1),
    "with the step checkpoint, without the newest": ("replace checkpoint.pt", 2),
    "with a checkpoint not yet logged": ("log checkpoint_saved", 2),
    "in the middle of a line": ("half log step_done", 9),
    "before the last event": ("log run_ended", 1),
}


@needs_forks
@pytest.mark.parametrize("point", KILL_POINTS)
def test_run_resumes_after_its_worker_is_killed_at_any_point(scheduler: Scheduler, point: str) -> None:
    with fault(*KILL_POINTS[point]):
        run = scheduler.submit(SMALL, BRIEF)
    wait_for_end(scheduler, run)
    reported = list_reported(run.read_events())
    assert_resumable(run, "interrupted", "killed (signal 9)", "memory ran out", "Resume continues")
    assert_on_disk(run, reported)
    scheduler.resume(run.id)
    wait_for_end(scheduler, run)
    assert_undisturbed(run, reported)


@needs_forks
@pytest.mark.parametrize("point", ["birth", "write events.jsonl", "replace events.jsonl", "log resumed"])
def test_run_resumes_after_its_worker_is_killed_while_resuming(scheduler: Scheduler, point: str) -> None:
    with fault("batch", 7):
        run = scheduler.submit(SMALL, BRIEF)
    wait_for_end(scheduler, run)
    reported = list_reported(run.read_events())
    with fault(point):
        scheduler.resume(run.id)
    wait_for_end(scheduler, run)
    assert_resumable(run, "interrupted", "killed (signal 9)")
    scheduler.resume(run.id)
    wait_for_end(scheduler, run)
    assert_undisturbed(run, reported)


@needs_forks
def test_run_resumes_after_its_worker_is_killed_while_paused(scheduler: Scheduler) -> None:
    run = scheduler.submit(SMALL, BRIEF, pause_after_batches=6)
    wait_for(run, "paused", 6)
    reported = list_reported(run.read_events())
    os.kill(scheduler.get_worker_pids()[run.id], signal.SIGKILL)
    wait_for_end(scheduler, run)
    assert_resumable(run, "interrupted", "killed (signal 9)")
    assert_on_disk(run, reported)
    scheduler.resume(run.id)
    wait_for_end(scheduler, run)
    assert_undisturbed(run, reported)


@needs_forks
def test_run_completes_although_its_workers_are_killed_repeatedly(scheduler: Scheduler) -> None:
    """Each worker reaches one more checkpoint and dies in the next batch."""
    run, reported, deaths = scheduler.submit(SMALL, BRIEF, pause_after_batches=1), set(), 0
    wait_for(run, "paused", 1)
    scheduler.send_command(run.id, Stop())
    wait_for_end(scheduler, run)
    while run.read_history().status != "completed":
        with fault("batch", 5):
            scheduler.resume(run.id)
        wait_for_end(scheduler, run)
        reported |= list_reported(run.read_events())
        deaths += run.read_history().status == "interrupted"
    assert deaths >= 4
    assert_undisturbed(run, reported)


@needs_forks
def test_worker_killed_after_its_last_event_leaves_a_completed_run(scheduler: Scheduler) -> None:
    with fault("death"):
        run = scheduler.submit(SMALL, BRIEF)
    wait_for_end(scheduler, run)
    assert_undisturbed(run)


# Kills in this process, between any two file changes


def test_kill_between_any_two_file_changes_loses_nothing(memory_disk: Path) -> None:
    script = Script(
        {2: [Pause()], 5: [SaveSnapshot(), Pause()]}, [TrainSteps(batches=2), SaveSnapshot(), Resume(), Resume()]
    )
    requested = {("snapshot_saved", step) for step in (4, 5)}  # requests are not repeated after a kill
    states = list_kill_states(create_run(SLIM, TINY), script)
    assert len(states) > 90
    for index, (point, (files, reported)) in enumerate(states.items()):
        restored = restore_run(files, point)
        assert_on_disk(restored, reported)
        if index % 2:
            continue
        if restored.read_history().status != "completed":
            assert_resumable(restored, restored.read_history().status)
            train_in_process(restored)
        assert_undisturbed(restored, reported - requested)


def test_kill_between_any_two_file_changes_of_a_resumed_run_loses_nothing(memory_disk: Path) -> None:
    states = list_kill_states(restore_run(kill_new_run("batch", 5), "resumed"))
    assert len(states) > 50
    for point, (files, reported) in states.items():
        restored = restore_run(files, point)
        assert_on_disk(restored, reported)
        if restored.read_history().status != "completed":
            assert_resumable(restored, "interrupted")
            train_in_process(restored)
        assert_undisturbed(restored, reported)


def test_log_and_weights_agree_after_a_kill_around_a_hyperparameter_change(memory_disk: Path) -> None:
    states = list_kill_states(
        create_run(SLIM, TINY), Script({4: [UpdateHyperparameters(hyperparameters={"lr": 0.123})]})
    )
    for point, (files, reported) in states.items():
        if ("step_done", 4) not in reported or ("epoch_done", 6) in reported:
            continue
        restored = restore_run(files, point)
        train_in_process(restored)
        history = restored.read_history()
        assert history.status == "completed"
        changes = [change.after for change in history.hyperparameter_changes]
        assert require(history.last_step).lr == (changes[-1] if changes else TINY.lr)
        assert len(changes) <= 1
        assert changes or ("checkpoint_saved", 4) not in reported


def test_hyperparameter_change_at_a_checkpoint_is_logged_after_resume(memory_disk: Path) -> None:
    """Killed after writing the new checkpoint and before logging it: the log ends with the previous checkpoint."""
    run = restore_run(
        kill_new_run("log checkpoint_saved", 3, Script({3: [UpdateHyperparameters(hyperparameters={"lr": 0.123})]}))
    )
    train_in_process(run)
    history = run.read_history()
    assert require(history.last_step).lr == 0.123
    assert [change.after for change in history.hyperparameter_changes] == [0.123]


def test_kill_of_an_extended_run_loses_nothing(memory_disk: Path) -> None:
    def extend() -> Script:
        return Script({6: [UpdateHyperparameters(hyperparameters={"epochs": 3})]})

    files = read_run_files(new_run())
    restored = restore_run(files)
    train_in_process(restored, extend())
    expected, steps = restored.load_checkpoint()["model"], restored.read_history().steps
    assert steps == list(range(1, 10))
    states = list_kill_states(restore_run(files), extend())
    assert len(states) > 40
    for point, (state, reported) in states.items():
        restored = restore_run(state, point)
        assert_on_disk(restored, reported)
        if restored.read_history().steps != steps or restored.read_history().status != "completed":
            assert restored.can_resume(epochs=3)
            train_in_process(restored, extend())
        assert restored.read_history().status == "completed"
        assert restored.read_history().steps == steps
        assert_on_disk(restored, reported - {("hyperparameter_changed", 6)})
        assert_same_weights(restored.load_checkpoint()["model"], expected)


def test_run_killed_before_its_last_event_is_tested_once(memory_disk: Path) -> None:
    run = restore_run(kill_new_run("log run_ended"))
    train_in_process(run)
    assert [event.split for event in run.read_events() if event.kind == "evaluated"].count("test") == 1


def test_requested_snapshot_survives_a_kill(memory_disk: Path) -> None:
    files = kill_new_run("batch", 5, Script({4: [SaveSnapshot()]}))
    assert ("snapshot_saved", 4) in list_reported(read_events(files))
    run = restore_run(files)
    train_in_process(run)
    assert_undisturbed(run, {("snapshot_saved", 4)})


def test_temporary_files_of_a_killed_worker_are_removed(memory_disk: Path) -> None:
    run = restore_run(kill_new_run("half 3.pt"))
    assert [path for path in run.folder.rglob(".*") if path.is_file()]
    train_in_process(run)
    assert_undisturbed(run)
    assert not [path for path in run.folder.rglob(".*") if path.is_file()]


def test_temporary_files_of_a_killed_worker_are_ignored(memory_disk: Path) -> None:
    files = kill_new_run("batch", 5)
    half = {
        path.replace(name, f".{name}.k3j_9x"): content[: len(content) // 2]
        for path, content in files.items()
        if (name := Path(path).name) not in ("lock", "pid")
    }
    run = restore_run(files | half)
    assert run.list_snapshot_steps() == (0, 1, 2, 3)
    assert run.list_checkpoint_steps() == (2, 3)
    assert_resumable(run, "interrupted")
    train_in_process(run)
    assert_undisturbed(run, list_reported(read_events(files)))
    delete_run(run)
    assert not run.folder.exists()


def test_run_advanced_by_another_process_resumes_from_the_newer_checkpoint(memory_disk: Path) -> None:
    """Another process can train and end between reading the checkpoint and taking the lock."""
    run = restore_run(kill_new_run("batch", 5))

    class LateRecorder(Recorder):
        def __enter__(self) -> Recorder:
            patch.setattr(worker, "Recorder", Recorder)
            train_in_process(run, Script({4: [UpdateHyperparameters(hyperparameters={"lr": 0.123})], 5: [Stop()]}))
            return super().__enter__()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "Recorder", LateRecorder)
        train_in_process(run)
    assert [event.after for event in run.read_events() if event.kind == "hyperparameter_changed"] == [0.123]
