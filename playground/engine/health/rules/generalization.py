"""Diagnoses of the data and the capacity: too little data, overfitting, underfitting, classes never predicted."""

from playground.core.events import Suggestion
from playground.engine.health.diagnosis import RuleMatch, Thresholds, collect_accuracies, diagnosis_rule
from playground.engine.health.suggestions import suggest_augmentation, suggest_less_regularization
from playground.engine.health.training_metrics import MetricHistory, TrainingMetrics

_MIN_STEPS = 100
_OVERFITTING_GAP = 0.03
_MAX_NAMED_CLASSES = 10
_MAX_EPOCHS = 1000


def _suggest_more_data(metrics: TrainingMetrics) -> Suggestion | None:
    if metrics.recipe.limit:
        return Suggestion(label="Restart with all images", recipe_changes={"limit": None}, requires_restart=True)
    return suggest_augmentation(metrics.recipe)


def _suggest_two_more_epochs(metrics: TrainingMetrics) -> Suggestion | None:
    epochs = int(metrics.epochs_trained) + 2
    if not metrics.recipe.epochs < epochs <= _MAX_EPOCHS:
        return None
    return Suggestion(label=f"Train {epochs} epochs", recipe_changes={"epochs": epochs})


def _has_generalization_gap(metrics: TrainingMetrics, min_gap: float) -> bool:
    if metrics.epochs_trained < 1 or not metrics.is_validation_reliable:
        return False
    return metrics.generalization_gap > min_gap + metrics.gap_noise


@diagnosis_rule(
    "too_little_data",
    title="Too little data",
    severity=90,
    condition="After an epoch the training accuracy is min_gap (and noise) above the validation accuracy, and there "
    "are fewer than min_images_per_class training images per class.",
    message="Too little data: {train_size:,.0f} images, {images_per_class:.0f} per class. "
    "Training accuracy is {train_accuracy:.1%}, validation accuracy {validation_accuracy:.1%}.",
    thresholds={"min_gap": _OVERFITTING_GAP, "min_images_per_class": 200},
    suggest=_suggest_more_data,
)
def detect_too_little_data(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Find a generalization gap on few images."""
    images_per_class = metrics.train_size / metrics.architecture.classes
    if not _has_generalization_gap(metrics, thresholds["min_gap"]):
        return None
    if images_per_class >= thresholds["min_images_per_class"]:
        return None
    return RuleMatch(
        collect_accuracies(metrics) | {"train_size": float(metrics.train_size), "gap": metrics.generalization_gap},
        {"images_per_class": images_per_class},
    )


@diagnosis_rule(
    "class_never_predicted",
    title="Class never predicted",
    severity=30,
    condition="After an epoch and min_steps batches, a class with at least min_images evaluated images is never "
    "predicted, while at least min_accuracy of the images of the other classes are classified correctly.",
    message="Never predicted: {class_names}. Train longer; if that does not help, lower the learning rate.",
    thresholds={"min_steps": _MIN_STEPS, "min_images": 10, "min_accuracy": 0.7},
    suggest=_suggest_two_more_epochs,
)
def detect_never_predicted_class(
    metrics: TrainingMetrics, _metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Find the classes without a prediction, once the others are learned: a deep network learns one after the other."""
    if metrics.epochs_trained < 1 or metrics.step < thresholds["min_steps"]:
        return None
    counts = zip(metrics.predicted_counts, metrics.label_counts, strict=True)
    missing = [
        label
        for label, (predicted, actual) in enumerate(counts)
        if not predicted and actual >= thresholds["min_images"]
    ]
    image_count = sum(metrics.label_counts)
    other_count = image_count - sum(metrics.label_counts[label] for label in missing)
    if not missing or metrics.validation_accuracy * image_count < thresholds["min_accuracy"] * other_count:
        return None
    names = [metrics.class_names[label] if metrics.class_names else str(label) for label in missing]
    listed = ", ".join(names[:_MAX_NAMED_CLASSES])
    if len(names) > _MAX_NAMED_CLASSES:
        listed += f" and {len(names) - _MAX_NAMED_CLASSES} more"
    return RuleMatch(
        {f"answers_{label}": float(metrics.predicted_counts[label]) for label in missing}, {"class_names": listed}
    )


@diagnosis_rule(
    "overfitting",
    title="Overfitting",
    severity=20,
    condition="After an epoch the training accuracy is min_gap (and noise) above the validation accuracy, and either "
    "the gap is above large_gap, or the validation loss is above loss_factor times its best and did not reach its "
    "best at the last min_evaluations either.",
    message="Overfitting: training accuracy is {train_accuracy:.1%}, validation accuracy {validation_accuracy:.1%}. "
    "More images, dropout or augmentation would help.",
    thresholds={"min_gap": _OVERFITTING_GAP, "large_gap": 0.1, "loss_factor": 1.05, "min_evaluations": 1},
    suggest=lambda metrics: suggest_augmentation(metrics.recipe),
)
def detect_overfitting(
    metrics: TrainingMetrics, metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Find a generalization gap that is large, or comes with a rising validation loss."""
    if not _has_generalization_gap(metrics, thresholds["min_gap"]):
        return None
    is_loss_rising = (
        metrics.validation_loss > thresholds["loss_factor"] * metric_history.best_validation_loss
        # A single evaluation may be off: with batch norm, by several percent of the images.
        and metric_history.evaluations_since_best_loss >= thresholds["min_evaluations"]
    )
    if metrics.generalization_gap <= thresholds["large_gap"] and not is_loss_rising:
        return None  # training still improves the validation loss
    return RuleMatch(collect_accuracies(metrics) | {"gap": metrics.generalization_gap})


@diagnosis_rule(
    "underfitting",
    title="Underfitting",
    severity=10,
    condition="After two epochs and min_steps batches the training accuracy is below max_accuracy, and its mean rose "
    "by less than min_accuracy_gain in the last epoch, unless the learning rate is below the recipe's divided by "
    "lr_divisor, or the validation accuracy is more than max_validation_lead above it or max_gap below it.",
    message="Underfitting: the training accuracy is only {train_accuracy:.1%} and barely rising "
    "({rise:+.1%} in the last epoch). The network is too small or too strongly regularized.",
    thresholds={
        "min_steps": _MIN_STEPS,
        "max_accuracy": 0.95,
        "min_accuracy_gain": 0.01,
        "lr_divisor": 10,
        "max_validation_lead": 0.02,
        "max_gap": _OVERFITTING_GAP,
    },
    suggest=lambda metrics: suggest_less_regularization(metrics.architecture, metrics.recipe),
)
def detect_underfitting(
    metrics: TrainingMetrics, metric_history: MetricHistory, thresholds: Thresholds
) -> RuleMatch | None:
    """Compare the mean training accuracies of the last two epochs."""
    is_epoch_end = metrics.epochs_trained == int(metrics.epochs_trained)
    accuracies = [*metric_history.epoch_accuracies, *([metrics.epoch_accuracy] if is_epoch_end else [])]
    if len(accuracies) < 2 or metrics.step < thresholds["min_steps"]:
        return None
    if metrics.lr < metrics.recipe.lr / thresholds["lr_divisor"]:
        return None  # nothing rises any more at the end of a schedule
    train_accuracy, rise = metrics.train_accuracy, accuracies[-1] - accuracies[-2]
    # Dropout and augmentation make training harder than validation on purpose.
    lead_limit = max(thresholds["max_accuracy"], train_accuracy + thresholds["max_validation_lead"])
    if train_accuracy >= thresholds["max_accuracy"] or metrics.validation_accuracy > lead_limit:
        return None
    if rise >= thresholds["min_accuracy_gain"] or metrics.generalization_gap > thresholds["max_gap"]:
        return None
    return RuleMatch(
        {"train_accuracy": train_accuracy, "validation_accuracy": metrics.validation_accuracy, "rise": rise}
    )
