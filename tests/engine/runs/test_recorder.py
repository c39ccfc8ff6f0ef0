"""Recorder: files are written before they are logged, failed writes end the run, locks mark live runs."""

import errno
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.core import events
from playground.core.events import Pause, Stop, UpdateHyperparameters
from playground.core.history import History
from playground.engine.file_lock import acquire_lock, is_locked
from playground.engine.runs.log_reader import LogReader
from playground.engine.runs.manage import delete_run
from playground.engine.runs.recorder import Recorder, select_for_pruning
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import append_events
from playground.engine.training.command_sources import NullCommandSource
from playground.engine.training.trainer import Trainer
from playground.errors import StorageError
from tests.engine.helpers import (
    RICH,
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    play,
    record_run,
    tiny_recipe,
    until,
)
from tests.narrowing import require

RECIPE = tiny_recipe()


@pytest.fixture
def run(home: Path) -> Run:
    return create_run(RICH, RECIPE)


def recorded(
    run: Run, script: Script | None = None, *, until_event: tuple[str, int] | None = None
) -> tuple[list[events.Event], Trainer]:
    """Train a run from its last checkpoint, killed after ``until_event`` if given; return the reported events."""
    trainer = make_trainer(RICH, RECIPE)
    stream = record_run(run, trainer, script, until=lambda event: (event.kind, event.step) == until_event)
    return stream, trainer


def test_every_event_is_on_disk_when_it_is_told(run: Run) -> None:
    trainer = make_trainer(RICH, RECIPE)
    reported = []
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, NullCommandSource()):
            reported.append(event)
            assert list(run.read_events()) == reported
            if event.kind == "snapshot_saved":
                assert_same_weights(run.load_snapshot(event.step), trainer.get_weights())
            if event.kind == "checkpoint_saved":
                assert run.load_checkpoint()["step"] == event.step
            assert run.is_live()
    assert not run.is_live()
    assert run.read_history().status == "completed"
    assert run.read_history().snapshot_steps == list(run.list_snapshot_steps())


@pytest.mark.parametrize("killed_at", [("step_done", 5), ("epoch_done", 6), ("snapshot_saved", 9), ("paused", 4)])
def test_log_after_kill_and_resume_equals_that_of_an_undisturbed_run(
    run: Run, home: Path, killed_at: tuple[str, int]
) -> None:
    script = Script({4: [Pause()]}, then=[events.Resume()])
    recorded(run, script, until_event=killed_at)
    assert run.read_history().status == "interrupted"
    assert run.can_resume()
    _, trainer = recorded(run)
    whole = create_run(RICH, RECIPE)
    _, undisturbed = recorded(whole)
    assert_same_weights(trainer.get_weights(), undisturbed.get_weights())
    assert figures(run.read_events()) == figures(whole.read_events())
    assert run.read_history().status == "completed"
    assert len(run.read_history().completed_epochs) == 2
    for step in run.list_snapshot_steps():
        if step in whole.list_snapshot_steps():
            assert_same_weights(run.load_snapshot(step), whole.load_snapshot(step))


def test_logged_hyperparameter_change_applies_after_a_kill(run: Run) -> None:
    script = Script({4: [Pause()]}, then=[UpdateHyperparameters(hyperparameters={"lr": 0.123}), Stop()])
    recorded(run, script, until_event=("hyperparameter_changed", 4))
    recorded(run)
    changes = [event.after for event in run.read_events() if event.kind == "hyperparameter_changed"]
    rate = next(event.lr for event in run.read_events() if event.kind == "step_done" and event.step == 5)
    assert rate == (changes[-1] if changes else RECIPE.lr)


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, suffix: str, number: int = errno.ENOSPC) -> Iterator[None]:
    """Fail every write of a file whose name contains ``suffix``."""
    write = Path.write_bytes

    def refuse(path: Path, content: bytes) -> int:
        if suffix in path.name:
            write(path, content[: len(content) // 2])
            raise OSError(number, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse)
        yield


@pytest.mark.parametrize("suffix", ["safetensors", ".pt"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_full_disk_ends_the_run_with_a_clear_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, suffix: str, number: int
) -> None:
    recorded(run, Script({5: [Stop()]}))
    kept = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file() and path != run.log_path}
    with full_disk(monkeypatch, suffix, number):
        reported, _ = recorded(run)
    assert isinstance(reported[-1], events.RunFailed)
    assert "No space left" in reported[-1].what
    assert reported[-1].fix
    assert list(run.read_events())[-1] == reported[-1]
    assert run.read_history().status == "failed"
    assert {path: path.read_bytes() for path in kept} == kept
    assert not list(run.folder.rglob(".*")), "half-written files stay behind"
    assert not run.is_live()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_log_that_cannot_grow_keeps_every_reported_event(run: Run) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    trainer = make_trainer(RICH, RECIPE)
    reported = []
    with Recorder(run) as recorder:
        try:
            for event in recorder.run_trainer(trainer, NullCommandSource()):
                reported.append(event)
                if event.kind == "step_done" and event.step == 5:  # 40 bytes are shorter than any line
                    resource.setrlimit(resource.RLIMIT_FSIZE, (run.log_path.stat().st_size + 40, before[1]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(reported[-1], events.RunFailed)
    assert list(run.read_events()) == reported[:-1]


def test_number_of_snapshots_is_limited(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.engine.runs.recorder.MAX_SNAPSHOTS", 4)
    recorded(run)
    assert len(run.list_snapshot_steps()) == 4
    assert (run.list_snapshot_steps()[0], run.list_snapshot_steps()[-1]) == (0, 12)


def test_snapshot_that_a_page_reads_is_deleted_later(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows does not delete a file that is open."""
    monkeypatch.setattr("playground.engine.runs.recorder.MAX_SNAPSHOTS", 3)
    delete, refused = Path.unlink, list[Path]()

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".safetensors" and not refused:
            refused.append(path)
            raise PermissionError(13, "used by another process")
        delete(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    reported, _ = recorded(run)
    assert reported[-1].kind == "run_ended"
    assert len(refused) == 1
    assert len(run.list_snapshot_steps()) == 3


def test_size_of_snapshots_is_limited(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(RICH, RECIPE)
    monkeypatch.setattr("playground.engine.runs.recorder.MAX_KEPT_BYTES", 1)
    recorded(run)
    assert run.list_snapshot_steps() == (0, 12)


@given(st.sets(st.integers(0, 10**6), max_size=60), st.integers(-1, 50))
def test_pruning_keeps_first_and_last_step_and_the_allowed_number(steps: set[int], allowed: int) -> None:
    ordered = tuple(sorted(steps))
    dropped = select_for_pruning(ordered, allowed)
    kept = [step for step in ordered if step not in dropped]
    assert len(kept) == min(len(ordered), max(2, allowed))
    assert len(dropped) + len(kept) == len(ordered)
    assert not ordered or (kept[0], kept[-1]) == (ordered[0], ordered[-1])
    assert select_for_pruning(tuple(kept), allowed) == ()


@given(st.integers(10, 200))
def test_pruning_keeps_early_steps_denser(count: int) -> None:
    steps = tuple(range(0, count * 10, 10))
    dropped = set(select_for_pruning(steps, 8))
    kept = [step for step in steps if step not in dropped]
    gaps = [right - left for left, right in pairwise(kept)]
    assert sum(gaps[:3]) <= sum(gaps[-3:])


HOLD = """
import sys
from pathlib import Path
from playground.engine.file_lock import hold_lock
with hold_lock(Path(sys.argv[1])) as is_held:
    print(is_held, flush=True)
    sys.stdin.read()
"""


def test_run_is_live_while_another_process_holds_its_lock(run: Run) -> None:
    command = [sys.executable, "-c", HOLD, str(run.lock_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert require(holder.stdout).readline().strip() == "True"
        assert run.is_live()
        with pytest.raises(StorageError, match="another process"):
            recorded(run)
        with pytest.raises(StorageError, match="training"):
            delete_run(run)
        holder.kill()
        holder.wait()
        until(lambda: not run.is_live(), 5, "the lock to be released")
    recorded(run)
    assert run.read_history().status == "completed"


def test_concurrent_lock_checks_do_not_report_a_holder(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    wrong: list[str] = []

    def check() -> None:
        wrong.extend("free, but reported as held" for _ in range(3000) if is_locked(path))

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"{len(wrong)} of 12,000 checks were wrong"


def test_lock_is_held_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    path.touch()
    assert not is_locked(path)
    lock = acquire_lock(path)
    assert lock is not None
    assert is_locked(path)
    assert acquire_lock(path, timeout_s=0.05) is None
    lock.release()
    assert not is_locked(path)


def test_child_does_not_inherit_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = acquire_lock(path)
    assert lock is not None
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, close_fds=False):
        lock.release()
        assert not is_locked(path)


def test_locking_in_a_deleted_folder_does_not_create_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        acquire_lock(tmp_path / "deleted" / "lock")
    assert not (tmp_path / "deleted").exists()


def test_log_reader_reads_every_line_once_and_restarts_with_a_new_log(run: Run) -> None:
    reader = LogReader(run)
    assert reader.read_history().status == "waiting"
    stream = play(make_trainer(RICH, RECIPE), Script({5: [Stop()]}))
    lines = [event.model_dump_json().encode() + b"\n" for event in stream]
    content = b"".join(lines)
    for end in (10, len(lines[0]) + 3, len(content) // 2, len(content)):
        run.log_path.write_bytes(content[:end])
        expected = History.from_events(run.read_events())
        assert reader.read_history().steps == expected.steps
        assert reader.read_history().snapshot_steps == expected.snapshot_steps
    assert reader.read_history().status == "stopped"
    replaced = run.log_path.with_name("other")
    replaced.write_bytes(content + b"\n" * 50)
    replaced.rename(run.log_path)
    assert reader.read_history().steps == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("step", [3, 6, 12])
def test_kill_before_a_checkpoint_is_logged_loses_no_history(run: Run, step: int) -> None:
    """Killed between writing the checkpoint and logging it: the log up to that step is kept."""
    recorded(run, until_event=("checkpoint_saved", step))
    *earlier, line = run.log_path.read_bytes().splitlines(keepends=True)
    assert b"checkpoint_saved" in line
    run.log_path.write_bytes(b"".join(earlier))
    recorded(run)
    whole = create_run(RICH, RECIPE)
    recorded(whole)
    assert figures(run.read_events()) == figures(whole.read_events())
    saved = [event.step for event in run.read_events() if event.kind == "checkpoint_saved"]
    assert saved == [event.step for event in whole.read_events() if event.kind == "checkpoint_saved"]


def test_event_after_a_truncated_line_starts_a_new_line(run: Run) -> None:
    recorded(run, until_event=("step_done", 2))
    run.log_path.write_bytes(run.log_path.read_bytes()[:-20])
    append_events(run.log_path, events.RunFailed(step=1, elapsed_s=1, what="It broke."))
    failure = run.read_history().failure
    assert failure is not None
    assert failure.what == "It broke."


def test_run_deleted_while_it_trains_is_not_recreated(run: Run) -> None:
    trainer = make_trainer(RICH, RECIPE)
    reported = []
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, NullCommandSource()):
            reported.append(event)
            if event.step == 2:
                shutil.rmtree(run.folder, ignore_errors=True)
    assert reported[-1].kind == "run_failed"
    assert "deleted" in reported[-1].what
    assert not run.folder.exists()


def test_failed_run_can_resume_from_its_checkpoint(run: Run) -> None:
    recorded(run, Script({2: [Pause(), Stop()]}))
    append_events(run.log_path, events.RunFailed(step=3, elapsed_s=1, what="Memory ran out."))
    assert run.read_history().status == "failed"
    assert run.can_resume()
