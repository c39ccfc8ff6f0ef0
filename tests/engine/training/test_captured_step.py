"""Captured steps give the results of eager steps; on the CPU the functions to capture run eagerly."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from playground.core.architecture import Architecture
from playground.core.augmentations.erase import Erase
from playground.core.events import (
    Evaluated,
    RunStarted,
    SaveSnapshot,
    StepDone,
    Stop,
    UpdateHyperparameters,
    parse_event,
)
from playground.core.layers import Dropout, Flatten, Linear, Output
from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.muon import Muon
from playground.core.optimizers.nadam import NAdam
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.recipe import Recipe
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle
from playground.engine.data.batch import LabeledImages
from playground.engine.model.build import build_model
from playground.engine.model.device import DeviceConfig
from playground.engine.training.captured_step import CapturedLearner
from playground.engine.training.cuda_graph import GraphCapture, fork_generator, get_default_generator
from playground.engine.training.evaluate import evaluate
from playground.engine.training.learner import BatchResult, Learner
from playground.engine.training.trainer import Trainer
from tests import strategies
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
    tiny_images,
    tiny_recipe,
    tiny_splits,
)
from tests.narrowing import require, require_type

CPU = DeviceConfig(torch.device("cpu"), is_bfloat16=False)
OPTIMIZERS = {
    "nadam": NAdam(),
    "muon": Muon(),
    "sgd": Sgd(),
    "sgd without momentum": Sgd(momentum=0.0),
    "nesterov": Sgd(momentum=0.8, nesterov=True),
    "adam": Adam(),
    "adamw": AdamW(),
    "rmsprop": RmsProp(),
    "rmsprop with momentum": RmsProp(momentum=0.5),
    "adagrad": Adagrad(),
}
EVERY_AUGMENTATION = (*(kind() for kind in strategies.AUGMENTATIONS if kind is not Erase), Erase(size=2))
FROZEN = RICH.replace_layer(0, RICH.layers[0].replace(trainable=False)).replace_layer(
    1, RICH.layers[1].replace(trainable=False)
)
SINGLE_LOGIT = net(Flatten(), Linear(out_features=4), Output(activation="sigmoid"), classes=2)
SELECT_LEARNER_CLASS = "playground.engine.training.trainer.select_learner_class"
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
"""Tolerance for weights and gradients that differ by rounding only, after a few steps."""


@pytest.fixture
def captured_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the trainers of a test use captured steps, as on CUDA."""
    monkeypatch.setattr(SELECT_LEARNER_CLASS, lambda _: CapturedLearner)


def create_learner(
    kind: type[Learner], architecture: Architecture, recipe: Recipe, images: LabeledImages, *names: str
) -> Any:
    model = build_model(architecture, seed=recipe.seed)
    model.to(memory_format=torch.channels_last)
    return kind(model, recipe, images, CPU, names)


def create_learner_pair(
    architecture: Architecture, recipe: Recipe, images: LabeledImages | None = None, *names: str
) -> tuple[Any, Any]:
    """Create an eager and a captured learner with the same weights."""
    images = images or tiny_images(50)
    return tuple(create_learner(kind, architecture, recipe, images, *names) for kind in (Learner, CapturedLearner))


def read_metrics(trained: Learner, batches: list[BatchResult]) -> list[tuple[float, int]]:
    trained.compute_metrics()
    return [(batch.loss.item(), int(batch.correct_count)) for batch in batches]


def assert_alike(eager: Learner, replayed: Learner, steps: int = 8) -> None:
    """Compare batches, metrics, weights, running statistics, moments and gradients after ``steps`` steps."""
    actual = [[one.train_batch() for _ in range(steps)] for one in (eager, replayed)]
    for expected, batch in zip(*actual, strict=True):
        assert (batch.step, batch.epochs_trained, batch.size, batch.lr) == (
            expected.step,
            expected.epochs_trained,
            expected.size,
            expected.lr,
        )
    expected, metrics = (read_metrics(one, batches) for one, batches in zip((eager, replayed), actual, strict=True))
    assert [loss for loss, _ in metrics] == pytest.approx([loss for loss, _ in expected], rel=1e-4)
    assert [correct_count for _, correct_count in metrics] == [correct_count for _, correct_count in expected]
    assert_close_state(eager, replayed)


def assert_close_state(eager: Learner, replayed: Learner) -> None:
    torch.testing.assert_close(dict(replayed.model.state_dict()), dict(eager.model.state_dict()), **CLOSE)
    expected, actual = (one.state_dict()["optimizer"]["state"] for one in (eager, replayed))
    for part, moments in expected.items():
        for name, value in moments.items():
            torch.testing.assert_close(actual[part][name], value, **CLOSE)
    for name, weight in eager.model.named_parameters():
        twin = replayed.model.get_parameter(name)
        assert (weight.grad is None) == (twin.grad is None)
        if weight.grad is not None:
            torch.testing.assert_close(twin.grad, weight.grad, **CLOSE)


@pytest.mark.parametrize("architecture", [PLAIN, RICH], ids=["plain", "rich"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_updates_as_in_eager_steps(name: str, architecture: Architecture) -> None:
    recipe = tiny_recipe(optimizer=OPTIMIZERS[name], schedule=OneCycle(), weight_decay=0.01, label_smoothing=0.1)
    assert_alike(*create_learner_pair(architecture, recipe))


@pytest.mark.parametrize("architecture", [FROZEN, SINGLE_LOGIT], ids=["frozen layers", "single logit"])
def test_other_networks_train_as_in_eager_steps(architecture: Architecture) -> None:
    assert_alike(*create_learner_pair(architecture, tiny_recipe(), tiny_images(50, classes=architecture.classes)))


def test_bfloat16_is_rounded_as_in_eager_steps() -> None:
    learners = []
    for kind in (Learner, CapturedLearner):
        model = build_model(PLAIN, seed=1).to(memory_format=torch.channels_last)
        learners.append(
            kind(model, tiny_recipe(), tiny_images(48), DeviceConfig(torch.device("cpu"), is_bfloat16=True))
        )
    batches = [[one.train_batch() for _ in range(6)] for one in learners]
    losses = [[loss for loss, _ in read_metrics(one, part)] for one, part in zip(learners, batches, strict=True)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_dropout_masks_are_those_of_eager_steps() -> None:
    architecture = net(Flatten(), Dropout(p=0.5), Linear(out_features=8), Dropout(p=0.25), Output())
    eager, replayed = create_learner_pair(architecture, tiny_recipe())
    seen: list[list[Tensor]] = [[], []]
    for one, masks in zip((eager, replayed), seen, strict=True):
        for module in one.model.modules():
            if isinstance(module, nn.Dropout):
                module.register_forward_hook(lambda _, inputs, output, masks=masks: masks.append(output == 0))
        for _ in range(3):
            one.train_batch()
    assert len(seen[0]) == len(seen[1]) == 6
    assert all(torch.equal(expected, actual) for expected, actual in zip(*seen, strict=True))
    assert not torch.equal(seen[1][0], seen[1][2])


def test_transferred_weights_use_the_scaled_learning_rate() -> None:
    recipe = tiny_recipe(transferred_lr_scale=0.1, schedule=Cosine())
    assert_alike(*create_learner_pair(PLAIN, recipe, None, "0.weight", "0.bias"))
    _, scaled = create_learner_pair(PLAIN, recipe.replace(transferred_lr_scale=0.0), None, "0.weight", "0.bias")
    before = {name: value.clone() for name, value in scaled.model.named_parameters()}
    scaled.train_batch()
    unchanged = {name for name, value in scaled.model.named_parameters() if torch.equal(value, before[name])}
    assert unchanged == {"0.weight", "0.bias"}


@pytest.mark.parametrize("count", [48, 49, 50, 63])
def test_smaller_last_batch_has_a_separate_graph(count: int) -> None:
    eager, replayed = create_learner_pair(RICH, tiny_recipe(epochs=3), tiny_images(count))
    assert_alike(eager, replayed, steps=2 * eager.steps_per_epoch + 1)
    rest = count % 16
    assert set(replayed._captured_steps) == ({16, rest} if rest > 1 else {16})


@pytest.mark.parametrize("augmentation", [*((item,) for item in EVERY_AUGMENTATION), EVERY_AUGMENTATION], ids=str)
def test_augmented_images_are_those_of_eager_steps(augmentation: Any) -> None:
    eager, replayed = create_learner_pair(PLAIN, tiny_recipe(augmentation=augmentation))
    seen: list[list[Tensor]] = [[], []]
    for one, batches in zip((eager, replayed), seen, strict=True):
        one.model[0].register_forward_pre_hook(lambda _, inputs, batches=batches: batches.append(inputs[0].clone()))
        for _ in range(5):  # the fourth batch is the smaller one, the fifth begins an epoch
            one.train_batch()
    for expected, actual in zip(*seen, strict=True):
        assert torch.equal(expected, actual)
        assert actual.shape[1:] == (1, 8, 8)
        assert actual.min() >= 0
        assert actual.max() <= 1 + 1e-6
    assert [len(batch) for batch in seen[1]] == [16, 16, 16, 2, 16]


CHANGES: dict[str, dict[str, Any]] = {
    "lr": {"lr": 0.002},
    "epochs": {"epochs": 5},
    "weight decay": {"weight_decay": 0.1},
    "label smoothing": {"label_smoothing": 0.3},
    "augmentation": {"augmentation": [{"kind": "flip", "p": 1.0}]},
    "smaller batches": {"batch_size": 5},
    "larger batches": {"batch_size": 31},
    "optimizer": {"optimizer": {"kind": "adam", "beta1": 0.5, "beta2": 0.9}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_hyperparameter_change_takes_effect_as_in_eager_steps(name: str) -> None:
    eager, replayed = create_learner_pair(RICH, tiny_recipe(schedule=Cosine(), epochs=3))
    assert_alike(eager, replayed, steps=2)
    replays = dict(replayed._captured_steps)
    for one in (eager, replayed):
        one.update_hyperparameters(one.recipe.update_hyperparameters(CHANGES[name]))
    is_kept = name in ("lr", "epochs", "smaller batches", "larger batches")
    assert (replayed._captured_steps == replays) == is_kept
    assert_alike(eager, replayed, steps=9)


@pytest.mark.parametrize("kind", [Sgd, RmsProp])
def test_momentum_is_switched_on_and_off_as_in_eager_steps(kind: Any) -> None:
    eager, replayed = create_learner_pair(PLAIN, tiny_recipe(optimizer=kind(momentum=0.0), epochs=9))
    for momentum in (0.0, 0.9, 0.0, 0.5):
        for one in (eager, replayed):
            one.update_hyperparameters(one.recipe.replace(optimizer=kind(momentum=momentum)))
        assert_alike(eager, replayed, steps=3)


def test_changed_dropout_rates_are_captured_again() -> None:
    eager, replayed = create_learner_pair(RICH, tiny_recipe())
    for one in (eager, replayed):
        one.train_batch()
        one.update_hyperparameters(one.recipe, (0.0, 0.8))
    assert_alike(eager, replayed, steps=4)


def test_metrics_can_be_read_after_hyperparameter_changes() -> None:
    eager, replayed = create_learner_pair(PLAIN, tiny_recipe(label_smoothing=0.2, epochs=9))
    batches: list[list[BatchResult]] = [[], []]
    for one, actual in zip((eager, replayed), batches, strict=True):
        actual += [one.train_batch() for _ in range(6)]
        one.update_hyperparameters(one.recipe.replace(label_smoothing=0.0, batch_size=7))
        actual += [one.train_batch() for _ in range(20)]
        actual += [one.train_batch() for _ in range(3)]
    metrics = (read_metrics(one, part) for one, part in zip((eager, replayed), batches, strict=True))
    (losses, correct_counts), (replayed_losses, replayed_counts) = (zip(*pairs, strict=True) for pairs in metrics)
    assert replayed_losses == pytest.approx(losses, rel=1e-4)
    assert replayed_counts == correct_counts


def test_metrics_stay_correct_beyond_the_metrics_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.engine.training.captured_step._METRICS_CAPACITY", 3)
    eager, replayed = create_learner_pair(PLAIN, tiny_recipe(epochs=9))
    assert_alike(eager, replayed, steps=14)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop with momentum", "adagrad"])
def test_warm_up_and_capture_do_not_change_the_state(optimizer: str) -> None:
    recipe = tiny_recipe(optimizer=OPTIMIZERS[optimizer], augmentation=AUGMENTATION)
    torch.manual_seed(3)
    expected_draw = torch.rand(3)
    torch.manual_seed(3)
    replayed = create_learner(CapturedLearner, RICH, recipe, tiny_images(50))
    assert torch.equal(torch.rand(3), expected_draw)
    assert set(replayed._captured_steps) == {16, 2}
    assert_same_weights(replayed.model.state_dict(), build_model(RICH, seed=recipe.seed).state_dict())
    for moments in replayed.state_dict()["optimizer"]["state"].values():
        assert not any(value.any() for value in moments.values())
    for _ in range(5):
        replayed.train_batch()
    before, index = through_bytes(replayed.state_dict()), (replayed.step, replayed.epoch, replayed.position)
    replayed._captured_steps.clear()
    for count in (16, 2):
        replayed._capture_step(count)
    after = through_bytes(replayed.state_dict())
    assert (replayed.step, replayed.epoch, replayed.position) == index
    assert_same_weights(after["model"], before["model"])
    for part, moments in before["optimizer"]["state"].items():
        assert_same_weights(after["optimizer"]["state"][part], moments)
    assert replayed._device_position.item() == replayed.position


@pytest.mark.parametrize("kinds", [(Learner, CapturedLearner), (CapturedLearner, Learner)], ids=["to", "from"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_dict_is_interchangeable_with_eager_steps(name: str, kinds: tuple[type[Learner], type[Learner]]) -> None:
    """A run that was trained on a CPU may be resumed on a GPU."""
    recipe = tiny_recipe(optimizer=OPTIMIZERS[name], epochs=4)
    first = create_learner(kinds[0], RICH, recipe, tiny_images(50))
    for _ in range(5):
        first.train_batch()
    second = create_learner(kinds[1], RICH, recipe.replace(seed=recipe.seed), tiny_images(50))
    second.load_state_dict(through_bytes(first.state_dict()))
    for _ in range(6):
        first.train_batch()
        second.train_batch()
    torch.testing.assert_close(dict(second.model.state_dict()), dict(first.model.state_dict()), **CLOSE)


def test_load_state_dict_without_optimizer_resets_moments() -> None:
    replayed = create_learner(CapturedLearner, PLAIN, tiny_recipe(), tiny_images(50))
    for _ in range(4):
        replayed.train_batch()
    state = through_bytes(replayed.state_dict())
    replayed.load_state_dict(state | {"optimizer": None})
    (moments,) = replayed.state_dict()["optimizer"]["state"].values()
    assert not any(value.any() for value in moments.values())
    assert_same_weights(replayed.model.state_dict(), state["model"])


# Complete runs


def resume(architecture: Architecture, recipe: Recipe, checkpoint: dict[str, Any]) -> Trainer:
    torch.manual_seed(checkpoint["step"])  # earlier draws of the process must not matter
    trainer = make_trainer(architecture, recipe, splits=tiny_splits(50))
    trainer.restore(through_bytes(checkpoint))
    return trainer


@pytest.mark.parametrize("architecture", [PLAIN, RICH], ids=["plain", "rich"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resume_at_any_step_gives_identical_weights(
    captured_steps: None, optimizer: str, architecture: Architecture
) -> None:
    recipe = tiny_recipe(
        optimizer=OPTIMIZERS[optimizer], augmentation=AUGMENTATION, schedule=OneCycle(), label_smoothing=0.1
    )
    whole = make_trainer(architecture, recipe, splits=tiny_splits(50))
    expected = figures(play(whole))
    assert isinstance(whole._learner, CapturedLearner)
    for step in random.Random(optimizer).sample(range(8), 3):
        trainer = make_trainer(architecture, recipe, splits=tiny_splits(50))
        stream = play(trainer, Script({step: [Stop()]}))
        trainer = resume(architecture, recipe, trainer.create_checkpoint())
        assert figures(stream + play(trainer)) == expected
        assert_same_weights(trainer.get_weights(), whole.get_weights())


def test_resume_after_hyperparameter_change_gives_identical_weights(captured_steps: None) -> None:
    changes = {"lr": 0.02, "optimizer": {"kind": "sgd", "momentum": 0.3}, "augmentation": [{"kind": "flip"}]}
    script = {3: [UpdateHyperparameters(hyperparameters=changes | {"dropout": [0.0, 0.5], "batch_size": 9})]}
    recipe = tiny_recipe(optimizer=Sgd(), schedule=Cosine())
    whole = make_trainer(RICH, recipe, splits=tiny_splits(50))
    expected = figures(play(whole, Script(script)))
    trainer = make_trainer(RICH, recipe, splits=tiny_splits(50))
    stream = play(trainer, Script(script | {6: [Stop()]}))
    trainer = resume(RICH, recipe, trainer.create_checkpoint())
    assert figures(stream + play(trainer)) == expected
    assert_same_weights(trainer.get_weights(), whole.get_weights())


def test_snapshots_between_batches_do_not_change_the_weights(captured_steps: None) -> None:
    recipe = tiny_recipe(augmentation=AUGMENTATION)
    whole, watched = (make_trainer(RICH, recipe) for _ in range(2))
    assert figures(play(whole)) == figures(play(watched, Script({step: [SaveSnapshot()] for step in range(12)})))
    assert_same_weights(whole.get_weights(), watched.get_weights())


def test_captured_run_yields_the_events_of_an_eager_run(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = play(make_trainer(RICH, tiny_recipe(epochs=1)))
    monkeypatch.setattr(SELECT_LEARNER_CLASS, lambda _: CapturedLearner)
    actual = play(make_trainer(RICH, tiny_recipe(epochs=1)))
    assert [(event.kind, event.step) for event in actual] == [(event.kind, event.step) for event in expected]
    for event, other in zip(actual, expected, strict=True):
        if isinstance(event, StepDone | Evaluated):
            other = require_type(other, type(event))
            assert event.loss == pytest.approx(other.loss, rel=1e-3)
            assert event.accuracy == pytest.approx(other.accuracy, abs=0.05)


@pytest.mark.parametrize("architecture", [PLAIN, RICH], ids=["plain", "rich"])
def test_captured_evaluation_and_probes_equal_the_eager_ones(captured_steps: None, architecture: Architecture) -> None:
    trainer = make_trainer(architecture, tiny_recipe(epochs=1), splits=tiny_splits(96, 2050, 30))
    play(trainer)
    vitals, data = trainer._evaluator.health_probes, trainer._evaluator.validation
    captured_evaluator = require(trainer._evaluator.captured_evaluator)
    for _ in range(2):
        actual = captured_evaluator.evaluate(data, with_probes=True)
        dead, maxima = vitals.count_dead_channels(), list(vitals.max_activations)
        with vitals.record_activations():
            expected = evaluate(trainer.model, data)
        assert (actual.loss, actual.accuracy) == (expected.loss, expected.accuracy)
        assert torch.equal(actual.logits, expected.logits)
        assert dead == vitals.count_dead_channels()
        torch.testing.assert_close(maxima, list(vitals.max_activations), rtol=0, atol=0)
        assert trainer.model.training
        trainer._learner.train_batch()  # the next evaluation must see new weights
    assert set(captured_evaluator._forwards) == {
        (20, True),
        (1000, True),
        (1000, False),
        (50, False),
        (30, False),
    }


def test_run_started_event_has_the_reason_for_eager_steps(captured_steps: None) -> None:
    first = require_type(play(make_trainer())[0], RunStarted)
    assert first.eager_reason == "Captured steps need CUDA."
    assert "eager_reason" in first.model_dump()
    assert parse_event(first.model_dump_json()) == first


def test_run_started_event_on_the_cpu_has_no_eager_reason() -> None:
    first = require_type(play(make_trainer())[0], RunStarted)
    assert "eager_reason" not in first.model_dump()
    assert parse_event(first.model_dump_json()) == first


# CUDA graph helpers


def test_fork_generator_restores_the_generator_state() -> None:
    generator = get_default_generator(torch.device("cpu"))
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with fork_generator(generator, 7):
        first = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    with fork_generator(generator, 7):
        assert torch.equal(torch.rand(2), first)


def test_warm_up_restores_mutated_tensors_even_if_the_function_fails() -> None:
    counter, calls = torch.zeros(1), []

    def count() -> None:
        calls.append(counter.item())
        counter.add_(1)

    def fail() -> None:
        counter.add_(1)
        raise RuntimeError("no")

    capture = GraphCapture(torch.device("cpu"))
    replay = capture.capture(count, [counter])
    assert (counter.item(), set(calls)) == (0, {0.0})
    replay()
    assert counter.item() == 1
    with pytest.raises(RuntimeError, match="no"):
        capture.capture(fail, [counter])
    assert counter.item() == 1
