"""Full and read-only disks, and deleted folders."""

import contextlib
import errno
import mmap
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.core.events import Resume
from playground.engine.runs import recorder
from playground.engine.runs.fork import fork_run
from playground.engine.runs.manage import delete_run
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run, get_runs_folder, list_runs
from playground.engine.runs.run import Run
from playground.engine.workers.scheduler import Scheduler
from playground.errors import StorageError, UnknownNameError
from tests.faults.injecting import (
    BRIEF,
    ENDLESS,
    SLIM,
    SMALL,
    TINY,
    FailingCall,
    Killed,
    assert_on_disk,
    assert_resumable,
    assert_undisturbed,
    intercept_file_changes,
    kill_new_run,
    list_reported,
    list_write_points,
    make_full_disk,
    read_run_files,
    restore_run,
    train_in_process,
)
from tests.faults.processes import (
    needs_forks,
    wait_for,
    wait_for_death,
    wait_for_end,
)


@pytest.mark.parametrize("once", [True, False], ids=["once", "until freed"])
def test_disk_full_at_any_write_loses_nothing(memory_disk: Path, once: bool) -> None:
    points = list_write_points(create_run(SLIM, TINY))
    assert len(points) > 100
    for index in range(0, len(points), 6):
        shutil.rmtree(get_runs_folder())
        run = create_run(SLIM, TINY)
        with intercept_file_changes(make_full_disk(index, once=once)):
            train_in_process(run)
        reported = list_reported(run.read_events())
        assert_on_disk(run, reported)
        history = run.read_history()
        if history.status != "completed":  # a failed hard link is replaced by a copy
            is_explained = history.failure and "No space left" in history.failure.what
            assert is_explained or not once or "log" in points[index]
            assert run.can_resume() or not run.has_checkpoint()
            train_in_process(run)
        assert_undisturbed(run, reported)
        assert not [path for path in run.folder.rglob(".*") if path.is_file()]


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """Mount a small disk in memory; skips without the permission to mount."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("may not mount a disk; the same errors are injected at every write above, on any machine")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a disk in memory")
def test_real_disk_full_and_then_freed_loses_nothing(home: Path) -> None:
    page = mmap.PAGESIZE
    phases = set()
    with small_disk(get_runs_folder(), 100 * page):
        for free in range(0, 40, 2):
            run = create_run(SLIM, TINY)
            ballast = get_runs_folder() / "ballast"
            usage = os.statvfs(ballast.parent)
            ballast.write_bytes(b"x" * page * (usage.f_bavail - free))
            train_in_process(run)
            reported = list_reported(run.read_events())
            assert_on_disk(run, reported)
            history = run.read_history()
            phases.add(history.status)
            assert history.failure is None or "No space left" in history.failure.what
            ballast.unlink()
            if history.status != "completed":
                assert run.can_resume() or not run.has_checkpoint()
                train_in_process(run)
            assert_undisturbed(run, reported)
            delete_run(run)
    assert phases >= {"failed", "completed"}


@pytest.mark.skipif(sys.platform != "linux", reason="needs a disk in memory")
def test_full_disk_is_reported_before_training_starts(home: Path) -> None:
    with small_disk(get_runs_folder(), 40 * mmap.PAGESIZE):
        run = create_run(SLIM, TINY)
        with contextlib.suppress(OSError):
            (get_runs_folder() / "ballast").write_bytes(bytes(10**7))
        with pytest.raises(StorageError, match="No space left"), Recorder(run):
            pass
        train_in_process(run)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only; open files stay writable."""
    if os.geteuid() != 0:
        inside = [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]
        modes = {path: path.stat().st_mode for path in inside}
        for path in inside:
            path.chmod(0o555)
        try:
            yield
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    for options in (["--bind", str(folder), str(folder)], ["-o", "remount,bind,ro", str(folder)]):
        if subprocess.run(["mount", *options], capture_output=True).returncode != 0:
            pytest.skip("may not mount a folder, and root writes through every other lock")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_forks
def test_read_only_data_folder_is_reported_and_loses_nothing(scheduler: Scheduler, forks: Path) -> None:
    run = scheduler.submit(SMALL, BRIEF, pause_after_batches=6)
    wait_for(run, "paused", 6)
    reported = list_reported(run.read_events())
    with read_only(get_runs_folder()):
        scheduler.send_command(run.id, Resume())
        wait_for_end(scheduler, run)
        assert_on_disk(run, reported)
        assert_resumable(run, "failed", "cannot be written", "CNN_PLAYGROUND_HOME")
        before = read_run_files(run)
        with pytest.raises(StorageError, match="cannot be written"):
            scheduler.submit(SMALL, BRIEF)
        scheduler.resume(run.id)
        wait_for_end(scheduler, run)
        assert read_run_files(run) == before
    reported |= list_reported(run.read_events())
    scheduler.resume(run.id)
    wait_for_end(scheduler, run)
    assert_undisturbed(run, reported)


def test_failed_run_with_only_a_step_checkpoint_can_resume(memory_disk: Path) -> None:
    run = create_run(SLIM, TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            recorder, "link_or_copy", FailingCall(recorder.link_or_copy, 1, OSError(errno.ENOSPC, "No space left"))
        )
        train_in_process(run)
    assert run.list_checkpoint_steps()
    assert run.can_resume()


# Creation, forks and deletion


def test_failed_creation_of_a_run_leaves_nothing(memory_disk: Path) -> None:
    for index in range(10):
        with intercept_file_changes(make_full_disk(index, once=False)), contextlib.suppress(StorageError):
            create_run(SLIM, TINY)
        assert not list_runs()[1]


def test_interrupted_fork_is_complete_or_absent(memory_disk: Path) -> None:
    files = kill_new_run("batch", 5)
    for index in range(60):
        parent = restore_run(files, "parent")
        recipe = TINY.model_copy(update={"lr": 0.5})
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(StorageError):
            patch.setattr("playground.engine.runs.fork.check_training_config", lambda *_: None)
            with intercept_file_changes(make_full_disk(index, once=False)):
                fork_run(parent, 3, recipe)
        for fork in list_runs()[0]:
            assert fork == parent or fork.read_history().fork_event, f"half a fork after {index} list_write_points"


def test_interrupted_deletion_leaves_the_complete_run_or_nothing(memory_disk: Path) -> None:
    files = kill_new_run("batch", 5)
    for index in range(1, len(files)):
        run = restore_run(files)
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(os, "unlink", FailingCall(os.unlink, index, Killed()))
            delete_run(run)
        runs, unreadable = list_runs()
        assert not unreadable
        for left in runs:
            assert read_run_files(left) == files, f"half a run after {index} files"


def test_folder_deleted_during_a_write_stays_deleted(memory_disk: Path) -> None:
    points = list_write_points(create_run(SLIM, TINY))
    for index in range(0, len(points), 5):
        run, left = create_run(SLIM, TINY), [index]

        def delete(point: str, run: Run = run, left: list[int] = left) -> None:
            left[0] -= not re.match("batch|evaluate|unlink", point)
            if left[0] == -1:
                left[0] = -2
                shutil.rmtree(run.folder, ignore_errors=True)

        with intercept_file_changes(delete):
            train_in_process(run)
        assert not run.folder.exists(), f"partly recreated at {points[index]}"


@needs_forks
def test_deleting_the_runs_folder_of_a_live_run_affects_nothing_else(scheduler: Scheduler, forks: Path) -> None:
    run = scheduler.submit(SMALL, ENDLESS)
    wait_for(run, "checkpoint_saved")
    assert scheduler.get_log_reader(run).read_history().status == "training"
    pid = scheduler.get_worker_pids()[run.id]
    cache = (forks / "cache").resolve()
    away = forks.with_name("away")
    get_runs_folder().rename(away)  # atomic; deleting the files one by one would race with the worker's writes
    shutil.rmtree(away)
    wait_for_death(pid)
    wait_for_end(scheduler, run)
    assert scheduler.get_log_reader(run).read_history().status == "interrupted"
    assert list_runs()[0] == []
    with pytest.raises(UnknownNameError):
        scheduler.resume(run.id)
    assert cache.exists()
    second = scheduler.submit(SMALL, BRIEF)
    wait_for_end(scheduler, second)
    assert_undisturbed(second)
