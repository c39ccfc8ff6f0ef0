"""Learner: order of images, learning rates and live hyperparameters at changing batch sizes."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from playground.core import events
from playground.core.augmentations.noise import Noise
from playground.core.events import UpdateHyperparameters
from playground.core.layers import BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, Output, Residual
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.recipe import Recipe
from playground.core.schedules import Schedule
from playground.core.schedules.constant import Constant
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle
from playground.core.schedules.step_decay import StepDecay
from playground.engine.data.batch import LabeledImages
from playground.engine.model.build import build_model
from playground.engine.model.device import DeviceConfig
from playground.engine.training.learner import BatchResult, Learner
from tests import strategies
from tests.engine.helpers import (
    RICH,
    Script,
    assert_same_weights,
    make_trainer,
    net,
    play,
    through_bytes,
    tiny_images,
    tiny_recipe,
    tiny_splits,
)
from tests.engine.training.test_optim import rates_of_torch

CPU = DeviceConfig(torch.device("cpu"), is_bfloat16=False)
SMALL = net(Flatten(), Output(), classes=2, size=2)


def numbered(count: int) -> LabeledImages:
    """Images with their index in the first two pixels."""
    images = torch.zeros(count, 1, 2, 2, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(count) % 250
    images[:, 0, 0, 1] = torch.arange(count) // 250
    return LabeledImages(images, torch.arange(count) % 2)


class Watched(Learner):
    """A learner that records the images of each batch."""

    def __init__(self, count: int, recipe: Recipe) -> None:
        model = build_model(SMALL)
        super().__init__(model, recipe, numbered(count), CPU)
        self.seen: list[list[int]] = []
        model[0].register_forward_pre_hook(self._note)

    def _note(self, _module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        pixels = (inputs[0] * 255).round().long()
        self.seen.append((pixels[:, 0, 0, 0] + 250 * pixels[:, 0, 0, 1]).tolist())


def train_epoch(learner: Watched, sizes: list[int]) -> tuple[list[BatchResult], int]:
    """One epoch, each batch with the next of ``sizes`` and the rest with the last one; its batches and that last."""
    learner.seen.clear()
    epoch = learner.epoch
    batches: list[BatchResult] = []
    while learner.epoch == epoch:
        learner.update_hyperparameters(
            learner.recipe.update_hyperparameters({"batch_size": sizes[min(len(batches), len(sizes) - 1)]})
        )
        batches.append(learner.train_batch())
    return batches, learner.recipe.batch_size


@given(data=st.data(), count=st.integers(10, 70))
@settings(max_examples=80)
def test_every_image_is_trained_once_per_epoch_for_any_batch_sizes(data: st.DataObject, count: int) -> None:
    sizes = st.lists(st.integers(1, count), min_size=1, max_size=12)
    learner = Watched(count, tiny_recipe(epochs=100, seed=data.draw(st.integers(0, 99))))
    done = 0
    for epoch in range(3):
        batches, last_size = train_epoch(learner, data.draw(sizes))
        seen = [number for batch in learner.seen for number in batch]
        assert len(set(seen)) == len(seen), "no image twice"
        assert set(seen) <= set(range(count))
        assert count - len(seen) in ((0,) if last_size == 1 else (0, 1)), "only a last single image may be left out"
        assert [batch.size for batch in batches] == [len(batch) for batch in learner.seen]
        assert [batch.step for batch in batches] == list(range(done + 1, done + len(batches) + 1))
        done += len(batches)
        places = [batch.epochs_trained for batch in batches]
        assert places[:-1] == pytest.approx(
            [epoch + sum(map(len, learner.seen[: i + 1])) / count for i in range(len(batches) - 1)]
        )
        assert places[-1] == learner.epochs_trained == epoch + 1
        assert learner.position == 0


@given(data=st.data(), count=st.integers(10, 60))
@settings(max_examples=30)
def test_order_depends_on_seed_and_epoch_but_not_on_batch_sizes(data: st.DataObject, count: int) -> None:
    one_by_one, other = (Watched(count, tiny_recipe(epochs=100, seed=3, batch_size=1)) for _ in range(2))
    orders = []
    for _ in range(2):
        train_epoch(one_by_one, [1])
        train_epoch(other, data.draw(st.lists(st.integers(1, count), min_size=1, max_size=9)))
        whole, parts = ([number for batch in seen.seen for number in batch] for seen in (one_by_one, other))
        assert parts == whole[: len(parts)]
        orders.append(whole)
    assert orders[0] != orders[1]


@pytest.mark.parametrize("count", [48, 49, 50, 63, 64])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 16, 48])
def test_steps_per_epoch_equals_the_number_of_batches(count: int, batch_size: int) -> None:
    learner = Watched(count, tiny_recipe(batch_size=batch_size))
    expected = learner.steps_per_epoch
    batches, _ = train_epoch(learner, [batch_size])
    assert len(batches) == expected
    assert sum(batch.size for batch in batches) == count - (count % batch_size == 1 and batch_size > 1)


def test_last_batch_of_one_image_is_left_out_unless_the_batch_size_is_one() -> None:
    assert [len(train_epoch(Watched(33, tiny_recipe()), [size])[0]) for size in (16, 32, 11, 1)] == [2, 1, 3, 33]
    learner = Watched(33, tiny_recipe())
    train_epoch(learner, [1] * 31 + [16])
    assert len(learner.seen[-1]) == 2, "the last two of them come together"


def test_batch_norm_never_gets_a_batch_of_one_image() -> None:
    """At any position that batches of two or more can reach, at least two images are left."""
    architecture = net(Conv2d(out_channels=2, kernel_size=8), BatchNorm(), Flatten(), Output())
    for sizes in ([16, 15, 2], [3], [7, 6, 5, 4, 3, 2], [46, 2], [45, 16], [2] * 22 + [48]):
        changes = {
            step: [UpdateHyperparameters(hyperparameters={"batch_size": size})] for step, size in enumerate(sizes)
        }
        stream = play(make_trainer(architecture, splits=tiny_splits(48)), Script(changes))
        assert stream[-1].kind == "run_ended", stream[-1]


SCHEDULES: dict[str, tuple[Schedule, Any]] = {
    "constant": (Constant(), lambda total, per_epoch: [0.1] * total),
    "step": (
        StepDecay(step_size=2, gamma=0.5),
        lambda total, per_epoch: rates_of_torch(StepLR, total, 0.1, every=per_epoch, step_size=2, gamma=0.5),
    ),
    "cosine": (Cosine(), lambda total, per_epoch: rates_of_torch(CosineAnnealingLR, total, 0.1, T_max=total)),
    "one_cycle": (
        OneCycle(pct_start=0.4, div_factor=10),
        lambda total, per_epoch: rates_of_torch(
            OneCycleLR, total, 0.1, max_lr=0.1, total_steps=total, pct_start=0.4, div_factor=10, cycle_momentum=False
        ),
    ),
}


@pytest.mark.parametrize(("count", "batch_size"), [(48, 16), (50, 16), (49, 16), (12, 1), (30, 7), (31, 30)])
@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rate_of_every_batch_equals_pytorch(name: str, count: int, batch_size: int) -> None:
    schedule, of_torch = SCHEDULES[name]
    learner = Watched(count, tiny_recipe(schedule=schedule, lr=0.1, batch_size=batch_size, epochs=5))
    per_epoch, actual = learner.steps_per_epoch, []
    while not learner.is_finished:
        expected = learner.lr
        actual.append(learner.train_batch().lr)
        assert actual[-1] == expected
    assert len(actual) == 5 * per_epoch
    assert actual == pytest.approx(of_torch(len(actual), per_epoch), rel=1e-6, abs=1e-12)


def rate_at(learner: Learner, images: float, batch_size: int) -> float:
    """The learning rate after so many images, in batches of another size."""
    count = 96
    learner.recipe = learner.recipe.replace(batch_size=batch_size)
    inside = min(max(images, 0.0), learner.recipe.epochs * count - 1e-6)
    learner.epoch, learner.position = int(inside // count), inside % count  # type: ignore[assignment]  # also between two images
    return learner.lr


BY_HAND: dict[str, tuple[Schedule, Callable[[int], float]]] = {
    "constant": (Constant(), lambda images: 0.1),
    "step": (StepDecay(step_size=1), lambda images: 0.1 * 0.5 ** (images // 96)),
    "cosine": (Cosine(), lambda images: 0.05 * (1 + math.cos(math.pi * images / (3 * 96)))),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_learning_rate_depends_on_the_images_trained_not_on_the_batch_size(name: str) -> None:
    schedule, by_hand = BY_HAND[name]
    learner = Watched(96, tiny_recipe(schedule=schedule, lr=0.1, epochs=3))
    for images in range(0, 3 * 96, 2):
        rates = [rate_at(learner, images, size) for size in (1, 2, 4, 8, 16, 32, 48, 96)]
        assert rates == pytest.approx([by_hand(images)] * len(rates)), images


@given(
    images=st.integers(0, 3 * 96 - 1),
    sizes=st.tuples(st.integers(1, 48), st.integers(1, 48)),
    schedule=st.sampled_from((Cosine(), OneCycle(), OneCycle(pct_start=0.1, div_factor=100))),
)
@settings(max_examples=150)
def test_batch_size_change_shifts_the_schedule_by_less_than_a_batch(
    images: int, sizes: tuple[int, int], schedule: Schedule
) -> None:
    """Batches that do not fill the epoch, and the peak of a cycle, lie on whole steps: hence not exactly."""
    learner = Watched(96, tiny_recipe(schedule=schedule, lr=0.1, epochs=3))
    before, after = sizes
    actual = rate_at(learner, images, after)
    reach = max(sizes)
    around = [rate_at(learner, images + reach * part / 40, before) for part in range(-40, 41)]
    lowest = 0.0 if images + 2 * reach >= 3 * 96 else min(around)
    assert lowest - 1e-3 <= actual <= max(around) + 1e-3


def test_learning_rate_continues_after_batch_size_changes() -> None:
    recipe = tiny_recipe(schedule=Cosine(), lr=0.1, epochs=2)
    script = Script(
        {
            3: [UpdateHyperparameters(hyperparameters={"batch_size": 48})],
            4: [UpdateHyperparameters(hyperparameters={"batch_size": 4})],
        }
    )
    done = [event for event in play(make_trainer(recipe=recipe), script) if event.kind == "step_done"]
    assert [event.epochs for event in done[:5]] == pytest.approx([16 / 96, 32 / 96, 0.5, 1.0, 100 / 96])
    assert len(done) == 4 + 24
    undisturbed = [event for event in play(make_trainer(recipe=recipe)) if event.kind == "step_done"]
    # A batch's rate is that of the place where it begins.
    expected = {index: event.lr for index, event in enumerate(undisturbed)}
    begins = [0.0, *(event.epochs * 6 for event in done)]
    actual = {round(begin): event.lr for begin, event in zip(begins, done, strict=False) if begin == round(begin)}
    assert sorted(actual) == [0, 1, 2, 3, *range(6, 12)]
    assert actual == pytest.approx({index: expected[index] for index in actual})


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_run_trains_the_changed_number_of_epochs(epochs: int) -> None:
    script = Script({7: [UpdateHyperparameters(hyperparameters={"epochs": epochs})]})
    stream = play(make_trainer(recipe=tiny_recipe(epochs=3)), script)
    assert stream[-1] == events.RunEnded(step=stream[-1].step, elapsed_s=stream[-1].elapsed_s, status="completed")
    assert stream[-1].step == max(7, 6 * epochs)  # a run that has more than it is to have ends where it is
    assert [event.epoch for event in stream if event.kind == "epoch_done"] == list(range(1, epochs + 1))


def test_evaluation_and_checkpoint_positions_do_not_depend_on_the_batch_size() -> None:
    script = Script({6: [UpdateHyperparameters(hyperparameters={"batch_size": 3})]})
    stream = play(make_trainer(), script)
    measured = [event.step for event in stream if event.kind == "evaluated" and event.split == "validation"]
    assert measured == [3, 6, 6 + 16, 6 + 32]
    saved = {event.step for event in stream if event.kind == "checkpoint_saved"}
    assert saved == {3, 6, 6 + 16, 6 + 32}


def rates_of(model: nn.Sequential) -> list[float]:
    return [module.p for module in model.modules() if isinstance(module, nn.Dropout)]


@given(architecture=strategies.architectures(), data=st.data())
@settings(max_examples=40)
def test_dropout_rates_reach_their_modules_in_order(architecture: Any, data: st.DataObject) -> None:
    model = build_model(architecture)
    assert rates_of(model) == list(architecture.dropout_rates)
    images = tiny_images(4)
    learner = Learner(model, tiny_recipe(), images, CPU)
    rates = tuple(data.draw(st.floats(0, 0.95)) for _ in architecture.dropout_rates)
    learner.update_hyperparameters(learner.recipe, rates)
    assert rates_of(model) == list(rates) == rates_of(build_model(architecture.with_dropout_rates(rates)))
    learner.update_hyperparameters(learner.recipe.replace(lr=0.5))
    assert rates_of(model) == list(rates)


def test_dropout_change_is_reported_and_takes_effect() -> None:
    stream = play(make_trainer(RICH), Script({5: [UpdateHyperparameters(hyperparameters={"dropout": [0.0, 0.9]})]}))
    (changed,) = [event for event in stream if event.kind == "hyperparameter_changed"]
    assert (changed.hyperparameter, changed.before, changed.after) == ("dropout", [0.1, 0.3], [0.0, 0.9])
    after = {event.step: event.loss for event in stream if event.kind == "step_done"}
    before = {event.step: event.loss for event in play(make_trainer(RICH)) if event.kind == "step_done"}
    assert [after[step] == before[step] for step in (4, 5, 6)] == [True, True, False]


@pytest.mark.parametrize(
    ("optimizer", "changed"),
    [
        (Sgd(momentum=0.0), Sgd(momentum=0.9)),
        (RmsProp(momentum=0.0), RmsProp(momentum=0.9)),
        (Adam(), Adam(beta1=0.5, beta2=0.9)),
    ],
    ids=lambda item: item.kind,
)
def test_optimizer_fields_change_between_batches_and_moments_are_kept(optimizer: Any, changed: Any) -> None:
    learner = Watched(48, tiny_recipe(optimizer=optimizer))
    for _ in range(3):
        learner.train_batch()
    before = through_bytes(learner.state_dict())["optimizer"]["state"]
    learner.update_hyperparameters(learner.recipe.replace(optimizer=changed.model_dump()))
    state = learner.state_dict()["optimizer"]
    for weight, moments in before.items():
        for name, value in moments.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(state["state"][weight][name], value)
    (group,) = state["param_groups"]
    assert group.get("momentum", group.get("betas")) in (0.9, (0.5, 0.9))
    learner.train_batch()


def test_state_without_optimizer_resets_the_moments() -> None:
    learner = Watched(48, tiny_recipe())
    for _ in range(4):
        learner.train_batch()
    state = through_bytes(learner.state_dict())
    fresh = Watched(48, tiny_recipe(optimizer=Sgd()))
    fresh.load_state_dict(state | {"optimizer": None})
    assert (fresh.step, fresh.epoch, fresh.position) == (4, 1, 16)
    assert_same_weights(fresh.model.state_dict(), learner.model.state_dict())
    assert not fresh.state_dict()["optimizer"]["state"]


def test_image_is_augmented_differently_in_every_epoch() -> None:
    learner = Watched(16, tiny_recipe(epochs=3, augmentation=(Noise(std=0.5),)))
    seen: list[torch.Tensor] = []
    learner.model[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, :, 1].clone()))
    for _ in range(3):
        learner.train_batch()
    assert (learner.epoch, len(seen)) == (3, 3)
    assert all(images.any() for images in seen)
    assert len({images.numpy().tobytes() for images in seen}) == 3


def test_network_without_dropout_draws_no_random_numbers() -> None:
    learner = Learner(build_model(net(GlobalAvgPool(), Output())), tiny_recipe(), tiny_images(48), CPU)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    learner.train_batch()
    assert torch.equal(torch.rand(3), expected)


def test_dropout_rates_in_residual_blocks_are_set() -> None:
    block = Residual(layers=(Conv2d(out_channels=1, padding="same"), Dropout(p=0.4), Dropout(p=0.2, enabled=False)))
    architecture = net(Dropout(p=0.1), block, Flatten(), Dropout(p=0.3), Output())
    assert rates_of(build_model(architecture)) == [0.1, 0.4, 0.3]
