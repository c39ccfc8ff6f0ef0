"""Points at which a run can be struck, states of its folder, and what must be true after any of them."""

import contextlib
import errno
import functools
import hashlib
import io
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from torch import Tensor

from playground.core import events
from playground.core.architecture import Architecture, InputShape
from playground.core.layers import BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, MaxPool2d, Output
from playground.core.recipe import Recipe
from playground.engine import paths as home
from playground.engine.runs import initial_state as material
from playground.engine.runs import recorder as record
from playground.engine.runs.log_reader import LogReader
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run, find_run, get_runs_folder, list_runs, read_run
from playground.engine.runs.run import Run
from playground.engine.training import trainer as train
from playground.engine.training.learner import Learner
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
def watched(tell: Callable[[str], None]) -> Iterator[None]:
    """Tells of every change to files right before it is made and in the middle of every write, and of every batch."""

    def name_of(path: Path) -> str:
        return re.sub(r"^\.(.*)\.[^.]*$", r"\1", path.name)  # a temporary file goes by the name that it will have

    def told(owner: Any, attribute: str, say: Callable[..., str]) -> None:
        genuine = getattr(owner, attribute)

        @functools.wraps(genuine)
        def telling(*args: Any, **options: Any) -> Any:
            tell(say(*args))
            return genuine(*args, **options)

        patch.setattr(owner, attribute, telling)

    def write_in_halves(path: Path, content: bytes) -> int:
        tell(f"write {name_of(path)}")
        with path.open("wb", buffering=0) as file:
            file.write(content[: len(content) // 2])
            tell(f"half {name_of(path)}")
            return len(content) // 2 + file.write(content[len(content) // 2 :])

    class LogInHalves:
        def __init__(self, log: IO[bytes]) -> None:
            self._log = log

        def write(self, line: bytes) -> int:
            kind = json.loads(line)["kind"]
            tell(f"log {kind}")
            self._log.write(line[: len(line) // 2])
            tell(f"half log {kind}")
            return len(line) // 2 + self._log.write(line[len(line) // 2 :])

    append = Recorder._append_event

    def append_in_halves(self: Recorder, event: events.Event, *, prefix: bytes = b"") -> None:
        if self._log is not None and not isinstance(self._log, LogInHalves):
            self._log = LogInHalves(self._log)
        append(self, event, prefix=prefix)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_in_halves)
        patch.setattr(Path, "write_text", lambda path, text, **_: write_in_halves(path, text.encode()))
        patch.setattr(Recorder, "_append_event", append_in_halves)
        told(home.tempfile, "mkstemp", lambda: "make a temporary file")
        told(Path, "replace", lambda path, target: f"replace {target.name}")
        told(Path, "rename", lambda path, target: f"rename to {target.name}")
        told(Path, "unlink", lambda path: f"unlink {name_of(path)}")
        told(Path, "touch", lambda path: f"touch {path.name}")
        told(Path, "mkdir", lambda path, *_: f"make folder {path.name}")
        told(record.os, "link", lambda source, target: f"link {name_of(target)}")
        told(Learner, "train_batch", lambda _: "batch")
        told(train, "evaluate", lambda *_: "measure")
        yield


class Refused:
    """In the place of a function: what it does, until it has been called ``at`` times."""

    def __init__(self, genuine: Callable[..., Any], at: int, problem: BaseException) -> None:
        self._genuine, self._left, self._problem = genuine, at, problem

    def __call__(self, *args: Any, **options: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise self._problem
        return self._genuine(*args, **options)


def full_from(place: int, *, once: bool) -> Callable[[str], None]:
    left = [place]

    def refuse(point: str) -> None:
        if not re.match("batch|measure|unlink", point):
            left[0] -= 1
            if left[0] == -1 if once else left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")

    return refuse


def writes(run: Run) -> list[str]:
    """Every point of a training at which a disk can say no."""
    points: list[str] = []
    with watched(points.append):
        go_on(run)
    return [point for point in points if not re.match("batch|measure|unlink", point)]


# What must be true


@functools.lru_cache
def undisturbed(settled: Recipe) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Weights and figures of a run that nothing happened to."""
    trainer = Trainer(SMALL, settled)
    stream = play(trainer)
    assert trainer.is_finished
    return trainer.get_weights(), figures(stream)


@functools.lru_cache
def undisturbed_tiny() -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    trainer = make_trainer(SLIM, TINY)
    stream = play(trainer)
    return trainer.get_weights(), figures(stream)


def whole(run: Run) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    return undisturbed_tiny() if run.record.architecture == SLIM else undisturbed(run.record.recipe)


LASTING = {"step_done", "evaluated", "epoch_done", "snapshot_saved", "checkpoint_saved", "hyperparameter_changed"}


Told = set[tuple[str, int]]


def told(stream: Iterable[events.Event]) -> Told:
    """What a person who looked at the run was told, and must find again."""
    return {(event.kind, event.step) for event in stream if event.kind in LASTING}


def assert_on_disk(run: Run, reported: Told) -> None:
    assert reported <= told(run.read_events()), f"{reported - told(run.read_events())} left the log"
    for kind, step in reported:
        if kind == "snapshot_saved" and (
            step in run.list_snapshot_steps() or len(run.list_snapshot_steps()) < record.MAX_SNAPSHOTS
        ):
            assert run.load_snapshot(step)
        if kind == "checkpoint_saved" and (
            step in run.list_checkpoint_steps() or len(run.list_checkpoint_steps()) < record.MAX_CHECKPOINTS
        ):
            content = run.get_checkpoint_path(step).read_bytes()
            assert _step_of(content) == step


@functools.lru_cache(maxsize=256)
def _step_of(checkpoint: bytes) -> int:
    return int(torch.load(io.BytesIO(checkpoint), weights_only=True)["step"])


def assert_found_again(run: Run, phase: str, *words: str) -> None:
    """The run is listed and can go on, and its history says in words what happened."""
    runs, unreadable = list_runs()
    assert run in runs
    assert not unreadable
    assert find_run(run.id) == run
    history = run.read_history()
    assert history.status == LogReader(run).read_history().status == phase
    assert run.can_resume()
    said = history.end_diagnosis.message if history.end_diagnosis else ""
    if history.failure:
        said = f"{history.failure.what} {history.failure.expected} {history.failure.fix}"
    for word in words:
        assert word in said


def assert_whole(run: Run, reported: Told = frozenset()) -> None:
    """The run has come to its end as if nothing had happened, and all that was reported is still there."""
    history = run.read_history()
    assert history.status == "completed", f"{run.id}: {history.failure}"
    assert not run.is_live()
    weights, expected = whole(run)
    stream = list(run.read_events())
    found = figures(stream)
    assert found == expected
    assert_same_weights(run.load_snapshot(run.list_snapshot_steps()[-1]), weights)
    assert_same_weights(run.load_checkpoint()["model"], weights)
    assert_on_disk(run, reported)
    times = [event.elapsed_s for event in stream]
    assert times == sorted(times), "the time of training ran backwards"
    assert times[0] >= 0
    assert not list_runs()[1]


# In this process: what a run folder holds at a moment is what a kill at that moment leaves


Frozen = dict[str, bytes]


def freeze(run: Run) -> Frozen:
    files = (path for path in run.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in files}


def thaw(frozen: Frozen, name: str = "cold") -> Run:
    """The only run, with these files."""
    shutil.rmtree(get_runs_folder(), ignore_errors=True)
    folder = get_runs_folder() / name
    (folder / "snapshots").mkdir(parents=True)
    for path, content in frozen.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return read_run(folder)


def go_on(run: Run, script: Script | None = None) -> None:
    """What a worker does with a run, in this process; a run of ``SLIM`` trains on tiny images."""
    script = script or Script()

    def tiny(architecture: Architecture, recipe: Recipe, **_: Any) -> Trainer:
        clock = {"clock": time.perf_counter}
        trainer = make_trainer(architecture, recipe, **clock) if architecture == SLIM else Trainer(architecture, recipe)
        script.trainer = trainer
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(material, "Trainer", tiny)
        worker.train_run(run, script)


def new_run(script: Script | None = None) -> Run:
    run = create_run(SLIM, TINY)
    go_on(run, script)
    return run


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A data folder in memory, where there is such a disk: for thousands of small files."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CNN_PLAYGROUND_HOME", folder)
        yield Path(folder)


class Killed(BaseException):
    """Ends a training in this process as a kill would."""


def killed(point: str, at: int = 1, script: Script | None = None) -> Frozen:
    """What a new run leaves that is killed at a point."""
    left = [at]
    run = create_run(SLIM, TINY)
    found: Frozen = {}

    def strike(here: str) -> None:
        left[0] -= re.fullmatch(point, here) is not None
        if left[0] == 0:
            found.update(freeze(run))
            raise Killed

    with contextlib.suppress(Killed), watched(strike):
        go_on(run, script)
    assert found
    shutil.rmtree(run.folder)
    return found


def moments(run: Run, script: Script | None = None) -> dict[str, tuple[Frozen, Told]]:
    """Every different state of the folder that a kill could leave, with what had been told; trains the run."""
    found: dict[str, tuple[Frozen, Told]] = {}
    seen: set[str] = set()

    def keep(point: str) -> None:
        frozen = freeze(run)
        del frozen["run.json"]
        digest = hashlib.sha256(repr(sorted(frozen.items())).encode()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            found[f"{len(found)} before {point}"] = (freeze(run), told(run.read_events()))

    with watched(keep):
        go_on(run, script)
    return found


def log_lines(frozen: Frozen) -> list[bytes]:
    return frozen["events.jsonl"].splitlines(keepends=True)


def read_events(frozen: Frozen) -> list[events.Event]:
    return list(filter(None, map(events.parse_event, log_lines(frozen))))
