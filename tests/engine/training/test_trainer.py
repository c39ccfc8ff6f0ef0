import json
import math
import os
from pathlib import Path

import pytest
import torch

from playground.core import events
from playground.core.architecture import Architecture
from playground.core.events import (
    Evaluated,
    Pause,
    Resume,
    RunEnded,
    SaveSnapshot,
    Stop,
    TrainSteps,
    UpdateHyperparameters,
)
from playground.core.layers import BatchNorm, Conv2d, Flatten, Output, Residual
from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.muon import Muon
from playground.core.optimizers.nadam import NAdam
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.schedules.base import Schedule
from playground.core.schedules.constant import Constant
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle
from playground.core.schedules.step_decay import StepDecay
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.trainer import Trainer
from playground.errors import ArchitectureError, RecipeError
from tests.engine.helpers import (
    PLAIN,
    RICH,
    FakeClock,
    Script,
    assert_same_weights,
    figures,
    kinds,
    make_trainer,
    net,
    play,
    tiny_recipe,
    tiny_splits,
)
from tests.narrowing import require_type

GOLDEN = Path(__file__).parents[2] / "golden" / "events-tiny.jsonl"
MACHINE_DEPENDENT = {"elapsed_s", "images_per_second", "loss", "accuracy", "train_loss", "train_accuracy"}


def structure(stream: list[events.Event]) -> list[str]:
    """Kinds, steps, sizes, learning rates and hyperparameters, without values that depend on the machine."""
    lines = []
    for event in stream:
        if event.kind == "diagnosed":  # its text depends on metrics
            continue
        fields = event.model_dump(mode="json", exclude=MACHINE_DEPENDENT)
        rounded = {key: round(value, 5) if isinstance(value, float) else value for key, value in fields.items()}
        lines.append(json.dumps(rounded, sort_keys=True))
    return lines


def test_event_stream_equals_the_golden_file() -> None:
    script = Script(
        {
            3: [SaveSnapshot()],
            5: [UpdateHyperparameters(hyperparameters={"lr": 0.02, "weight_decay": 0.01})],
            8: [Pause()],
        },
        then=[TrainSteps(batches=2), Resume()],
    )
    stream = play(make_trainer(recipe=tiny_recipe(schedule=Cosine())), script)
    actual = "\n".join(structure(stream)) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(actual)
    assert actual == GOLDEN.read_text()


def test_stream_begins_ends_and_is_ordered() -> None:
    stream = play(make_trainer())
    assert kinds(stream)[:2] == [("run_started", 0), ("snapshot_saved", 0)]
    assert kinds(stream)[-3:] == [("evaluated", 12), ("checkpoint_saved", 12), ("run_ended", 12)]
    assert [event.step for event in stream if event.kind == "step_done"] == list(range(1, 13))
    assert [event.epoch for event in stream if event.kind == "epoch_done"] == [1, 2]
    assert [event.step for event in stream] == sorted(event.step for event in stream)
    assert [event.elapsed_s for event in stream] == sorted(event.elapsed_s for event in stream)
    assert require_type(stream[-1], RunEnded).status == "completed"
    tested = require_type(stream[-3], Evaluated)
    assert (tested.split, tested.size) == ("test", 30)
    assert any(event.kind == "diagnosed" for event in stream)


def test_delayed_reports_contain_every_batch() -> None:
    rare = EvaluationSchedule(
        max_evaluations_per_epoch=1, validation_subset_size=20, checkpoints_per_epoch=1, report_interval_s=1e9
    )
    stream = play(make_trainer(evaluation_schedule=rare))
    assert [event.step for event in stream if event.kind == "step_done"] == list(range(1, 13))
    frequent = play(make_trainer())
    assert [f for f in figures(stream) if f["kind"] == "step_done"] == [
        f for f in figures(frequent) if f["kind"] == "step_done"
    ]


def test_last_batch_may_be_smaller_but_not_a_single_image() -> None:
    assert make_trainer(splits=tiny_splits(50)).steps_per_epoch == 4
    assert make_trainer(splits=tiny_splits(49)).steps_per_epoch == 3
    done = [event for event in play(make_trainer(splits=tiny_splits(50))) if event.kind == "step_done"]
    assert done[3].accuracy in (0.0, 0.5, 1.0)


def test_epoch_metrics_are_means_over_images() -> None:
    stream = play(make_trainer(splits=tiny_splits(50), recipe=tiny_recipe(epochs=1)))
    done = [event for event in stream if event.kind == "step_done"]
    epoch = next(event for event in stream if event.kind == "epoch_done")
    sizes = [16, 16, 16, 2]
    weighted = sum(size * event.loss for size, event in zip(sizes, done, strict=True)) / 50
    assert epoch.train_loss == pytest.approx(weighted)
    right = sum(size * event.accuracy for size, event in zip(sizes, done, strict=True)) / 50
    assert epoch.train_accuracy == pytest.approx(right)


def test_same_seed_same_stream_and_weights() -> None:
    recipe = tiny_recipe(seed=5)
    first, second = make_trainer(RICH, recipe), make_trainer(RICH, recipe)
    assert play(first) == play(second)
    assert_same_weights(first.get_weights(), second.get_weights())


def test_other_seed_other_weights_and_order() -> None:
    first, second = (make_trainer(RICH, tiny_recipe(seed=seed)) for seed in (1, 2))
    assert not torch.equal(first.get_weights()["0.weight"], second.get_weights()["0.weight"])
    assert figures(play(first)) != figures(play(second))


def test_pause_and_resume_at_the_batch() -> None:
    script = Script({4: [Pause()]}, then=[Resume()])
    actual = kinds(play(make_trainer(), script), "evaluated", "diagnosed", "epoch_done")
    at = actual.index(("paused", 4))
    assert actual[at - 2 : at] == [("snapshot_saved", 4), ("checkpoint_saved", 4)]
    assert actual[at + 1 : at + 3] == [("resumed", 4), ("step_done", 5)]
    assert script.waited == 1


@pytest.mark.parametrize("batches", [1, 3])
def test_train_steps_command_trains_its_batches_and_pauses(batches: int) -> None:
    script = Script({2: [Pause()]}, then=[TrainSteps(batches=batches), TrainSteps(batches=1), Stop()])
    stream = play(make_trainer(), script)
    assert [event.step for event in stream if event.kind == "paused"] == [2, 2 + batches, 3 + batches]
    assert [event.step for event in stream if event.kind == "step_done"] == list(range(1, batches + 4))
    assert require_type(stream[-1], RunEnded).status == "stopped"


def test_train_steps_beyond_the_end_completes_the_run() -> None:
    stream = play(make_trainer(), Script({10: [Pause()]}, then=[TrainSteps(batches=50)]))
    assert kinds(stream)[-1] == ("run_ended", 12)
    assert require_type(stream[-1], RunEnded).status == "completed"


@pytest.mark.parametrize(
    ("commands", "paused", "last_step"),
    [
        ([Pause(), Stop()], [4], 4),
        ([Pause(), Resume()], [4], 12),
        ([Pause(), TrainSteps(batches=2), Stop()], [4], 4),
        ([Stop(), Pause()], [], 4),
    ],
    ids=["pause-stop", "pause-resume", "pause-step-stop", "stop-pause"],
)
def test_several_commands_at_once(commands: list[events.Command], paused: list[int], last_step: int) -> None:
    stream = play(make_trainer(), Script({4: commands}))
    assert [event.step for event in stream if event.kind == "paused"] == paused
    assert kinds(stream)[-1] == ("run_ended", last_step)


def test_pause_and_step_before_the_first_batch() -> None:
    stream = play(make_trainer(), Script({0: [Pause(), TrainSteps(batches=3)]}, then=[Stop()]))
    assert [event.step for event in stream if event.kind == "paused"] == [0, 3]
    assert kinds(stream)[-1] == ("run_ended", 3)


@pytest.mark.parametrize("status", ["stopped", "interrupted"])
@pytest.mark.parametrize("step", [0, 1, 6, 11])
def test_stop_saves_and_ends_there(status: str, step: int) -> None:
    stream = play(make_trainer(), Script({step: [Stop(status=status)]}))
    assert kinds(stream)[-3:] == [("snapshot_saved", step), ("checkpoint_saved", step), ("run_ended", step)]
    assert require_type(stream[-1], RunEnded).status == status


def test_elapsed_time_excludes_pauses() -> None:
    clock = FakeClock()
    trainer = make_trainer(clock=clock)

    class Slow(Script):
        def wait(self) -> events.Command:
            clock.now += 1000
            return super().wait()

    stream = play(trainer, Slow({5: [Pause()]}, then=[SaveSnapshot(), Resume()]))
    assert stream[-1].elapsed_s == 0
    assert [event.step for event in stream if event.kind == "snapshot_saved"].count(5) == 2


def test_hyperparameter_changes_take_effect() -> None:
    changes = {
        "lr": 0.5,
        "optimizer": {"kind": "sgd", "momentum": 0.1},
        "label_smoothing": 0.1,
        "weight_decay": 0.01,
    }
    trainer = make_trainer(recipe=tiny_recipe(optimizer=Sgd()))
    stream = play(trainer, Script({5: [UpdateHyperparameters(hyperparameters=changes)]}))
    changed = {
        event.hyperparameter: (event.step, event.after) for event in stream if event.kind == "hyperparameter_changed"
    }
    assert changed["lr"] == (5, 0.5)
    assert changed["optimizer"] == (5, {"kind": "sgd", "momentum": 0.1, "nesterov": False})
    assert set(changed) == set(changes)
    rates = {event.step: event.lr for event in stream if event.kind == "step_done"}
    assert rates[5] == 0.01
    assert rates[6] == 0.5
    group = trainer.create_checkpoint()["optimizer"]["param_groups"][0]
    assert (group["momentum"], group["weight_decay"]) == (0.1, 0.01)
    undisturbed = play(make_trainer(recipe=tiny_recipe(optimizer=Sgd())))
    assert figures(stream)[:5] == figures(undisturbed)[:5]
    assert figures(stream)[-1] != figures(undisturbed)[-1]


@pytest.mark.parametrize(
    ("changes", "has_reason"),
    [
        ({"batch_size": 0}, True),
        ({"batch_size": 97}, True),
        ({"seed": 1}, True),
        ({"nonsense": 1}, True),
        ({"dropout": [0.5]}, True),
        ({"dropout": 3}, True),
        ({"lr": -1}, True),
        ({"lr": "fast"}, True),
        ({"optimizer": {"kind": "adam"}}, True),
        ({}, False),
        ({"lr": 0.01}, False),
    ],
    ids=str,
)
def test_invalid_hyperparameter_change_is_rejected_with_an_event(changes: dict[str, object], has_reason: bool) -> None:
    recipe = tiny_recipe(optimizer=Sgd())
    stream = play(make_trainer(recipe=recipe), Script({5: [UpdateHyperparameters(hyperparameters=changes)]}))
    assert not [event for event in stream if event.kind == "hyperparameter_changed"]
    rejections = [event for event in stream if event.kind == "hyperparameters_rejected"]
    assert [(event.step, event.hyperparameters, bool(event.reason)) for event in rejections] == (
        [(5, changes, True)] if has_reason else []
    )
    assert figures(stream) == figures(play(make_trainer(recipe=recipe)))
    assert require_type(stream[-1], RunEnded).status == "completed"


@pytest.mark.parametrize(("architecture", "lr"), [(RICH, 100), (PLAIN, 1000)], ids=["100", "1000"])
def test_too_high_learning_rate_fails_with_an_explanation(architecture: Architecture, lr: int) -> None:
    stream = play(make_trainer(architecture, tiny_recipe(lr=lr, optimizer=Sgd())))
    failure = require_type(stream[-1], events.RunFailed)
    assert "loss" in failure.what
    assert f"learning rate {lr}" in failure.what
    assert failure.expected
    assert "learning rate of 1e-2 or less" in failure.fix
    assert all(event.loss < 1e4 for event in stream if event.kind == "step_done")


def test_nan_weights_fail_with_an_explanation() -> None:
    trainer = make_trainer()
    stream = []
    for event in trainer.run():
        stream.append(event)
        if event.kind == "step_done" and event.step == 5:
            with torch.no_grad():
                trainer.model.get_parameter("0.weight")[0, 0, 0, 0] = float("nan")
    assert "NaN" in require_type(stream[-1], events.RunFailed).what
    assert [event.step for event in stream if event.kind == "step_done"][-1] == 5


def test_divergence_in_the_last_batch_fails_the_run() -> None:
    stream = play(make_trainer(recipe=tiny_recipe(lr=1000, optimizer=Sgd(), epochs=1), splits=tiny_splits(16)))
    assert kinds(stream, "snapshot_saved")[1] == ("step_done", 1)
    assert isinstance(stream[-1], events.RunFailed), stream[-3:]


def test_invalid_training_config_raises_before_the_first_event() -> None:
    with pytest.raises(RecipeError, match="batch of 200"):
        Trainer(PLAIN, tiny_recipe(batch_size=200, limit=100))
    with pytest.raises(RecipeError, match="Channels, height and width"):
        make_trainer(splits=tiny_splits(size=12))
    with pytest.raises(RecipeError, match="At least 3 outputs"):
        make_trainer(net(Flatten(), Output(), classes=2))
    with pytest.raises(RecipeError, match="device"):
        make_trainer(recipe=tiny_recipe(device="mps"))
    with pytest.raises(ArchitectureError, match="cannot be built"):
        make_trainer(net(Output()))


@pytest.mark.parametrize(
    "architecture",
    [
        net(Conv2d(out_channels=4), BatchNorm(), Flatten(), Output()),
        net(Conv2d(out_channels=4, kernel_size=8), BatchNorm(), Flatten(), Output()),
        net(
            Conv2d(out_channels=4, kernel_size=8),
            Residual(layers=(Conv2d(out_channels=4, padding="same"), BatchNorm())),
            Flatten(),
            Output(),
        ),
    ],
    ids=["maps", "single-pixel", "inside-residual"],
)
def test_batch_norm_with_batch_size_one_raises(architecture: Architecture) -> None:
    with pytest.raises(RecipeError, match="Batch norm"):
        make_trainer(architecture, tiny_recipe(batch_size=1))


OPTIMIZERS = {"sgd": (Sgd(), 0.05), "adam": (Adam(), 0.01), "adamw": (AdamW(), 0.01)}
OPTIMIZERS |= {"rmsprop": (RmsProp(), 0.003), "adagrad": (Adagrad(), 0.05)}
OPTIMIZERS |= {"nadam": (NAdam(), 0.01), "muon": (Muon(), 0.01)}
SCHEDULES = (Constant(), StepDecay(step_size=4), Cosine(), OneCycle())


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.kind)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_and_schedule_learns(name: str, schedule: Schedule) -> None:
    optimizer, lr = OPTIMIZERS[name]
    recipe = tiny_recipe(optimizer=optimizer, schedule=schedule, lr=lr, epochs=8, precision="auto")
    rare = EvaluationSchedule(max_evaluations_per_epoch=1, report_interval_s=1e9)
    stream = play(make_trainer(recipe=recipe, splits=tiny_splits(160), evaluation_schedule=rare))
    measured = [event for event in stream if event.kind == "evaluated"]
    assert measured[-1].split == "test"
    assert measured[-1].accuracy > 0.95
    assert measured[-1].loss < 0.5 * math.log(3)
