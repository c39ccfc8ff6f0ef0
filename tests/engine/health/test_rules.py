"""What figures mean, in words: each finding from figures made to show it, silence where all is well, and real runs."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core.architecture import Architecture
from playground.core.augmentations import Flip
from playground.core.events import Diagnosed, UpdateHyperparameters, parse_event
from playground.core.layers import Activation, Conv2d, Flatten, Linear, MaxPool2d, Output, Residual
from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.core.schedules import OneCycle
from playground.core.validation import validate
from playground.engine.data.batch import LabeledImages
from playground.engine.data.splits import Splits
from playground.engine.health.rules import (
    DeadChannels,
    Diagnosis,
    LayerGradient,
    MetricHistory,
    TrainingMetrics,
    diagnose,
    update_metric_history,
)
from playground.engine.health.suggestions import (
    find_saturating_activation,
    replace_saturating_with_relu,
    suggest_less_regularization,
)
from playground.engine.runs.run import serialize_event
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.trainer import Trainer
from tests import strategies
from tests.engine.helpers import PLAIN, RICH, Script, make_trainer, net, play, tiny_images, tiny_recipe

GUIDE = get_architecture_preset("guide").architecture
SIGMOID = Architecture(
    layers=(
        Conv2d(out_channels=8, activation="sigmoid"),
        Activation(activation="tanh"),
        Flatten(),
        Linear(out_features=32, activation="sigmoid"),
        Output(),
    )
)


def signs(**fields: Any) -> TrainingMetrics:
    """Those of a healthy run after its first epoch, but for ``fields``."""
    usual = {
        "architecture": GUIDE,
        "recipe": Recipe(),
        "train_size": 55_000,
        "step": 430,
        "epochs_trained": 1.0,
        "lr": 1e-3,
        "recent_loss": 0.1,
        "train_accuracy": 0.97,
        "validation_accuracy": 0.975,
        "validation_loss": 0.08,
        "dead_channels": (DeadChannels("layer 1 (Convolution)", 2, 32),),
        "layer_gradients": (
            LayerGradient("layer 1 (Convolution)", 0.2, 288),
            LayerGradient("layer 8 (Output)", 0.1, 640),
        ),
        "predicted_counts": (100,) * 10,
        "label_counts": (100,) * 10,
    }
    return TrainingMetrics(**(usual | fields))


def course(**fields: Any) -> MetricHistory:
    usual = {
        "last_loss": 0.1,
        "best_loss": 0.1,
        "best_validation_accuracy": 0.975,
        "best_validation_loss": 0.08,
        "epoch_accuracies": [],
    }
    return MetricHistory(**(usual | fields))


def check_suggestion(found: Diagnosis, given_signs: TrainingMetrics) -> None:
    """That one click can do what is suggested: at once, or in a new run."""
    suggestion = found.suggestion
    if suggestion is None:
        return
    assert suggestion.label
    assert suggestion.recipe_changes or suggestion.architecture
    recipe = given_signs.recipe.replace(**suggestion.recipe_changes)
    if not suggestion.requires_restart:
        assert suggestion.architecture is None, "a run's network cannot change while it trains"
        assert given_signs.recipe.update_hyperparameters(suggestion.recipe_changes) == recipe
    if "lr" in suggestion.recipe_changes:
        assert f"{recipe.lr:g}" in suggestion.label
    if "epochs" in suggestion.recipe_changes:
        assert f"{recipe.epochs}" in suggestion.label
    if suggestion.architecture:
        architecture = Architecture.from_json(suggestion.architecture)
        assert validate(architecture) == ()
        assert architecture.digest != given_signs.architecture.digest


def finding(given_signs: TrainingMetrics, given_course: MetricHistory | None = None) -> Diagnosis:
    """The diagnosis, its suggestion tried and its line in the log read back."""
    found = diagnose(given_signs, given_course or course())
    check_suggestion(found, given_signs)
    event = Diagnosed(
        step=1,
        elapsed_s=1,
        diagnosis=found.code,
        message=found.message,
        figures=found.evidence,
        suggestion=found.suggestion,
    )
    assert parse_event(serialize_event(event)) == event
    assert found.message.endswith(".")
    assert all(math.isfinite(figure) for figure in found.evidence.values())
    return found


def test_a_healthy_run_is_told_so_and_nothing_else():
    found = finding(signs())
    assert (found.code, found.message, found.suggestion) == ("learning", "Learning well.", None)
    assert found.evidence == {"train_accuracy": 0.97, "validation_accuracy": 0.975}
    early = finding(
        signs(step=40, epochs_trained=0.1, train_accuracy=0.5, validation_accuracy=0.6, recent_loss=1.2),
        MetricHistory(),
    )
    assert (early.code, early.message) == ("learning", "Learning.")


def test_a_climbing_loss():
    found = finding(signs(recent_loss=1.75, lr=0.02, recipe=Recipe(lr=0.02)), course(best_loss=0.25))
    assert found.code == "diverging"
    assert "it was 0.25 and is 1.75" in found.message
    assert found.evidence == {"best_loss": 0.25, "recent_loss": 1.75, "lr": 0.02}
    assert found.suggestion.recipe_changes == {"lr": 0.002}
    assert not found.suggestion.requires_restart
    assert finding(signs(recent_loss=0.7), course(best_loss=0.25)).code == "learning", "less than half a unit"
    assert finding(signs(recent_loss=3.9), course(best_loss=2.0)).code == "learning", "less than twice"
    assert finding(signs(recent_loss=9.0), MetricHistory()).code == "learning", "nothing to compare with"
    assert finding(signs(recent_loss=1.5), course(last_loss=2.0)).code == "learning", "it falls again"


def test_exploding_gradients():
    gradients = (LayerGradient("layer 1 (Convolution)", 300.0, 9), LayerGradient("layer 8 (Output)", 400.0, 640))
    found = finding(signs(layer_gradients=gradients, recipe=Recipe(lr=0.01)))
    assert found.code == "exploding_gradients"
    assert "500" in found.message
    assert "layer 8 (Output)" in found.message
    assert found.evidence == {"gradient_norm": 500.0, "lr": 1e-3}
    assert found.suggestion.recipe_changes == {"lr": 0.001}
    calm = (LayerGradient("layer 1 (Convolution)", 60.0, 9), LayerGradient("layer 8 (Output)", 79.0, 640))
    assert finding(signs(layer_gradients=calm)).code == "learning"


@pytest.mark.parametrize(
    ("dead", "channels", "told"),
    [(30, 32, True), (5, 32, False), (32, 32, True), (8, 8, True), (0, 8, False), (1, 1, False)],
)
def test_dead_relus(dead: int, channels: int, told: bool):
    layers = (DeadChannels("layer 3 (Convolution)", dead, channels), DeadChannels("layer 1 (Convolution)", 0, 8))
    found = finding(signs(dead_channels=layers, recipe=Recipe(lr=0.03)))
    assert found.code == ("dead_relu" if told else "learning")
    if told:
        assert f"{dead} of {channels} channels of layer 3 (Convolution)" in found.message
        assert found.evidence == {"dead": float(dead), "channels": float(channels), "lr": 1e-3}
        assert found.suggestion.requires_restart
        assert found.suggestion.recipe_changes == {"lr": 0.001}


def test_of_several_layers_the_one_with_the_largest_dead_share_is_named():
    layers = (
        DeadChannels("layer 1 (a)", 20, 32),
        DeadChannels("layer 2 (b)", 8, 8),
        DeadChannels("layer 3 (c)", 9, 16),
    )
    assert "8 of 8 channels of layer 2 (b)" in finding(signs(dead_channels=layers)).message


@pytest.mark.parametrize(("lr", "suggested"), [(1.0, 0.001), (0.003, 0.001), (0.0009, 0.0003), (1e-6, 1e-6)])
def test_dead_relus_suggest_a_shorter_step(lr: float, suggested: float):
    found = finding(signs(dead_channels=(DeadChannels("x", 8, 8),), recipe=Recipe(lr=lr)))
    assert found.suggestion.recipe_changes == {"lr": suggested}


def weak(**fields: Any) -> TrainingMetrics:
    gradients = (LayerGradient("layer 1 (Convolution)", 1e-6, 100), LayerGradient("layer 5 (Output)", 1e-2, 100))
    return signs(
        **(
            {"layer_gradients": gradients, "validation_accuracy": 0.3, "train_accuracy": 0.3, "architecture": SIGMOID}
            | fields
        )
    )


def test_vanishing_gradients_of_a_saturating_net():
    found = finding(weak())
    assert found.code == "vanishing_gradients"
    assert "layer 1 (Convolution) gets 1e-04 of what layer 5 (Output) gets" in found.message
    assert "Sigmoid flattens them" in found.message
    assert found.evidence == {"first_layer_gradient": pytest.approx(1e-7), "last_layer_gradient": pytest.approx(1e-3)}
    assert found.suggestion.requires_restart
    better = Architecture.from_json(found.suggestion.architecture)
    assert [getattr(layer, "activation", None) for layer in better.layers] == ["relu", "relu", None, "relu", "softmax"]


def test_vanishing_gradients_are_compared_by_weight_and_only_told_while_they_hurt():
    assert finding(weak(validation_accuracy=0.95, train_accuracy=0.95)).code == "learning"
    assert finding(weak(layer_gradients=weak().layer_gradients[:1])).code == "learning"
    # The same size for every weight, in a layer with ten thousand times as many of them.
    sizes = (LayerGradient("layer 1 (Convolution)", 1e-2, 100), LayerGradient("layer 5 (Output)", 1.0, 10**6))
    assert finding(weak(layer_gradients=sizes)).code == "learning"
    assert LayerGradient("x", 3.0, 9).rms == 1.0


def test_vanishing_gradients_of_a_net_without_such_activations_blame_none():
    found = finding(weak(architecture=GUIDE))
    assert found.code == "vanishing_gradients"
    assert found.suggestion is None
    assert "flattens" not in found.message


def test_an_activation_that_is_switched_off_is_not_blamed():
    layers = (Conv2d(out_channels=8), Activation(activation="sigmoid", enabled=False), Flatten(), Output())
    found = finding(weak(architecture=Architecture(layers=layers)))
    assert found.code == "vanishing_gradients"
    assert "Sigmoid" not in found.message
    assert found.suggestion is None


def test_an_activation_inside_of_a_block_is_found_and_replaced():
    inner = Residual(layers=(Conv2d(out_channels=8, padding="same", activation="sigmoid"),), activation="none")
    found = finding(weak(architecture=Architecture(layers=(inner, Flatten(), Output()))))
    assert "Sigmoid flattens them" in found.message
    (block, *_) = Architecture.from_json(found.suggestion.architecture).layers
    assert block.layers[0].activation == "relu"  # type: ignore[union-attr]


def test_a_cure_leaves_frozen_layers_as_they_are():
    frozen = SIGMOID.freeze_up_to(0)
    assert find_saturating_activation(frozen) == "sigmoid"
    assert [getattr(layer, "activation", None) for layer in replace_saturating_with_relu(frozen).layers[:4]] == [
        "sigmoid",
        "relu",
        None,
        "relu",
    ]
    wider = suggest_less_regularization(frozen, Recipe())
    assert wider is not None
    first, *_, linear, _ = Architecture.from_json(wider.architecture).layers
    assert isinstance(first, Conv2d)
    assert isinstance(linear, Linear)
    assert (first.out_channels, linear.out_features) == (8, 64)


def test_few_batches_are_no_reason_to_blame_the_learning_rate():
    found = finding(
        signs(step=15, epochs_trained=1.0, validation_accuracy=0.11, train_accuracy=0.1, recipe=Recipe(epochs=2))
    )
    assert found.code == "few_steps"
    assert "11%" in found.message
    assert "15 batches only" in found.message
    assert found.evidence["steps"] == 15.0
    assert found.suggestion.recipe_changes == {"epochs": 14}


@pytest.mark.parametrize(
    ("lr", "optimizer", "name", "suggested"),
    [
        (100.0, None, "lr_too_high", 0.001),
        (0.002, None, "lr_too_high", 0.001),
        (1e-6, None, "lr_too_low", 0.001),
        (1e-3, None, "lr_too_low", 0.01),
        (5.0, Sgd(), "lr_too_high", 0.05),
        (1e-4, Sgd(), "lr_too_low", 0.05),
        (1.0, Adagrad(), "lr_too_high", 0.01),
        (1e-4, AdamW(), "lr_too_low", 0.001),
        (1e-4, RmsProp(), "lr_too_low", 0.001),
    ],
)
def test_a_net_that_only_guesses(lr: float, optimizer: Any, name: str, suggested: float):
    recipe = Recipe(lr=lr, **({"optimizer": optimizer} if optimizer else {}))
    found = finding(
        signs(recipe=recipe, lr=lr, train_accuracy=0.1, validation_accuracy=0.11, recent_loss=2.3),
        course(best_loss=2.3),
    )
    assert found.code == name
    assert "11% is what guessing gives" in found.message or "far above the usual" in found.message
    assert f"{lr:g}" in found.message
    assert found.suggestion.recipe_changes == {"lr": suggested}


@pytest.mark.parametrize(
    ("classes", "accuracy", "measured", "stuck"),
    [
        (10, 0.14, 1000, True),
        (10, 0.20, 1000, False),
        (10, 0.20, 30, True),
        (2, 0.54, 1000, True),
        (2, 0.65, 1000, False),
        (100, 0.05, 1000, False),
    ],
)
def test_guessing_depends_on_classes_and_chance(classes: int, accuracy: float, measured: int, stuck: bool):
    fields = {
        "architecture": Architecture(classes=classes, layers=(Flatten(), Output())),
        "validation_accuracy": accuracy,
        "label_counts": (measured // classes,) * classes if measured >= classes else (measured,),
    }
    assert signs(**fields).is_at_chance_level is stuck
    assert not signs(**fields, epochs_trained=0.1).is_at_chance_level
    assert not signs(**fields, step=9).is_at_chance_level


def test_an_accuracy_that_falls_at_a_high_learning_rate():
    given_signs = signs(validation_accuracy=0.80, train_accuracy=0.81, recipe=Recipe(lr=0.0123), lr=0.0123)
    found = finding(given_signs, course(best_validation_accuracy=0.93))
    assert found.code == "lr_too_high"
    assert "(0.0123)" in found.message
    assert "from 93.0% to 80.0%" in found.message
    assert found.suggestion.recipe_changes == {"lr": 0.001}
    slow = signs(validation_accuracy=0.80, train_accuracy=0.81)
    assert finding(slow, course(best_validation_accuracy=0.93)).code == "learning", "the learning rate is a usual one"


def test_the_learning_rate_named_as_too_high_is_the_one_that_can_be_lowered():
    """A schedule may stand far below the recipe's learning rate in that moment."""
    recipe = Recipe(lr=5e-3, schedule=OneCycle(), epochs=4)
    given_signs = signs(validation_accuracy=0.80, train_accuracy=0.81, recipe=recipe, lr=2e-4)
    found = finding(given_signs, course(best_validation_accuracy=0.93))
    assert found.code == "lr_too_high"
    assert "0.005" in found.message
    assert "0.0002)" not in found.message


def test_batches_that_will_still_come_are_waited_for():
    given_signs = signs(
        step=15, epochs_trained=1.0, validation_accuracy=0.1, train_accuracy=0.1, recipe=Recipe(epochs=20)
    )
    assert finding(given_signs).code == "learning"


def test_a_loss_that_crawls():
    recipe = Recipe(lr=1e-5)
    found = finding(
        signs(recipe=recipe, recent_loss=2.0, validation_accuracy=0.5, train_accuracy=0.5), course(best_loss=2.0)
    )
    assert found.code == "lr_too_low"
    assert "guessing gives a loss of 2.30, and after 430 batches it is 2.00" in found.message
    assert "1e-05" in found.message
    assert found.suggestion.recipe_changes == {"lr": 1e-4}
    usual = signs(recipe=Recipe(lr=1e-3), recent_loss=2.0, validation_accuracy=0.5, train_accuracy=0.5)
    assert finding(usual, course(best_loss=2.0)).code == "learning"


def test_a_class_that_is_never_answered():
    answers = (120, 0, 110, 100, 100, 100, 100, 100, 0, 270)
    found = finding(signs(predicted_counts=answers))
    assert found.code == "class_never_predicted"
    assert "never answers 1, 8: these classes are" in found.message
    assert found.evidence == {"answers_1": 0.0, "answers_8": 0.0}
    assert found.suggestion.recipe_changes == {"epochs": 3}
    single = finding(signs(predicted_counts=(0, *[100] * 9)))
    assert "never answers 0: this class is" in single.message
    rare = (9, *[100] * 9)
    assert finding(signs(predicted_counts=(0, *[100] * 9), label_counts=rare)).code == "learning"


def test_overfitting_and_too_little_data_tell_the_gap():
    gap = {"train_accuracy": 0.999, "validation_accuracy": 0.913, "validation_loss": 0.3}
    much = finding(signs(**gap))
    assert much.code == "overfitting"
    assert "99.9% on the images it trains on, 91.3% on others" in much.message
    assert much.evidence["gap"] == pytest.approx(0.086)
    assert [item["kind"] for item in much.suggestion.recipe_changes["augmentation"]] == ["shift", "rotate", "scale"]
    little = finding(signs(**gap, train_size=100, recipe=Recipe(limit=100, batch_size=10)))
    assert little.code == "too_little_data"
    assert "100 images, 10 a class" in little.message
    assert "99.9%" in little.message
    assert "91.3%" in little.message
    assert little.evidence["train_size"] == 100.0
    assert little.suggestion.recipe_changes == {"limit": None}
    assert little.suggestion.requires_restart
    small = finding(signs(**gap, train_size=1999))
    assert (small.code, set(small.suggestion.recipe_changes)) == ("too_little_data", {"augmentation"})
    assert finding(signs(**gap, train_size=2000)).code == "overfitting"
    assert finding(signs(**gap, recipe=Recipe(augmentation=(Flip(),)))).suggestion is None
    assert finding(signs(**gap, epochs_trained=0.9)).code == "learning"
    assert finding(signs(**(gap | {"validation_loss": 0.08}))).code == "learning", "other images still gain by it"
    assert finding(signs(train_accuracy=0.99, validation_accuracy=0.961)).code == "learning"


def flat(**fields: Any) -> Diagnosis:
    usual = {"epochs_trained": 3.0, "train_accuracy": 0.60, "validation_accuracy": 0.61}
    return finding(signs(**(usual | fields)), course(best_validation_accuracy=0.61, epoch_accuracies=[0.4, 0.598]))


def test_underfitting_tells_the_rise_and_takes_away_what_holds_the_net_back():
    found = flat()
    assert found.code == "underfitting"
    assert "60.0% even on the images" in found.message
    assert "+0.2% in an epoch" in found.message
    assert found.evidence["rise"] == pytest.approx(0.002)
    assert flat(recipe=Recipe(weight_decay=0.1, augmentation=(Flip(),))).suggestion.recipe_changes == {
        "weight_decay": 0.0
    }
    assert flat(recipe=Recipe(lr=3e-4, augmentation=(Flip(),))).suggestion.recipe_changes == {"lr": 1e-3}
    assert flat(recipe=Recipe(augmentation=(Flip(),))).suggestion.recipe_changes == {"augmentation": []}
    assert flat(epochs=2.5).code == "learning", "it rose in the last whole epoch"
    assert flat(lr=1e-5).code == "learning", "the schedule is at its end"
    assert flat(validation_accuracy=0.96).code == "learning", "training is hard on purpose"
    assert flat(train_accuracy=0.62).code == "learning", "it still rises"
    assert flat(train_accuracy=0.96, validation_accuracy=0.96).code == "learning"


def test_underfitting_makes_the_net_wider():
    layers = (Conv2d(out_channels=1), MaxPool2d(), Flatten(), Linear(out_features=2), Output())
    found = flat(architecture=Architecture(layers=layers))
    assert found.suggestion.requires_restart
    wider = Architecture.from_json(found.suggestion.architecture).layers
    assert (wider[0].out_channels, wider[3].out_features) == (2, 4)  # type: ignore[union-attr]


WIDE = {
    "groups that no longer divide": (Conv2d(out_channels=384), Conv2d(out_channels=384, groups=3), Flatten(), Output()),
    "a wide linear layer": (MaxPool2d(kernel_size=4), Flatten(), Linear(out_features=4096), Output()),
    "as wide as can be": (MaxPool2d(kernel_size=14), Flatten(), Linear(out_features=2048), Output()),
    "too many parameters": (Flatten(), *[Linear(out_features=2048)] * 11, Output()),
    "only an output": (Flatten(), Output()),
    "a block": (Residual(layers=(Conv2d(out_channels=2, padding="same"),)), Flatten(), Output()),
}


@pytest.mark.parametrize("name", WIDE)
def test_a_wider_net_is_wider_and_can_be_trained_or_is_not_suggested(name: str):
    architecture = Architecture(layers=WIDE[name])
    assert validate(architecture) == ()
    found = flat(architecture=architecture)
    assert found.code == "underfitting"
    if found.suggestion and found.suggestion.architecture:
        wider = Architecture.from_json(found.suggestion.architecture)
        assert "twice the channels" in found.suggestion.label
        assert sum(map(_width, wider.layers)) > sum(map(_width, architecture.layers))


def _width(layer: Any) -> int:
    if isinstance(layer, Residual):
        return sum(map(_width, layer.layers))
    return getattr(layer, "out_channels", 0) + getattr(layer, "out_features", 0)


def test_the_course_remembers_the_best_and_every_epoch():
    looked = update_metric_history(
        MetricHistory(), signs(recent_loss=2.0, epochs_trained=0.5, validation_accuracy=0.3, validation_loss=1.5)
    )
    assert looked == MetricHistory(2.0, 2.0, 0.3, 1.5, [])
    worse = {"recent_loss": 3.0, "epochs_trained": 1.0, "validation_accuracy": 0.2, "validation_loss": 1.0}
    looked = update_metric_history(looked, signs(**worse, train_accuracy=0.4))
    assert looked == MetricHistory(3.0, 2.0, 0.3, 1.0, [0.4])
    for epoch in range(2, 30):
        looked = update_metric_history(looked, signs(epochs_trained=float(epoch), train_accuracy=epoch / 100))
    assert looked.epoch_accuracies == [epoch / 100 for epoch in range(20, 30)]


def test_a_net_that_knows_its_images_by_heart_is_not_one_that_only_guesses():
    given_signs = signs(train_accuracy=0.99, validation_accuracy=0.12, train_size=100, recipe=Recipe(limit=100))
    assert finding(given_signs).code == "too_little_data"


def test_a_handful_of_batches_does_not_make_a_net_too_small():
    given_signs = signs(step=6, epochs_trained=2.0, train_accuracy=0.3, validation_accuracy=0.3, train_size=12)
    assert finding(given_signs, course(epoch_accuracies=[0.3])).code != "underfitting"


def test_the_gravest_finding_comes_first():
    everything = {
        "recent_loss": 5.0,
        "dead_channels": (DeadChannels("x", 8, 8),),
        "layer_gradients": (LayerGradient("a", 1e-9, 1), LayerGradient("b", 900.0, 1)),
        "validation_accuracy": 0.1,
        "predicted_counts": (0, *[100] * 9),
        "epochs_trained": 2.0,
    }
    past = course(epoch_accuracies=[0.99], best_validation_accuracy=0.9)
    names = []
    for healed in (
        {},
        {"dead": ()},
        {"recent_loss": 0.1},
        {"layer_gradients": (LayerGradient("a", 1e-9, 1), LayerGradient("b", 9.0, 1))},
        {"layer_gradients": ()},
        {"validation_accuracy": 0.5},
        {"predicted_counts": (100,) * 10},
    ):
        everything |= healed
        names.append(finding(signs(**everything), past).code)
    assert names == [
        "dead_relu",
        "diverging",
        "exploding_gradients",
        "vanishing_gradients",
        "lr_too_low",
        "class_never_predicted",
        "overfitting",
    ]


_share = st.floats(0, 1)
_loss = st.floats(0, 50)


@given(data=st.data())
@settings(max_examples=150)
def test_whatever_the_figures_there_is_one_finding_and_it_can_be_followed(data: st.DataObject):
    draw = data.draw
    architecture, recipe = draw(strategies.architectures()), draw(strategies.recipes())
    classes = architecture.classes
    counts = st.lists(st.integers(0, 60), min_size=classes, max_size=classes).map(tuple)
    gradient = st.builds(LayerGradient, st.just("layer 1"), st.floats(0, 1e6), st.integers(1, 10**6))
    given_signs = TrainingMetrics(
        architecture=architecture,
        recipe=recipe,
        train_size=draw(st.integers(10, 60_000)),
        step=draw(st.integers(1, 10**5)),
        epochs_trained=draw(st.sampled_from((0.1, 0.5, 1.0, 1.5, 2.0, 7.0))),
        lr=recipe.lr,
        recent_loss=draw(_loss),
        train_accuracy=draw(_share),
        validation_accuracy=draw(_share),
        validation_loss=draw(_loss),
        dead_channels=draw(st.just(()) | st.just((DeadChannels("layer 1", 3, 4),))),
        layer_gradients=tuple(draw(st.lists(gradient, max_size=3))),
        predicted_counts=draw(counts),
        label_counts=draw(counts),
    )
    past = draw(
        st.just(MetricHistory()) | st.builds(MetricHistory, _loss, _loss, _share, _loss, st.lists(_share, max_size=3))
    )
    finding(given_signs, past)
    assert isinstance(update_metric_history(past, given_signs), MetricHistory)


# Runs that were made ill


def faint_images(count: int, seed: int, signal: int = 30) -> LabeledImages:
    """The tiny images, their squares hardly brighter than the noise around them."""
    plain = tiny_images(count, seed=seed, noise=2)
    noise = torch.randint(0, 200, plain.images.shape, generator=torch.Generator().manual_seed(seed + 50))
    return LabeledImages((noise + (plain.images > 100) * signal).to(torch.uint8), plain.labels)


def clear(count: int) -> Splits:
    return Splits(tiny_images(count), tiny_images(300, seed=1), tiny_images(30, seed=2))


def faint(count: int) -> Splits:
    return Splits(faint_images(count, 0), faint_images(300, 1), faint_images(30, 2))


def told_by(architecture: Architecture, splits: Splits, script: Script | None = None, **fields: Any) -> list[Diagnosis]:
    """What a run's log says about its health, each with a suggestion that can be followed."""
    cadence = EvaluationSchedule(max_evaluations_per_epoch=2, validation_subset_size=300, report_interval_s=1e9)
    trainer = make_trainer(architecture, tiny_recipe(**fields), splits=splits, evaluation_schedule=cadence)
    return [checked(event, trainer) for event in play(trainer, script) if event.kind == "diagnosed"]


def checked(event: Diagnosed, trainer: Trainer) -> Diagnosis:
    found = Diagnosis(event.diagnosis, event.message, event.metrics, event.suggestion)
    if found.suggestion:
        assert trainer.recipe.replace(**found.suggestion.recipe_changes)
        if found.suggestion.architecture:
            assert validate(Architecture.from_json(found.suggestion.architecture)) == ()
    return found


LINEAR = net(Flatten(), Output())
DEEP_SIGMOID = net(Flatten(), *[Linear(out_features=16, activation="sigmoid")] * 6, Output())


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        (PLAIN, {"lr": 1e-2}),
        (RICH, {"lr": 1e-2}),
        (PLAIN, {"lr": 5e-2, "optimizer": Sgd()}),
        (LINEAR, {"lr": 1e-2, "optimizer": AdamW(), "weight_decay": 0.01}),
    ],
    ids=["adam", "rich", "sgd", "linear"],
)
def test_healthy_runs_are_left_in_peace(architecture: Architecture, fields: dict[str, Any]):
    assert {found.code for found in told_by(architecture, clear(960), epochs=4, **fields)} == {"learning"}


def test_a_run_whose_relus_died():
    last = told_by(PLAIN, clear(960), lr=0.3)[-1]
    assert last.code == "dead_relu"
    assert last.suggestion.recipe_changes == {"lr": 0.001}
    cured = told_by(PLAIN, clear(960), epochs=4, **last.suggestion.recipe_changes)
    assert cured[-1].code == "learning"


def test_a_run_whose_gradients_vanish():
    told = told_by(DEEP_SIGMOID, clear(960), lr=1e-3)
    assert {found.code for found in told} == {"vanishing_gradients"}
    assert told[-1].evidence["first_layer_gradient"] < 1e-3 * told[-1].evidence["last_layer_gradient"]
    cured = told_by(Architecture.from_json(told[-1].suggestion.architecture), clear(960), lr=1e-2)
    assert cured[-1].code == "learning"


def test_a_run_that_diverges():
    script = Script({60: [UpdateHyperparameters(hyperparameters={"lr": 100.0})]})
    told = told_by(LINEAR, faint(960), script, lr=0.05, optimizer=Sgd(), epochs=4)
    assert "diverging" in {found.code for found in told}
    climbing = next(found for found in told if found.code == "diverging")
    assert climbing.evidence["recent_loss"] > 2 * climbing.evidence["best_loss"]
    assert climbing.suggestion.recipe_changes == {"lr": 10.0}


@pytest.mark.parametrize("activation", ["tanh", "gelu", "leaky_relu"])
def test_steps_far_too_long_are_named_where_nothing_can_die(activation: str):
    smooth = net(Flatten(), Linear(out_features=32, activation=activation), Output())  # type: ignore[arg-type]
    told = told_by(smooth, faint(960), lr=1.0, epochs=4)
    assert "lr_too_high" in [found.code for found in told]


def test_a_run_whose_steps_are_too_long():
    told = told_by(LINEAR, faint(960), lr=20.0, optimizer=Sgd(), epochs=6)
    (found, *_) = (found for found in told if found.code == "lr_too_high")
    assert found.suggestion.recipe_changes == {"lr": 0.05}


def test_a_run_whose_steps_are_too_short():
    told = told_by(PLAIN, clear(1920), lr=1e-5)
    assert [found.code for found in told][-1] == "lr_too_low"
    cured = told_by(PLAIN, clear(1920), epochs=4, **told[-1].suggestion.recipe_changes)
    assert cured[-1].code == "learning"


def test_a_run_that_learns_by_heart():
    wide = net(Flatten(), Linear(out_features=128), Linear(out_features=128), Output())
    told = told_by(wide, faint(630), lr=2e-3, epochs=40, batch_size=32)
    assert told[-1].code == "overfitting"
    assert told[-1].evidence["gap"] > 0.1
    few = told_by(wide, faint(90), lr=2e-3, epochs=20, batch_size=10)
    assert few[-1].code == "too_little_data"
    assert "90 images, 30 a class" in few[-1].message


def test_a_run_on_a_hundred_digits():
    trainer = Trainer(
        get_architecture_preset("dash").architecture,
        Recipe(limit=100, batch_size=10, epochs=8, validation_size=500, precision="float32", device="cpu"),
    )
    told = [event for event in trainer.run() if event.kind == "diagnosed"]
    assert told[-1].diagnosis == "too_little_data"
    assert "100 images, 10 a class" in told[-1].message
    assert told[-1].suggestion.label == "Train anew on all images"


def test_a_run_of_a_net_with_one_channel():
    layers = (Conv2d(out_channels=1, kernel_size=5, stride=3), MaxPool2d(), Flatten(), Output())
    recipe = Recipe(limit=2000, batch_size=32, lr=1e-2, epochs=12, validation_size=500, precision="float32")
    stream = list(Trainer(Architecture(layers=layers), recipe).run())
    told = [event for event in stream if event.kind == "diagnosed" and event.diagnosis == "underfitting"]
    assert told
    wider = Architecture.from_json(told[-1].suggestion.architecture)
    assert wider.layers[0].out_channels == 2  # type: ignore[union-attr]
    assert max(event.train_accuracy for event in stream if event.kind == "epoch_done") < 0.9


def test_a_run_in_which_a_class_is_hardly_there():
    many = tiny_images(960)
    kept = (many.labels != 2) | (torch.arange(960) < 12)
    splits = Splits(many.take(kept.nonzero().view(-1)), tiny_images(300, seed=1), tiny_images(30, seed=2))
    told = told_by(PLAIN, splits, lr=5e-3, epochs=3)
    missing = [found for found in told if found.code == "class_never_predicted"]
    assert missing
    assert "never answers 2" in missing[-1].message


def test_a_class_that_is_never_answered_is_called_by_its_name() -> None:
    found = diagnose(
        signs(
            step=500,
            epochs_trained=2.0,
            train_accuracy=0.8,
            validation_accuracy=0.8,
            predicted_counts=(0, 40, 60),
            label_counts=(30, 35, 35),
            class_names=("cat", "dog", "frog"),
        ),
        MetricHistory(),
    )
    assert "never answers cat:" in found.message
