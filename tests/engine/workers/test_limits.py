"""Server limits: environment variables, checks of every request, run ownership and time limits."""

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
from tests.engine.helpers import (
    PLAIN,
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    record_run,
    tiny_recipe,
    until,
)
from tests.narrowing import require

TINY = get_architecture_preset("tiny").architecture
GUIDE = get_architecture_preset("guide").architecture
SHORT = Recipe(limit=64, batch_size=32, validation_size=20, epochs=2, precision="float32", device="cpu")


class IdleScheduler(Scheduler):
    """Scheduler that starts no process: every run waits."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(limits=ServerLimits(**limits).model_copy(update={"max_running": 0}), keep_spare_worker=False)


def create_stopped_run(owner: str | None = None, architecture: Any = TINY, recipe: Recipe = SHORT, at: int = 2) -> Run:
    """Create a run that was stopped after step ``at``."""
    run = create_run(architecture, recipe, owner=owner)
    record_run(run, Trainer(architecture, recipe), Script({at: [Stop()]}))
    return run


# Environment variables


def test_limits_without_environment_variables_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServerLimits.model_fields:
        monkeypatch.delenv(f"CNN_PLAYGROUND_{name.upper()}", raising=False)
    monkeypatch.setenv("CNN_PLAYGROUND_COLOR", "red")
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
def test_every_limit_is_read_from_its_environment_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = GOOD[name]
    monkeypatch.setenv(f"CNN_PLAYGROUND_{name.upper()}", text)
    assert ServerLimits.from_environment() == ServerLimits(**{name: value})
    assert ServerLimits.model_fields[name].description


@pytest.mark.parametrize("text", ["", "many", "-1", "nan", "1;2", "0x10"])
@pytest.mark.parametrize("name", ServerLimits.model_fields)
def test_invalid_limit_is_rejected_with_its_variable(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CNN_PLAYGROUND_{name.upper()}", text)
    with pytest.raises(ConfigurationError, match="limit of this server") as caught:
        ServerLimits.from_environment()
    assert f"CNN_PLAYGROUND_{name.upper()}" in caught.value.fix
    assert name in caught.value.what


@pytest.mark.parametrize(
    ("name", "text"),
    [("max_running", "65"), ("max_running", "0"), ("max_epochs", "1.5"), ("max_memory_mb", "99"), ("max_run_s", "0")],
)
def test_limit_out_of_range_is_rejected(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CNN_PLAYGROUND_{name.upper()}", text)
    with pytest.raises(ConfigurationError):
        ServerLimits.from_environment()


def test_error_names_only_the_invalid_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNN_PLAYGROUND_MAX_EPOCHS", "7")
    monkeypatch.setenv("CNN_PLAYGROUND_MAX_QUEUE", "long")
    monkeypatch.setenv("CNN_PLAYGROUND_MAX_RUN_S", "-5")
    with pytest.raises(ConfigurationError) as caught:
        ServerLimits.from_environment()
    assert "CNN_PLAYGROUND_MAX_QUEUE" in caught.value.fix
    assert "CNN_PLAYGROUND_MAX_RUN_S" in caught.value.fix
    assert "CNN_PLAYGROUND_MAX_EPOCHS" not in caught.value.fix


def test_model_limits_include_the_machine() -> None:
    recipe = Recipe(batch_size=7)
    limits = ServerLimits(max_memory_mb=10**9, max_parameters=10**12).compute_model_limits(recipe)
    machine = compute_machine_limits(recipe)
    assert limits.batch_size == 7
    assert limits.max_parameters == machine.max_parameters
    assert limits.max_training_bytes == pytest.approx(machine.max_training_bytes, rel=0.3)
    assert ServerLimits(max_memory_mb=100).compute_model_limits(recipe).max_training_bytes == 100 * 1024**2


# Requests


def assert_rejected(request: Any, kind: type[Exception], match: str) -> None:
    """Assert that a request raises an error and creates no run folder."""
    known = len(list_runs()[0])
    with pytest.raises(kind, match=match):
        request()
    assert len(list_runs()[0]) == known


def test_network_with_too_many_parameters_is_rejected(home: Path) -> None:
    scheduler = IdleScheduler(max_parameters=4000)
    run = scheduler.submit(TINY, SHORT)
    assert_rejected(lambda: scheduler.submit(GUIDE, SHORT), ArchitectureError, "93,322 parameters")
    other = create_stopped_run(architecture=get_architecture_preset("lenet5").architecture)
    assert_rejected(lambda: scheduler.fork(other.id, 2, SHORT), ArchitectureError, "61,706 parameters")
    assert [active.id for active in scheduler.list_active_runs()] == [run.id]


def test_too_many_epochs_are_rejected_by_every_request(home: Path) -> None:
    scheduler = IdleScheduler(max_epochs=3)
    long = SHORT.replace(epochs=4)
    assert_rejected(lambda: scheduler.submit(TINY, long), RecipeError, "4 epochs are more than this server allows")
    run, stopped = scheduler.submit(TINY, SHORT), create_stopped_run()
    changes = {"epochs": 4}
    assert_rejected(
        lambda: scheduler.send_command(run.id, UpdateHyperparameters(hyperparameters=changes)), RecipeError, "At most 3"
    )
    assert_rejected(
        lambda: scheduler.resume(stopped.id, hyperparameters=changes), RecipeError, "Set epochs to 3 or fewer"
    )
    assert_rejected(lambda: scheduler.fork(stopped.id, 2, long), RecipeError, "4 epochs")
    scheduler.send_command(run.id, UpdateHyperparameters(hyperparameters={"epochs": 3}))
    scheduler.resume(stopped.id, hyperparameters={"epochs": 3})
    scheduler.fork(create_stopped_run().id, 2, SHORT.replace(epochs=3))
    assert len(scheduler.list_active_runs()) == 3


def test_run_with_more_epochs_than_allowed_cannot_resume(home: Path) -> None:
    stopped = create_stopped_run(recipe=SHORT.replace(epochs=9))
    assert_rejected(lambda: IdleScheduler(max_epochs=3).resume(stopped.id), RecipeError, "9 epochs")
    scheduler = IdleScheduler(max_epochs=3)
    assert scheduler.resume(stopped.id, hyperparameters={"epochs": 3}).id == stopped.id


def test_run_with_more_parameters_than_allowed_cannot_resume(home: Path) -> None:
    stopped = create_stopped_run(architecture=get_architecture_preset("lenet5").architecture)
    assert_rejected(
        lambda: IdleScheduler(max_parameters=4000).resume(stopped.id), ArchitectureError, "61,706 parameters"
    )


def test_epochs_changed_during_training_count_on_resume(home: Path) -> None:
    run = create_run(TINY, SHORT)
    script = Script({1: [UpdateHyperparameters(hyperparameters={"epochs": 50}), Stop()]})
    record_run(run, Trainer(TINY, SHORT), script)
    assert run.read_history().planned_epochs == 50
    assert_rejected(lambda: IdleScheduler(max_epochs=3).resume(run.id), RecipeError, "50 epochs")


def test_too_much_memory_is_rejected_by_every_request(home: Path) -> None:
    scheduler = IdleScheduler(max_memory_mb=100)
    small = Recipe(batch_size=64, limit=9000, validation_size=20)
    large = small.replace(batch_size=8192)
    assert_rejected(lambda: scheduler.submit(TINY, large), ArchitectureError, "At most 105 MB")
    run, stopped = scheduler.submit(TINY, small), create_stopped_run(recipe=small, at=1)
    changes = {"batch_size": 8192}
    assert_rejected(
        lambda: scheduler.send_command(run.id, UpdateHyperparameters(hyperparameters=changes)),
        ArchitectureError,
        "At most 105 MB",
    )
    assert_rejected(lambda: scheduler.resume(stopped.id, hyperparameters=changes), ArchitectureError, "At most 105 MB")
    assert_rejected(lambda: scheduler.fork(stopped.id, 1, large), ArchitectureError, "At most 105 MB")
    scheduler.send_command(run.id, UpdateHyperparameters(hyperparameters={"batch_size": 128}))
    assert scheduler.get_queued_commands(run.id) == (UpdateHyperparameters(hyperparameters={"batch_size": 128}),)


def test_batch_size_above_the_dataset_size_is_rejected_by_every_request(home: Path) -> None:
    scheduler = IdleScheduler()
    run, stopped = scheduler.submit(TINY, SHORT), create_stopped_run()
    assert_rejected(
        lambda: scheduler.send_command(run.id, UpdateHyperparameters(hyperparameters={"batch_size": 65})),
        RecipeError,
        "batch of 65",
    )
    assert_rejected(
        lambda: scheduler.resume(stopped.id, hyperparameters={"batch_size": 65}), RecipeError, "batch of 65"
    )
    assert_rejected(lambda: scheduler.fork(stopped.id, 2, SHORT.replace(batch_size=65)), RecipeError, "batch of 65")


def test_batch_size_of_one_with_batch_norm_is_rejected(home: Path) -> None:
    scheduler = IdleScheduler()
    normalized = get_architecture_preset("normalized").architecture
    run = scheduler.submit(normalized, SHORT)
    assert_rejected(
        lambda: scheduler.send_command(run.id, UpdateHyperparameters(hyperparameters={"batch_size": 1})),
        RecipeError,
        "Batch norm",
    )
    assert_rejected(lambda: scheduler.submit(normalized, SHORT.replace(batch_size=1)), RecipeError, "Batch norm")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed cannot change"),
        ({"lr": -1}, "lr: "),
        ({"nonsense": 1}, "nonsense cannot change"),
        ({"optimizer": {"kind": "sgd"}}, "from adam to sgd"),
    ],
    ids=str,
)
def test_invalid_hyperparameter_changes_are_rejected(home: Path, changes: dict[str, Any], message: str) -> None:
    scheduler = IdleScheduler()
    run, stopped = scheduler.submit(TINY, SHORT), create_stopped_run()
    assert_rejected(
        lambda: scheduler.send_command(run.id, UpdateHyperparameters(hyperparameters=changes)), RecipeError, message
    )
    assert_rejected(lambda: scheduler.resume(stopped.id, hyperparameters=changes), RecipeError, message)


def test_full_queue_rejects_more_runs(home: Path) -> None:
    scheduler = IdleScheduler(max_queue=2)
    stopped = create_stopped_run()
    first, _ = scheduler.submit(TINY, SHORT, owner="a"), scheduler.submit(TINY, SHORT, owner="b")
    assert_rejected(lambda: scheduler.submit(TINY, SHORT, owner="c"), WorkerError, "2 runs are waiting")
    assert_rejected(lambda: scheduler.fork(stopped.id, 2, SHORT), WorkerError, "2 runs are waiting")
    assert_rejected(lambda: scheduler.resume(stopped.id), WorkerError, "2 runs are waiting")
    scheduler.send_command(first.id, Stop(), user="a")
    scheduler.resume(stopped.id)
    assert len(scheduler.list_active_runs()) == 2


def test_queue_is_limited_per_person(home: Path) -> None:
    scheduler = IdleScheduler(max_queue_per_person=2)
    stopped = create_stopped_run("a")
    run, _ = scheduler.submit(TINY, SHORT, owner="a"), scheduler.submit(TINY, SHORT, owner="a")
    assert_rejected(lambda: scheduler.submit(TINY, SHORT, owner="a"), WorkerError, "2 of your runs")
    assert_rejected(lambda: scheduler.fork(stopped.id, 2, SHORT, owner="a"), WorkerError, "2 of your runs")
    assert_rejected(lambda: scheduler.resume(stopped.id, user="a"), WorkerError, "2 of your runs")
    for _ in range(2):
        scheduler.submit(TINY, SHORT, owner="b")
    for _ in range(4):
        scheduler.submit(TINY, SHORT)
    scheduler.send_command(run.id, Stop(), user="a")
    scheduler.fork(stopped.id, 2, SHORT, owner="a")
    assert_rejected(lambda: scheduler.submit(TINY, SHORT, owner="a"), WorkerError, "2 of your runs")


def test_unowned_runs_count_for_the_user_who_resumes_them(home: Path) -> None:
    scheduler = IdleScheduler(max_queue_per_person=2)
    runs = [create_stopped_run() for _ in range(3)]
    for run in runs[:2]:
        scheduler.resume(run.id, user="a")
    assert_rejected(lambda: scheduler.resume(runs[2].id, user="a"), WorkerError, "2 of your runs")


# Run ownership


@pytest.mark.parametrize(
    ("owner", "user", "is_allowed"),
    [("a", "a", True), ("a", "b", False), ("a", None, True), (None, "b", True), (None, None, True), ("a", "", False)],
)
def test_commands_are_accepted_from_the_owner_and_the_local_user(
    home: Path, owner: str | None, user: str | None, is_allowed: bool
) -> None:
    scheduler = IdleScheduler()
    run, stopped = scheduler.submit(TINY, SHORT, owner=owner), create_stopped_run(owner)
    commands: list[Command] = [
        Pause(),
        Resume(),
        TrainSteps(),
        UpdateHyperparameters(hyperparameters={"lr": 0.1}),
        Stop(),
        Stop(status="interrupted"),
    ]
    if is_allowed:
        check_owner(run, user)
        for command in commands[:4]:
            scheduler.send_command(run.id, command, user=user)
        assert scheduler.get_queued_commands(run.id) == tuple(commands[:4])
        scheduler.send_command(run.id, Stop(), user=user)
        assert run.read_history().status == "stopped"
        assert scheduler.resume(stopped.id, user=user) == stopped
        return
    for command in commands:
        with pytest.raises(OwnershipError, match="another person's run"):
            scheduler.send_command(run.id, command, user=user)
    with pytest.raises(OwnershipError):
        scheduler.resume(stopped.id, user=user)
    with pytest.raises(OwnershipError):
        scheduler.resume(stopped.id, hyperparameters={"epochs": 3}, user=user)
    assert scheduler.get_queued_commands(run.id) == ()
    assert [active.id for active in scheduler.list_active_runs()] == [run.id]


def test_anyone_can_fork_a_run_and_owns_the_fork(home: Path) -> None:
    scheduler = IdleScheduler()
    parent = create_stopped_run("a")
    run = scheduler.fork(parent.id, 2, SHORT.replace(lr=0.01), owner="b")
    assert (run.record.owner, run.record.parent) == ("b", parent.id)
    assert run.record.name == f"{parent.record.name}, forked"
    with pytest.raises(OwnershipError):
        scheduler.send_command(run.id, Stop(), user="a")
    scheduler.send_command(run.id, Stop(), user="b")
    assert parent.read_history().step == 2


# Time limits


@pytest.fixture
def pipe() -> Iterator[IO[str]]:
    """Stream without data until the test ends; the SIGTERM handler of the process is restored."""
    before = signal.getsignal(signal.SIGTERM)
    source, sink = os.pipe()
    with os.fdopen(source) as stream:
        yield stream
        os.close(sink)
        until(lambda: not any(thread.name == "pipe" for thread in threading.enumerate()), 5, "the reader thread to end")
    signal.signal(signal.SIGTERM, before)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_job(**fields: Any) -> JobSpec:
    return JobSpec(run_folder="somewhere", **fields)


def test_run_at_its_time_limit_is_saved_with_the_reason_and_resumes_later(home: Path, pipe: IO[str]) -> None:
    run, clock = create_run(PLAIN, tiny_recipe()), Clock()
    trainer = make_trainer()
    commands = PipeCommandSource(pipe, make_job(max_run_s=5.0), clock=clock)
    commands._reader_thread.name = "pipe"
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, commands):
            clock.now += event.kind == "step_done"
    history = run.read_history()
    assert (history.status, history.step, run.load_checkpoint()["step"]) == ("stopped", 5, 5)
    assert history.end_diagnosis is not None
    assert history.end_diagnosis.diagnosis == "stopped"
    assert history.end_diagnosis.message == "The time limit of a run (5 s) was reached. Resume continues."
    assert run.can_resume()
    again = make_trainer()
    record_run(run, again)
    undisturbed = make_trainer()
    whole = list(undisturbed.run())
    assert figures(run.read_events()) == figures(whole)
    assert_same_weights(again.get_weights(), undisturbed.get_weights())


def test_time_limit_diagnosis_is_cleared_on_resume(home: Path, pipe: IO[str]) -> None:
    """The diagnosis from before the stop is the current one again."""
    run = create_run(PLAIN, tiny_recipe(lr=1e-4, epochs=8))
    trainer, clock = make_trainer(recipe=run.record.recipe), Clock()
    commands = PipeCommandSource(pipe, make_job(max_run_s=4.0), clock=clock)
    commands._reader_thread.name = "pipe"
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, commands):
            clock.now += event.kind == "step_done"
    again = make_trainer(recipe=run.record.recipe)
    record_run(run, again, until=lambda event: event.kind == "step_done" and event.step == 9)
    diagnosis = run.read_history().end_diagnosis
    assert diagnosis is None or diagnosis.diagnosis != "stopped", (
        f"the run trains, and its page shows: {diagnosis.message}"
    )


def test_pauses_do_not_count_as_training_time(pipe: IO[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    commands = PipeCommandSource(
        pipe, make_job(max_run_s=10.0, initial_commands=(Pause(), TrainSteps(), Resume())), clock=clock
    )
    commands._reader_thread.name = "pipe"
    assert list(commands.poll()) == [Pause(), TrainSteps(), Resume()]
    clock.now = 9.0
    assert list(commands.poll()) == []
    commands._commands.put(Resume())
    get = commands._commands.get

    class Slow:
        empty, put = commands._commands.empty, commands._commands.put

        def get(self, timeout: float | None = None) -> Command:
            clock.now += 1000
            return get()

    monkeypatch.setattr(commands, "_commands", Slow())
    assert commands.wait() == Resume()
    assert list(commands.poll()) == []
    clock.now += 1.0
    (stop,) = commands.poll()
    assert isinstance(stop, Stop)
    assert "(10 s)" in stop.reason


def test_pause_longer_than_the_limit_stops_the_run(home: Path, pipe: IO[str]) -> None:
    run = create_run(PLAIN, tiny_recipe())
    trainer = make_trainer()
    commands = PipeCommandSource(pipe, make_job(max_pause_s=0.05, initial_commands=(Pause(), TrainSteps(batches=3))))
    commands._reader_thread.name = "pipe"
    with Recorder(run) as recorder:
        stream = list(recorder.run_trainer(trainer, commands))
    assert [event.step for event in stream if event.kind == "paused"] == [0, 3]
    assert (stream[-1].kind, stream[-1].step) == ("run_ended", 3)
    history = run.read_history()
    assert history.end_diagnosis is not None
    assert "so that other runs can train" in history.end_diagnosis.message
    assert history.status == "stopped"
    assert run.load_checkpoint()["step"] == 3


def test_run_without_a_time_limit_is_not_stopped(pipe: IO[str]) -> None:
    clock = Clock()
    commands = PipeCommandSource(pipe, make_job(), clock=clock)
    commands._reader_thread.name = "pipe"
    clock.now = 1e12
    assert list(commands.poll()) == []


@pytest.mark.parametrize("limit", ["inf", "1e12"])
def test_unlimited_pause_is_allowed(limit: str, monkeypatch: pytest.MonkeyPatch, pipe: IO[str]) -> None:
    monkeypatch.setenv("CNN_PLAYGROUND_MAX_PAUSE_S", limit)
    sent = make_job(max_pause_s=ServerLimits.from_environment().max_pause_s).model_dump_json()
    commands = PipeCommandSource(pipe, JobSpec.model_validate_json(sent))
    commands._reader_thread.name = "pipe"
    commands._commands.put(Resume())
    assert commands.wait() == Resume()


def test_end_of_the_command_stream_interrupts_the_run(pipe: IO[str]) -> None:
    commands = PipeCommandSource(io.StringIO('{"kind":"pause"}\nrubbish\n{"kind":"step"}\n'), make_job())
    commands._reader_thread.join(5)
    assert list(commands.poll()) == [Pause(), TrainSteps(), Stop(status="interrupted")]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_time_limits_apply_in_a_real_worker(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    scheduler = Scheduler(limits=ServerLimits(max_run_s=0.6, max_pause_s=0.3), keep_spare_worker=False)
    try:
        endless = Recipe(limit=640, batch_size=32, validation_size=200, epochs=1000)
        run = scheduler.submit(TINY, endless, owner="a", pause_after_batches=2)
        with pytest.raises(OwnershipError):
            scheduler.send_command(run.id, Stop(), user="b")
        until(lambda: scheduler.get_log_reader(run).read_history().status == "stopped", 60, "the end of the pause")
        until(lambda: not scheduler.is_active(run.id), 60, "the worker to end")
        assert run.read_history().step == 2
        assert "Paused for 0 s" in require(run.read_history().end_diagnosis).message
        scheduler.resume(run.id, user="a")
        until(lambda: scheduler.get_log_reader(run).read_history().step > 2, 60, "the first batch")
        until(lambda: scheduler.get_log_reader(run).read_history().status == "stopped", 60, "the end of its time")
        until(lambda: not scheduler.is_active(run.id), 60, "the worker to end")
        history = run.read_history()
        assert "The time limit of a run" in require(history.end_diagnosis).message
        assert run.load_checkpoint()["step"] == history.step > 2
        assert run.can_resume()
        with pytest.raises(StorageError):
            fork_run(run, history.step + 1, endless)
    finally:
        scheduler.close()
