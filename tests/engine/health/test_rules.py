"""Diagnosis rules: each rule on metrics made for it, none on healthy metrics, and real trainings."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core.architecture import Architecture
from playground.core.augmentations.flip import Flip
from playground.core.events import Diagnosed, Suggestion, UpdateHyperparameters, parse_event
from playground.core.layers import Activation, Conv2d, Flatten, Linear, MaxPool2d, Output, Residual
from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.core.schedules.one_cycle import OneCycle
from playground.core.validation import validate
from playground.engine.data.batch import LabeledImages
from playground.engine.data.splits import Splits
from playground.engine.health import rules
from playground.engine.health.diagnosis import Diagnosis, DiagnosisRule
from playground.engine.health.rules import DIAGNOSIS_RULES, HEALTHY_CODE, diagnose
from playground.engine.health.suggestions import (
    find_saturating_activation,
    replace_saturating_with_relu,
    suggest_less_regularization,
)
from playground.engine.health.training_metrics import (
    DeadChannels,
    LayerGradient,
    MetricHistory,
    TrainingMetrics,
    update_metric_history,
)
from playground.engine.runs.run_files import serialize_event
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.trainer import Trainer
from tests import strategies
from tests.engine.helpers import PLAIN, RICH, Script, make_trainer, net, play, tiny_images, tiny_recipe
from tests.narrowing import require, require_type

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


def make_metrics(**fields: Any) -> TrainingMetrics:
    """Metrics of a healthy run after its first epoch, with ``fields`` replaced."""
    usual: dict[str, Any] = {
        "architecture": GUIDE,
        "recipe": Recipe(),
        "train_size": 55_000,
        "step": 430,
        "epochs_trained": 1.0,
        "lr": 1e-3,
        "recent_loss": 0.1,
        "train_accuracy": 0.97,
        "train_accuracy_size": 2000,
        "epoch_accuracy": fields.get("train_accuracy", 0.97),
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


def make_history(**fields: Any) -> MetricHistory:
    usual: dict[str, Any] = {
        "last_loss": 0.1,
        "best_loss": 0.1,
        "best_validation_accuracy": 0.975,
        "best_validation_loss": 0.08,
        "epoch_accuracies": [],
        "evaluations_since_best_loss": 1,
    }
    return MetricHistory(**(usual | fields))


def suggested_architecture(suggestion: Suggestion | None) -> Architecture:
    return Architecture.from_json(require(require(suggestion).architecture))


def check_suggestion(diagnosis: Diagnosis, metrics: TrainingMetrics) -> None:
    """Assert that the suggestion can be applied, live or in a new run."""
    suggestion = diagnosis.suggestion
    if suggestion is None:
        return
    assert suggestion.label
    assert suggestion.recipe_changes or suggestion.architecture
    recipe = metrics.recipe.replace(**suggestion.recipe_changes)
    if not suggestion.requires_restart:
        assert suggestion.architecture is None, "a run's network cannot change while it trains"
        assert metrics.recipe.update_hyperparameters(suggestion.recipe_changes) == recipe
    if "lr" in suggestion.recipe_changes:
        assert f"{recipe.lr:g}" in suggestion.label
    if "epochs" in suggestion.recipe_changes:
        assert f"{recipe.epochs}" in suggestion.label
    if suggestion.architecture:
        architecture = Architecture.from_json(suggestion.architecture)
        assert validate(architecture) == ()
        assert architecture.digest != metrics.architecture.digest


def diagnose_and_check(metrics: TrainingMetrics, metric_history: MetricHistory | None = None) -> Diagnosis:
    """Diagnose, and assert that the suggestion can be applied and the event serialized."""
    diagnosis = diagnose(metrics, metric_history or make_history())
    check_suggestion(diagnosis, metrics)
    event = Diagnosed(
        step=1,
        elapsed_s=1,
        diagnosis=diagnosis.code,
        message=diagnosis.message,
        metrics=diagnosis.evidence,
        suggestion=diagnosis.suggestion,
    )
    assert parse_event(serialize_event(event)) == event
    assert diagnosis.message.endswith(".")
    assert all(math.isfinite(figure) for figure in diagnosis.evidence.values())
    return diagnosis


def test_healthy_run_gets_no_diagnosis() -> None:
    diagnosis = diagnose_and_check(make_metrics())
    assert (diagnosis.code, diagnosis.message, diagnosis.suggestion) == ("learning", "Going well.", None)
    assert diagnosis.evidence == {"train_accuracy": 0.97, "validation_accuracy": 0.975}
    early = diagnose_and_check(
        make_metrics(step=40, epochs_trained=0.1, train_accuracy=0.5, validation_accuracy=0.6, recent_loss=1.2),
        MetricHistory(),
    )
    assert (early.code, early.message) == ("learning", "Learning.")


def test_rising_loss_is_diverging() -> None:
    diagnosis = diagnose_and_check(
        make_metrics(recent_loss=1.75, lr=0.02, recipe=Recipe(lr=0.02)), make_history(best_loss=0.25)
    )
    assert diagnosis.code == "diverging"
    assert "rose from 0.25 to 1.75" in diagnosis.message
    assert diagnosis.evidence == {"best_loss": 0.25, "recent_loss": 1.75, "lr": 0.02}
    assert require(diagnosis.suggestion).recipe_changes == {"lr": 0.002}
    assert not require(diagnosis.suggestion).requires_restart
    assert diagnose_and_check(make_metrics(recent_loss=0.7), make_history(best_loss=0.25)).code == "learning", (
        "less than half a unit"
    )
    assert diagnose_and_check(make_metrics(recent_loss=3.9), make_history(best_loss=2.0)).code == "learning", (
        "less than twice"
    )
    assert diagnose_and_check(make_metrics(recent_loss=9.0), MetricHistory()).code == "learning", (
        "nothing to compare with"
    )
    assert diagnose_and_check(make_metrics(recent_loss=1.5), make_history(last_loss=2.0)).code == "learning", (
        "the loss falls again"
    )


def test_exploding_gradients() -> None:
    gradients = (LayerGradient("layer 1 (Convolution)", 300.0, 9), LayerGradient("layer 8 (Output)", 400.0, 640))
    diagnosis = diagnose_and_check(make_metrics(layer_gradients=gradients, recipe=Recipe(lr=0.01)))
    assert diagnosis.code == "exploding_gradients"
    assert "500" in diagnosis.message
    assert "layer 8 (Output)" in diagnosis.message
    assert diagnosis.evidence == {"gradient_norm": 500.0, "lr": 1e-3}
    assert require(diagnosis.suggestion).recipe_changes == {"lr": 0.001}
    calm = (LayerGradient("layer 1 (Convolution)", 60.0, 9), LayerGradient("layer 8 (Output)", 79.0, 640))
    assert diagnose_and_check(make_metrics(layer_gradients=calm)).code == "learning"


@pytest.mark.parametrize(
    ("dead", "channels", "diagnoses"),
    [(30, 32, True), (5, 32, False), (32, 32, True), (8, 8, True), (0, 8, False), (1, 1, False)],
)
def test_dead_relus(dead: int, channels: int, diagnoses: bool) -> None:
    layers = (DeadChannels("layer 3 (Convolution)", dead, channels), DeadChannels("layer 1 (Convolution)", 0, 8))
    diagnosis = diagnose_and_check(make_metrics(dead_channels=layers, recipe=Recipe(lr=0.03)))
    assert diagnosis.code == ("dead_relu" if diagnoses else "learning")
    if diagnoses:
        assert f"{dead} of {channels} channels of layer 3 (Convolution)" in diagnosis.message
        assert diagnosis.evidence == {"dead": float(dead), "channels": float(channels), "lr": 1e-3}
        assert require(diagnosis.suggestion).requires_restart
        assert require(diagnosis.suggestion).recipe_changes == {"lr": 0.001}


def test_layer_with_the_largest_dead_share_is_named() -> None:
    layers = (
        DeadChannels("layer 1 (a)", 20, 32),
        DeadChannels("layer 2 (b)", 8, 8),
        DeadChannels("layer 3 (c)", 9, 16),
    )
    assert "8 of 8 channels of layer 2 (b)" in diagnose_and_check(make_metrics(dead_channels=layers)).message


@pytest.mark.parametrize(("lr", "suggested"), [(1.0, 0.001), (0.003, 0.001), (0.0009, 0.0003), (1e-6, 1e-6)])
def test_dead_relus_suggest_a_lower_lr(lr: float, suggested: float) -> None:
    diagnosis = diagnose_and_check(make_metrics(dead_channels=(DeadChannels("x", 8, 8),), recipe=Recipe(lr=lr)))
    assert require(diagnosis.suggestion).recipe_changes == {"lr": suggested}


def make_vanishing_metrics(**fields: Any) -> TrainingMetrics:
    gradients = (LayerGradient("layer 1 (Convolution)", 1e-6, 100), LayerGradient("layer 5 (Output)", 1e-2, 100))
    return make_metrics(
        **(
            {"layer_gradients": gradients, "validation_accuracy": 0.3, "train_accuracy": 0.3, "architecture": SIGMOID}
            | fields
        )
    )


def test_vanishing_gradients_of_a_saturating_network_suggest_relu() -> None:
    diagnosis = diagnose_and_check(make_vanishing_metrics())
    assert diagnosis.code == "vanishing_gradients"
    assert "gradient of layer 1 (Convolution) is 1e-04 times that of layer 5 (Output)" in diagnosis.message
    assert "Sigmoid saturates" in diagnosis.message
    assert diagnosis.evidence == {
        "first_layer_gradient": pytest.approx(1e-7),
        "last_layer_gradient": pytest.approx(1e-3),
    }
    assert require(diagnosis.suggestion).requires_restart
    better = suggested_architecture(diagnosis.suggestion)
    assert [getattr(layer, "activation", None) for layer in better.layers] == ["relu", "relu", None, "relu", "softmax"]


def test_vanishing_gradients_compare_rms_and_need_low_accuracy() -> None:
    assert diagnose_and_check(make_vanishing_metrics(validation_accuracy=0.95, train_accuracy=0.95)).code == "learning"
    assert (
        diagnose_and_check(make_vanishing_metrics(layer_gradients=make_vanishing_metrics().layer_gradients[:1])).code
        == "learning"
    )
    # The same size for every weight, in a layer with ten thousand times as many of them.
    sizes = (LayerGradient("layer 1 (Convolution)", 1e-2, 100), LayerGradient("layer 5 (Output)", 1.0, 10**6))
    assert diagnose_and_check(make_vanishing_metrics(layer_gradients=sizes)).code == "learning"
    assert LayerGradient("x", 3.0, 9).rms == 1.0


def test_vanishing_gradients_without_saturating_activation_suggest_nothing() -> None:
    diagnosis = diagnose_and_check(make_vanishing_metrics(architecture=GUIDE))
    assert diagnosis.code == "vanishing_gradients"
    assert diagnosis.suggestion is None
    assert "saturates" not in diagnosis.message


def test_disabled_activation_is_not_named() -> None:
    layers = (Conv2d(out_channels=8), Activation(activation="sigmoid", enabled=False), Flatten(), Output())
    diagnosis = diagnose_and_check(make_vanishing_metrics(architecture=Architecture(layers=layers)))
    assert diagnosis.code == "vanishing_gradients"
    assert "Sigmoid" not in diagnosis.message
    assert diagnosis.suggestion is None


def test_activation_in_a_residual_block_is_found_and_replaced() -> None:
    inner = Residual(layers=(Conv2d(out_channels=8, padding="same", activation="sigmoid"),), activation="none")
    diagnosis = diagnose_and_check(
        make_vanishing_metrics(architecture=Architecture(layers=(inner, Flatten(), Output())))
    )
    assert "Sigmoid saturates" in diagnosis.message
    block = require_type(suggested_architecture(diagnosis.suggestion).layers[0], Residual)
    assert require_type(block.layers[0], Conv2d).activation == "relu"


def test_suggestions_do_not_change_frozen_layers() -> None:
    frozen = SIGMOID.freeze_up_to(0)
    assert find_saturating_activation(frozen) == "sigmoid"
    assert [getattr(layer, "activation", None) for layer in replace_saturating_with_relu(frozen).layers[:4]] == [
        "sigmoid",
        "relu",
        None,
        "relu",
    ]
    first, *_, linear, _ = suggested_architecture(suggest_less_regularization(frozen, Recipe())).layers
    assert require_type(first, Conv2d).out_channels == 8
    assert require_type(linear, Linear).out_features == 64


def test_few_batches_do_not_blame_the_learning_rate() -> None:
    diagnosis = diagnose_and_check(
        make_metrics(step=15, epochs_trained=1.0, validation_accuracy=0.11, train_accuracy=0.1, recipe=Recipe(epochs=2))
    )
    assert diagnosis.code == "few_steps"
    assert "11%" in diagnosis.message
    assert "only 15 batches" in diagnosis.message
    assert diagnosis.evidence["steps"] == 15.0
    assert require(diagnosis.suggestion).recipe_changes == {"epochs": 14}


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
def test_accuracy_at_chance_level_blames_the_learning_rate(
    lr: float, optimizer: Any, name: str, suggested: float
) -> None:
    recipe = Recipe(lr=lr, **({"optimizer": optimizer} if optimizer else {}))
    diagnosis = diagnose_and_check(
        make_metrics(recipe=recipe, lr=lr, train_accuracy=0.1, validation_accuracy=0.11, recent_loss=2.3),
        make_history(best_loss=2.3),
    )
    assert diagnosis.code == name
    assert "(11%) is at chance level" in diagnosis.message or "far above the usual" in diagnosis.message
    assert f"{lr:g}" in diagnosis.message
    assert require(diagnosis.suggestion).recipe_changes == {"lr": suggested}


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
def test_chance_level_depends_on_classes_and_sample_size(
    classes: int, accuracy: float, measured: int, stuck: bool
) -> None:
    fields = {
        "architecture": Architecture(classes=classes, layers=(Flatten(), Output())),
        "validation_accuracy": accuracy,
        "train_accuracy": accuracy,
        "train_accuracy_size": measured,
        "label_counts": (measured // classes,) * classes if measured >= classes else (measured,),
    }
    assert make_metrics(**fields).is_at_chance_level is stuck
    assert not make_metrics(**fields, epochs_trained=0.1).is_at_chance_level
    assert not make_metrics(**fields, step=9).is_at_chance_level


def test_accuracy_drop_at_high_lr() -> None:
    metrics = make_metrics(validation_accuracy=0.80, train_accuracy=0.81, recipe=Recipe(lr=0.0123), lr=0.0123)
    diagnosis = diagnose_and_check(metrics, make_history(best_validation_accuracy=0.93))
    assert diagnosis.code == "lr_too_high"
    assert "(0.0123)" in diagnosis.message
    assert "from 93.0% to 80.0%" in diagnosis.message
    assert require(diagnosis.suggestion).recipe_changes == {"lr": 0.001}
    slow = make_metrics(validation_accuracy=0.80, train_accuracy=0.81)
    assert diagnose_and_check(slow, make_history(best_validation_accuracy=0.93)).code == "learning", (
        "the learning rate is typical"
    )


def test_message_names_the_recipe_lr_not_the_scheduled_one() -> None:
    """A schedule can be far below the recipe's learning rate at that step."""
    recipe = Recipe(lr=2e-2, schedule=OneCycle(), epochs=4)
    metrics = make_metrics(validation_accuracy=0.80, train_accuracy=0.81, recipe=recipe, lr=2e-4)
    diagnosis = diagnose_and_check(metrics, make_history(best_validation_accuracy=0.93))
    assert diagnosis.code == "lr_too_high"
    assert "(0.02)" in diagnosis.message
    assert "0.0002)" not in diagnosis.message


def test_usual_lr_depends_on_the_schedule() -> None:
    metrics = make_metrics(recipe=get_recipe_preset("sprint").recipe, train_accuracy=0.8, validation_accuracy=0.8)
    assert metrics.usual_lr == pytest.approx(5 * metrics.typical_lr)
    assert diagnose_and_check(metrics, make_history(best_validation_accuracy=0.9)).code == "learning"
    constant = make_metrics(recipe=Recipe(lr=6e-3), train_accuracy=0.8, validation_accuracy=0.8)
    assert diagnose_and_check(constant, make_history(best_validation_accuracy=0.9)).code == "lr_too_high"


def test_validation_accuracy_alone_does_not_prove_that_nothing_is_learned() -> None:
    """With batch norm, the validation accuracy lags behind the training accuracy at first."""
    normalized = get_architecture_preset("normalized").architecture
    early = {"step": 40, "epochs_trained": 0.4, "validation_accuracy": 0.1, "recent_loss": 1.0}
    metrics = make_metrics(architecture=normalized, train_accuracy=0.7, **early)
    assert diagnose_and_check(metrics, MetricHistory()).code == "learning"
    small = {"step": 40, "epochs_trained": 5.0, "validation_accuracy": 0.6, "train_accuracy": 0.99, "train_size": 500}
    assert diagnose_and_check(make_metrics(architecture=normalized, **small)).code == "learning"
    assert diagnose_and_check(make_metrics(**small)).code == "too_little_data"


def test_high_validation_accuracy_contradicts_a_too_high_lr() -> None:
    metrics = make_metrics(recipe=Recipe(lr=0.1), train_accuracy=0.81, validation_accuracy=0.955)
    assert diagnose_and_check(metrics).code == "learning"


def test_few_steps_waits_for_remaining_epochs() -> None:
    metrics = make_metrics(
        step=15, epochs_trained=1.0, validation_accuracy=0.1, train_accuracy=0.1, recipe=Recipe(epochs=20)
    )
    assert diagnose_and_check(metrics).code == "learning"


def test_slow_learning_blames_a_low_lr() -> None:
    recipe = Recipe(lr=1e-5)
    diagnosis = diagnose_and_check(
        make_metrics(recipe=recipe, recent_loss=2.0, validation_accuracy=0.5, train_accuracy=0.5),
        make_history(best_loss=2.0),
    )
    assert diagnosis.code == "lr_too_low"
    assert "after 430 batches the loss is 2.00; guessing has 2.30" in diagnosis.message
    assert "1e-05" in diagnosis.message
    assert require(diagnosis.suggestion).recipe_changes == {"lr": 1e-4}
    usual = make_metrics(recipe=Recipe(lr=1e-3), recent_loss=2.0, validation_accuracy=0.5, train_accuracy=0.5)
    assert diagnose_and_check(usual, make_history(best_loss=2.0)).code == "learning"


def test_never_predicted_classes() -> None:
    answers = (120, 0, 110, 100, 100, 100, 100, 100, 0, 270)
    diagnosis = diagnose_and_check(make_metrics(predicted_counts=answers))
    assert diagnosis.code == "class_never_predicted"
    assert "Never predicted: 1, 8." in diagnosis.message
    assert diagnosis.evidence == {"answers_1": 0.0, "answers_8": 0.0}
    assert require(diagnosis.suggestion).recipe_changes == {"epochs": 3}
    single = diagnose_and_check(make_metrics(predicted_counts=(0, *[100] * 9)))
    assert "Never predicted: 0." in single.message
    rare = (9, *[100] * 9)
    assert diagnose_and_check(make_metrics(predicted_counts=(0, *[100] * 9), label_counts=rare)).code == "learning"


def test_overfitting_and_too_little_data_by_training_size() -> None:
    gap = {"train_accuracy": 0.999, "validation_accuracy": 0.913, "validation_loss": 0.3}
    much = diagnose_and_check(make_metrics(**gap))
    assert much.code == "overfitting"
    assert "training accuracy is 99.9%, validation accuracy 91.3%" in much.message
    assert much.evidence["gap"] == pytest.approx(0.086)
    assert [item["kind"] for item in require(much.suggestion).recipe_changes["augmentation"]] == [
        "shift",
        "rotate",
        "scale",
    ]
    little = diagnose_and_check(make_metrics(**gap, train_size=100, recipe=Recipe(limit=100, batch_size=10)))
    assert little.code == "too_little_data"
    assert "100 images, 10 per class" in little.message
    assert "99.9%" in little.message
    assert "91.3%" in little.message
    assert little.evidence["train_size"] == 100.0
    assert require(little.suggestion).recipe_changes == {"limit": None}
    assert require(little.suggestion).requires_restart
    small = diagnose_and_check(make_metrics(**gap, train_size=1999))
    assert (small.code, set(require(small.suggestion).recipe_changes)) == ("too_little_data", {"augmentation"})
    assert diagnose_and_check(make_metrics(**gap, train_size=2000)).code == "overfitting"
    assert diagnose_and_check(make_metrics(**gap, recipe=Recipe(augmentation=(Flip(),)))).suggestion is None
    assert diagnose_and_check(make_metrics(**gap, epochs_trained=0.9)).code == "learning"
    assert diagnose_and_check(make_metrics(**(gap | {"validation_loss": 0.08}))).code == "learning", (
        "the validation loss is still at its best"
    )
    assert diagnose_and_check(make_metrics(train_accuracy=0.99, validation_accuracy=0.961)).code == "learning"


def test_one_bad_evaluation_is_not_overfitting() -> None:
    gap = {"train_accuracy": 0.961, "validation_accuracy": 0.90, "validation_loss": 0.2575}
    for earlier, code in ((0, "learning"), (1, "overfitting")):
        history = make_history(best_validation_loss=0.2309, evaluations_since_best_loss=earlier)
        assert diagnose_and_check(make_metrics(**gap), history).code == code


def diagnose_plateau(**fields: Any) -> Diagnosis:
    usual = {"epochs_trained": 3.0, "train_accuracy": 0.60, "validation_accuracy": 0.61}
    return diagnose_and_check(
        make_metrics(**(usual | fields)), make_history(best_validation_accuracy=0.61, epoch_accuracies=[0.4, 0.598])
    )


def test_underfitting_suggests_less_regularization() -> None:
    diagnosis = diagnose_plateau()
    assert diagnosis.code == "underfitting"
    assert "only 60.0%" in diagnosis.message
    assert "+0.2% in the last epoch" in diagnosis.message
    assert diagnosis.evidence["rise"] == pytest.approx(0.002)
    assert require(
        diagnose_plateau(recipe=Recipe(weight_decay=0.1, augmentation=(Flip(),))).suggestion
    ).recipe_changes == {"weight_decay": 0.0}
    assert require(diagnose_plateau(recipe=Recipe(lr=3e-4, augmentation=(Flip(),))).suggestion).recipe_changes == {
        "lr": 1e-3
    }
    assert require(diagnose_plateau(recipe=Recipe(augmentation=(Flip(),))).suggestion).recipe_changes == {
        "augmentation": []
    }
    assert diagnose_plateau(epochs_trained=2.5).code == "learning", "it rose in the last whole epoch"
    assert diagnose_plateau(lr=1e-5).code == "learning", "the schedule is at its end"
    assert diagnose_plateau(validation_accuracy=0.96).code == "learning", "augmentation makes training harder"
    assert diagnose_plateau(train_accuracy=0.62).code == "learning", "it still rises"
    assert diagnose_plateau(train_accuracy=0.96, validation_accuracy=0.96).code == "learning"


def test_underfitting_suggests_a_wider_network() -> None:
    layers = (Conv2d(out_channels=1), MaxPool2d(), Flatten(), Linear(out_features=2), Output())
    diagnosis = diagnose_plateau(architecture=Architecture(layers=layers))
    assert require(diagnosis.suggestion).requires_restart
    wider = suggested_architecture(diagnosis.suggestion).layers
    assert require_type(wider[0], Conv2d).out_channels == 2
    assert require_type(wider[3], Linear).out_features == 4


WIDE = {
    "groups that no longer divide": (Conv2d(out_channels=384), Conv2d(out_channels=384, groups=3), Flatten(), Output()),
    "a wide linear layer": (MaxPool2d(kernel_size=4), Flatten(), Linear(out_features=4096), Output()),
    "as wide as can be": (MaxPool2d(kernel_size=14), Flatten(), Linear(out_features=2048), Output()),
    "too many parameters": (Flatten(), *[Linear(out_features=2048)] * 11, Output()),
    "only an output": (Flatten(), Output()),
    "a block": (Residual(layers=(Conv2d(out_channels=2, padding="same"),)), Flatten(), Output()),
}


@pytest.mark.parametrize("name", WIDE)
def test_suggested_wider_network_is_valid(name: str) -> None:
    architecture = Architecture(layers=WIDE[name])
    assert validate(architecture) == ()
    diagnosis = diagnose_plateau(architecture=architecture)
    assert diagnosis.code == "underfitting"
    if diagnosis.suggestion and diagnosis.suggestion.architecture:
        wider = suggested_architecture(diagnosis.suggestion)
        assert "twice the channels" in require(diagnosis.suggestion).label
        assert sum(map(_width, wider.layers)) > sum(map(_width, architecture.layers))


def _width(layer: Any) -> int:
    if isinstance(layer, Residual):
        return sum(map(_width, layer.layers))
    return getattr(layer, "out_channels", 0) + getattr(layer, "out_features", 0)


def test_metric_history_keeps_best_values_and_ten_epochs() -> None:
    history = update_metric_history(
        MetricHistory(), make_metrics(recent_loss=2.0, epochs_trained=0.5, validation_accuracy=0.3, validation_loss=1.5)
    )
    assert history == MetricHistory(2.0, 2.0, 0.3, 1.5, [])
    worse = {"recent_loss": 3.0, "epochs_trained": 1.0, "validation_accuracy": 0.2, "validation_loss": 1.0}
    history = update_metric_history(history, make_metrics(**worse, train_accuracy=0.4))
    assert history == MetricHistory(3.0, 2.0, 0.3, 1.0, [0.4])
    for epoch in range(2, 30):
        history = update_metric_history(history, make_metrics(epochs_trained=float(epoch), train_accuracy=epoch / 100))
    assert history.evaluations_since_best_loss == 27  # after the first, which had a lower loss than before
    assert history.epoch_accuracies == [epoch / 100 for epoch in range(20, 30)]


def test_memorized_images_are_too_little_data_rather_than_no_learning() -> None:
    metrics = make_metrics(train_accuracy=0.99, validation_accuracy=0.12, train_size=100, recipe=Recipe(limit=100))
    assert diagnose_and_check(metrics).code == "too_little_data"


def test_few_batches_are_not_underfitting() -> None:
    metrics = make_metrics(step=6, epochs_trained=2.0, train_accuracy=0.3, validation_accuracy=0.3, train_size=12)
    assert diagnose_and_check(metrics, make_history(epoch_accuracies=[0.3])).code != "underfitting"


def test_most_severe_diagnosis_comes_first() -> None:
    everything = {
        "recent_loss": 5.0,
        "dead_channels": (DeadChannels("x", 8, 8),),
        "layer_gradients": (LayerGradient("a", 1e-9, 1), LayerGradient("b", 900.0, 1)),
        "validation_accuracy": 0.1,
        "train_accuracy": 0.1,
        "predicted_counts": (0, *[100] * 9),
        "epochs_trained": 2.0,
    }
    past = make_history(epoch_accuracies=[0.99], best_validation_accuracy=0.9)
    names = []
    for changes in (
        {},
        {"dead_channels": ()},
        {"recent_loss": 0.1},
        {"layer_gradients": (LayerGradient("a", 1e-9, 1), LayerGradient("b", 9.0, 1))},
        {"layer_gradients": ()},
        {"validation_accuracy": 0.65, "train_accuracy": 0.97},
        {"predicted_counts": (100,) * 10},
    ):
        everything |= changes
        names.append(diagnose_and_check(make_metrics(**everything), past).code)
    assert names == [
        "dead_relu",
        "diverging",
        "exploding_gradients",
        "vanishing_gradients",
        "lr_too_low",
        "class_never_predicted",
        "overfitting",
    ]


EXAMPLES: tuple[tuple[TrainingMetrics, MetricHistory], ...] = (
    (make_metrics(dead_channels=(DeadChannels("x", 8, 8),)), make_history()),
    (make_metrics(recent_loss=1.75), make_history(best_loss=0.25)),
    (make_metrics(layer_gradients=(LayerGradient("x", 900.0, 9),)), make_history()),
    (make_metrics(recipe=Recipe(lr=1.0), train_accuracy=0.5, validation_accuracy=0.5), make_history()),
    (make_vanishing_metrics(), make_history()),
    (make_metrics(train_accuracy=0.999, validation_accuracy=0.9, train_size=100), make_history()),
    (make_metrics(step=15, train_accuracy=0.1, validation_accuracy=0.1, recipe=Recipe(epochs=2)), make_history()),
    (make_metrics(recipe=Recipe(lr=0.01), validation_accuracy=0.1, train_accuracy=0.1), make_history()),
    (make_metrics(recipe=Recipe(lr=1e-5), validation_accuracy=0.1, train_accuracy=0.1), make_history()),
    (make_metrics(recipe=Recipe(lr=1e-5), validation_accuracy=0.5, recent_loss=2.0), make_history()),
    (make_metrics(predicted_counts=(0, *[100] * 9)), make_history()),
    (make_metrics(train_accuracy=0.999, validation_accuracy=0.8), make_history()),
    (make_metrics(train_accuracy=0.999, validation_accuracy=0.9, validation_loss=0.3), make_history()),
    (
        make_metrics(train_accuracy=0.6, validation_accuracy=0.61, epochs_trained=3.0),
        make_history(epoch_accuracies=[0.598]),
    ),
)
"""Metrics that make every rule apply."""

_share = st.floats(0, 1)
_loss = st.floats(0, 50)


@given(data=st.data())
@settings(max_examples=150)
def test_any_metrics_give_one_diagnosis_with_a_valid_suggestion(data: st.DataObject) -> None:
    draw = data.draw
    architecture, recipe = draw(strategies.architectures()), draw(strategies.recipes())
    classes = architecture.classes
    counts = st.lists(st.integers(0, 60), min_size=classes, max_size=classes).map(tuple)
    gradient = st.builds(LayerGradient, st.just("layer 1"), st.floats(0, 1e6), st.integers(1, 10**6))
    metrics = TrainingMetrics(
        architecture=architecture,
        recipe=recipe,
        train_size=draw(st.integers(10, 60_000)),
        step=draw(st.integers(1, 10**5)),
        epochs_trained=draw(st.sampled_from((0.1, 0.5, 1.0, 1.5, 2.0, 7.0))),
        lr=recipe.lr,
        recent_loss=draw(_loss),
        train_accuracy=draw(_share),
        train_accuracy_size=draw(st.integers(1, 8192)),
        epoch_accuracy=draw(_share),
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
    diagnose_and_check(metrics, past)
    assert isinstance(update_metric_history(past, metrics), MetricHistory)


# Trainings with a deliberate problem


def make_faint_images(count: int, seed: int, signal: int = 30) -> LabeledImages:
    """Tiny images with squares slightly brighter than the noise around them."""
    plain = tiny_images(count, seed=seed, noise=2)
    noise = torch.randint(0, 200, plain.images.shape, generator=torch.Generator().manual_seed(seed + 50))
    return LabeledImages((noise + (plain.images > 100) * signal).to(torch.uint8), plain.labels)


def make_clear_splits(count: int) -> Splits:
    return Splits(tiny_images(count), tiny_images(300, seed=1), tiny_images(30, seed=2))


def make_faint_splits(count: int) -> Splits:
    return Splits(make_faint_images(count, 0), make_faint_images(300, 1), make_faint_images(30, 2))


def collect_diagnoses(
    architecture: Architecture, splits: Splits, script: Script | None = None, **fields: Any
) -> list[Diagnosis]:
    """Train, and return the diagnoses after checking their suggestions."""
    schedule = EvaluationSchedule(max_evaluations_per_epoch=2, validation_subset_size=300, report_interval_s=1e9)
    trainer = make_trainer(architecture, tiny_recipe(**fields), splits=splits, evaluation_schedule=schedule)
    return [check_event(event, trainer) for event in play(trainer, script) if event.kind == "diagnosed"]


def check_event(event: Diagnosed, trainer: Trainer) -> Diagnosis:
    diagnosis = Diagnosis(event.diagnosis, event.message, event.metrics, event.suggestion)
    if diagnosis.suggestion:
        assert trainer.recipe.replace(**diagnosis.suggestion.recipe_changes)
        if diagnosis.suggestion.architecture:
            assert validate(Architecture.from_json(diagnosis.suggestion.architecture)) == ()
    return diagnosis


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
def test_healthy_trainings_get_no_diagnosis(architecture: Architecture, fields: dict[str, Any]) -> None:
    assert {
        diagnosis.code for diagnosis in collect_diagnoses(architecture, make_clear_splits(960), epochs=4, **fields)
    } == {"learning"}


def test_training_with_dead_relus() -> None:
    last = collect_diagnoses(PLAIN, make_clear_splits(960), lr=0.3)[-1]
    assert last.code == "dead_relu"
    assert require(last.suggestion).recipe_changes == {"lr": 0.001}
    fixed = collect_diagnoses(PLAIN, make_clear_splits(960), epochs=4, **require(last.suggestion).recipe_changes)
    assert fixed[-1].code == "learning"


def test_training_with_vanishing_gradients() -> None:
    diagnoses = collect_diagnoses(DEEP_SIGMOID, make_clear_splits(960), lr=1e-3)
    assert {diagnosis.code for diagnosis in diagnoses} == {"vanishing_gradients"}
    assert diagnoses[-1].evidence["first_layer_gradient"] < 1e-3 * diagnoses[-1].evidence["last_layer_gradient"]
    fixed = collect_diagnoses(suggested_architecture(diagnoses[-1].suggestion), make_clear_splits(960), lr=1e-2)
    assert fixed[-1].code == "learning"


def test_diverging_training() -> None:
    script = Script({60: [UpdateHyperparameters(hyperparameters={"lr": 100.0})]})
    diagnoses = collect_diagnoses(LINEAR, make_faint_splits(960), script, lr=0.05, optimizer=Sgd(), epochs=4)
    assert "diverging" in {diagnosis.code for diagnosis in diagnoses}
    climbing = next(diagnosis for diagnosis in diagnoses if diagnosis.code == "diverging")
    assert climbing.evidence["recent_loss"] > 2 * climbing.evidence["best_loss"]
    assert require(climbing.suggestion).recipe_changes == {"lr": 10.0}


@pytest.mark.parametrize("activation", ["tanh", "gelu", "leaky_relu"])
def test_excessive_lr_without_relus(activation: str) -> None:
    smooth = net(Flatten(), Linear(out_features=32, activation=activation), Output())
    diagnoses = collect_diagnoses(smooth, make_faint_splits(960), lr=1.0, epochs=4)
    assert "lr_too_high" in [diagnosis.code for diagnosis in diagnoses]


def test_training_with_too_high_lr() -> None:
    diagnoses = collect_diagnoses(LINEAR, make_faint_splits(960), lr=20.0, optimizer=Sgd(), epochs=6)
    (diagnosis, *_) = (diagnosis for diagnosis in diagnoses if diagnosis.code == "lr_too_high")
    assert require(diagnosis.suggestion).recipe_changes == {"lr": 0.05}


def test_training_with_too_low_lr() -> None:
    diagnoses = collect_diagnoses(PLAIN, make_clear_splits(1920), lr=1e-5)
    assert [diagnosis.code for diagnosis in diagnoses][-1] == "lr_too_low"
    fixed = collect_diagnoses(
        PLAIN, make_clear_splits(1920), epochs=4, **require(diagnoses[-1].suggestion).recipe_changes
    )
    assert fixed[-1].code == "learning"


def test_training_that_overfits() -> None:
    wide = net(Flatten(), Linear(out_features=128), Linear(out_features=128), Output())
    diagnoses = collect_diagnoses(wide, make_faint_splits(630), lr=2e-3, epochs=40, batch_size=32)
    assert diagnoses[-1].code == "overfitting"
    assert diagnoses[-1].evidence["gap"] > 0.1
    few = collect_diagnoses(wide, make_faint_splits(90), lr=2e-3, epochs=20, batch_size=10)
    assert few[-1].code == "too_little_data"
    assert "90 images, 30 per class" in few[-1].message


def test_training_on_a_hundred_digits() -> None:
    trainer = Trainer(
        get_architecture_preset("dash").architecture,
        Recipe(limit=100, batch_size=10, epochs=8, validation_size=500, precision="float32", device="cpu"),
    )
    diagnoses = [event for event in trainer.run() if event.kind == "diagnosed"]
    assert diagnoses[-1].diagnosis == "too_little_data"
    assert "100 images, 10 per class" in diagnoses[-1].message
    assert require(diagnoses[-1].suggestion).label == "Restart with all images"


def test_training_of_a_network_with_one_channel() -> None:
    layers = (Conv2d(out_channels=1, kernel_size=5, stride=3), MaxPool2d(), Flatten(), Output())
    recipe = Recipe(limit=2000, batch_size=32, lr=1e-2, epochs=12, validation_size=500, precision="float32")
    stream = list(Trainer(Architecture(layers=layers), recipe).run())
    diagnoses = [event for event in stream if event.kind == "diagnosed" and event.diagnosis == "underfitting"]
    assert diagnoses
    wider = suggested_architecture(diagnoses[-1].suggestion)
    assert require_type(wider.layers[0], Conv2d).out_channels == 2
    assert max(event.train_accuracy for event in stream if event.kind == "epoch_done") < 0.9


def test_training_with_a_rare_class() -> None:
    many = tiny_images(960)
    kept = (many.labels != 2) | (torch.arange(960) < 12)
    splits = Splits(many.take(kept.nonzero().view(-1)), tiny_images(300, seed=1), tiny_images(30, seed=2))
    diagnoses = collect_diagnoses(PLAIN, splits, lr=5e-3, epochs=3)
    missing = [diagnosis for diagnosis in diagnoses if diagnosis.code == "class_never_predicted"]
    assert missing
    assert "Never predicted: 2." in missing[-1].message


def test_never_predicted_class_is_named_once_the_others_are_learned() -> None:
    fields: dict[str, Any] = {
        "step": 500,
        "epochs_trained": 2.0,
        "predicted_counts": (0, 40, 60),
        "label_counts": (30, 35, 35),
        "class_names": ("cat", "dog", "frog"),
    }
    learned = make_metrics(**fields, train_accuracy=0.6, validation_accuracy=0.6)
    assert "Never predicted: cat." in diagnose(learned, make_history()).message
    assert diagnose(make_metrics(**fields, train_accuracy=0.45, validation_accuracy=0.45), make_history()).code == (
        "learning"
    )


# Registry


def test_every_decorated_detector_is_a_rule_and_the_order_is_that_of_severity() -> None:
    folder = Path(rules.__file__).parent
    source = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    detectors = re.findall(r"^def detect_(\w+)", source, re.MULTILINE)
    assert sorted(rule.name for rule in DIAGNOSIS_RULES) == sorted(detectors)
    severities = [rule.severity for rule in DIAGNOSIS_RULES]
    assert severities == sorted(set(severities), reverse=True)


@pytest.mark.parametrize("rule", DIAGNOSIS_RULES, ids=lambda rule: rule.name)
def test_rule_declares_what_documentation_needs(rule: DiagnosisRule) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", rule.code)
    assert rule.code != HEALTHY_CODE
    assert rule.title[0].isupper()
    assert not rule.title.endswith(".")
    assert rule.condition.endswith(".")
    assert rule.message.endswith((".", "}"))
    for name in rule.thresholds:
        assert re.search(rf"\b{name}\b", rule.condition), f"the condition does not mention {name}"


def test_rules_of_one_code_have_one_title() -> None:
    titles = {(rule.code, rule.title) for rule in DIAGNOSIS_RULES}
    assert len({code for code, _ in titles}) == len(titles)


@pytest.mark.parametrize("rule", DIAGNOSIS_RULES, ids=lambda rule: rule.name)
def test_rule_reads_its_thresholds(rule: DiagnosisRule) -> None:
    """The rule fails without its thresholds or reads every one of them on some metrics."""
    read: set[str] = set()

    class RecordingThresholds(dict[str, float]):
        def __getitem__(self, name: str) -> float:
            read.add(name)
            return super().__getitem__(name)

    for metrics, metric_history in EXAMPLES:
        rule.detect(metrics, metric_history, RecordingThresholds(rule.thresholds))
    assert read == set(rule.thresholds)


@pytest.mark.parametrize("rule", DIAGNOSIS_RULES, ids=lambda rule: rule.name)
def test_rule_applies_to_an_example_and_not_to_a_healthy_run(rule: DiagnosisRule) -> None:
    assert rule.apply(make_metrics(), make_history()) is None
    diagnoses = [rule.apply(metrics, metric_history) for metrics, metric_history in EXAMPLES]
    applied = [diagnosis for diagnosis in diagnoses if diagnosis]
    assert applied
    assert all(diagnosis.code == rule.code for diagnosis in applied)
    assert not any("{" in diagnosis.message for diagnosis in applied)
