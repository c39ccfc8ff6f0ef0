import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.base import Optimizer
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.recipe import Recipe
from playground.core.schedules.base import Schedule
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle
from playground.core.schedules.step_decay import StepDecay
from playground.engine.training.optimizers import compute_lr, make_optimizer, update_optimizer


def rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    return [compute_lr(recipe, step, steps_per_epoch) for step in range(steps_per_epoch * recipe.epochs)]


def rates_of_torch(make: type[LRScheduler], total: int, lr: float, every: int = 1, **options: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer, **options)
    actual = []
    for step in range(total):
        actual.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0 and step + 1 < total:
            scheduler.step()
    return actual


def test_constant_schedule() -> None:
    assert rates(Recipe(lr=0.25, epochs=2), 3) == [0.25] * 6


def test_step_decay_by_hand_and_as_torch() -> None:
    recipe = Recipe(lr=1.0, epochs=5, schedule=StepDecay(step_size=2, gamma=0.5))
    by_hand = [1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert rates(recipe, 3) == by_hand
    assert rates_of_torch(StepLR, 15, 1.0, every=3, step_size=2, gamma=0.5) == pytest.approx(by_hand)


def test_cosine_by_hand_and_as_torch() -> None:
    recipe = Recipe(lr=2.0, epochs=2, schedule=Cosine())
    actual = rates(recipe, 3)
    assert actual[0] == 2.0
    assert actual[1] == pytest.approx(1 + 3**0.5 / 2)
    assert actual[2] == pytest.approx(1.5)
    assert actual[3] == pytest.approx(1.0)
    assert actual == pytest.approx(rates_of_torch(CosineAnnealingLR, 6, 2.0, T_max=6))


def test_one_cycle_by_hand() -> None:
    recipe = Recipe(lr=1.0, epochs=1, schedule=OneCycle(pct_start=0.5, div_factor=10))
    actual = rates(recipe, 10)
    assert actual[0] == pytest.approx(0.1)
    assert actual[2] == pytest.approx(0.55)
    assert actual[4] == pytest.approx(1.0)
    assert actual[9] == pytest.approx(1e-5)
    assert max(actual) == actual[4]


@pytest.mark.parametrize("total", [10, 33, 100, 860])
@pytest.mark.parametrize("pct_start", [0.2, 0.3, 0.45, 0.9])
@pytest.mark.parametrize("div_factor", [1.0, 25.0])
def test_one_cycle_as_torch(total: int, pct_start: float, div_factor: float) -> None:
    recipe = Recipe(lr=0.005, epochs=1, schedule=OneCycle(pct_start=pct_start, div_factor=div_factor))
    options: dict[str, Any] = {"max_lr": 0.005, "total_steps": total, "pct_start": pct_start, "div_factor": div_factor}
    expected = rates_of_torch(OneCycleLR, total, 0.005, cycle_momentum=False, **options)
    assert rates(recipe, total) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 3, 4])
@pytest.mark.parametrize("schedule", [StepDecay(), Cosine(), OneCycle(), OneCycle(pct_start=0.95)], ids=str)
def test_shortest_runs_have_positive_learning_rates(total: int, schedule: Schedule) -> None:
    actual = rates(Recipe(lr=0.1, schedule=schedule), total)
    assert all(0 < rate <= 0.1 for rate in actual)


OPTIMIZERS = [
    (Sgd(momentum=0.0), lambda weights: torch.optim.SGD(weights, lr=0.1, weight_decay=0.01)),
    (
        Sgd(momentum=0.8, nesterov=True),
        lambda weights: torch.optim.SGD(weights, lr=0.1, weight_decay=0.01, momentum=0.8, nesterov=True),
    ),
    (Adam(beta1=0.8), lambda weights: torch.optim.Adam(weights, lr=0.1, weight_decay=0.01, betas=(0.8, 0.999))),
    (AdamW(), lambda weights: torch.optim.AdamW(weights, lr=0.1, weight_decay=0.01)),
    (
        RmsProp(alpha=0.9, momentum=0.5),
        lambda weights: torch.optim.RMSprop(weights, lr=0.1, weight_decay=0.01, alpha=0.9, momentum=0.5),
    ),
    (Adagrad(), lambda weights: torch.optim.Adagrad(weights, lr=0.1, weight_decay=0.01)),
]


@pytest.mark.parametrize(("optimizer", "torch_optimizer"), OPTIMIZERS, ids=lambda value: getattr(value, "kind", ""))
def test_optimizers_update_as_torch_does(
    optimizer: Optimizer, torch_optimizer: Callable[[Iterable[torch.Tensor]], torch.optim.Optimizer]
) -> None:
    ours, theirs = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    recipe = Recipe(optimizer=optimizer, lr=0.1, weight_decay=0.01)
    pairs = [(ours, make_optimizer(list(ours.parameters()), recipe)), (theirs, torch_optimizer(theirs.parameters()))]
    before = ours.weight.detach().clone()
    for step in range(5):
        for model, update in pairs:
            update.zero_grad()
            (model(torch.full((4, 3), 1.0 + step)) ** 2).sum().backward()
            update.step()
    assert not torch.allclose(ours.weight, before)
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize("nesterov", [True, False])
def test_nesterov_without_momentum_is_plain_sgd(nesterov: bool) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(list(model.parameters()), Recipe(optimizer=Sgd(momentum=0.5, nesterov=True)))
    update_optimizer(optimizer, Recipe(optimizer=Sgd(momentum=0.0, nesterov=nesterov)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert optimizer.param_groups[0]["nesterov"] is False
    make_optimizer(list(model.parameters()), Recipe(optimizer=Sgd(momentum=0.0, nesterov=nesterov)))


@pytest.mark.parametrize("kind", [Sgd, RmsProp], ids=["sgd", "rmsprop"])
def test_momentum_can_be_enabled_in_mid_run(kind: type[Sgd] | type[RmsProp]) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(list(model.parameters()), Recipe(optimizer=kind(momentum=0.0)))
    for value in (0.0, 0.9, 0.9, 0.0, 0.9):
        update_optimizer(optimizer, Recipe(optimizer=kind(momentum=value)))
        optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert torch.isfinite(model.weight).all()


def test_adagrad_has_state_for_every_group_from_the_start() -> None:
    """PyTorch 2.11 makes it in the constructor only, so groups that are added later fail with KeyError 'sum'."""
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer([[weight] for weight in model.parameters()], Recipe(optimizer=Adagrad()))
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1]
    assert all("sum" in optimizer.state[weight] for weight in model.parameters())
