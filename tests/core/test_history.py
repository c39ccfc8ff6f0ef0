"""History of a run from its events: status, learning curves, summary."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.core.events import (
    CheckpointSaved,
    Diagnosed,
    EpochDone,
    Evaluated,
    Event,
    Forked,
    HyperparameterChanged,
    Paused,
    Resumed,
    RunEnded,
    RunFailed,
    RunStarted,
    SnapshotSaved,
    StepDone,
    parse_event,
)
from playground.core.history import History
from playground.engine.runs.run_files import serialize_event
from tests.core.test_events import any_event, any_json
from tests.run_events import make_batch, make_started
from tests.strategies import settings


def started(**fields: Any) -> RunStarted:
    usual = {"train_size": 100, "validation_size": 20, "test_size": 20, "steps_per_epoch": 10, "total_steps": 30}
    return make_started(**(usual | fields))


def step(number: int, *, speed: float = 100.0, **fields: float) -> StepDone:
    usual = {"epochs": number / 10, "loss": 1.0 / number, "elapsed_s": number * 0.5, "images_per_second": speed}
    return make_batch(number, **(usual | fields))


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
        ([started(), at(Paused), at(Resumed, batches=5)], "training"),
        ([started(), at(Paused), at(Resumed, batches=1)], "paused"),
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
        ([started(), step(1), at(CheckpointSaved), at(Forked, parent="a")], "stopped"),
        ([started(), at(Paused), at(Forked, parent="a"), at(Resumed)], "training"),
    ],
)
def test_status_follows_the_events(log: list[Any], phase: str) -> None:
    assert History.from_events(log).status == phase


def test_failure_is_cleared_when_the_run_resumes() -> None:
    history = History.from_events([started(), failed])
    assert history.failure is failed
    history.add(at(Resumed))
    assert history.failure is None


def test_history_of_a_complete_run() -> None:
    validation = [at(Evaluated, n, split="validation", loss=0.3, accuracy=n / 20, size=20) for n in (5, 10)]
    test = at(Evaluated, 10, split="test", loss=0.25, accuracy=0.75, size=20)
    on_train = at(Evaluated, 10, split="train", loss=0.1, accuracy=0.99, size=20)
    change = at(HyperparameterChanged, 4, hyperparameter="lr", before=0.1, after=0.01)
    epoch = at(EpochDone, 10, epoch=1, train_loss=0.4, train_accuracy=0.8)
    finding = at(Diagnosed, 9, diagnosis="calm", message="All is well.")
    history = History()
    assert (history.step, history.epoch, history.images_per_second, history.remaining_seconds) == (0, 0.0, 0.0, None)
    history.add(started())
    assert history.remaining_seconds is None
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
    assert (history.test, history.completed_epochs, history.hyperparameter_changes) == (test, [epoch], [change])
    assert history.snapshot_steps == [10]
    assert history.last_diagnosis is finding
    assert (history.step, history.epoch, history.elapsed_s) == (10, 1.0, 5.0)
    assert history.remaining_seconds == pytest.approx(20 * 0.5)
    assert history.images_per_second == 6.0  # the upper median of 1 to 10
    history.add(ended["completed"])
    assert history.summarize() == {
        "status": "completed",
        "steps": 10,
        "epochs": 1,
        "seconds": 5.0,
        "images_per_second": 6.0,
        "validation_accuracy": 0.5,
        "test_accuracy": 0.75,
        "test_loss": 0.25,
    }


def test_summary_of_an_empty_history() -> None:
    figures = History().summarize()
    assert figures["status"] == "waiting"
    assert (figures["steps"], figures["epochs"], figures["seconds"], figures["images_per_second"]) == (0, 0, 0.0, 0.0)
    assert figures["validation_accuracy"] is figures["test_accuracy"] is figures["test_loss"] is None


def test_throughput_is_the_median_of_the_last_batches() -> None:
    history = History.from_events([started(), *(step(number, speed=1.0) for number in range(1, 50))])
    for number in range(50, 71):
        history.add(step(number, speed=900.0))
    assert history.images_per_second == 900.0


@given(log=st.lists(any_event(), max_size=25))
@settings(max_examples=150)
def test_any_events_in_any_order_can_be_folded(log: list[Any]) -> None:
    """Any events in any order raise nothing; adding events one by one equals folding the log."""
    history = History.from_events(log)
    fed = History()
    for event in log:
        fed.add(event)
    assert fed == history
    assert len(history.steps) == len(history.train_loss) == sum(isinstance(event, StepDone) for event in log)
    assert len(history.hyperparameter_changes) == sum(isinstance(event, HyperparameterChanged) for event in log)
    assert history.elapsed_s == max((event.elapsed_s for event in log), default=0.0)
    deciding = [
        event for event in log if isinstance(event, RunStarted | Forked | Paused | Resumed | RunEnded | RunFailed)
    ]
    if deciding:
        alone = History.from_events(deciding[-1:])
        assert history.status == alone.status
    else:
        assert history.status == "waiting"
    assert history.summarize()["status"] == history.status
    assert history.epoch >= 0


def test_epochs_follow_the_batches_at_changing_batch_sizes() -> None:
    """100 images: three batches of 20, then two of 10, then one of 20."""
    places = [0.2, 0.4, 0.6, 0.7, 0.8, 1.0]
    log: list[Event] = [started(), *(step(number, epochs=index) for number, index in enumerate(places, 1))]
    log.insert(4, at(HyperparameterChanged, 3, hyperparameter="batch_size", before=20, after=10))
    log.insert(7, at(HyperparameterChanged, 5, hyperparameter="batch_size", before=10, after=20))
    history = History.from_events(log)
    assert history.step_epochs == places
    assert history.epoch == 1.0
    assert [history.epoch_at(number) for number in range(7)] == [0.0, *places]
    assert history.epoch_at(-1) == 0.0
    assert history.epoch_at(99) == 1.0
    assert [event.after for event in history.hyperparameter_changes] == [10, 20]
    assert history.changed_hyperparameters == {"batch_size": 20}
    assert history.remaining_seconds == pytest.approx(2 * 3.0)  # two epochs more, at 3 s for the first


def test_epoch_at_in_a_log_with_gaps_is_that_of_the_next_batch() -> None:
    history = History.from_events([step(4, epochs=0.4), step(8, epochs=0.8)])
    assert [history.epoch_at(number) for number in (0, 1, 4, 5, 8, 9)] == [0.0, 0.4, 0.4, 0.8, 0.8, 0.8]
    assert History().epoch_at(5) == 0.0


def test_planned_epochs_follow_hyperparameter_changes() -> None:
    assert History().planned_epochs == 1.0
    history = History.from_events([started(), step(10)])
    assert history.planned_epochs == 3.0
    assert history.remaining_seconds == pytest.approx(10.0)
    history.add(at(HyperparameterChanged, 10, hyperparameter="epochs", before=3, after=5))
    assert history.planned_epochs == 5.0
    assert history.remaining_seconds == pytest.approx(20.0)
    history.add(at(HyperparameterChanged, 10, hyperparameter="epochs", before=5, after=1))
    assert history.remaining_seconds == 0.0
    history.add(at(HyperparameterChanged, 10, hyperparameter="lr", before=0.1, after=7))
    assert history.planned_epochs == 1.0
    assert history.changed_hyperparameters == {"epochs": 1, "lr": 7}


def test_fork_keeps_the_parent_s_curve_and_resets_changed_hyperparameters() -> None:
    before = [started(), step(1), at(HyperparameterChanged, 1, hyperparameter="epochs", before=3, after=4), step(2)]
    history = History.from_events([*before, at(CheckpointSaved, 2)])
    assert (history.fork_event, history.changed_hyperparameters, history.planned_epochs) == (None, {"epochs": 4}, 4.0)
    fork = at(Forked, 2, parent="parent", changes={"epochs": (4, 6), "lr": (0.1, 0.2)})
    history.add(fork)
    assert history.fork_event is fork
    assert history.changed_hyperparameters == {}
    assert history.planned_epochs == 6.0
    assert history.steps == [1, 2]
    assert len(history.hyperparameter_changes) == 1
    unchanged = at(Forked, 2, parent="parent", changes={"lr": (0.1, 0.2)})
    assert History.from_events([*before, unchanged]).planned_epochs == 4.0
    again = at(Forked, 2, parent="the fork")
    history.add(again)
    assert history.fork_event is again


def test_test_accuracy_is_cleared_when_the_run_resumes() -> None:
    test = at(Evaluated, 10, split="test", loss=0.25, accuracy=0.75, size=20)
    history = History.from_events([started(), step(10), test, ended["completed"]])
    assert history.test is test
    history.add(at(Resumed, 10))
    assert history.test is None
    assert history.summarize()["test_accuracy"] is None


def test_copy_is_independent_of_the_original() -> None:
    history = History.from_events(
        [started(), step(1), at(HyperparameterChanged, hyperparameter="lr", before=1, after=2)]
    )
    copied, expected = history.copy(), history.copy()
    for event in (
        step(2),
        at(HyperparameterChanged, hyperparameter="epochs", before=3, after=9),
        at(Forked, parent="x"),
        at(Paused),
    ):
        history.add(event)
    assert copied == expected
    assert copied != history


@given(
    hyperparameter=st.sampled_from(("epochs", "batch_size", "lr", "dropout", "")),
    values=st.tuples(any_json, any_json),
    kind=st.sampled_from((HyperparameterChanged, Forked)),
)
@settings(max_examples=200)
def test_any_hyperparameter_value_in_a_log_gives_valid_metrics(
    hyperparameter: str, values: Any, kind: type[Any]
) -> None:
    told = {"parent": "x", "changes": {hyperparameter: values}}
    if kind is HyperparameterChanged:
        told = {"hyperparameter": hyperparameter, "before": values[0], "after": values[1]}
    event = parse_event(serialize_event(at(kind, 1, **told)))
    assert event is not None
    history = History.from_events([started(), step(1), event, step(2)])
    assert history.planned_epochs > 0
    assert history.remaining_seconds is not None
    assert history.remaining_seconds >= 0
    assert history.copy() == history


@pytest.mark.parametrize("epochs", ["1" + "0" * 400, "-" + "9" * 400, "1e400", "true", "NaN", "[]", '"3"'])
def test_invalid_number_of_epochs_in_a_log_gives_valid_metrics(epochs: str) -> None:
    line = (
        '{"kind":"hyperparameter_changed","step":1,"elapsed_s":1,'
        f'"hyperparameter":"epochs","before":1,"after":{epochs}}}'
    )
    event = parse_event(line)
    assert event is not None
    history = History.from_events([started(), step(1), event])
    assert history.planned_epochs > 0
    assert history.remaining_seconds is not None
    assert math.isfinite(history.remaining_seconds)
