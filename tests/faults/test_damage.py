"""Logs, checkpoints and snapshots are torn, overwritten or lost."""

import functools
import io
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core import events
from playground.core.architecture import Architecture
from playground.core.events import Stop, UpdateHyperparameters
from playground.core.layers import Conv2d, GlobalAvgPool, Output
from playground.engine.runs import fork as fork_module
from playground.engine.runs.log_reader import LogReader
from playground.engine.runs.recorder import read_truncated_log
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_checkpoint
from playground.errors import StorageError
from tests.engine.helpers import (
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    net,
)
from tests.faults.injecting import (
    SLIM,
    TINY,
    Frozen,
    Told,
    assert_found_again,
    assert_whole,
    data_folder,
    freeze,
    go_on,
    killed,
    log_lines,
    read_events,
    thaw,
    told,
    whole,
)

# The log


def assert_log_agrees(run: Run, kept: Told) -> None:
    """The log of a run that has come to its end tells every step once, in order, and all that was whole in it."""
    assert run.read_history().status == "completed"
    steps = run.read_history().steps
    assert steps == sorted(set(steps))
    assert kept <= told(run.read_events())
    assert_same_weights(run.load_checkpoint()["model"], whole(run)[0])
    expected = {(figure["kind"], figure["step"]): figure for figure in whole(run)[1] if figure["kind"] == "step_done"}
    for figure in figures(run.read_events()):
        if figure["kind"] == "step_done":
            assert figure == expected[("step_done", figure["step"])]


def test_a_log_cut_at_every_byte_of_its_last_lines(quick_disk: Path):
    """Lines of before and after the last checkpoint; where they were whole, the run is also trained on."""
    frozen = killed("batch", 5)
    log, lines = frozen["events.jsonl"], log_lines(frozen)
    last = max(place for place, line in enumerate(lines) if b"checkpoint_saved" in line)
    assert last < len(lines) - 1
    borders = {len(b"".join(lines[:count])): count for count in range(last - 2, len(lines) + 1)}
    run = thaw(frozen)
    checkpoint, tail = run.load_checkpoint(), LogReader(run)
    for cut in range(min(borders), len(log) + 1):
        run.log_path.write_bytes(log[:cut])
        complete = [event for line in lines if (event := events.parse_event(line)) and line in log[:cut]]
        found = list(run.read_events())
        assert found[: len(complete)] == complete
        assert len(found) <= len(complete) + 1
        assert (
            run.read_history().status
            == tail.read_history().status
            == LogReader(run).read_history().status
            == "interrupted"
        )
        assert run.can_resume()
        rewound = [event for event in found if event.step <= checkpoint["step"]]
        run.log_path.write_bytes(read_truncated_log(run, checkpoint))
        assert told(run.read_events()) == told(rewound) | {("checkpoint_saved", checkpoint["step"])}
        assert tail.read_history().steps == [event.step for event in rewound if event.kind == "step_done"]
    for cut, count in borders.items():
        run = thaw(frozen | {"events.jsonl": log[:cut]})
        go_on(run)
        assert_log_agrees(run, told(events.parse_event(line) for line in lines[: min(count, last + 1)]))
        if count > last:
            assert_whole(run, told(read_events(frozen)))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_log_with_garbage_anywhere(chosen: st.DataObject):
    with data_folder():
        frozen = garbage_frozen()
        log = frozen["events.jsonl"]
        for _ in range(chosen.draw(st.integers(1, 3), "pieces")):
            place = chosen.draw(st.integers(0, len(log)), "place")
            length = chosen.draw(st.integers(0, 200), "bytes that it covers")
            junk = st.binary(max_size=60) | st.sampled_from(
                [b"\0" * 300, b"\n\n", b"\r", b"{}\n", b'"\n{"', b"\xff\xfe"]
            )
            # Ends the line that it hits: two halves that happen to make a line are no fault that anybody could notice.
            log = log[:place] + b"\xff\n\xff" + chosen.draw(junk, "junk") + log[place + length :]
        spared = [line for line in log_lines(frozen) if b"\n" + line in b"\n" + log]
        run = thaw(frozen | {"events.jsonl": log})
        kept = list(filter(None, map(events.parse_event, spared)))
        assert told(kept) <= told(run.read_events())
        assert run.read_history().status in ("interrupted", "waiting")
        LogReader(run).read_history()
        assert run.can_resume()
        go_on(run)
        step = max(event.step for event in read_events(frozen) if event.kind == "checkpoint_saved")
        assert_log_agrees(run, {(kind, at) for kind, at in told(kept) if at <= step})


@functools.lru_cache
def garbage_frozen() -> Frozen:
    return killed("batch", 5)


def test_an_empty_log_beside_a_checkpoint_goes_on(quick_disk: Path):
    run = thaw(killed("batch", 5) | {"events.jsonl": b""})
    assert_found_again(run, "waiting")
    go_on(run)
    assert_log_agrees(run, set())


def test_a_lost_log_beside_a_checkpoint_goes_on(quick_disk: Path):
    frozen = killed("batch", 5)
    del frozen["events.jsonl"]
    run = thaw(frozen)
    assert_found_again(run, "waiting")
    go_on(run)
    assert_log_agrees(run, set())


def test_a_tail_notices_a_log_that_began_anew_twice(home: Path):
    """The second time, a disk likes to give the new log the number of the old one."""
    run = thaw(killed("batch", 5))
    tail = LogReader(run)
    assert tail.read_history() == run.read_history()
    for _ in range(2):
        go_on(run, Script({4: [Stop()]}))
    assert tail.read_history() == run.read_history()


# Checkpoints and snapshots


def damages(content: bytes) -> dict[str, bytes]:
    other = make_trainer(tiny_net(), TINY)
    seeded = make_trainer(SLIM, TINY.model_copy(update={"seed": 99}))
    return {
        "empty": b"",
        "one byte": content[:1],
        "torn at half": content[: len(content) // 2],
        "torn at the last byte": content[:-1],
        "zeros": bytes(len(content)),
        "garbage": bytes(byte ^ 0x5A for byte in content),
        "the beginning overwritten": bytes(64) + content[64:],
        "the end overwritten": content[:-64] + bytes(64),
        "text": b"Nobody is perfect.\n",
        "another net's": serialize_checkpoint(other.create_checkpoint() | {"log_bytes": 0}),
        "another seed's": serialize_checkpoint(seeded.create_checkpoint() | {"log_bytes": 0}),
    }


def tiny_net() -> Architecture:
    return net(Conv2d(out_channels=3), GlobalAvgPool(), Output())


DAMAGES = [name for name in damages(b"x" * 1000) if not name.startswith("another")]


@pytest.mark.parametrize("both", [False, True], ids=["the newest", "the newest and its moment"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_costs_only_time(quick_disk: Path, damage: str, both: bool):
    frozen = killed("batch", 5)
    bad = damages(frozen["checkpoint.pt"])[damage]
    run = thaw(frozen | {"checkpoint.pt": bad} | ({"checkpoints/3.pt": bad} if both else {}))
    assert_found_again(run, "interrupted")
    assert run.load_checkpoint()["step"] == (2 if both else 3)
    go_on(run)
    assert_whole(run, {(kind, step) for kind, step in told(read_events(frozen))})


@pytest.mark.parametrize("damage", ["another net's", "another seed's"])
def test_the_checkpoint_of_another_run_costs_only_time(quick_disk: Path, damage: str):
    frozen = killed("batch", 5)
    run = thaw(frozen | {"checkpoint.pt": damages(frozen["checkpoint.pt"])[damage]})
    go_on(run)
    assert_whole(run)


def test_a_flipped_byte_in_a_checkpoint_is_noticed(quick_disk: Path):
    frozen = killed("batch", 5)
    content = frozen["checkpoint.pt"]
    weights = torch.load(io.BytesIO(content), weights_only=True)["model"]
    place = content.index(max((t.numpy().tobytes() for t in weights.values()), key=len)) + 3
    run = thaw(frozen | {"checkpoint.pt": content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :]})
    go_on(run)
    assert_whole(run)


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_every_checkpoint_is_damaged_nothing_more_is_lost(quick_disk: Path, damage: str):
    frozen = killed("batch", 5)
    bad = damages(frozen["checkpoint.pt"])[damage]
    run = thaw(frozen | {path: bad for path in frozen if path.endswith(".pt")})
    before = freeze(run)
    go_on(run)
    assert run.read_history().status == "failed"
    assert "damaged" in run.read_history().failure.what
    assert run.read_history().failure.fix
    after = freeze(run)
    assert after["events.jsonl"].startswith(before["events.jsonl"])
    assert all(after[path] == before[path] for path in before if path not in ("events.jsonl", "lock", "pid"))
    for step in run.list_snapshot_steps():
        assert run.load_snapshot(step)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "the end overwritten"])  # has no checksum
@pytest.mark.parametrize("step", [0, 3, 4])
def test_a_damaged_snapshot_is_told_and_the_run_goes_on(quick_disk: Path, damage: str, step: int):
    frozen = killed("half 5.pt") if step == 4 else killed("batch", 5)
    path = f"snapshots/{step}.safetensors"
    run = thaw(frozen | {path: damages(frozen["snapshots/3.safetensors"])[damage]})
    with pytest.raises(StorageError, match="cannot be read") as problem:
        run.load_snapshot(step)
    assert "0, 1, 2, 3" in str(problem.value)
    assert_found_again(run, "interrupted")
    go_on(run)
    reported = {(kind, at) for kind, at in told(read_events(frozen)) if (kind, at) != ("snapshot_saved", step)}
    assert_whole(run, reported)


def test_a_lost_newest_checkpoint_costs_only_time(quick_disk: Path):
    frozen = killed("batch", 5)
    del frozen["checkpoint.pt"]
    run = thaw(frozen)
    go_on(run)
    assert_whole(run)
    before = frozen["events.jsonl"].partition(b"checkpoint_saved")[0]
    assert run.log_path.read_bytes().startswith(before), "begun anew"


def test_a_knob_that_was_turned_outlives_the_newest_checkpoint(quick_disk: Path):
    frozen = killed("batch", 5, Script({2: [UpdateHyperparameters(hyperparameters={"lr": 0.123})]}))
    intact = thaw(frozen, "intact")
    go_on(intact)
    expected = intact.load_checkpoint()["model"]
    del frozen["checkpoint.pt"]
    run = thaw(frozen)
    go_on(run)
    assert [change.after for change in run.read_history().hyperparameter_changes] == [0.123]
    assert_same_weights(run.load_checkpoint()["model"], expected)


def test_a_fork_that_lost_its_newest_checkpoint_is_still_one(quick_disk: Path):
    parent = thaw(killed("batch", 5), "parent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork_module, "check_training_config", lambda *_: None)  # tiny images are no data set
        fork = fork_module.fork_run(parent, 3, TINY.model_copy(update={"lr": 0.5}))
    intact = Run(fork.folder.with_name("intact"), fork.record)
    shutil.copytree(fork.folder, intact.folder)
    fork.checkpoint_path.unlink()
    for run in (intact, fork):
        go_on(run)
    assert_same_weights(fork.load_checkpoint()["model"], intact.load_checkpoint()["model"])
    assert fork.read_history().fork_event
