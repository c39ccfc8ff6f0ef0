"""Events and commands: round trip through log lines, and None for invalid lines."""

import json
import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from playground.core import events
from playground.core.events import (
    Diagnosed,
    EpochDone,
    Evaluated,
    Forked,
    HyperparameterChanged,
    HyperparametersRejected,
    RunEnded,
    RunFailed,
    RunStarted,
    StepDone,
    Stop,
    Suggestion,
    TrainSteps,
    UpdateHyperparameters,
    parse_command,
    parse_event,
)
from playground.core.recipe import LIVE_HYPERPARAMETERS
from playground.engine.runs.run_files import serialize_event
from tests.strategies import settings

EVENTS: dict[str, type[BaseModel]] = {
    event.model_fields["kind"].default: event for event in get_args(get_args(events.Event)[0])
}
COMMANDS: dict[str, type[BaseModel]] = {
    command.model_fields["kind"].default: command for command in get_args(get_args(events.Command)[0])
}

_at = {"step": st.integers(0, 10**9), "elapsed_s": st.floats(0, 1e9)}
_share = st.floats(0, 1)
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
_count = st.integers(0, 10**6)
_loss = st.floats(allow_nan=False)
_knob = st.sampled_from((*LIVE_HYPERPARAMETERS, "dropout")) | st.text(max_size=5)


def any_suggestion() -> st.SearchStrategy[Suggestion]:
    fields = st.dictionaries(_knob, any_json, max_size=2)
    return st.builds(Suggestion, label=st.text(max_size=9), recipe_changes=fields, architecture=st.none() | fields)


def any_event() -> st.SearchStrategy[Any]:
    return st.one_of(
        *(st.builds(EVENTS[kind], **_at) for kind in ("snapshot_saved", "checkpoint_saved", "paused", "resumed")),
        st.builds(
            RunStarted,
            train_size=_count,
            validation_size=_count,
            test_size=_count,
            steps_per_epoch=_count.filter(bool),
            total_steps=_count,
            device=st.text(max_size=5),
            precision=st.text(max_size=5),
            **_at,
        ),
        st.builds(
            StepDone,
            epochs=st.floats(0, 1e4),
            loss=_loss,
            accuracy=_share,
            lr=_share,
            images_per_second=st.floats(0, 1e7),
            **_at,
        ),
        st.builds(
            Evaluated,
            split=st.sampled_from(("train", "validation", "test")),
            loss=_loss,
            accuracy=_share,
            size=_count,
            **_at,
        ),
        st.builds(EpochDone, epoch=_count, train_loss=_loss, train_accuracy=_share, **_at),
        st.builds(HyperparameterChanged, hyperparameter=_knob, before=any_json, after=any_json, **_at),
        st.builds(
            HyperparametersRejected,
            hyperparameters=st.dictionaries(_knob, any_json, max_size=3),
            reason=st.text(max_size=9),
            **_at,
        ),
        st.builds(
            Forked,
            parent=st.text(max_size=9),
            changes=st.dictionaries(_knob, st.tuples(any_json, any_json), max_size=3),
            **_at,
        ),
        st.builds(
            Diagnosed,
            diagnosis=st.text(max_size=5),
            message=st.text(max_size=20),
            metrics=st.dictionaries(st.text(max_size=4), _loss, max_size=3),
            suggestion=st.none() | any_suggestion(),
            **_at,
        ),
        st.builds(RunEnded, status=st.sampled_from(("completed", "stopped", "interrupted")), **_at),
        st.builds(RunFailed, what=st.text(max_size=9), expected=st.text(max_size=9), fix=st.text(max_size=9), **_at),
    )


def test_kinds_of_events_and_commands_are_unchanged() -> None:
    assert set(EVENTS) == {
        "run_started",
        "step_done",
        "evaluated",
        "epoch_done",
        "hyperparameter_changed",
        "hyperparameters_rejected",
        "forked",
        "snapshot_saved",
        "checkpoint_saved",
        "paused",
        "resumed",
        "diagnosed",
        "run_ended",
        "run_failed",
    }
    assert set(COMMANDS) == {"pause", "resume", "step", "stop", "update_hyperparameters", "snapshot"}


@given(event=any_event())
@settings(max_examples=200)
def test_event_round_trip_through_a_log_line(event: Any) -> None:
    line = serialize_event(event)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert parse_event(line) == event
    assert {"kind", "step", "elapsed_s"} <= set(json.loads(line))


@given(event=any_event(), data=st.data())
def test_torn_lines_are_none(event: Any, data: st.DataObject) -> None:
    line = serialize_event(event).rstrip(b"\n")
    assert parse_event(line[: data.draw(st.integers(0, len(line) - 1))]) is None
    assert parse_event(line[data.draw(st.integers(1, len(line) - 1)) :]) is None


@given(noise=st.binary(max_size=60) | st.text(max_size=60) | any_json.map(json.dumps))
@settings(max_examples=200)
def test_noise_is_none(noise: str | bytes) -> None:
    assert parse_event(noise) is None
    assert parse_command(noise) is None


def test_events_of_another_version() -> None:
    assert parse_event('{"kind": "run_teleported", "step": 1, "elapsed_s": 2}') is None
    newer = parse_event('{"kind": "paused", "step": 1, "elapsed_s": 2, "mood": "calm"}')
    assert newer == EVENTS["paused"](step=1, elapsed_s=2)
    assert parse_event('{"kind": "paused", "elapsed_s": 2}') is None
    assert parse_event('{"kind": "step_done", "step": "x", "elapsed_s": 2}') is None
    assert parse_event("[" * 100_000) is None


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            '{"step":5,"elapsed_s":1.5,"kind":"knob_changed","knob":"lr","before":0.1,"after":0.01}',
            HyperparameterChanged(step=5, elapsed_s=1.5, hyperparameter="lr", before=0.1, after=0.01),
        ),
        (
            '{"step":5,"elapsed_s":1.5,"kind":"diagnosed","finding":"learning","message":"Learning.",'
            '"figures":{"train_accuracy":0.5},"suggestion":null}',
            Diagnosed(
                step=5, elapsed_s=1.5, diagnosis="learning", message="Learning.", metrics={"train_accuracy": 0.5}
            ),
        ),
        (
            '{"step":5,"elapsed_s":1.5,"kind":"diagnosed","finding":"no_learning","message":"No.","figures":{},'
            '"suggestion":{"label":"Train anew","recipe":{"lr":0.01},"architecture":null,"anew":true}}',
            Diagnosed(
                step=5,
                elapsed_s=1.5,
                diagnosis="no_learning",
                message="No.",
                suggestion=Suggestion(label="Train anew", recipe_changes={"lr": 0.01}, requires_restart=True),
            ),
        ),
    ],
)
def test_events_of_version_0_1_are_read(line: str, event: events.Event) -> None:
    assert parse_event(line) == event
    assert parse_event(serialize_event(event)) == event


@pytest.mark.parametrize(
    "line",
    [
        '{"step":5,"elapsed_s":1,"kind":"knob_changed"}',
        '{"step":5,"elapsed_s":1,"kind":"diagnosed","finding":3,"message":"x"}',
        '{"step":5,"elapsed_s":1,"kind":["knob_changed"]}',
        '{"step":5,"elapsed_s":1,"kind":"diagnosed","finding":"x","message":"x","suggestion":{"recipe":1}}',
        '["knob_changed"]',
        "3",
    ],
)
def test_incomplete_event_of_version_0_1_is_none(line: str) -> None:
    assert parse_event(line) is None


def test_non_finite_loss_is_logged() -> None:
    """The step at which training diverged must be in the log."""
    for loss in (math.nan, math.inf):
        event = StepDone(step=3, elapsed_s=1, epochs=0.1, loss=loss, accuracy=0.1, lr=1, images_per_second=5)
        read = parse_event(serialize_event(event))
        assert isinstance(read, StepDone)
        assert read.loss == loss or (math.isnan(loss) and math.isnan(read.loss))


@pytest.mark.parametrize("kind", COMMANDS)
def test_command_round_trip_through_a_line(kind: str) -> None:
    command = (
        UpdateHyperparameters(hyperparameters={"lr": 0.1}) if kind == "update_hyperparameters" else COMMANDS[kind]()
    )
    assert parse_command(command.model_dump_json()) == command
    assert parse_command(command.model_dump_json()[:-1]) is None


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "step", "batches": 0}',
        '{"kind": "step", "batches": 100001}',
        '{"kind": "stop", "status": "completed"}',
        '{"kind": "update_hyperparameters"}',
        '{"kind": "pause", "hard": true}',
        '{"kind": "reboot"}',
        "pause",
    ],
)
def test_invalid_command_is_parsed_as_none(line: str) -> None:
    assert parse_command(line) is None


def test_command_defaults() -> None:
    assert parse_command('{"kind": "step"}') == TrainSteps(batches=1)
    assert parse_command('{"kind": "stop"}') == Stop(status="stopped")
