"""A worker is killed, at any moment: the run is found again and ends in the same weights."""

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
    assert_found_again,
    assert_on_disk,
    assert_whole,
    freeze,
    go_on,
    killed,
    moments,
    new_run,
    read_events,
    thaw,
    told,
)
from tests.faults.processes import (
    fault,
    needs_forks,
    wait_for,
    wait_for_end,
)

KILLED_AT = {
    "before it reads its order": ("birth", 1),
    "before it writes the log": ("make a temporary file", 1),
    "before the first word": ("log run_started", 1),
    "before the first batch": ("batch", 1),
    "before the first checkpoint": ("batch", 3),
    "in the last batch": ("batch", 20),
    "while evaluating": ("measure", 1),
    "while testing": ("measure", 3),
    "in the middle of a snapshot": ("half 4.safetensors", 1),
    "in the middle of a later checkpoint": ("half 8.pt", 1),
    "with the moment kept, the newest not yet": ("replace checkpoint.pt", 2),
    "with a checkpoint not yet logged": ("log checkpoint_saved", 2),
    "in the middle of a line": ("half log step_done", 9),
    "before the last word": ("log run_ended", 1),
}


@needs_forks
@pytest.mark.parametrize("moment", KILLED_AT)
def test_a_worker_killed_at_any_moment_costs_nothing(fleet: Scheduler, moment: str):
    with fault(*KILLED_AT[moment]):
        run = fleet.submit(SMALL, BRIEF)
    wait_for_end(fleet, run)
    reported = told(run.read_events())
    assert_found_again(run, "interrupted", "killed (signal 9)", "memory ran out", "Resume continues")
    assert_on_disk(run, reported)
    fleet.resume(run.id)
    wait_for_end(fleet, run)
    assert_whole(run, reported)


@needs_forks
@pytest.mark.parametrize("point", ["birth", "write events.jsonl", "replace events.jsonl", "log resumed"])
def test_a_worker_killed_while_it_resumes_costs_nothing(fleet: Scheduler, point: str):
    with fault("batch", 7):
        run = fleet.submit(SMALL, BRIEF)
    wait_for_end(fleet, run)
    reported = told(run.read_events())
    with fault(point):
        fleet.resume(run.id)
    wait_for_end(fleet, run)
    assert_found_again(run, "interrupted", "killed (signal 9)")
    fleet.resume(run.id)
    wait_for_end(fleet, run)
    assert_whole(run, reported)


@needs_forks
def test_a_worker_killed_while_paused_costs_nothing(fleet: Scheduler):
    run = fleet.submit(SMALL, BRIEF, pause_after_batches=6)
    wait_for(run, "paused", 6)
    reported = told(run.read_events())
    os.kill(fleet.get_worker_pids()[run.id], signal.SIGKILL)
    wait_for_end(fleet, run)
    assert_found_again(run, "interrupted", "killed (signal 9)")
    assert_on_disk(run, reported)
    fleet.resume(run.id)
    wait_for_end(fleet, run)
    assert_whole(run, reported)


@needs_forks
def test_a_worker_killed_again_and_again_gets_there(fleet: Scheduler):
    """Each worker reaches one checkpoint more and dies in the next batch."""
    run, reported, deaths = fleet.submit(SMALL, BRIEF, pause_after_batches=1), set(), 0
    wait_for(run, "paused", 1)
    fleet.send_command(run.id, Stop())
    wait_for_end(fleet, run)
    while run.read_history().status != "completed":
        with fault("batch", 5):
            fleet.resume(run.id)
        wait_for_end(fleet, run)
        reported |= told(run.read_events())
        deaths += run.read_history().status == "interrupted"
    assert deaths >= 4
    assert_whole(run, reported)


@needs_forks
def test_a_worker_killed_after_its_last_word_leaves_a_completed_run(fleet: Scheduler):
    with fault("death"):
        run = fleet.submit(SMALL, BRIEF)
    wait_for_end(fleet, run)
    assert_whole(run)


# Killed in this process, between any two changes of the disk


def test_a_kill_between_any_two_changes_of_the_disk_costs_nothing(quick_disk: Path):
    script = Script(
        {2: [Pause()], 5: [SaveSnapshot(), Pause()]}, [TrainSteps(batches=2), SaveSnapshot(), Resume(), Resume()]
    )
    asked = {("snapshot_saved", step) for step in (4, 5)}  # whoever asked must ask again after a kill
    left = moments(create_run(SLIM, TINY), script)
    assert len(left) > 90
    for place, (moment, (frozen, reported)) in enumerate(left.items()):
        cold = thaw(frozen, moment)
        assert_on_disk(cold, reported)
        if place % 2:
            continue
        if cold.read_history().status != "completed":
            assert_found_again(cold, cold.read_history().status)
            go_on(cold)
        assert_whole(cold, reported - asked)


def test_a_kill_between_any_two_changes_of_a_resumed_run_costs_nothing(quick_disk: Path):
    left = moments(thaw(killed("batch", 5), "warm"))
    assert len(left) > 50
    for moment, (frozen, reported) in left.items():
        cold = thaw(frozen, moment)
        assert_on_disk(cold, reported)
        if cold.read_history().status != "completed":
            assert_found_again(cold, "interrupted")
            go_on(cold)
        assert_whole(cold, reported)


def test_a_kill_after_any_turn_of_a_knob_leaves_log_and_weights_of_one_mind(quick_disk: Path):
    left = moments(create_run(SLIM, TINY), Script({4: [UpdateHyperparameters(hyperparameters={"lr": 0.123})]}))
    for moment, (frozen, reported) in left.items():
        if ("step_done", 4) not in reported or ("epoch_done", 6) in reported:
            continue
        cold = thaw(frozen, moment)
        go_on(cold)
        history = cold.read_history()
        assert history.status == "completed"
        turned = [change.after for change in history.hyperparameter_changes]
        assert history.last_step.lr == (turned[-1] if turned else TINY.lr)
        assert len(turned) <= 1
        assert turned or ("checkpoint_saved", 4) not in reported


def test_a_knob_turned_where_a_checkpoint_was_is_told_by_whoever_goes_on_with_it(quick_disk: Path):
    """Killed with the new checkpoint kept and its line not logged: the old one's line is the last of that step."""
    run = thaw(killed("log checkpoint_saved", 3, Script({3: [UpdateHyperparameters(hyperparameters={"lr": 0.123})]})))
    go_on(run)
    history = run.read_history()
    assert history.last_step.lr == 0.123
    assert [change.after for change in history.hyperparameter_changes] == [0.123]


def test_a_kill_of_a_completed_run_that_goes_on_costs_nothing(quick_disk: Path):
    def more() -> Script:
        return Script({6: [UpdateHyperparameters(hyperparameters={"epochs": 3})]})

    frozen = freeze(new_run())
    cold = thaw(frozen)
    go_on(cold, more())
    expected, steps = cold.load_checkpoint()["model"], cold.read_history().steps
    assert steps == list(range(1, 10))
    left = moments(thaw(frozen), more())
    assert len(left) > 40
    for moment, (state, reported) in left.items():
        cold = thaw(state, moment)
        assert_on_disk(cold, reported)
        if cold.read_history().steps != steps or cold.read_history().status != "completed":
            assert cold.can_resume(epochs=3)
            go_on(cold, more())
        assert cold.read_history().status == "completed"
        assert cold.read_history().steps == steps
        assert_on_disk(cold, reported - {("hyperparameter_changed", 6)})
        assert_same_weights(cold.load_checkpoint()["model"], expected)


def test_a_run_killed_before_its_last_word_is_tested_once(quick_disk: Path):
    run = thaw(killed("log run_ended"))
    go_on(run)
    assert [event.split for event in run.read_events() if event.kind == "evaluated"].count("test") == 1


def test_a_snapshot_that_was_asked_for_outlives_a_kill(quick_disk: Path):
    frozen = killed("batch", 5, Script({4: [SaveSnapshot()]}))
    assert ("snapshot_saved", 4) in told(read_events(frozen))
    run = thaw(frozen)
    go_on(run)
    assert_whole(run, {("snapshot_saved", 4)})


def test_what_a_killed_writer_left_is_cleared_away(quick_disk: Path):
    run = thaw(killed("half 3.pt"))
    assert [path for path in run.folder.rglob(".*") if path.is_file()]
    go_on(run)
    assert_whole(run)
    assert not [path for path in run.folder.rglob(".*") if path.is_file()]


def test_files_left_by_a_killed_writer_disturb_nothing(quick_disk: Path):
    frozen = killed("batch", 5)
    half = {
        path.replace(name, f".{name}.k3j_9x"): content[: len(content) // 2]
        for path, content in frozen.items()
        if (name := Path(path).name) not in ("lock", "pid")
    }
    run = thaw(frozen | half)
    assert run.list_snapshot_steps() == (0, 1, 2, 3)
    assert run.list_checkpoint_steps() == (2, 3)
    assert_found_again(run, "interrupted")
    go_on(run)
    assert_whole(run, told(read_events(frozen)))
    delete_run(run)
    assert not run.folder.exists()


def test_a_run_that_another_process_took_further_is_resumed_from_there(quick_disk: Path):
    """Between reading the checkpoint and taking the lock, another process may have trained, and ended."""
    run = thaw(killed("batch", 5))

    class Late(Recorder):
        def __enter__(self) -> Recorder:
            patch.setattr(worker, "Recorder", Recorder)
            go_on(run, Script({4: [UpdateHyperparameters(hyperparameters={"lr": 0.123})], 5: [Stop()]}))
            return super().__enter__()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "Recorder", Late)
        go_on(run)
    assert [event.after for event in run.read_events() if event.kind == "hyperparameter_changed"] == [0.123]
