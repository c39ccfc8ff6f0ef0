"""The disk is full, lets nobody write, or loses its folders."""

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
from playground.engine.runs import fork as fork_module
from playground.engine.runs import recorder as record
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
    Killed,
    Refused,
    assert_found_again,
    assert_on_disk,
    assert_whole,
    freeze,
    full_from,
    go_on,
    killed,
    thaw,
    told,
    watched,
    writes,
)
from tests.faults.processes import (
    needs_forks,
    wait_for,
    wait_for_death,
    wait_for_end,
)


@pytest.mark.parametrize("once", [True, False], ids=["for a moment", "until it is freed"])
def test_a_disk_that_is_full_at_any_write_costs_nothing(quick_disk: Path, once: bool):
    points = writes(create_run(SLIM, TINY))
    assert len(points) > 100
    for place in range(0, len(points), 6):
        shutil.rmtree(get_runs_folder())
        run = create_run(SLIM, TINY)
        with watched(full_from(place, once=once)):
            go_on(run)
        reported = told(run.read_events())
        assert_on_disk(run, reported)
        history = run.read_history()
        if history.status != "completed":  # some files can be put in their place in another way
            says_so = history.failure and "No space left" in history.failure.what
            assert says_so or not once or "log" in points[place]
            assert run.can_resume() or not run.has_checkpoint()
            go_on(run)
        assert_whole(run, reported)
        assert not [path for path in run.folder.rglob(".*") if path.is_file()]


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A real disk that can be full; only for somebody who may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("may not mount a disk; the same errors are injected at every write above, on any machine")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a disk in memory")
def test_a_real_disk_that_is_full_and_then_freed_costs_nothing(home: Path):
    page = mmap.PAGESIZE
    phases = set()
    with small_disk(get_runs_folder(), 100 * page):
        for free in range(0, 40, 2):
            run = create_run(SLIM, TINY)
            ballast = get_runs_folder() / "ballast"
            usage = os.statvfs(ballast.parent)
            ballast.write_bytes(b"x" * page * (usage.f_bavail - free))
            go_on(run)
            reported = told(run.read_events())
            assert_on_disk(run, reported)
            history = run.read_history()
            phases.add(history.status)
            assert history.failure is None or "No space left" in history.failure.what
            ballast.unlink()
            if history.status != "completed":
                assert run.can_resume() or not run.has_checkpoint()
                go_on(run)
            assert_whole(run, reported)
            delete_run(run)
    assert phases >= {"failed", "completed"}


@pytest.mark.skipif(sys.platform != "linux", reason="needs a disk in memory")
def test_a_full_disk_is_told_before_the_first_word(home: Path):
    with small_disk(get_runs_folder(), 40 * mmap.PAGESIZE):
        run = create_run(SLIM, TINY)
        with contextlib.suppress(OSError):
            (get_runs_folder() / "ballast").write_bytes(bytes(10**7))
        with pytest.raises(StorageError, match="No space left"), Recorder(run):
            pass
        go_on(run)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody can write into a folder; files that are open stay so."""
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
def test_a_data_folder_that_becomes_read_only_is_told_and_costs_nothing(fleet: Scheduler, forks: Path):
    run = fleet.submit(SMALL, BRIEF, pause_after_batches=6)
    wait_for(run, "paused", 6)
    reported = told(run.read_events())
    with read_only(get_runs_folder()):
        fleet.send_command(run.id, Resume())
        wait_for_end(fleet, run)
        assert_on_disk(run, reported)
        assert_found_again(run, "failed", "cannot be written", "CNN_PLAYGROUND_HOME")
        before = freeze(run)
        with pytest.raises(StorageError, match="cannot be written"):
            fleet.submit(SMALL, BRIEF)
        fleet.resume(run.id)
        wait_for_end(fleet, run)
        assert freeze(run) == before
    reported |= told(run.read_events())
    fleet.resume(run.id)
    wait_for_end(fleet, run)
    assert_whole(run, reported)


def test_a_failed_run_with_a_moment_but_no_newest_checkpoint_can_go_on(quick_disk: Path):
    run = create_run(SLIM, TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "link_or_copy", Refused(record.link_or_copy, 1, OSError(errno.ENOSPC, "No space left")))
        go_on(run)
    assert run.list_checkpoint_steps()
    assert run.can_resume()


# Runs that are made, forked and deleted


def test_a_run_that_could_not_be_made_leaves_nothing(quick_disk: Path):
    for place in range(10):
        with watched(full_from(place, once=False)), contextlib.suppress(StorageError):
            create_run(SLIM, TINY)
        assert not list_runs()[1]


def test_a_fork_cut_while_it_is_made_is_not_there_or_a_fork(quick_disk: Path):
    frozen = killed("batch", 5)
    for place in range(60):
        parent = thaw(frozen, "parent")
        settled = TINY.model_copy(update={"lr": 0.5})
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(StorageError):
            patch.setattr(fork_module, "check_training_config", lambda *_: None)
            with watched(full_from(place, once=False)):
                fork_module.fork_run(parent, 3, settled)
        for fork in list_runs()[0]:
            assert fork == parent or fork.read_history().fork_event, f"half a fork after {place} writes"


def test_a_deletion_that_is_cut_leaves_the_whole_run_or_none(quick_disk: Path):
    frozen = killed("batch", 5)
    for place in range(1, len(frozen)):
        run = thaw(frozen)
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(os, "unlink", Refused(os.unlink, place, Killed()))
            delete_run(run)
        runs, unreadable = list_runs()
        assert not unreadable
        for left in runs:
            assert freeze(left) == frozen, f"half a run after {place} files"


def test_a_folder_deleted_in_the_middle_of_a_write_stays_deleted(quick_disk: Path):
    points = writes(create_run(SLIM, TINY))
    for place in range(0, len(points), 5):
        run, left = create_run(SLIM, TINY), [place]

        def delete(point: str, run: Run = run, left: list[int] = left) -> None:
            left[0] -= not re.match("batch|measure|unlink", point)
            if left[0] == -1:
                left[0] = -2
                shutil.rmtree(run.folder, ignore_errors=True)

        with watched(delete):
            go_on(run)
        assert not run.folder.exists(), f"made again by half at {points[place]}"


@needs_forks
def test_a_data_folder_deleted_under_a_run_takes_nothing_else_with_it(fleet: Scheduler, forks: Path):
    run = fleet.submit(SMALL, ENDLESS)
    wait_for(run, "checkpoint_saved")
    assert fleet.get_log_reader(run).read_history().status == "training"
    pid = fleet.get_worker_pids()[run.id]
    cache = (forks / "cache").resolve()
    away = forks.with_name("away")
    get_runs_folder().rename(away)  # at once, as it were; a deletion would race with what is being written
    shutil.rmtree(away)
    wait_for_death(pid)
    wait_for_end(fleet, run)
    assert fleet.get_log_reader(run).read_history().status == "interrupted"
    assert list_runs()[0] == []
    with pytest.raises(UnknownNameError):
        fleet.resume(run.id)
    assert cache.exists()
    second = fleet.submit(SMALL, BRIEF)
    wait_for_end(fleet, second)
    assert_whole(second)
