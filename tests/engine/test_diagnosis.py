"""What figures mean, in words: each finding from figures made to show it, and silence where all is well."""

import pytest

from playground.engine.diagnosis import Figures, dead_channels, diagnose
from playground.engine.evaluate import scaled
from tests.engine.helpers import PLAIN, make_trainer, tiny_splits


def figures(**fields: object) -> Figures:
    usual = {"epoch": 1.0, "classes": 10, "lr": 1e-3, "train_accuracy": 0.98, "validation_accuracy": 0.975}
    return Figures(**(usual | fields))  # type: ignore[arg-type]


def test_a_healthy_run_is_told_so_and_nothing_else():
    assert diagnose(figures())[:2] == ("learning", "Learning well.")
    assert diagnose(figures(validation_accuracy=0.6, train_accuracy=0.6))[1] == "Learning."


@pytest.mark.parametrize(
    ("lr", "optimizer", "advice"),
    [
        (100.0, "adam", "try 0.001."),
        (1e-6, "adam", "try 0.001."),
        (0.005, "sgd", "try 0.05."),
        (5.0, "sgd", "try 0.05."),
    ],
)
def test_a_net_that_only_guesses_gets_a_learning_rate_to_try(lr: float, optimizer: str, advice: str):
    found = diagnose(figures(lr=lr, optimizer=optimizer, train_accuracy=0.1, validation_accuracy=0.11))
    assert found[0] == "stuck"
    assert found[1].endswith(advice)


def test_a_few_batches_are_no_reason_to_blame_the_learning_rate():
    found = diagnose(figures(steps=15, train_accuracy=0.1, validation_accuracy=0.1))
    assert "15 batches only" in found[1]


def test_a_gap_between_known_and_unknown_images_is_overfitting():
    name, message, behind = diagnose(figures(train_accuracy=1.0, validation_accuracy=0.91))
    assert name == "overfitting"
    assert "100.0%" in message
    assert "91.0%" in message
    assert behind["gap"] == pytest.approx(0.09)


def test_channels_that_never_fire_are_counted_where_they_are():
    trainer = make_trainer()
    images = scaled(tiny_splits().validation.images)
    counted = dead_channels(trainer.model, PLAIN, images)
    layer = next(module for module in trainer.model if hasattr(module, "out_channels"))
    layer.weight.data.zero_()
    layer.bias.data.fill_(-1.0)
    silenced = dead_channels(trainer.model, PLAIN, images)
    assert silenced[0][0] == counted[0][0]
    assert silenced[0][1] == silenced[0][2] == layer.out_channels
    message = diagnose(figures(dead=silenced[:1]))[1]
    assert (
        message
        == f"Learning well. {layer.out_channels} of {layer.out_channels} channels in the {silenced[0][0]} never fire."
    )
