"""Diagnoses of the optimization: divergence, learning rates that are too high or too low, too few steps."""

import math

from playground.core.events import Suggestion
from playground.engine.health.diagnosis import RuleMatch, Thresholds, collect_accuracies, diagnosis_rule
from playground.engine.health.suggestions import round_to_one_digit, suggest_lower_lr, suggest_lr
from playground.engine.health.training_metrics import MetricHistory, TrainingMetrics

_MIN_STEPS = 100
_SUFFICIENT_STEPS = 200
_MAX_EPOCHS = 1000


def _suggest_more_epochs(metrics: TrainingMetrics) -> Suggestion:
    epochs = min(_MAX_EPOCHS, math.ceil(_SUFFICIENT_STEPS / metrics.steps_per_epoch))
    return Suggestion(label=f"Train {epochs} epochs", recipe_changes={"epochs": epochs})


@diagnosis_rule(
    "diverging",
    title="Diverging loss",
    severity=130,
    condition="The recent loss is above loss_factor times the best loss, at least loss_increase above it, and rising.",
    message="The loss is diverging: it rose from {best_loss:.2f} to {recent_loss:.2f}. "
    "Usually caused by too high a learning rate.",
    thresholds={"loss_factor": 2.0, "loss_increase": 0.5},
    suggest=lambda metrics: suggest_lower_lr(metrics.recipe),
)
def detect_divergence(
    metrics: TrainingMetrics, metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Compare the recent loss with the best and the last one."""
    best = metric_history.best_loss
    limit = max(thresholds["loss_factor"] * best, best + thresholds["loss_increase"])
    if metrics.recent_loss <= limit or metrics.recent_loss <= metric_history.last_loss:
        return None
    return RuleMatch({"best_loss": best, "recent_loss": metrics.recent_loss, "lr": metrics.lr})


@diagnosis_rule(
    "lr_too_high",
    title="Learning rate too high",
    severity=110,
    condition="The learning rate is at least lr_factor times the usual one of this optimizer and schedule, and after "
    "min_steps batches both accuracies are below max_accuracy.",
    message="The learning rate ({lr:g}) is far above the usual {usual_lr:g}, "
    "and only {train_accuracy:.0%} of the last training images were classified correctly.",
    thresholds={"lr_factor": 20, "min_steps": _MIN_STEPS, "max_accuracy": 0.95},
    suggest=lambda metrics: suggest_lr(metrics.typical_lr),
)
def detect_excessive_lr(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Compare the recipe's learning rate with the usual one."""
    lr, usual_lr = metrics.recipe.lr, metrics.usual_lr
    if lr < thresholds["lr_factor"] * usual_lr or metrics.step < thresholds["min_steps"]:
        return None
    if max(metrics.train_accuracy, metrics.validation_accuracy) >= thresholds["max_accuracy"]:
        return None
    return RuleMatch(collect_accuracies(metrics) | {"lr": lr}, {"usual_lr": usual_lr})


@diagnosis_rule(
    "few_steps",
    title="Too few steps",
    severity=80,
    condition="The accuracy is at chance level after fewer than min_steps batches, and the whole training has fewer "
    "than sufficient_steps.",
    message="The validation accuracy ({validation_accuracy:.0%}) is at chance level after only {steps:.0f} batches. "
    "Train longer, or on more images.",
    thresholds={"min_steps": _MIN_STEPS, "sufficient_steps": _SUFFICIENT_STEPS},
    suggest=_suggest_more_epochs,
)
def detect_too_few_steps(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Count the batches of the whole training while the accuracy is at chance level."""
    if not metrics.is_at_chance_level or metrics.step >= thresholds["min_steps"]:
        return None
    if metrics.recipe.epochs * metrics.steps_per_epoch >= thresholds["sufficient_steps"]:
        return None
    return RuleMatch(collect_accuracies(metrics) | {"steps": float(metrics.step)})


@diagnosis_rule(
    "lr_too_high",
    title="Learning rate too high",
    severity=70,
    condition="The accuracy is at chance level after min_steps batches, and the learning rate is at least lr_factor "
    "times the optimizer's typical one.",
    message="Not learning: the validation accuracy ({validation_accuracy:.0%}) is at chance level. "
    "The learning rate ({lr:g}) is probably too high.",
    thresholds={"lr_factor": 2, "min_steps": _MIN_STEPS},
    suggest=lambda metrics: suggest_lr(metrics.typical_lr),
)
def detect_no_learning_with_high_lr(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Blame a high learning rate for an accuracy at chance level."""
    if not metrics.is_at_chance_level or metrics.step < thresholds["min_steps"]:
        return None
    if metrics.recipe.lr < thresholds["lr_factor"] * metrics.typical_lr:
        return None
    return RuleMatch(collect_accuracies(metrics) | {"lr": metrics.recipe.lr})


@diagnosis_rule(
    "lr_too_low",
    title="Learning rate too low",
    severity=60,
    condition="The accuracy is at chance level after min_steps batches, and the learning rate is below lr_factor "
    "times the optimizer's typical one.",
    message="Not learning: the validation accuracy ({validation_accuracy:.0%}) is at chance level. "
    "The learning rate ({lr:g}) is probably too low.",
    thresholds={"lr_factor": 2, "min_steps": _MIN_STEPS},
    suggest=lambda metrics: suggest_lr(round_to_one_digit(max(metrics.recipe.lr * 10, metrics.typical_lr))),
)
def detect_no_learning_with_low_lr(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Blame a low learning rate for an accuracy at chance level."""
    if not metrics.is_at_chance_level or metrics.step < thresholds["min_steps"]:
        return None
    if metrics.recipe.lr >= thresholds["lr_factor"] * metrics.typical_lr:
        return None
    return RuleMatch(collect_accuracies(metrics) | {"lr": metrics.recipe.lr})


@diagnosis_rule(
    "lr_too_high",
    title="Learning rate too high",
    severity=50,
    condition="The validation accuracy is accuracy_drop (and its noise) below its best after min_epochs epochs, and "
    "the learning rate is at least lr_factor times the usual one of this optimizer and schedule, and the training "
    "accuracy is that low too.",
    message="The learning rate ({lr:g}) is probably too high: the validation accuracy fell from "
    "{best_validation_accuracy:.1%} to {validation_accuracy:.1%}.",
    thresholds={"accuracy_drop": 0.05, "min_epochs": 0.3, "lr_factor": 2},
    suggest=lambda metrics: suggest_lower_lr(metrics.recipe),
)
def detect_accuracy_drop(
    metrics: TrainingMetrics, metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Compare the validation accuracy with its best."""
    drop = metric_history.best_validation_accuracy - metrics.validation_accuracy
    if drop < thresholds["accuracy_drop"] + metrics.accuracy_noise or not metrics.is_validation_reliable:
        return None
    if metrics.train_accuracy > metric_history.best_validation_accuracy - thresholds["accuracy_drop"]:
        return None
    if metrics.epochs_trained < thresholds["min_epochs"]:
        return None
    if metrics.recipe.lr < thresholds["lr_factor"] * metrics.usual_lr:
        return None
    return RuleMatch(
        collect_accuracies(metrics)
        | {"best_validation_accuracy": metric_history.best_validation_accuracy, "lr": metrics.recipe.lr}
    )


@diagnosis_rule(
    "lr_too_low",
    title="Learning rate too low",
    severity=40,
    condition="After min_epochs epochs and min_steps batches the loss has come less than 1 - min_remaining_share of "
    "the way from guessing to its minimum, the validation accuracy is at most max_accuracy, and the learning rate is "
    "at most the optimizer's typical one divided by lr_divisor.",
    message="Learning slowly: after {steps:,} batches the loss is {recent_loss:.2f}; guessing has "
    "{loss_of_guessing:.2f}. The learning rate ({lr:g}) is low.",
    thresholds={
        "min_epochs": 0.3,
        "min_steps": _MIN_STEPS,
        "min_remaining_share": 0.6,
        "max_accuracy": 0.9,
        "lr_divisor": 10,
    },
    suggest=lambda metrics: suggest_lr(round_to_one_digit(metrics.recipe.lr * 10)),
)
def detect_slow_learning(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Compare the loss with that of guessing, for a low learning rate."""
    if metrics.epochs_trained < thresholds["min_epochs"] or metrics.step < thresholds["min_steps"]:
        return None
    if metrics.recipe.lr > metrics.typical_lr / thresholds["lr_divisor"]:
        return None
    remaining_share = (metrics.recent_loss - metrics.min_loss) / (metrics.chance_loss - metrics.min_loss)
    if remaining_share < thresholds["min_remaining_share"] or metrics.validation_accuracy > thresholds["max_accuracy"]:
        return None
    return RuleMatch(
        {"recent_loss": metrics.recent_loss, "loss_of_guessing": metrics.chance_loss, "lr": metrics.recipe.lr},
        {"steps": metrics.step},
    )
