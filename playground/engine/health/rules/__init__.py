"""Registry of the diagnosis rules; every one that a module of this package defines is registered.

The thresholds were set so that healthy runs of all presets get no diagnosis and deliberately broken runs do.
"""

from playground.core.registry import collect_entries, import_submodules
from playground.engine.health.diagnosis import Diagnosis, DiagnosisRule, collect_accuracies
from playground.engine.health.training_metrics import MetricHistory, TrainingMetrics

HEALTHY_CODE = "learning"
_HIGH_ACCURACY = 0.9

DIAGNOSIS_RULES: tuple[DiagnosisRule, ...] = tuple(
    collect_entries(import_submodules(__name__), DiagnosisRule, order=lambda rule: -rule.severity).values()
)
"""Every rule, the most severe first."""


def diagnose(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis:
    """Make the most severe diagnosis, or one with ``HEALTHY_CODE`` if no rule applies."""
    diagnoses = (rule.apply(metrics, metric_history) for rule in DIAGNOSIS_RULES)
    return next((diagnosis for diagnosis in diagnoses if diagnosis), _make_healthy_diagnosis(metrics))


def _make_healthy_diagnosis(metrics: TrainingMetrics) -> Diagnosis:
    message = "Going well." if metrics.validation_accuracy > _HIGH_ACCURACY else "Learning."
    return Diagnosis(HEALTHY_CODE, message, collect_accuracies(metrics))
