"""Estimated duration of an epoch; benchmarks measure its accuracy."""

import pytest

from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset
from playground.core.recipe import Recipe
from playground.core.summary import summarize
from playground.engine.training.cost_model import convert_to_reference_speed, estimate_seconds_per_epoch
from tests.narrowing import require

GUIDE = get_architecture_preset("guide").architecture


def test_no_estimate_without_a_measured_speed() -> None:
    assert estimate_seconds_per_epoch(summarize(GUIDE), Recipe(), 60_000, None) is None


@pytest.mark.parametrize("name", ARCHITECTURE_PRESETS)
def test_measured_speed_reproduces_the_time_of_its_network(name: str) -> None:
    summary = summarize(get_architecture_preset(name).architecture)
    for batch_size in (1, 32, 128, 4096):
        recipe = Recipe(batch_size=batch_size, validation_size=10)
        measured = convert_to_reference_speed(summary, batch_size, 250.0)
        assert estimate_seconds_per_epoch(summary, recipe, 1000, measured) == pytest.approx(4.0, rel=0.01)
        longer = estimate_seconds_per_epoch(summary, recipe.replace(validation_size=1000), 1000, measured)
        assert 4.0 < require(longer) < 6.0


def test_small_batches_take_longer() -> None:
    times = [
        require(estimate_seconds_per_epoch(summarize(GUIDE), Recipe(batch_size=size), 1000, 1000.0))
        for size in (512, 64, 8, 1)
    ]
    assert times == sorted(times)
    assert times[-1] > 3 * times[0]


def test_more_frozen_layers_take_less_time() -> None:
    times = [
        require(estimate_seconds_per_epoch(summarize(GUIDE.freeze_up_to(index)), Recipe(), 1000, 1000.0))
        for index in (-1, 0, 2, 4)
    ]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times)
    last_only = GUIDE.with_layers([*GUIDE.layers[:-1], GUIDE.layers[-1].replace(trainable=False)])
    assert estimate_seconds_per_epoch(summarize(last_only), Recipe(), 1000, 1000.0) == times[0], (
        "gradients still go all the way down"
    )
