"""The tensor cache on disk: one creation for all threads and processes, cancellation, files that remain."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from playground.engine.child_process import build_child_environment
from playground.engine.data import cache
from playground.engine.data.cache import Tensors, is_cached, load_or_create_tensors
from playground.engine.data.mnist import load_mnist
from playground.engine.data.splits import load_test_images
from playground.engine.file_lock import hold_lock
from playground.engine.progress import Progress, Steps, run_to_end
from playground.errors import StorageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder of the cache."""
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "_POLL_INTERVAL_S", 0.01)
    return tmp_path / "cache"


def create_in_steps(calls: list[int], count: int = 3) -> Steps[Tensors]:
    calls.append(threading.get_ident())
    for step in range(count):
        yield Progress("Creating", step, count)
    return {"numbers": torch.arange(5)}


def test_threads_share_one_creation(folder: Path) -> None:
    calls: list[int] = []
    start = threading.Barrier(8)

    def load() -> list[int]:
        start.wait(10)
        return run_to_end(load_or_create_tensors("name", lambda: create_in_steps(calls, 200)))["numbers"].tolist()

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(load) for _ in range(8)]
    assert [one.result() for one in found] == [[0, 1, 2, 3, 4]] * 8
    assert len(calls) == 1
    assert [path.name for path in folder.iterdir()] == ["name.safetensors"]


def test_creation_waits_for_another_process_and_takes_its_file(folder: Path) -> None:
    folder.mkdir()
    calls: list[int] = []
    waiting = load_or_create_tensors("name", lambda: create_in_steps(calls))
    with hold_lock(folder / "name.lock"):
        assert next(waiting).stage.startswith("Waiting for another process")
        cache._save(folder / "name.safetensors", {"numbers": torch.arange(2)})
        assert next(waiting).stage.startswith("Waiting for another process")
    assert run_to_end(waiting)["numbers"].tolist() == [0, 1]
    assert calls == []
    assert [path.name for path in folder.iterdir()] == ["name.safetensors"]


def test_canceled_creation_leaves_no_file_and_no_lock(folder: Path) -> None:
    calls: list[int] = []
    steps = load_or_create_tensors("name", lambda: create_in_steps(calls))
    next(steps)
    steps.close()
    assert list(folder.iterdir()) == []
    assert run_to_end(load_or_create_tensors("name", lambda: create_in_steps(calls)))["numbers"].tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert len(calls) == 2


def test_failed_creation_leaves_no_file_and_is_tried_again(folder: Path) -> None:
    def fail() -> Steps[Tensors]:
        yield Progress("Creating")
        raise StorageError("The disk is full.")

    with pytest.raises(StorageError):
        run_to_end(load_or_create_tensors("name", fail))
    assert list(folder.iterdir()) == []
    assert run_to_end(load_or_create_tensors("name", lambda: create_in_steps([]))).keys() == {"numbers"}


def create_until_killed() -> None:
    steps = load_or_create_tensors("name", lambda: create_in_steps([]))
    next(steps)
    os.kill(os.getpid(), signal.SIGTERM)


def test_files_of_a_killed_process_are_removed_by_the_next_creation(folder: Path) -> None:
    # Not by multiprocessing: it runs the main module again, which an AppTest in this process may have replaced.
    code = f"from {__name__} import create_until_killed; create_until_killed()"
    child = subprocess.run([sys.executable, "-c", code], env=build_child_environment(), check=False)
    assert child.returncode == -signal.SIGTERM
    assert not is_cached("name")
    (folder / ".name.safetensors.abc").touch()  # a process that was killed while it wrote
    (folder / ".name-2.safetensors.abc").touch()  # another name's
    run_to_end(load_or_create_tensors("name", lambda: create_in_steps([])))
    assert sorted(path.name for path in folder.iterdir()) == [".name-2.safetensors.abc", "name.safetensors"]


def test_folder_that_cannot_be_written_is_an_error(folder: Path) -> None:
    folder.write_text("a file in its place")
    with pytest.raises(StorageError, match="cannot be written"):
        run_to_end(load_or_create_tensors("name", lambda: create_in_steps([])))


@pytest.mark.parametrize("name", ["mnist", "mnist+pen"])
def test_test_images_need_neither_training_images_nor_pen_strokes(name: str, folder: Path) -> None:
    assert len(load_test_images(name)) == 10_000
    (path,) = folder.iterdir()
    assert path.name.startswith("mnist-test-")
    assert torch.equal(load_test_images(name).images, run_to_end(load_mnist("test")).images)
