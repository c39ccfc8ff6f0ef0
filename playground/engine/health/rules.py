"""Registry of the diagnosis rules.

The thresholds were set so that healthy runs of all presets get no diagnosis and deliberately broken runs do.
"""

from playground.engine.health.diagnosis import Diagnosis, DiagnosisRule, collect_accuracies
from playground.engine.health.generalization_rules import (
    detect_never_predicted_class,
    detect_overfitting,
    detect_too_little_data,
    detect_underfitting,
)
from playground.engine.health.gradient_rules import (
    detect_dead_relus,
    detect_exploding_gradients,
    detect_vanishing_gradients,
)
from playground.engine.health.optimization_rules import (
    detect_accuracy_drop,
    detect_divergence,
    detect_excessive_lr,
    detect_no_learning_with_high_lr,
    detect_no_learning_with_low_lr,
    detect_slow_learning,
    detect_too_few_steps,
)
from playground.engine.health.training_metrics import MetricHistory, TrainingMetrics

HEALTHY_CODE = "learning"
_HIGH_ACCURACY = 0.9

DIAGNOSIS_RULES: tuple[DiagnosisRule, ...] = (
    detect_dead_relus,
    detect_divergence,
    detect_exploding_gradients,
    detect_excessive_lr,
    detect_vanishing_gradients,
    detect_too_little_data,
    detect_too_few_steps,
    detect_no_learning_with_high_lr,
    detect_no_learning_with_low_lr,
    detect_accuracy_drop,
    detect_slow_learning,
    detect_never_predicted_class,
    detect_overfitting,
    detect_underfitting,
)
"""Every rule, the most severe first."""


def diagnose(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis:
    """Make the most severe diagnosis, or one with ``HEALTHY_CODE`` if no rule applies."""
    diagnoses = (rule.apply(metrics, metric_history) for rule in DIAGNOSIS_RULES)
    return next((diagnosis for diagnosis in diagnoses if diagnosis), _make_healthy_diagnosis(metrics))


def _make_healthy_diagnosis(metrics: TrainingMetrics) -> Diagnosis:
    message = "Going well." if metrics.validation_accuracy > _HIGH_ACCURACY else "Learning."
    return Diagnosis(HEALTHY_CODE, message, collect_accuracies(metrics))
