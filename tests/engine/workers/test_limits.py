"""What a server allows: read from its environment, kept wherever a run is asked for, and whose run is whose."""

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from playground.core.events import Command, Pause, Resume, Stop, TrainSteps, UpdateHyperparameters
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.engine.runs.fork import fork_run
from playground.engine.runs.owner import check_owner
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run, list_runs
from playground.engine.runs.run import Run
from playground.engine.training.trainer import Trainer
from playground.engine.workers.job import JobSpec
from playground.engine.workers.limits import ServerLimits, compute_machine_limits
from playground.engine.workers.scheduler import Scheduler
from playground.engine.workers.worker import PipeCommandSource
from playground.errors import (
    ArchitectureError,
    ConfigurationError,
    OwnershipError,
    RecipeError,
    StorageError,
    WorkerError,
)
from tests.engine.helpers import PLAIN, Script, assert_same_weights, figures, make_trainer, tiny_recipe, until

TINY = get_architecture_preset("tiny").architecture
GUIDE = get_architecture_preset("guide").architecture
SHORT = Recipe(limit=64, batch_size=32, validation_size=20, epochs=2, precision="float32", device="cpu")


class Waiting(Scheduler):
    """A supervisor that starts no process: whatever it is asked for waits."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(limits=ServerLimits(**limits).model_copy(update={"max_running": 0}), keep_spare_worker=False)


def with_checkpoint(owner: str | None = None, architecture: Any = TINY, recipe: Recipe = SHORT, at: int = 2) -> Run:
    """A run that was stopped after its first batches."""
    run = create_run(architecture, recipe, owner=owner)
    trainer = Trainer(architecture, recipe)
    script = Script({at: [Stop()]})
    script.trainer = trainer
    with Recorder(run) as recorder:
        list(recorder.run_trainer(trainer, script))
    return run


# The environment


def test_without_variables_the_limits_are_the_usual_ones(monkeypatch: pytest.MonkeyPatch):
    for name in ServerLimits.model_fields:
        monkeypatch.delenv(f"CNN_PLAYGROUND_{name.upper()}", raising=False)
    monkeypatch.setenv("CNN_PLAYGROUND_COLOUR", "red")
    assert ServerLimits.from_environment() == ServerLimits()
    assert (ServerLimits().max_running, ServerLimits().max_run_s) == (1, None)


GOOD = {
    "max_running": ("2", 2),
    "max_queue": ("0", 0),
    "max_queue_per_person": ("1", 1),
    "max_parameters": ("50000", 50_000),
    "max_epochs": ("7", 7),
    "max_memory_mb": ("512", 512),
    "max_run_s": ("0.5", 0.5),
    "max_pause_s": ("60", 60.0),
    "shared": ("1", True),
}


@pytest.mark.parametrize("name", ServerLimits.model_fields)
def test_every_limit_is_a_variable(name: str, monkeypatch: pytest.MonkeyPatch):
    text, value = GOOD[name]
    monkeypatch.setenv(f"CNN_PLAYGROUND_{name.upper()}", text)
    assert ServerLimits.from_environment() == ServerLimits(**{name: value})
    assert ServerLimits.model_fields[name].description


@pytest.mark.parametrize("text", ["", "many", "-1", "nan", "1;2", "0x10"])
@pytest.mark.parametrize("name", ServerLimits.model_fields)
def test_a_value_that_is_no_limit_is_named_by_its_variable(name: str, text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"CNN_PLAYGROUND_{name.upper()}", text)
    with pytest.raises(ConfigurationError, match="limit of this server") as caught:
        ServerLimits.from_environment()
    assert f"CNN_PLAYGROUND_{name.upper()}" in caught.value.fix
    assert name in caught.value.what


@pytest.mark.parametrize(
    ("name", "text"),
    [("max_running", "65"), ("max_running", "0"), ("max_epochs", "1.5"), ("max_memory_mb", "99"), ("max_run_s", "0")],
)
def test_a_limit_out_of_bounds_is_no_limit(name: str, text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"CNN_PLAYGROUND_{name.upper()}", text)
    with pytest.raises(ConfigurationError):
        ServerLimits.from_environment()


def test_only_the_variables_that_cannot_be_used_are_to_be_corrected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNN_PLAYGROUND_MAX_EPOCHS", "7")
    monkeypatch.setenv("CNN_PLAYGROUND_MAX_QUEUE", "long")
    monkeypatch.setenv("CNN_PLAYGROUND_MAX_RUN_S", "-5")
    with pytest.raises(ConfigurationError) as caught:
        ServerLimits.from_environment()
    assert "CNN_PLAYGROUND_MAX_QUEUE" in caught.value.fix
    assert "CNN_PLAYGROUND_MAX_RUN_S" in caught.value.fix
    assert "CNN_PLAYGROUND_MAX_EPOCHS" not in caught.value.fix


def test_the_machine_is_a_limit_too():
    recipe = Recipe(batch_size=7)
    found = ServerLimits(max_memory_mb=10**9, max_parameters=10**12).compute_model_limits(recipe)
    machine = compute_machine_limits(recipe)
    assert found.batch_size == 7
    assert found.max_parameters == machine.max_parameters
    assert found.max_training_bytes == pytest.approx(machine.max_training_bytes, rel=0.3)
    assert ServerLimits(max_memory_mb=100).compute_model_limits(recipe).max_training_bytes == 100 * 1024**2


# What may be asked for


def refused(act: Any, kind: type[Exception], match: str) -> None:
    """It is, and leaves neither a folder nor a place in the queue."""
    known = len(list_runs()[0])
    with pytest.raises(kind, match=match):
        act()
    assert len(list_runs()[0]) == known


def test_a_net_with_too_many_parameters(home: Path):
    fleet = Waiting(max_parameters=4000)
    run = fleet.submit(TINY, SHORT)
    refused(lambda: fleet.submit(GUIDE, SHORT), ArchitectureError, "93,322 parameters")
    other = with_checkpoint(architecture=get_architecture_preset("lenet5").architecture)
    refused(lambda: fleet.fork(other.id, 2, SHORT), ArchitectureError, "61,706 parameters")
    assert [active.id for active in fleet.list_active_runs()] == [run.id]


def test_too_many_epochs_however_they_are_asked_for(home: Path):
    fleet = Waiting(max_epochs=3)
    long = SHORT.replace(epochs=4)
    refused(lambda: fleet.submit(TINY, long), RecipeError, "4 epochs are more than this server allows")
    run, stopped = fleet.submit(TINY, SHORT), with_checkpoint()
    knobs = {"epochs": 4}
    refused(lambda: fleet.send_command(run.id, UpdateHyperparameters(hyperparameters=knobs)), RecipeError, "At most 3")
    refused(lambda: fleet.resume(stopped.id, hyperparameters=knobs), RecipeError, "Set epochs to 3 or fewer")
    refused(lambda: fleet.fork(stopped.id, 2, long), RecipeError, "4 epochs")
    fleet.send_command(run.id, UpdateHyperparameters(hyperparameters={"epochs": 3}))
    fleet.resume(stopped.id, hyperparameters={"epochs": 3})
    fleet.fork(with_checkpoint().id, 2, SHORT.replace(epochs=3))
    assert len(fleet.list_active_runs()) == 3


def test_a_run_made_under_laxer_limits_is_not_gone_on_with(home: Path):
    stopped = with_checkpoint(recipe=SHORT.replace(epochs=9))
    refused(lambda: Waiting(max_epochs=3).resume(stopped.id), RecipeError, "9 epochs")
    fleet = Waiting(max_epochs=3)
    assert fleet.resume(stopped.id, hyperparameters={"epochs": 3}).id == stopped.id


def test_a_net_that_a_server_no_longer_allows_is_not_gone_on_with(home: Path):
    stopped = with_checkpoint(architecture=get_architecture_preset("lenet5").architecture)
    refused(lambda: Waiting(max_parameters=4000).resume(stopped.id), ArchitectureError, "61,706 parameters")


def test_epochs_turned_up_in_mid_run_count_when_it_is_gone_on_with(home: Path):
    run = create_run(TINY, SHORT)
    trainer = Trainer(TINY, SHORT)
    script = Script({1: [UpdateHyperparameters(hyperparameters={"epochs": 50}), Stop()]})
    script.trainer = trainer
    with Recorder(run) as recorder:
        list(recorder.run_trainer(trainer, script))
    assert run.read_history().planned_epochs == 50
    refused(lambda: Waiting(max_epochs=3).resume(run.id), RecipeError, "50 epochs")


def test_too_much_memory_however_it_is_asked_for(home: Path):
    fleet = Waiting(max_memory_mb=100)
    small = Recipe(batch_size=64, limit=9000, validation_size=20)
    large = small.replace(batch_size=8192)
    refused(lambda: fleet.submit(TINY, large), ArchitectureError, "At most 105 MB")
    run, stopped = fleet.submit(TINY, small), with_checkpoint(recipe=small, at=1)
    knobs = {"batch_size": 8192}
    refused(
        lambda: fleet.send_command(run.id, UpdateHyperparameters(hyperparameters=knobs)),
        ArchitectureError,
        "At most 105 MB",
    )
    refused(lambda: fleet.resume(stopped.id, hyperparameters=knobs), ArchitectureError, "At most 105 MB")
    refused(lambda: fleet.fork(stopped.id, 1, large), ArchitectureError, "At most 105 MB")
    fleet.send_command(run.id, UpdateHyperparameters(hyperparameters={"batch_size": 128}))
    assert fleet.get_queued_commands(run.id) == (UpdateHyperparameters(hyperparameters={"batch_size": 128}),)


def test_a_batch_larger_than_the_data_is_refused_as_a_knob_too(home: Path):
    fleet = Waiting()
    run, stopped = fleet.submit(TINY, SHORT), with_checkpoint()
    refused(
        lambda: fleet.send_command(run.id, UpdateHyperparameters(hyperparameters={"batch_size": 65})),
        RecipeError,
        "batch of 65",
    )
    refused(lambda: fleet.resume(stopped.id, hyperparameters={"batch_size": 65}), RecipeError, "batch of 65")
    refused(lambda: fleet.fork(stopped.id, 2, SHORT.replace(batch_size=65)), RecipeError, "batch of 65")


def test_a_batch_of_one_image_is_refused_before_it_waits_where_batch_norm_needs_two(home: Path):
    fleet = Waiting()
    normalized = get_architecture_preset("normalized").architecture
    run = fleet.submit(normalized, SHORT)
    refused(
        lambda: fleet.send_command(run.id, UpdateHyperparameters(hyperparameters={"batch_size": 1})),
        RecipeError,
        "Batch norm",
    )
    refused(lambda: fleet.submit(normalized, SHORT.replace(batch_size=1)), RecipeError, "Batch norm")


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"seed": 1}, "seed cannot change"),
        ({"lr": -1}, "lr: "),
        ({"nonsense": 1}, "nonsense cannot change"),
        ({"optimizer": {"kind": "sgd"}}, "from adam to sgd"),
    ],
    ids=str,
)
def test_what_is_no_knob_is_refused_as_one(home: Path, knobs: dict[str, Any], told: str):
    fleet = Waiting()
    run, stopped = fleet.submit(TINY, SHORT), with_checkpoint()
    refused(lambda: fleet.send_command(run.id, UpdateHyperparameters(hyperparameters=knobs)), RecipeError, told)
    refused(lambda: fleet.resume(stopped.id, hyperparameters=knobs), RecipeError, told)


def test_a_full_queue(home: Path):
    fleet = Waiting(max_queue=2)
    stopped = with_checkpoint()
    first, _ = fleet.submit(TINY, SHORT, owner="a"), fleet.submit(TINY, SHORT, owner="b")
    refused(lambda: fleet.submit(TINY, SHORT, owner="c"), WorkerError, "2 runs are waiting")
    refused(lambda: fleet.fork(stopped.id, 2, SHORT), WorkerError, "2 runs are waiting")
    refused(lambda: fleet.resume(stopped.id), WorkerError, "2 runs are waiting")
    fleet.send_command(first.id, Stop(), user="a")
    fleet.resume(stopped.id)
    assert len(fleet.list_active_runs()) == 2


def test_one_person_s_part_of_the_queue(home: Path):
    fleet = Waiting(max_queue_per_person=2)
    own = with_checkpoint("a")
    run, _ = fleet.submit(TINY, SHORT, owner="a"), fleet.submit(TINY, SHORT, owner="a")
    refused(lambda: fleet.submit(TINY, SHORT, owner="a"), WorkerError, "2 of your runs")
    refused(lambda: fleet.fork(own.id, 2, SHORT, owner="a"), WorkerError, "2 of your runs")
    refused(lambda: fleet.resume(own.id, user="a"), WorkerError, "2 of your runs")
    for _ in range(2):
        fleet.submit(TINY, SHORT, owner="b")
    for _ in range(4):
        fleet.submit(TINY, SHORT)
    fleet.send_command(run.id, Stop(), user="a")
    fleet.fork(own.id, 2, SHORT, owner="a")
    refused(lambda: fleet.submit(TINY, SHORT, owner="a"), WorkerError, "2 of your runs")


def test_nobody_s_runs_count_for_whoever_goes_on_with_them(home: Path):
    fleet = Waiting(max_queue_per_person=2)
    runs = [with_checkpoint() for _ in range(3)]
    for run in runs[:2]:
        fleet.resume(run.id, user="a")
    refused(lambda: fleet.resume(runs[2].id, user="a"), WorkerError, "2 of your runs")


# Whose run it is


@pytest.mark.parametrize(
    ("owner", "by", "may"),
    [("a", "a", True), ("a", "b", False), ("a", None, True), (None, "b", True), (None, None, True), ("a", "", False)],
)
def test_a_run_is_steered_by_its_owner_and_the_machine(home: Path, owner: str | None, by: str | None, may: bool):
    fleet = Waiting()
    run, stopped = fleet.submit(TINY, SHORT, owner=owner), with_checkpoint(owner)
    commands: list[Command] = [
        Pause(),
        Resume(),
        TrainSteps(),
        UpdateHyperparameters(hyperparameters={"lr": 0.1}),
        Stop(),
        Stop(status="interrupted"),
    ]
    if may:
        check_owner(run, by)
        for command in commands[:4]:
            fleet.send_command(run.id, command, user=by)
        assert fleet.get_queued_commands(run.id) == tuple(commands[:4])
        fleet.send_command(run.id, Stop(), user=by)
        assert run.read_history().status == "stopped"
        assert fleet.resume(stopped.id, user=by) == stopped
        return
    for command in commands:
        with pytest.raises(OwnershipError, match="another person's run"):
            fleet.send_command(run.id, command, user=by)
    with pytest.raises(OwnershipError):
        fleet.resume(stopped.id, user=by)
    with pytest.raises(OwnershipError):
        fleet.resume(stopped.id, hyperparameters={"epochs": 3}, user=by)
    assert fleet.get_queued_commands(run.id) == ()
    assert [active.id for active in fleet.list_active_runs()] == [run.id]


def test_anybody_may_fork_and_the_fork_is_theirs(home: Path):
    fleet = Waiting()
    parent = with_checkpoint("a")
    run = fleet.fork(parent.id, 2, SHORT.replace(lr=0.01), owner="b")
    assert (run.record.owner, run.record.parent) == ("b", parent.id)
    assert run.record.name == f"{parent.record.name}, forked"
    with pytest.raises(OwnershipError):
        fleet.send_command(run.id, Stop(), user="a")
    fleet.send_command(run.id, Stop(), user="b")
    assert parent.read_history().step == 2


# Time


@pytest.fixture
def pipe() -> Iterator[IO[str]]:
    """A stream from which nothing comes until the test is over; the process's own SIGTERM handler is kept."""
    before = signal.getsignal(signal.SIGTERM)
    source, sink = os.pipe()
    with os.fdopen(source) as stream:
        yield stream
        os.close(sink)
        until(lambda: not any(thread.name == "pipe" for thread in threading.enumerate()), 5, "the reader's end")
    signal.signal(signal.SIGTERM, before)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def order(**fields: Any) -> JobSpec:
    return JobSpec(run_folder="somewhere", **fields)


def test_a_run_whose_time_is_over_is_saved_says_why_and_goes_on_later(home: Path, pipe: IO[str]):
    run, clock = create_run(PLAIN, tiny_recipe()), Clock()
    trainer = make_trainer()
    inbox = PipeCommandSource(pipe, order(max_run_s=5.0), clock=clock)
    inbox._reader_thread.name = "pipe"
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, inbox):
            clock.now += event.kind == "step_done"
    history = run.read_history()
    assert (history.status, history.step, run.load_checkpoint()["step"]) == ("stopped", 5, 5)
    assert history.end_diagnosis is not None
    assert history.end_diagnosis.diagnosis == "stopped"
    assert history.end_diagnosis.message == "The time limit of a run (5 s) was reached. Resume continues."
    assert run.can_resume()
    again = make_trainer()
    with Recorder(run) as recorder:
        list(recorder.run_trainer(again, _quiet(again)))
    undisturbed = make_trainer()
    whole = list(undisturbed.run())
    assert figures(run.read_events()) == figures(whole)
    assert_same_weights(again.get_weights(), undisturbed.get_weights())


def _quiet(trainer: Trainer) -> Script:
    script = Script()
    script.trainer = trainer
    return script


def test_what_the_server_said_of_a_run_is_not_said_any_more_when_it_goes_on(home: Path, pipe: IO[str]):
    """However good the run is doing: the finding before the stop is the finding after it, and is told again."""
    run = create_run(PLAIN, tiny_recipe(lr=1e-4, epochs=8))
    trainer, clock = make_trainer(recipe=run.record.recipe), Clock()
    inbox = PipeCommandSource(pipe, order(max_run_s=4.0), clock=clock)
    inbox._reader_thread.name = "pipe"
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, inbox):
            clock.now += event.kind == "step_done"
    again = make_trainer(recipe=run.record.recipe)
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(again, _quiet(again)):
            if event.kind == "step_done" and event.step == 9:
                break
    found = run.read_history().end_diagnosis
    assert found is None or found.diagnosis != "stopped", f"it trains, and the page says: {found.message}"


def test_a_pause_does_not_count_as_training(pipe: IO[str]):
    clock = Clock()
    inbox = PipeCommandSource(
        pipe, order(max_run_s=10.0, initial_commands=(Pause(), TrainSteps(), Resume())), clock=clock
    )
    inbox._reader_thread.name = "pipe"
    assert list(inbox.poll()) == [Pause(), TrainSteps(), Resume()]
    clock.now = 9.0
    assert list(inbox.poll()) == []
    inbox._commands.put(Resume())
    get = inbox._commands.get

    class Slow:
        empty, put = inbox._commands.empty, inbox._commands.put

        def get(self, timeout: float | None = None) -> Command:
            clock.now += 1000
            return get()

    inbox._commands = Slow()  # type: ignore[assignment]
    assert inbox.wait() == Resume()
    assert list(inbox.poll()) == []
    clock.now += 1.0
    (stop,) = inbox.poll()
    assert isinstance(stop, Stop)
    assert "(10 s)" in stop.reason


def test_a_pause_that_lasts_too_long_ends_in_a_stop(home: Path, pipe: IO[str]):
    run = create_run(PLAIN, tiny_recipe())
    trainer = make_trainer()
    inbox = PipeCommandSource(pipe, order(max_pause_s=0.05, initial_commands=(Pause(), TrainSteps(batches=3))))
    inbox._reader_thread.name = "pipe"
    with Recorder(run) as recorder:
        told = list(recorder.run_trainer(trainer, inbox))
    assert [event.step for event in told if event.kind == "paused"] == [0, 3]
    assert (told[-1].kind, told[-1].step) == ("run_ended", 3)
    history = run.read_history()
    assert history.end_diagnosis is not None
    assert "so that other runs can train" in history.end_diagnosis.message
    assert history.status == "stopped"
    assert run.load_checkpoint()["step"] == 3


def test_no_limit_of_time_is_none(pipe: IO[str]):
    clock = Clock()
    inbox = PipeCommandSource(pipe, order(), clock=clock)
    inbox._reader_thread.name = "pipe"
    clock.now = 1e12
    assert list(inbox.poll()) == []


@pytest.mark.parametrize("limit", ["inf", "1e12"])
def test_a_pause_may_be_allowed_to_last_for_ever(limit: str, monkeypatch: pytest.MonkeyPatch, pipe: IO[str]):
    monkeypatch.setenv("CNN_PLAYGROUND_MAX_PAUSE_S", limit)
    sent = order(max_pause_s=ServerLimits.from_environment().max_pause_s).model_dump_json()
    inbox = PipeCommandSource(pipe, JobSpec.model_validate_json(sent))
    inbox._reader_thread.name = "pipe"
    inbox._commands.put(Resume())
    assert inbox.wait() == Resume()


def test_the_end_of_the_stream_interrupts(pipe: IO[str]):
    inbox = PipeCommandSource(io.StringIO('{"kind":"pause"}\nrubbish\n{"kind":"step"}\n'), order())
    inbox._reader_thread.join(5)
    assert list(inbox.poll()) == [Pause(), TrainSteps(), Stop(status="interrupted")]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_limits_of_time_in_a_real_worker(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fleet = Scheduler(limits=ServerLimits(max_run_s=0.6, max_pause_s=0.3), keep_spare_worker=False)
    try:
        endless = Recipe(limit=640, batch_size=32, validation_size=200, epochs=1000)
        run = fleet.submit(TINY, endless, owner="a", pause_after_batches=2)
        with pytest.raises(OwnershipError):
            fleet.send_command(run.id, Stop(), user="b")
        until(lambda: fleet.get_log_reader(run).read_history().status == "stopped", 60, "the end of the pause")
        until(lambda: not fleet.is_active(run.id), 60, "the worker's end")
        assert run.read_history().step == 2
        assert "Paused for 0 s" in run.read_history().end_diagnosis.message  # type: ignore[union-attr]
        fleet.resume(run.id, user="a")
        until(lambda: fleet.get_log_reader(run).read_history().step > 2, 60, "the first batch")
        until(lambda: fleet.get_log_reader(run).read_history().status == "stopped", 60, "the end of its time")
        until(lambda: not fleet.is_active(run.id), 60, "the worker's end")
        history = run.read_history()
        assert "The time limit of a run" in history.end_diagnosis.message  # type: ignore[union-attr]
        assert run.load_checkpoint()["step"] == history.step > 2
        assert run.can_resume()
        with pytest.raises(StorageError):
            fork_run(run, history.step + 1, endless)
    finally:
        fleet.close()
