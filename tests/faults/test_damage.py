"""Truncated, overwritten and lost logs, checkpoints and snapshots."""

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
from playground.engine.runs.fork import fork_run
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
    ReportedEvents,
    RunFiles,
    assert_resumable,
    assert_undisturbed,
    data_folder,
    get_expected,
    kill_new_run,
    list_reported,
    log_lines,
    read_events,
    read_run_files,
    restore_run,
    train_in_process,
)
from tests.narrowing import require

# The log


def assert_log_consistent(run: Run, kept: ReportedEvents) -> None:
    """Assert that a completed run's log has every step once, in order, and every event of ``kept``."""
    assert run.read_history().status == "completed"
    steps = run.read_history().steps
    assert steps == sorted(set(steps))
    assert kept <= list_reported(run.read_events())
    assert_same_weights(run.load_checkpoint()["model"], get_expected(run)[0])
    expected = {
        (figure["kind"], figure["step"]): figure for figure in get_expected(run)[1] if figure["kind"] == "step_done"
    }
    for figure in figures(run.read_events()):
        if figure["kind"] == "step_done":
            assert figure == expected[("step_done", figure["step"])]


def parse_valid(line: bytes) -> events.Event:
    event = events.parse_event(line)
    assert event is not None
    return event


def test_log_truncated_at_any_byte_of_its_last_lines_is_readable(memory_disk: Path) -> None:
    """Cuts before and after the last checkpoint; after a cut between lines the run is also trained to its end."""
    files = kill_new_run("batch", 5)
    log, lines = files["events.jsonl"], log_lines(files)
    last = max(index for index, line in enumerate(lines) if b"checkpoint_saved" in line)
    assert last < len(lines) - 1
    borders = {len(b"".join(lines[:count])): count for count in range(last - 2, len(lines) + 1)}
    run = restore_run(files)
    checkpoint, tail = run.load_checkpoint(), LogReader(run)
    for cut in range(min(borders), len(log) + 1):
        run.log_path.write_bytes(log[:cut])
        complete = [event for line in lines if (event := events.parse_event(line)) and line in log[:cut]]
        stream = list(run.read_events())
        assert stream[: len(complete)] == complete
        assert len(stream) <= len(complete) + 1
        assert (
            run.read_history().status
            == tail.read_history().status
            == LogReader(run).read_history().status
            == "interrupted"
        )
        assert run.can_resume()
        rewound = [event for event in stream if event.step <= checkpoint["step"]]
        run.log_path.write_bytes(read_truncated_log(run, checkpoint))
        assert list_reported(run.read_events()) == list_reported(rewound) | {("checkpoint_saved", checkpoint["step"])}
        assert tail.read_history().steps == [event.step for event in rewound if event.kind == "step_done"]
    for cut, count in borders.items():
        run = restore_run(files | {"events.jsonl": log[:cut]})
        train_in_process(run)
        assert_log_consistent(run, list_reported(map(parse_valid, lines[: min(count, last + 1)])))
        if count > last:
            assert_undisturbed(run, list_reported(read_events(files)))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_intact_lines_survive_garbage_anywhere_in_the_log(chosen: st.DataObject) -> None:
    with data_folder():
        files = make_garbage_test_files()
        log = files["events.jsonl"]
        for _ in range(chosen.draw(st.integers(1, 3), "pieces")):
            start = chosen.draw(st.integers(0, len(log)), "start")
            length = chosen.draw(st.integers(0, 200), "replaced bytes")
            junk = st.binary(max_size=60) | st.sampled_from(
                [b"\0" * 300, b"\n\n", b"\r", b"{}\n", b'"\n{"', b"\xff\xfe"]
            )
            # Line breaks around the garbage: two half lines that form a valid line could not be detected.
            log = log[:start] + b"\xff\n\xff" + chosen.draw(junk, "junk") + log[start + length :]
        spared = [line for line in log_lines(files) if b"\n" + line in b"\n" + log]
        run = restore_run(files | {"events.jsonl": log})
        kept = [event for line in spared if (event := events.parse_event(line))]
        assert list_reported(kept) <= list_reported(run.read_events())
        assert run.read_history().status in ("interrupted", "waiting")
        LogReader(run).read_history()
        assert run.can_resume()
        train_in_process(run)
        step = max(event.step for event in read_events(files) if event.kind == "checkpoint_saved")
        assert_log_consistent(run, {(kind, at) for kind, at in list_reported(kept) if at <= step})


@functools.lru_cache
def make_garbage_test_files() -> RunFiles:
    return kill_new_run("batch", 5)


def test_run_with_an_empty_log_resumes_from_its_checkpoint(memory_disk: Path) -> None:
    run = restore_run(kill_new_run("batch", 5) | {"events.jsonl": b""})
    assert_resumable(run, "waiting")
    train_in_process(run)
    assert_log_consistent(run, set())


def test_run_with_a_lost_log_resumes_from_its_checkpoint(memory_disk: Path) -> None:
    files = kill_new_run("batch", 5)
    del files["events.jsonl"]
    run = restore_run(files)
    assert_resumable(run, "waiting")
    train_in_process(run)
    assert_log_consistent(run, set())


def test_log_reader_notices_a_log_that_was_replaced_twice(home: Path) -> None:
    """The second time, the file system may give the new log the inode number of the old one."""
    run = restore_run(kill_new_run("batch", 5))
    tail = LogReader(run)
    assert tail.read_history() == run.read_history()
    for _ in range(2):
        train_in_process(run, Script({4: [Stop()]}))
    assert tail.read_history() == run.read_history()


# Checkpoints and snapshots


def make_damages(content: bytes) -> dict[str, bytes]:
    other = make_trainer(make_other_architecture(), TINY)
    seeded = make_trainer(SLIM, TINY.model_copy(update={"seed": 99}))
    return {
        "empty": b"",
        "one byte": content[:1],
        "half": content[: len(content) // 2],
        "without the last byte": content[:-1],
        "zeros": bytes(len(content)),
        "garbage": bytes(byte ^ 0x5A for byte in content),
        "the beginning overwritten": bytes(64) + content[64:],
        "the end overwritten": content[:-64] + bytes(64),
        "text": b"Nobody is perfect.\n",
        "another network's": serialize_checkpoint(other.create_checkpoint() | {"log_bytes": 0}),
        "another seed's": serialize_checkpoint(seeded.create_checkpoint() | {"log_bytes": 0}),
    }


def make_other_architecture() -> Architecture:
    return net(Conv2d(out_channels=3), GlobalAvgPool(), Output())


DAMAGES = [name for name in make_damages(b"x" * 1000) if not name.startswith("another")]


@pytest.mark.parametrize("both", [False, True], ids=["the newest", "the newest and its step checkpoint"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_falls_back_to_the_previous_one(memory_disk: Path, damage: str, both: bool) -> None:
    files = kill_new_run("batch", 5)
    bad = make_damages(files["checkpoint.pt"])[damage]
    run = restore_run(files | {"checkpoint.pt": bad} | ({"checkpoints/3.pt": bad} if both else {}))
    assert_resumable(run, "interrupted")
    assert run.load_checkpoint()["step"] == (2 if both else 3)
    train_in_process(run)
    assert_undisturbed(run, {(kind, step) for kind, step in list_reported(read_events(files))})


@pytest.mark.parametrize("damage", ["another network's", "another seed's"])
def test_checkpoint_of_another_run_is_not_used(memory_disk: Path, damage: str) -> None:
    files = kill_new_run("batch", 5)
    run = restore_run(files | {"checkpoint.pt": make_damages(files["checkpoint.pt"])[damage]})
    train_in_process(run)
    assert_undisturbed(run)


def test_flipped_byte_in_a_checkpoint_is_detected(memory_disk: Path) -> None:
    files = kill_new_run("batch", 5)
    content = files["checkpoint.pt"]
    weights = torch.load(io.BytesIO(content), weights_only=True)["model"]
    position = content.index(max((t.numpy().tobytes() for t in weights.values()), key=len)) + 3
    run = restore_run(
        files | {"checkpoint.pt": content[:position] + bytes([content[position] ^ 0x40]) + content[position + 1 :]}
    )
    train_in_process(run)
    assert_undisturbed(run)


@pytest.mark.parametrize("damage", DAMAGES)
def test_resume_without_an_intact_checkpoint_fails_and_keeps_all_files(memory_disk: Path, damage: str) -> None:
    files = kill_new_run("batch", 5)
    bad = make_damages(files["checkpoint.pt"])[damage]
    run = restore_run(files | {path: bad for path in files if path.endswith(".pt")})
    before = read_run_files(run)
    train_in_process(run)
    assert run.read_history().status == "failed"
    failure = require(run.read_history().failure)
    assert "damaged" in failure.what
    assert failure.fix
    after = read_run_files(run)
    assert after["events.jsonl"].startswith(before["events.jsonl"])
    assert all(after[path] == before[path] for path in before if path not in ("events.jsonl", "lock", "pid"))
    for step in run.list_snapshot_steps():
        assert run.load_snapshot(step)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "the end overwritten"])  # has no checksum
@pytest.mark.parametrize("step", [0, 3, 4])
def test_damaged_snapshot_is_reported_and_the_run_resumes(memory_disk: Path, damage: str, step: int) -> None:
    files = kill_new_run("half 5.pt") if step == 4 else kill_new_run("batch", 5)
    path = f"snapshots/{step}.safetensors"
    run = restore_run(files | {path: make_damages(files["snapshots/3.safetensors"])[damage]})
    with pytest.raises(StorageError, match="cannot be read") as caught:
        run.load_snapshot(step)
    assert "0, 1, 2, 3" in str(caught.value)
    assert_resumable(run, "interrupted")
    train_in_process(run)
    reported = {(kind, at) for kind, at in list_reported(read_events(files)) if (kind, at) != ("snapshot_saved", step)}
    assert_undisturbed(run, reported)


def test_lost_newest_checkpoint_falls_back_to_the_previous_one(memory_disk: Path) -> None:
    files = kill_new_run("batch", 5)
    del files["checkpoint.pt"]
    run = restore_run(files)
    train_in_process(run)
    assert_undisturbed(run)
    before = files["events.jsonl"].partition(b"checkpoint_saved")[0]
    assert run.log_path.read_bytes().startswith(before), "the log was restarted"


def test_hyperparameter_change_survives_loss_of_the_newest_checkpoint(memory_disk: Path) -> None:
    files = kill_new_run("batch", 5, Script({2: [UpdateHyperparameters(hyperparameters={"lr": 0.123})]}))
    intact = restore_run(files, "intact")
    train_in_process(intact)
    expected = intact.load_checkpoint()["model"]
    del files["checkpoint.pt"]
    run = restore_run(files)
    train_in_process(run)
    assert [change.after for change in run.read_history().hyperparameter_changes] == [0.123]
    assert_same_weights(run.load_checkpoint()["model"], expected)


def test_fork_without_its_newest_checkpoint_resumes_as_a_fork(memory_disk: Path) -> None:
    parent = restore_run(kill_new_run("batch", 5), "parent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "playground.engine.runs.fork.check_training_config", lambda *_: None
        )  # the tiny images are not a registered dataset
        fork = fork_run(parent, 3, TINY.model_copy(update={"lr": 0.5}))
    intact = Run(fork.folder.with_name("intact"), fork.record)
    shutil.copytree(fork.folder, intact.folder)
    fork.checkpoint_path.unlink()
    for run in (intact, fork):
        train_in_process(run)
    assert_same_weights(fork.load_checkpoint()["model"], intact.load_checkpoint()["model"])
    assert fork.read_history().fork_event
