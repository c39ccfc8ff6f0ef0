"""Diagnoses and the rules that make them: a rule declares its code, title, thresholds, message and suggestion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from playground.core.events import Suggestion
from playground.engine.health.training_metrics import MetricHistory, TrainingMetrics

Thresholds = Mapping[str, float]


@dataclass(frozen=True)
class Diagnosis:
    """A diagnosed problem (or none): its code, a message of one to three sentences, its metrics and a suggested fix."""

    code: str
    message: str
    evidence: dict[str, float]
    suggestion: Suggestion | None = None


@dataclass(frozen=True)
class RuleMatch:
    """Metrics that a rule applies to, stored with the diagnosis, and further values of its message."""

    evidence: dict[str, float]
    message_values: dict[str, str | float] = field(default_factory=dict)


Detector = Callable[[TrainingMetrics, MetricHistory, Thresholds], RuleMatch | None]
SuggestionBuilder = Callable[[TrainingMetrics], Suggestion | None]


@dataclass(frozen=True)
class DiagnosisRule:
    """One way to detect a problem.

    Several rules may share a code. Of the rules that apply, the one with the highest ``severity`` makes the diagnosis.
    ``condition`` says in words when the rule applies, with the ``thresholds`` by name;
    ``message`` is a format string of the match's values.
    """

    name: str
    code: str
    title: str
    severity: int
    condition: str
    message: str
    thresholds: Thresholds
    detect: Detector
    suggest: SuggestionBuilder

    def apply(self, metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
        """Make the diagnosis if the rule applies."""
        match = self.detect(metrics, metric_history, self.thresholds)
        if match is None:
            return None
        message = self.message.format(**match.evidence, **match.message_values)
        return Diagnosis(self.code, message, match.evidence, self.suggest(metrics))


def diagnosis_rule(
    code: str,
    *,
    title: str,
    severity: int,
    condition: str,
    message: str,
    suggest: SuggestionBuilder,
    thresholds: Mapping[str, float] | None = None,
) -> Callable[[Detector], DiagnosisRule]:
    """Turn a detector function ``detect_NAME`` of a module in ``health/rules`` into the rule NAME for ``code``."""

    def make_rule(detect: Detector) -> DiagnosisRule:
        name = detect.__name__.removeprefix("detect_")
        return DiagnosisRule(name, code, title, severity, condition, message, dict(thresholds or {}), detect, suggest)

    return make_rule


def collect_accuracies(metrics: TrainingMetrics) -> dict[str, float]:
    """Training and validation accuracy as evidence."""
    return {"train_accuracy": metrics.train_accuracy, "validation_accuracy": metrics.validation_accuracy}
