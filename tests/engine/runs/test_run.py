"""Run folders: creation, lookup, validation of their files and atomic writes."""

import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from playground.core.events import Event, RunEnded, RunFailed, StepDone
from playground.engine.file_lock import acquire_lock, hold_lock
from playground.engine.paths import atomic_write
from playground.engine.runs.manage import delete_run, rename_run
from playground.engine.runs.record import write_record
from playground.engine.runs.repository import create_run, find_run, list_runs, read_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_checkpoint, serialize_event, serialize_snapshot
from playground.engine.training.checkpoint import CHECKPOINT_SCHEMA
from playground.engine.workers.scheduler import Scheduler
from playground.errors import PlaygroundError, SchemaVersionError, StorageError, UnknownNameError
from tests.engine.helpers import PLAIN, RICH, assert_same_weights, make_trainer, tiny_recipe
from tests.run_events import make_batch, make_started, write_log

STARTED = make_started()


def make_step(step: int) -> StepDone:
    return make_batch(step, step / 6, elapsed_s=step / 10)


def new_run(name: str | None = None) -> Run:
    return create_run(RICH, tiny_recipe(seed=3), name=name)


def rename_folder(run: Run, run_id: str) -> Run:
    """Rename the folder of a run to another id."""
    moved = Run(run.folder.rename(run.folder.parent / run_id), run.record.model_copy(update={"id": run_id}))
    write_record(moved.folder, moved.record)
    return moved


def test_run_is_read_as_created(home: Path) -> None:
    run = create_run(RICH, tiny_recipe(seed=3), name="Mine", owner="me")
    found = read_run(run.folder)
    assert found == run
    assert found.record.architecture == RICH
    assert found.record.recipe == tiny_recipe(seed=3)
    assert (found.record.name, found.record.owner) == ("Mine", "me")
    assert found.record.versions["torch"] == torch.__version__
    assert run.folder == home / "runs" / run.id
    assert list(found.read_events()) == []
    assert found.read_history().status == "waiting"
    assert found.list_snapshot_steps() == found.list_checkpoint_steps() == ()
    assert found.can_resume()
    written = json.loads((run.folder / "run.json").read_text())
    assert written["schema"] == written["architecture"]["schema"] == written["recipe"]["schema"] == 1


def test_runs_are_numbered_and_listed_newest_first(home: Path) -> None:
    old = rename_folder(new_run(), "20200101-000000-aaaa")
    assert old.record.name == "Run 1"
    middle = rename_folder(new_run("Run 7"), "20210101-000000-bbbb")
    newest = new_run()
    assert newest.record.name == "Run 8"
    assert [run.id for run in list_runs()[0]] == [newest.id, middle.id, old.id]
    assert list_runs()[1] == []


def test_rename_and_delete(home: Path) -> None:
    run = new_run()
    assert rename_run(run, "  a   new\nname ").record.name == "a new name"
    assert read_run(run.folder).record.name == "a new name"
    assert rename_run(read_run(run.folder), " ").record.name == "a new name"
    assert len(rename_run(run, "x" * 500).record.name) == 80
    delete_run(run)
    assert not run.folder.exists()
    with pytest.raises(StorageError, match="cannot be"):
        delete_run(run)


def test_no_file_of_a_run_is_open_while_its_folder_is_renamed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to rename a folder that contains an open file."""
    run = new_run()
    is_lock_free: list[bool] = []
    rename = Path.rename

    def check_and_rename(path: Path, target: Path) -> Path:
        lock = acquire_lock(run.lock_path, timeout_s=0)
        is_lock_free.append(lock is not None)
        if lock is not None:
            lock.release()
        open_files = [Path(file.path) for file in psutil.Process().open_files()]
        assert not [file for file in open_files if run.folder in file.parents]
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", check_and_rename)
    delete_run(run)
    assert is_lock_free == [True]
    assert not list(run.folder.parent.iterdir())


def test_find_by_id_prefix_latest_and_pretrained(home: Path) -> None:
    first = rename_folder(new_run(), "20200101-000000-aaaa")
    second = rename_folder(new_run(), "20200102-000000-bbbb")
    assert find_run(first.id) == first
    assert find_run("20200102") == second
    assert find_run("latest") == second
    assert find_run("pretrained").id == "pretrained"
    with pytest.raises(UnknownNameError, match="2 runs begin with '2020'"):
        find_run("2020")


@pytest.mark.parametrize(
    "name",
    ["", "../x", "..", ".", "/", "/etc", "../runs", "nope", "latest ", "*", "a\x00b", "x" * 300, "run.json"],
    ids=lambda name: repr(name[:9]),
)
def test_unknown_run_names_are_rejected(home: Path, name: str) -> None:
    run = new_run()
    (home / "run.json").write_text((run.folder / "run.json").read_text())
    (home / "x").mkdir()
    (home / "x" / "run.json").write_text((run.folder / "run.json").read_text())
    with pytest.raises(UnknownNameError) as caught:
        find_run(name)
    assert run.id in str(caught.value)


def test_latest_without_runs_is_rejected(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="none yet"):
        find_run("latest")


def test_id_that_is_a_prefix_of_another_is_found(home: Path) -> None:
    short = rename_folder(new_run(), "20200101-000000-aa")
    rename_folder(new_run(), "20200101-000000-aabb")
    assert find_run(short.id) == short


def test_pretrained_run_cannot_be_deleted(home: Path) -> None:
    run = find_run("pretrained")
    assert run.read_history().status == "completed"
    assert run.list_snapshot_steps()
    with pytest.raises(StorageError, match="stays"):
        delete_run(run)
    assert run.folder.exists()


def test_truncated_last_line_is_ignored(home: Path) -> None:
    run = new_run()
    lines = serialize_event(STARTED) + serialize_event(make_step(1)) + serialize_event(make_step(2))
    run.log_path.write_bytes(lines[:-9])
    assert list(run.read_events()) == [STARTED, make_step(1)]
    assert run.read_history().step == 1
    assert run.read_history().status == "interrupted"


def test_garbage_between_lines_is_ignored(home: Path) -> None:
    run = new_run()
    rubbish = [
        b"\n",
        b"\xff\xfe\x00\n",
        b"[1,2]\n",
        b'{"kind":"from_the_future","step":3,"elapsed_s":1}\n',
        b"{" * 5000,
    ]
    parts = [
        serialize_event(STARTED),
        *rubbish,
        b"\n",
        serialize_event(make_step(1)),
        b"null\n",
        serialize_event(make_step(2)),
    ]
    run.log_path.write_bytes(b"".join(parts))
    assert list(run.read_events()) == [STARTED, make_step(1), make_step(2)]


def test_fields_of_a_newer_version_do_not_hide_an_event(home: Path) -> None:
    run = new_run()
    run.log_path.write_text(json.dumps({**make_step(4).model_dump(), "from_the_future": 1}) + "\n")
    assert list(run.read_events()) == [make_step(4)]


def test_missing_log_is_read_as_empty(home: Path) -> None:
    run = new_run()
    run.log_path.unlink()
    assert list(run.read_events()) == []
    assert not run.is_live()


BROKEN = {
    "newer": b'{"schema": 99}',
    "no-json": b"hello",
    "no-text": b"\xff\xfe\xfa",
    "list": b"[]",
    "deep": b"[" * 100_000,
    "no-fields": b"{}",
    "no-layers": b'{"id":"x","name":"x","created":"x","architecture":{"layers":3},"recipe":{}}',
}


def test_unreadable_folders_are_reported_beside_the_runs(home: Path) -> None:
    run = new_run()
    for name, content in BROKEN.items():
        (home / "runs" / f"broken-{name}").mkdir()
        (home / "runs" / f"broken-{name}" / "run.json").write_bytes(content)
    (home / "runs" / "empty").mkdir()
    (home / "runs" / "directory" / "run.json").mkdir(parents=True)
    (home / "runs" / ".hidden").mkdir()
    (home / "runs" / "a-file").write_text("")
    runs, unreadable = list_runs()
    assert runs == [run]
    names = {*(f"broken-{name}" for name in BROKEN), "empty", "directory"}
    assert {sentence.split(":")[0] for sentence in unreadable} == names
    assert all(len(sentence) < 1000 and "\n" not in sentence.strip() for sentence in unreadable)
    assert find_run("latest") == run


def test_record_of_a_newer_version_raises_schema_error(home: Path) -> None:
    run = new_run()
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**record, "schema": 2}))
    with pytest.raises(SchemaVersionError, match="schema 2"):
        find_run(run.id)


def test_checkpoint_round_trip(home: Path) -> None:
    run = new_run()
    trainer = make_trainer(RICH, run.record.recipe)
    run.checkpoint_path.write_bytes(serialize_checkpoint(trainer.create_checkpoint() | {"log_bytes": 0}))
    found = run.load_checkpoint()
    assert found.keys() == {*trainer.create_checkpoint(), "log_bytes"}
    assert_same_weights(found["model"], trainer.get_weights())
    assert found["recipe"] == trainer.recipe.to_canonical_json()


class Malicious:
    """Object that creates a folder if it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("evil",)


def test_unusable_checkpoints_are_rejected(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = new_run()
    with pytest.raises(StorageError, match="no checkpoint"):
        run.load_checkpoint()
    whole = serialize_checkpoint(make_trainer(PLAIN).create_checkpoint())
    for content in (b"", b"rubbish", whole[:-200], serialize_checkpoint({"evil": Malicious()})):
        run.checkpoint_path.write_bytes(content)
        with pytest.raises(StorageError, match="damaged"):
            run.load_checkpoint()
    assert not (tmp_path / "evil").exists()
    for schema, word in ((CHECKPOINT_SCHEMA + 1, "newer"), (1, "older")):
        other = {**make_trainer(PLAIN).create_checkpoint(), "schema": schema}
        run.checkpoint_path.write_bytes(serialize_checkpoint(other))
        with pytest.raises(SchemaVersionError, match=word):
            run.load_checkpoint()


@pytest.mark.parametrize("content", [[1, 2], {"schema": "two"}, {"schema": 1}], ids=str)
def test_checkpoint_with_other_content_is_rejected(home: Path, content: Any) -> None:
    run = new_run()
    run.checkpoint_path.write_bytes(serialize_checkpoint(content))
    with pytest.raises(PlaygroundError):
        make_trainer(RICH).restore(run.load_checkpoint())


def test_unusable_snapshots_are_rejected(home: Path) -> None:
    run = new_run()
    folder = run.folder / "snapshots"
    (folder / "5.safetensors").write_bytes(serialize_snapshot(make_trainer(PLAIN).get_weights()))
    (folder / "12.safetensors").write_bytes(b"rubbish")
    (folder / "x.safetensors").write_bytes(b"")
    (folder / ".5.safetensors.abc").write_bytes(b"")
    assert run.list_snapshot_steps() == (5, 12)
    torch.testing.assert_close(run.load_snapshot(5), make_trainer(PLAIN).get_weights())
    for step in (7, 12):
        with pytest.raises(StorageError, match="5, 12"):
            run.load_snapshot(step)


ENDINGS: dict[str, list[Event]] = {
    "waiting": [],
    "training": [STARTED, make_step(12)],
    "stopped": [STARTED, make_step(3), RunEnded(step=3, elapsed_s=1, status="stopped")],
    "interrupted": [STARTED, make_step(3), RunEnded(step=3, elapsed_s=1, status="interrupted")],
    "failed": [STARTED, make_step(3), RunFailed(step=3, elapsed_s=1, what="Memory ran out.")],
    "completed": [STARTED, make_step(12), RunEnded(step=12, elapsed_s=1, status="completed")],
}


@pytest.mark.parametrize(
    ("ending", "without", "with_one"),
    [
        ("waiting", True, True),
        ("training", True, True),  # no process holds the lock: it was interrupted
        ("stopped", True, True),
        ("interrupted", True, True),
        ("failed", False, True),
        ("completed", False, False),
    ],
)
def test_run_can_resume_if_steps_are_left(home: Path, ending: str, without: bool, with_one: bool) -> None:
    run = new_run()
    write_log(run, *ENDINGS[ending])
    assert run.can_resume() is without
    assert run.can_resume(run.read_history()) is without
    run.checkpoint_path.write_bytes(b"x")
    assert run.can_resume() is with_one
    assert run.can_resume(run.read_history()) is with_one
    with hold_lock(run.lock_path) as is_held:
        assert is_held
        assert not run.can_resume(), "a live process trains it"
    assert run.can_resume() is with_one


def test_completed_run_can_resume_only_with_more_epochs(home: Path) -> None:
    run = new_run()
    write_log(run, *ENDINGS["completed"])
    assert not run.can_resume(epochs=3)
    run.checkpoint_path.write_bytes(b"x")
    assert [run.can_resume(epochs=epochs) for epochs in (None, 1, 2, 3)] == [False, False, False, True]


def fail_halfway(path: Path, error: BaseException) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):
        expected = StorageError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            fail_halfway(path, error)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_read_only_data_folder_raises_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(blocked))
    with pytest.raises(StorageError, match="cannot be written") as caught:
        new_run()
    assert str(blocked) in caught.value.what + caught.value.expected
    assert "CNN_PLAYGROUND_HOME" in caught.value.fix
    assert list_runs() == ([], [])


def test_server_start_removes_stale_incomplete_runs(home: Path) -> None:
    run = new_run()
    for name, age_s in ((".old", 7200), (".young", 60)):
        folder = run.folder.parent / name
        (folder / "snapshots").mkdir(parents=True)
        os.utime(folder, (time.time() - age_s,) * 2)
    os.utime(run.folder, (time.time() - 7200,) * 2)
    Scheduler(keep_spare_worker=False).close()
    assert sorted(folder.name for folder in run.folder.parent.iterdir()) == [".young", run.id]
