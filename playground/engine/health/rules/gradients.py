"""Diagnoses of activations and gradients: dead ReLUs, exploding and vanishing gradients."""

from playground.core.events import Suggestion
from playground.engine.health.diagnosis import RuleMatch, Thresholds, diagnosis_rule
from playground.engine.health.suggestions import (
    find_saturating_activation,
    replace_saturating_with_relu,
    round_to_one_digit,
    suggest_lower_lr,
    suggest_restart,
)
from playground.engine.health.training_metrics import MetricHistory, TrainingMetrics


def _suggest_restart_with_lower_lr(metrics: TrainingMetrics) -> Suggestion:
    lr = max(1e-6, round_to_one_digit(min(metrics.recipe.lr / 3, metrics.typical_lr)))
    return Suggestion(label=f"Restart with lr {lr:g}", recipe_changes={"lr": lr}, requires_restart=True)


def _suggest_relu(metrics: TrainingMetrics) -> Suggestion | None:
    architecture = metrics.architecture
    return suggest_restart("Restart with ReLU", architecture, replace_saturating_with_relu(architecture))


@diagnosis_rule(
    "dead_relu",
    title="Dead ReLUs",
    severity=140,
    condition="At least min_share of a ReLU's channels, and at least min_channels of them, are 0 on all probed images.",
    message="Dead ReLUs: {dead:.0f} of {channels:.0f} channels of {layer_name} are 0 for every image, "
    "so they get no gradient and cannot recover. Usually caused by too high a learning rate.",
    thresholds={"min_share": 0.75, "min_channels": 4},
    suggest=_suggest_restart_with_lower_lr,
)
def detect_dead_relus(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Find the ReLU with the largest share of dead channels."""
    dead_layers = [
        layer
        for layer in metrics.dead_channels
        if layer.dead_count >= max(thresholds["min_channels"], thresholds["min_share"] * layer.channel_count)
    ]
    if not dead_layers:
        return None
    worst = max(dead_layers, key=lambda layer: layer.dead_count / layer.channel_count)
    return RuleMatch(
        {"dead": float(worst.dead_count), "channels": float(worst.channel_count), "lr": metrics.lr},
        {"layer_name": worst.layer_name},
    )


@diagnosis_rule(
    "exploding_gradients",
    title="Exploding gradients",
    severity=120,
    condition="The gradient norm is above max_norm; for batches below reference_batch_size the limit is higher, "
    "since single images vary more.",
    message="Exploding gradients: their norm is {gradient_norm:,.0f}, most of it in {layer_name}; below 10 is usual. "
    "An update of this size undoes what was learned.",
    thresholds={"max_norm": 100.0, "reference_batch_size": 8},
    suggest=lambda metrics: suggest_lower_lr(metrics.recipe),
)
def detect_exploding_gradients(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Compare the total gradient norm with a limit."""
    norm = metrics.total_gradient_norm
    if norm <= thresholds["max_norm"] * max(1.0, thresholds["reference_batch_size"] / metrics.recipe.batch_size):
        return None
    largest = max(metrics.layer_gradients, key=lambda layer: layer.norm)
    return RuleMatch({"gradient_norm": norm, "lr": metrics.lr}, {"layer_name": largest.layer_name})


@diagnosis_rule(
    "vanishing_gradients",
    title="Vanishing gradients",
    severity=100,
    condition="The first layer's gradient (root mean square) is below min_ratio times the last layer's, while neither "
    "accuracy is above max_accuracy.",
    message="Vanishing gradients: the gradient of {first_layer_name} is {ratio:.0e} times that of {last_layer_name}, "
    "so the first layers barely learn.{activation_note}",
    thresholds={"min_ratio": 1e-3, "max_accuracy": 0.9},
    suggest=_suggest_relu,
)
def detect_vanishing_gradients(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Compare the gradients of the first and the last layer with weights."""
    if max(metrics.train_accuracy, metrics.validation_accuracy) > thresholds["max_accuracy"]:
        return None
    if len(metrics.layer_gradients) < 2:
        return None
    first, last = metrics.layer_gradients[0], metrics.layer_gradients[-1]
    if not first.rms < thresholds["min_ratio"] * last.rms:
        return None
    activation = find_saturating_activation(metrics.architecture)
    note = f" {activation.capitalize()} saturates and shrinks the gradient at every layer." if activation else ""
    return RuleMatch(
        {"first_layer_gradient": first.rms, "last_layer_gradient": last.rms},
        {
            "first_layer_name": first.layer_name,
            "last_layer_name": last.layer_name,
            "ratio": first.rms / last.rms,
            "activation_note": note,
        },
    )
