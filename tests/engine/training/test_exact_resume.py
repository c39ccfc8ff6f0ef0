"""Exact resume: a run that was stopped or killed has the weights and metrics of an uninterrupted run."""

import os
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from playground.core import events
from playground.core.architecture import Architecture
from playground.core.events import Pause, Resume, SaveSnapshot, Stop, TrainSteps, UpdateHyperparameters
from playground.core.layers import BatchNorm, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Output
from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.muon import Muon
from playground.core.optimizers.nadam import NAdam
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.recipe import Recipe
from playground.core.schedules.constant import Constant
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle
from playground.core.schedules.step_decay import StepDecay
from playground.engine.training.evaluate import evaluate
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.trainer import Trainer
from tests.engine.helpers import (
    AUGMENTATION,
    PLAIN,
    RICH,
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    net,
    play,
    through_bytes,
    tiny_recipe,
    tiny_splits,
)

OPTIMIZERS = {
    "nadam": NAdam(),
    "muon": Muon(),
    "sgd": Sgd(),
    "nesterov": Sgd(momentum=0.8, nesterov=True),
    "adam": Adam(),
    "adamw": AdamW(),
    "rmsprop": RmsProp(momentum=0.5),
    "adagrad": Adagrad(),
}
NETS = {"plain": PLAIN, "rich": RICH}
TOTAL = 12
PER_EPOCH = 6
HEAD = (Flatten(), Linear(out_features=32), Output())


class Result:
    """Final weights of a run and the events of its log."""

    def __init__(self, trainer: Trainer, stream: list[events.Event]) -> None:
        self.weights, self.figures = trainer.get_weights(), figures(stream)

    def assert_equals(self, other: "Result") -> None:
        assert_same_weights(self.weights, other.weights)
        assert self.figures == other.figures


def undisturbed(architecture: Architecture, recipe: Recipe) -> Result:
    trainer = make_trainer(architecture, recipe)
    return Result(trainer, play(trainer))


def resumed(architecture: Architecture, recipe: Recipe, checkpoint: dict[str, Any]) -> Trainer:
    torch.manual_seed(checkpoint["step"])  # random numbers drawn before must not matter
    trainer = make_trainer(architecture, recipe)
    trainer.restore(through_bytes(checkpoint))
    return trainer


def cut(architecture: Architecture, recipe: Recipe, *steps: int) -> Result:
    """Stopped at every one of ``steps``, each time resumed by a new trainer from the bytes of the checkpoint."""
    trainer = make_trainer(architecture, recipe)
    stream: list[events.Event] = []
    for step in steps:
        part = play(trainer, Script({step: [Stop()]}))
        assert part[-1].model_dump(include={"kind", "step"}) == {"kind": "run_ended", "step": step}
        stream += part
        trainer = resumed(architecture, recipe, trainer.create_checkpoint())
    return Result(trainer, stream + play(trainer))


def killed(architecture: Architecture, recipe: Recipe, step: int) -> Result:
    """Killed after ``step`` batches, resumed from the last checkpoint before; the log is cut back to it."""
    trainer = make_trainer(architecture, recipe)
    stream: list[events.Event] = []
    checkpoint_state: dict[str, Any] | None = None
    for event in trainer.run():
        stream.append(event)
        if event.kind == "checkpoint_saved":
            checkpoint_state = through_bytes(trainer.create_checkpoint())
        if event.kind == "step_done" and event.step == step:
            break
    assert checkpoint_state is not None
    assert checkpoint_state["step"] < step
    trainer = resumed(architecture, recipe, checkpoint_state)
    return Result(trainer, [event for event in stream if event.step <= checkpoint_state["step"]] + play(trainer))


@pytest.mark.parametrize("augmented", [False, True], ids=["", "augmented"])
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resume_after_stop_at_any_step_gives_identical_weights(optimizer: str, name: str, augmented: bool) -> None:
    recipe = tiny_recipe(
        optimizer=OPTIMIZERS[optimizer], augmentation=AUGMENTATION if augmented else (), schedule=OneCycle(), seed=7
    )
    whole = undisturbed(NETS[name], recipe)
    chosen = random.Random(f"{optimizer}/{name}/{augmented}").sample(range(1, TOTAL), 3)
    cut(NETS[name], recipe, chosen[0]).assert_equals(whole)
    cut(NETS[name], recipe, *sorted(chosen[1:])).assert_equals(whole)


@pytest.mark.parametrize("step", range(TOTAL))
def test_resume_after_stop_at_every_step(step: int) -> None:
    recipe = tiny_recipe(schedule=Cosine(), augmentation=AUGMENTATION)
    cut(RICH, recipe, step).assert_equals(undisturbed(RICH, recipe))


def test_resume_after_two_stops_at_one_step_and_after_each_batch() -> None:
    recipe = tiny_recipe(optimizer=AdamW(), weight_decay=0.01)
    whole = undisturbed(RICH, recipe)
    cut(RICH, recipe, PER_EPOCH, PER_EPOCH).assert_equals(whole)
    cut(RICH, recipe, *range(1, TOTAL)).assert_equals(whole)


@pytest.mark.parametrize("step", [4, PER_EPOCH, PER_EPOCH + 1, TOTAL])
@pytest.mark.parametrize("name", NETS)
def test_resume_after_kill_gives_identical_weights(name: str, step: int) -> None:
    recipe = tiny_recipe(augmentation=AUGMENTATION, optimizer=RmsProp(momentum=0.5))
    killed(NETS[name], recipe, step).assert_equals(undisturbed(NETS[name], recipe))


def test_resume_after_kill_between_the_last_batch_and_the_end() -> None:
    recipe = tiny_recipe()
    trainer = make_trainer(RICH, recipe)
    stream = []
    for event in trainer.run():
        stream.append(event)
        if event.kind == "checkpoint_saved" and event.step == TOTAL:
            break
    second = resumed(RICH, recipe, trainer.create_checkpoint())
    rest = play(second)
    assert [event.kind for event in rest] == ["resumed", "evaluated", "checkpoint_saved", "run_ended"]
    Result(second, stream + rest).assert_equals(undisturbed(RICH, recipe))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_resume_in_every_precision_gives_identical_weights(precision: str) -> None:
    recipe = tiny_recipe(precision=precision, augmentation=AUGMENTATION, seed=3)
    whole = undisturbed(RICH, recipe)
    cut(RICH, recipe, 4, 9).assert_equals(whole)
    killed(RICH, recipe, 8).assert_equals(whole)


def test_changed_hyperparameter_survives_a_resume() -> None:
    recipe = tiny_recipe(optimizer=Sgd(), schedule=Cosine())
    change = UpdateHyperparameters(
        hyperparameters={"lr": 0.02, "optimizer": {"kind": "sgd", "momentum": 0.3}, "augmentation": [{"kind": "flip"}]}
    )
    trainer = make_trainer(RICH, recipe)
    whole = Result(trainer, play(trainer, Script({3: [change]})))
    assert whole.figures != undisturbed(RICH, recipe).figures
    trainer = make_trainer(RICH, recipe)
    first = play(trainer, Script({3: [change], 8: [Stop()]}))
    second = resumed(RICH, recipe, trainer.create_checkpoint())
    Result(second, first + play(second)).assert_equals(whole)


def test_diagnosis_is_reported_once_across_resumes() -> None:
    recipe = tiny_recipe(lr=0.02, epochs=3)
    trainer = make_trainer(PLAIN, recipe)
    expected = [(event.step, event.message) for event in play(trainer) if event.kind == "diagnosed"]
    assert expected
    trainer = make_trainer(PLAIN, recipe)
    stream = play(trainer, Script({7: [Stop()]}))
    stream += play(resumed(PLAIN, recipe, trainer.create_checkpoint()))
    assert [(event.step, event.message) for event in stream if event.kind == "diagnosed"] == expected


def test_pauses_steps_and_snapshots_do_not_change_the_weights() -> None:
    recipe = tiny_recipe(augmentation=AUGMENTATION)
    script = Script(
        {0: [Pause()], 4: [SaveSnapshot()], 5: [Pause()], 10: [SaveSnapshot()]},
        then=[
            TrainSteps(batches=1),
            SaveSnapshot(),
            TrainSteps(batches=2),
            Resume(),
            SaveSnapshot(),
            TrainSteps(batches=3),
            Resume(),
        ],
    )
    trainer = make_trainer(RICH, recipe)
    Result(trainer, play(trainer, script)).assert_equals(undisturbed(RICH, recipe))
    assert not script.then


def test_reading_weights_between_events_does_not_change_the_run() -> None:
    recipe = tiny_recipe(augmentation=AUGMENTATION)
    trainer = make_trainer(RICH, recipe)
    stream = []
    for event in trainer.run():
        stream.append(event)
        was_training = trainer.model.training
        evaluate(trainer.model, trainer._evaluator.validation)
        assert trainer.model.training == was_training
        taken = trainer.get_weights()
        next(iter(taken.values())).fill_(float("nan"))  # a copy, so the run must not change
        through_bytes(trainer.create_checkpoint())
        torch.manual_seed(0)
        torch.rand(7)
    Result(trainer, stream).assert_equals(undisturbed(RICH, recipe))


def test_training_keeps_the_random_state_of_the_process() -> None:
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    play(make_trainer(RICH, tiny_recipe(epochs=1, augmentation=AUGMENTATION)))
    assert torch.equal(torch.rand(4), expected)


def test_report_interval_does_not_change_the_weights() -> None:
    recipe = tiny_recipe()
    trainer = make_trainer(
        RICH, recipe, evaluation_schedule=EvaluationSchedule(max_evaluations_per_epoch=1, report_interval_s=1e9)
    )
    play(trainer)
    assert_same_weights(trainer.get_weights(), undisturbed(RICH, recipe).weights)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resume_with_several_threads_gives_identical_weights(precision: str) -> None:
    """The network is large enough for several threads."""
    images = tiny_splits(256, size=28, classes=4)
    architecture = net(
        Conv2d(out_channels=16),
        MaxPool2d(),
        BatchNorm(),
        Conv2d(out_channels=32),
        Dropout(),
        *HEAD,
        classes=4,
        size=28,
    )
    recipe = tiny_recipe(batch_size=64, epochs=1, precision=precision)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        whole = make_trainer(architecture, recipe, splits=images)
        expected = figures(play(whole))
        first = make_trainer(architecture, recipe, splits=images)
        stream = play(first, Script({2: [Stop()]}))
        second = make_trainer(architecture, recipe, splits=images)
        second.restore(through_bytes(first.create_checkpoint()))
        assert figures(stream + play(second)) == expected
        assert_same_weights(second.get_weights(), whole.get_weights())
    finally:
        torch.set_num_threads(before)


FieldValues = dict[str, Any]
StepCommands = dict[int, list[events.Command]]
SCHEDULES = (Constant(), StepDecay(step_size=1), Cosine(), OneCycle())
CASES = int(os.environ.get("EXACT_CASES", "2"))
"""For every optimizer and schedule; ``EXACT_CASES=100`` for a longer test."""


def draw_optimizer_fields(kind: str, chance: random.Random) -> FieldValues:
    """Other values for the fields of an optimizer, its momentum off and on."""
    momentum = chance.choice((0.0, 0.3, 0.9))
    fields: dict[str, FieldValues] = {
        "sgd": {"momentum": momentum, "nesterov": chance.random() < 0.5},
        "rmsprop": {"momentum": momentum, "alpha": chance.choice((0.5, 0.99))},
        "adagrad": {},
    }
    return {"kind": kind} | fields.get(kind, {"beta1": momentum, "beta2": chance.choice((0.9, 0.999))})


def draw_changes(recipe: Recipe, architecture: Architecture, chance: random.Random) -> FieldValues:
    """One or two hyperparameters with other values."""
    augmentations: tuple[list[FieldValues], ...] = (
        [],
        [{"kind": "flip"}],
        [item.model_dump() for item in AUGMENTATION],
    )
    every: FieldValues = {
        "lr": round(10 ** chance.uniform(-3, -1.5), 6),
        "batch_size": chance.choice((2, 5, 8, 16, 24, 31, 48, 95, 96)),
        "epochs": chance.randint(1, 3),
        "weight_decay": chance.choice((0.0, 0.01, 0.1)),
        "label_smoothing": chance.choice((0.0, 0.1, 0.3)),
        "augmentation": chance.choice(augmentations),
        "optimizer": draw_optimizer_fields(recipe.optimizer.kind, chance),
    }
    if architecture.dropout_rates:
        every["dropout"] = [round(chance.uniform(0, 0.9), 2) for _ in architecture.dropout_rates]
    return {name: every[name] for name in chance.sample(sorted(every), chance.randint(1, 2))}


def make_commands(
    changes: dict[int, FieldValues], extra: dict[int, Sequence[events.Command]], *, first: bool = True
) -> StepCommands:
    """Commands by step: hyperparameter changes, and others before or after them."""
    found: StepCommands = {}
    for step in sorted(changes.keys() | extra.keys()):
        change = [UpdateHyperparameters(hyperparameters=changes[step])] if step in changes else []
        found[step] = [*change, *extra.get(step, ())] if first else [*extra.get(step, ()), *change]
    return found


class RecordedResult(Result):
    """Weights, metrics, changed hyperparameters and diagnoses of a run."""

    def __init__(self, trainer: Trainer, stream: list[events.Event]) -> None:
        super().__init__(trainer, stream)
        self.figures += [
            event.model_dump(exclude={"elapsed_s"})
            for event in stream
            if event.kind in ("hyperparameter_changed", "diagnosed")
        ]
        self.steps = trainer.step


def stopped_and_resumed(
    architecture: Architecture,
    recipe: Recipe,
    changes: dict[int, FieldValues],
    cuts: Sequence[int],
    *,
    first: bool,
) -> RecordedResult:
    """Stop at every given step and resume with a new trainer; changes of that step come before or after the stop."""
    trainer, stream, left = make_trainer(architecture, recipe), [], dict(changes)
    for cut_step in cuts:
        before = {step: change for step, change in left.items() if step < cut_step + first}
        stream += play(trainer, Script(make_commands(before, {cut_step: [Stop()]})))
        assert (stream[-1].kind, stream[-1].step) == ("run_ended", cut_step)
        left = {step: change for step, change in left.items() if step not in before}
        trainer = resumed(architecture, recipe, trainer.create_checkpoint())
    return RecordedResult(trainer, stream + play(trainer, Script(make_commands(left, {}))))


def killed_and_resumed(
    architecture: Architecture, recipe: Recipe, changes: dict[int, FieldValues], step: int
) -> RecordedResult:
    """Kill after batch ``step`` and resume from the newest checkpoint, or start again without one."""
    trainer, stream = make_trainer(architecture, recipe), []
    script = Script(make_commands(changes, {}))
    script.trainer, checkpoint_state, cut_at = trainer, None, 0
    for event in trainer.run(script):
        stream.append(event)
        if event.kind == "checkpoint_saved":
            checkpoint_state, cut_at = through_bytes(trainer.create_checkpoint()), len(stream)
        if event.kind == "step_done" and event.step == step:
            break
    trainer = (
        resumed(architecture, recipe, checkpoint_state) if checkpoint_state else make_trainer(architecture, recipe)
    )
    done = checkpoint_state["step"] if checkpoint_state else -1
    left = {at: change for at, change in changes.items() if at > done}
    return RecordedResult(trainer, stream[:cut_at] + play(trainer, Script(make_commands(left, {}))))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.kind)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hyperparameter_changes_and_stops_at_random_steps_give_identical_runs(name: str, schedule: Any) -> None:
    """Runs paused, stopped or killed at random steps equal the uninterrupted run."""
    for case in range(CASES):
        chance = random.Random(f"{name}/{schedule.kind}/{case}")
        architecture = chance.choice((PLAIN, RICH, RICH))
        recipe = tiny_recipe(
            optimizer=OPTIMIZERS[name], schedule=schedule, seed=case, augmentation=chance.choice(((), AUGMENTATION))
        )
        changes = {
            step: draw_changes(recipe, architecture, chance)
            for step in chance.sample(range(TOTAL), chance.randint(1, 4))
        }
        trainer = make_trainer(architecture, recipe)
        whole = RecordedResult(trainer, play(trainer, Script(make_commands(changes, {}))))
        assert whole.steps > 0
        steps = range(whole.steps)
        cuts = sorted(chance.sample(steps, min(len(steps), chance.randint(1, 3))))
        first = chance.random() < 0.5
        trainer = make_trainer(architecture, recipe)
        paused = Script(
            make_commands(changes, {step: [Pause()] for step in cuts}, first=first), then=[Resume()] * len(cuts)
        )
        RecordedResult(trainer, play(trainer, paused)).assert_equals(whole)
        assert not paused.then
        stopped_and_resumed(architecture, recipe, changes, cuts, first=first).assert_equals(whole)
        killed_and_resumed(architecture, recipe, changes, chance.choice(steps) + 1).assert_equals(whole)
