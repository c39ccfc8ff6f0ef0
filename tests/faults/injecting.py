"""Fault injection into training in this process, and the assertions that hold after any fault."""

import contextlib
import errno
import functools
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO, Any, cast

import pytest
import torch
from torch import Tensor

from playground.core import events
from playground.core.architecture import Architecture, InputShape
from playground.core.layers import BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, MaxPool2d, Output
from playground.core.recipe import Recipe
from playground.engine.runs import initial_state, recorder
from playground.engine.runs.log_reader import LogReader
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run, find_run, get_runs_folder, list_runs, read_run
from playground.engine.runs.run import Run
from playground.engine.training.learner import Learner
from playground.engine.training.run_evaluator import RunEvaluator
from playground.engine.training.trainer import Trainer
from playground.engine.workers import worker
from tests.engine.helpers import (
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    net,
    play,
    tiny_recipe,
)

SMALL = Architecture(
    input=InputShape(height=28, width=28),
    classes=10,
    layers=(MaxPool2d(kernel_size=4), Conv2d(out_channels=4), BatchNorm(), Dropout(p=0.1), Flatten(), Output()),
)


def recipe(**fields: object) -> Recipe:
    return Recipe(
        **({"limit": 320, "batch_size": 32, "validation_size": 100, "precision": "float32", "device": "cpu"} | fields)
    )


BRIEF = recipe(epochs=2, seed=4)  # 20 batches; checkpoints after 3, 5, 8, 10, …


ENDLESS = recipe(epochs=1000, seed=6)


SLIM = net(Conv2d(out_channels=2), BatchNorm(), Dropout(p=0.2), GlobalAvgPool(), Output())


TINY = tiny_recipe(epochs=2, batch_size=32)  # of 96 images: 6 batches; checkpoints after 2, 3, 5, 6


# Points at which a fault can strike


@contextlib.contextmanager
def intercept_file_changes(notify: Callable[[str], None]) -> Iterator[None]:
    """Call ``notify`` before every file change, in the middle of every write, and before every batch."""

    def name_of(path: Path) -> str:
        return re.sub(r"^\.(.*)\.[^.]*$", r"\1", path.name)  # a temporary file is reported under its final name

    def notify_before(owner: Any, attribute: str, describe: Callable[..., str]) -> None:
        original = getattr(owner, attribute)

        @functools.wraps(original)
        def notify_and_call(*args: Any, **options: Any) -> Any:
            notify(describe(*args))
            return original(*args, **options)

        patch.setattr(owner, attribute, notify_and_call)

    def write_in_halves(path: Path, content: bytes) -> int:
        notify(f"write {name_of(path)}")
        with path.open("wb", buffering=0) as file:
            file.write(content[: len(content) // 2])
            notify(f"half {name_of(path)}")
            return len(content) // 2 + file.write(content[len(content) // 2 :])

    class LogInHalves:
        def __init__(self, log: IO[bytes]) -> None:
            self._log = log

        def write(self, line: bytes) -> int:
            kind = json.loads(line)["kind"]
            notify(f"log {kind}")
            self._log.write(line[: len(line) // 2])
            notify(f"half log {kind}")
            return len(line) // 2 + self._log.write(line[len(line) // 2 :])

    append = Recorder._append_event

    def append_in_halves(self: Recorder, event: events.Event, *, prefix: bytes = b"") -> None:
        if self._log is not None and not isinstance(self._log, LogInHalves):
            self._log = cast("IO[bytes]", LogInHalves(self._log))
        append(self, event, prefix=prefix)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_in_halves)
        patch.setattr(Path, "write_text", lambda path, text, **_: write_in_halves(path, text.encode()))
        patch.setattr(Recorder, "_append_event", append_in_halves)
        notify_before(tempfile, "mkstemp", lambda: "make a temporary file")
        notify_before(Path, "replace", lambda path, target: f"replace {target.name}")
        notify_before(Path, "rename", lambda path, target: f"rename to {target.name}")
        notify_before(Path, "unlink", lambda path: f"unlink {name_of(path)}")
        notify_before(Path, "touch", lambda path: f"touch {path.name}")
        notify_before(Path, "mkdir", lambda path, *_: f"make folder {path.name}")
        notify_before(os, "link", lambda source, target: f"link {name_of(target)}")
        notify_before(Learner, "train_batch", lambda _: "batch")
        notify_before(RunEvaluator, "evaluate_validation", lambda *_: "evaluate")
        notify_before(RunEvaluator, "evaluate_test", lambda *_: "evaluate")
        yield


class FailingCall:
    """Replacement of a function that raises an error in call number ``at``."""

    def __init__(self, original: Callable[..., Any], at: int, error: BaseException) -> None:
        self._original, self._calls_left, self._error = original, at, error

    def __call__(self, *args: Any, **options: Any) -> Any:
        self._calls_left -= 1
        if self._calls_left == 0:
            raise self._error
        return self._original(*args, **options)


def make_full_disk(index: int, *, once: bool) -> Callable[[str], None]:
    """Create a listener that raises ENOSPC at write number ``index``, and at every later one unless ``once``."""
    left = [index]

    def refuse(point: str) -> None:
        if not re.match("batch|evaluate|unlink", point):
            left[0] -= 1
            if left[0] == -1 if once else left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")

    return refuse


def list_write_points(run: Run) -> list[str]:
    """List the points of a training run at which a write can fail."""
    points: list[str] = []
    with intercept_file_changes(points.append):
        train_in_process(run)
    return [point for point in points if not re.match("batch|evaluate|unlink", point)]


# Assertions


@functools.lru_cache
def train_undisturbed(recipe: Recipe) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Train without faults; return the weights and figures."""
    trainer = Trainer(SMALL, recipe)
    stream = play(trainer)
    assert trainer.is_finished
    return trainer.get_weights(), figures(stream)


@functools.lru_cache
def train_undisturbed_tiny() -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    trainer = make_trainer(SLIM, TINY)
    stream = play(trainer)
    return trainer.get_weights(), figures(stream)


def get_expected(run: Run) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    return train_undisturbed_tiny() if run.record.architecture == SLIM else train_undisturbed(run.record.recipe)


PERSISTENT_EVENT_KINDS = {
    "step_done",
    "evaluated",
    "epoch_done",
    "snapshot_saved",
    "checkpoint_saved",
    "hyperparameter_changed",
}


ReportedEvents = set[tuple[str, int]]


def list_reported(stream: Iterable[events.Event]) -> ReportedEvents:
    """List kind and step of the events that a user saw and that must stay in the log."""
    return {(event.kind, event.step) for event in stream if event.kind in PERSISTENT_EVENT_KINDS}


def assert_on_disk(run: Run, reported: AbstractSet[tuple[str, int]]) -> None:
    assert reported <= list_reported(run.read_events()), (
        f"{reported - list_reported(run.read_events())} are missing from the log"
    )
    for kind, step in reported:
        if kind == "snapshot_saved" and (
            step in run.list_snapshot_steps() or len(run.list_snapshot_steps()) < recorder.MAX_SNAPSHOTS
        ):
            assert run.load_snapshot(step)
        if kind == "checkpoint_saved" and (
            step in run.list_checkpoint_steps() or len(run.list_checkpoint_steps()) < recorder.MAX_CHECKPOINTS
        ):
            content = run.get_checkpoint_path(step).read_bytes()
            assert _step_of(content) == step


@functools.lru_cache(maxsize=256)
def _step_of(checkpoint: bytes) -> int:
    return int(torch.load(io.BytesIO(checkpoint), weights_only=True)["step"])


def assert_resumable(run: Run, status: str, *phrases: str) -> None:
    """Assert that the run is listed and can resume, and that its history explains what happened."""
    runs, unreadable = list_runs()
    assert run in runs
    assert not unreadable
    assert find_run(run.id) == run
    history = run.read_history()
    assert history.status == LogReader(run).read_history().status == status
    assert run.can_resume()
    message = history.end_diagnosis.message if history.end_diagnosis else ""
    if history.failure:
        message = f"{history.failure.what} {history.failure.expected} {history.failure.fix}"
    for phrase in phrases:
        assert phrase in message


def assert_undisturbed(run: Run, reported: AbstractSet[tuple[str, int]] = frozenset()) -> None:
    """Assert that the run completed with the weights of an undisturbed run and still has every reported event."""
    history = run.read_history()
    assert history.status == "completed", f"{run.id}: {history.failure}"
    assert not run.is_live()
    weights, expected = get_expected(run)
    stream = list(run.read_events())
    assert figures(stream) == expected
    assert_same_weights(run.load_snapshot(run.list_snapshot_steps()[-1]), weights)
    assert_same_weights(run.load_checkpoint()["model"], weights)
    assert_on_disk(run, reported)
    times = [event.elapsed_s for event in stream]
    assert times == sorted(times), "the elapsed time decreases"
    assert times[0] >= 0
    assert not list_runs()[1]


# Kills in this process: the content of a run folder at a point is what a kill at that point leaves


RunFiles = dict[str, bytes]


def read_run_files(run: Run) -> RunFiles:
    paths = (path for path in run.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in paths}


def restore_run(files: RunFiles, name: str = "restored") -> Run:
    """Replace all runs by one with these files."""
    shutil.rmtree(get_runs_folder(), ignore_errors=True)
    folder = get_runs_folder() / name
    (folder / "snapshots").mkdir(parents=True)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return read_run(folder)


def train_in_process(run: Run, script: Script | None = None) -> None:
    """Train a run as a worker does, in this process; a run of ``SLIM`` trains on tiny images."""
    script = script or Script()

    def create_trainer(architecture: Architecture, recipe: Recipe, **_: Any) -> Trainer:
        clock = {"clock": time.perf_counter}
        trainer = make_trainer(architecture, recipe, **clock) if architecture == SLIM else Trainer(architecture, recipe)
        script.trainer = trainer
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial_state, "Trainer", create_trainer)
        worker.train_run(run, script)


def new_run(script: Script | None = None) -> Run:
    run = create_run(SLIM, TINY)
    train_in_process(run, script)
    return run


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """Create a data folder for thousands of small files, in memory if the system has such a disk."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CNN_PLAYGROUND_HOME", folder)
        yield Path(folder)


class Killed(BaseException):
    """Ends training in this process as a kill would."""


def kill_new_run(point: str, at: int = 1, script: Script | None = None) -> RunFiles:
    """Train a new run until it is killed at a point; return the files that it leaves."""
    left = [at]
    run = create_run(SLIM, TINY)
    left_files: RunFiles = {}

    def kill(reached: str) -> None:
        left[0] -= re.fullmatch(point, reached) is not None
        if left[0] == 0:
            left_files.update(read_run_files(run))
            raise Killed

    with contextlib.suppress(Killed), intercept_file_changes(kill):
        train_in_process(run, script)
    assert left_files
    shutil.rmtree(run.folder)
    return left_files


def list_kill_states(run: Run, script: Script | None = None) -> dict[str, tuple[RunFiles, ReportedEvents]]:
    """Train the run; list each distinct folder state that a kill could leave, with the events reported by then."""
    states: dict[str, tuple[RunFiles, ReportedEvents]] = {}
    seen: set[str] = set()

    def keep(point: str) -> None:
        files = read_run_files(run)
        del files["run.json"]
        digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            states[f"{len(states)} before {point}"] = (read_run_files(run), list_reported(run.read_events()))

    with intercept_file_changes(keep):
        train_in_process(run, script)
    return states


def log_lines(files: RunFiles) -> list[bytes]:
    return files["events.jsonl"].splitlines(keepends=True)


def read_events(files: RunFiles) -> list[events.Event]:
    return list(filter(None, map(events.parse_event, log_lines(files))))
