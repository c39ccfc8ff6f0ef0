"""A run's log folded: phases, curves, figures."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.spec.events import (
    CheckpointSaved,
    Diagnosed,
    EpochDone,
    Evaluated,
    KnobChanged,
    Paused,
    Resumed,
    RunEnded,
    RunFailed,
    RunStarted,
    SnapshotSaved,
    StepDone,
)
from playground.spec.history import History
from tests.spec.test_events import any_event
from tests.strategies import settings


def started(**fields: Any) -> RunStarted:
    given_fields = {"train_size": 100, "validation_size": 20, "test_size": 20, "steps_per_epoch": 10, "total_steps": 30}
    return RunStarted(step=0, elapsed_s=0, device="cpu", precision="float32", **(given_fields | fields))


def step(number: int, *, speed: float = 100.0, **fields: float) -> StepDone:
    values = {"loss": 1.0 / number, "accuracy": 0.5, "lr": 0.1, "elapsed_s": number * 0.5} | fields
    return StepDone(step=number, images_per_second=speed, **values)


def at(kind: type[Any], number: int = 1, **fields: Any) -> Any:
    return kind(step=number, elapsed_s=number * 0.5, **fields)


ended = {status: at(RunEnded, status=status) for status in ("completed", "stopped", "interrupted")}
failed = at(RunFailed, what="The loss is not a number.")


@pytest.mark.parametrize(
    ("log", "phase"),
    [
        ([], "waiting"),
        ([started()], "training"),
        ([started(), step(1)], "training"),
        ([started(), at(Paused)], "paused"),
        ([started(), at(Paused), at(Resumed)], "training"),
        ([started(), at(Paused), step(2)], "paused"),
        ([started(), at(Paused), ended["stopped"]], "stopped"),
        ([started(), ended["completed"]], "completed"),
        ([started(), ended["stopped"]], "stopped"),
        ([started(), ended["interrupted"]], "interrupted"),
        ([started(), ended["stopped"], at(Resumed)], "training"),
        ([started(), ended["interrupted"], at(Resumed), step(2), ended["completed"]], "completed"),
        ([started(), failed], "failed"),
        ([started(), failed, at(Resumed)], "training"),
        ([started(), failed, at(Resumed), ended["completed"]], "completed"),
        ([started(), at(CheckpointSaved), at(SnapshotSaved)], "training"),
        ([started(), at(Paused), at(CheckpointSaved)], "paused"),
    ],
)
def test_phases(log: list[Any], phase: str) -> None:
    assert History.of(log).phase == phase


def test_a_failure_is_kept_until_the_run_goes_on() -> None:
    history = History.of([started(), failed])
    assert history.failure is failed
    history.add(at(Resumed))
    assert history.failure is None


def test_a_whole_run_by_hand() -> None:
    validation = [at(Evaluated, n, split="validation", loss=0.3, accuracy=n / 20, size=20) for n in (5, 10)]
    test = at(Evaluated, 10, split="test", loss=0.25, accuracy=0.75, size=20)
    on_train = at(Evaluated, 10, split="train", loss=0.1, accuracy=0.99, size=20)
    change = at(KnobChanged, 4, knob="lr", before=0.1, after=0.01)
    epoch = at(EpochDone, 10, epoch=1, train_loss=0.4, train_accuracy=0.8)
    finding = at(Diagnosed, 9, finding="calm", message="All is well.")
    history = History()
    assert (history.step, history.epoch, history.images_per_second, history.seconds_left) == (0, 0.0, 0.0, None)
    history.add(started())
    assert history.seconds_left is None
    for number in range(1, 11):
        history.add(step(number, speed=float(number)))
        for event in (change, validation[0], finding):
            if event.step == number:
                history.add(event)
    for event in (validation[1], epoch, at(SnapshotSaved, 10), at(SnapshotSaved, 10), on_train, test):
        history.add(event)
    assert history.steps == list(range(1, 11))
    assert history.train_loss == [1 / number for number in range(1, 11)]
    assert history.train_accuracy == [0.5] * 10
    assert history.validation == validation
    assert history.last_validation is validation[1]
    assert (history.test, history.epochs, history.knob_changes) == (test, [epoch], [change])
    assert history.snapshots == [10]
    assert history.diagnosis is finding
    assert (history.step, history.epoch, history.elapsed_s) == (10, 1.0, 5.0)
    assert history.seconds_left == pytest.approx(20 * 0.5)
    assert history.images_per_second == 6.0  # the upper median of 1 to 10
    history.add(ended["completed"])
    assert history.figures() == {
        "status": "completed",
        "steps": 10,
        "epochs": 1,
        "seconds": 5.0,
        "images_per_second": 6.0,
        "validation_accuracy": 0.5,
        "test_accuracy": 0.75,
        "test_loss": 0.25,
    }


def test_figures_before_anything_happened() -> None:
    figures = History().figures()
    assert figures["status"] == "waiting"
    assert (figures["steps"], figures["epochs"], figures["seconds"], figures["images_per_second"]) == (0, 0, 0.0, 0.0)
    assert figures["validation_accuracy"] is figures["test_accuracy"] is figures["test_loss"] is None


def test_the_speed_is_that_of_the_last_batches() -> None:
    history = History.of([started(), *(step(number, speed=1.0) for number in range(1, 50))])
    for number in range(50, 71):
        history.add(step(number, speed=900.0))
    assert history.images_per_second == 900.0


@given(log=st.lists(any_event(), max_size=25))
@settings(max_examples=150)
def test_a_fold_is_total_and_counts(log: list[Any]) -> None:
    """Any events in any order: nothing is raised, nothing is lost, feeding is the same as folding."""
    history = History.of(log)
    fed = History()
    for event in log:
        fed.add(event)
    assert fed == history
    assert len(history.steps) == len(history.train_loss) == sum(isinstance(event, StepDone) for event in log)
    assert len(history.knob_changes) == sum(isinstance(event, KnobChanged) for event in log)
    assert history.elapsed_s == max((event.elapsed_s for event in log), default=0.0)
    deciding = [event for event in log if isinstance(event, RunStarted | Paused | Resumed | RunEnded | RunFailed)]
    if deciding:
        alone = History.of(deciding[-1:])
        assert history.phase == alone.phase
    else:
        assert history.phase == "waiting"
    assert history.figures()["status"] == history.phase
    assert history.epoch >= 0
