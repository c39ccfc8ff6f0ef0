"""Metrics of an evaluation: values computed by hand for six predictions, and edge cases."""

import math

import numpy as np
import pytest
import torch

from playground.engine.metrics import ClassMetrics, Evaluation, format_accuracy

# Label 0: correct, correct, predicted 1. Label 1: correct, predicted 2. Label 2: correct.
PROBABILITIES = [[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.0, 0.05, 0.95], [0.3, 0.2, 0.5]]
LABELS = [0, 0, 0, 1, 1, 2]


def make_evaluation(probabilities: list[list[float]], labels: list[int]) -> Evaluation:
    return Evaluation.from_logits(torch.tensor(probabilities).clamp(min=1e-30).log(), torch.tensor(labels))


EVALUATION = make_evaluation(PROBABILITIES, LABELS)


def test_loss_and_accuracy_by_hand() -> None:
    assert EVALUATION.size == 6
    assert EVALUATION.class_count == 3
    assert EVALUATION.accuracy == pytest.approx(4 / 6)
    expected = -sum(math.log(probability) for probability in (0.9, 0.6, 0.2, 0.5, 0.05, 0.5)) / 6
    assert EVALUATION.loss == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(EVALUATION.probabilities, PROBABILITIES, atol=1e-6)
    assert EVALUATION.predicted_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert EVALUATION.is_correct.tolist() == [True, True, False, True, False, True]


def test_confusion_matrix_by_hand() -> None:
    assert EVALUATION.confusion_matrix.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert EVALUATION.label_counts == (3, 2, 1)
    assert EVALUATION.predicted_counts == (2, 2, 2)
    assert EVALUATION.per_class_accuracy == pytest.approx((2 / 3, 0.5, 1.0))


def test_find_confusions_puts_the_most_confident_first() -> None:
    assert EVALUATION.find_confusions(0, 0).tolist() == [0, 1]
    assert EVALUATION.find_confusions(2, 0).tolist() == []
    assert make_evaluation(PROBABILITIES[:2][::-1], [0, 0]).find_confusions(0, 0).tolist() == [1, 0]


def test_find_top_confusions_counts_errors_only() -> None:
    evaluation = make_evaluation([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], [0, 0, 1, 1])
    assert evaluation.find_top_confusions(5) == ((0, 1, 2), (1, 0, 1))
    assert evaluation.find_top_confusions(1) == ((0, 1, 2),)


def test_confident_errors_and_smallest_margins_by_hand() -> None:
    assert EVALUATION.find_confident_errors(5).tolist() == [4, 2]
    assert EVALUATION.find_confident_errors(1).tolist() == [4]
    assert EVALUATION.margins == pytest.approx([0.8, 0.3, 0.5, 0.1, 0.9, 0.2], abs=1e-6)
    assert EVALUATION.find_smallest_margins(2).tolist() == [3, 5]


def test_class_metrics_by_hand() -> None:
    zero, one, two = EVALUATION.compute_class_metrics()
    assert (zero.precision, zero.recall, zero.f1, zero.support) == pytest.approx((1.0, 2 / 3, 0.8, 3))
    assert (one.precision, one.recall, one.f1, one.support) == pytest.approx((0.5, 0.5, 0.5, 2))
    assert (two.precision, two.recall, two.f1, two.support) == pytest.approx((0.5, 1.0, 2 / 3, 1))


def test_class_metrics_are_zero_without_images_or_predictions() -> None:
    metrics = make_evaluation(PROBABILITIES[:2], [2, 2]).compute_class_metrics()
    assert metrics[1] == ClassMetrics(label=1, support=0, precision=0.0, recall=0.0, f1=0.0)
    assert metrics[2] == ClassMetrics(label=2, support=2, precision=0.0, recall=0.0, f1=0.0)


def test_calibration_by_hand() -> None:
    calibration = EVALUATION.compute_calibration(bin_count=2)
    (upper,) = calibration.bins
    mean = (0.9 + 0.6 + 0.7 + 0.5 + 0.95 + 0.5) / 6
    assert (upper.low, upper.high, upper.count) == (0.5, 1.0, 6)
    assert (upper.confidence, upper.accuracy) == pytest.approx((mean, 4 / 6))
    assert calibration.expected_error == pytest.approx(mean - 4 / 6)
    assert calibration.overconfidence == pytest.approx(mean - 4 / 6)


def test_calibration_errors_of_two_bins_do_not_cancel() -> None:
    # Confidence 0.6 with accuracy 1, and confidence 0.9 with accuracy 0.
    calibration = make_evaluation([[0.6, 0.4], [0.1, 0.9]], [0, 0]).compute_calibration()
    assert [(one.low, one.high, one.count, one.accuracy) for one in calibration.bins] == [
        (0.6, 0.7, 1, 1.0),
        (0.9, 1.0, 1, 0.0),
    ]
    assert calibration.expected_error == pytest.approx(0.5 * 0.4 + 0.5 * 0.9, abs=1e-6)
    assert calibration.overconfidence == pytest.approx(0.5 * -0.4 + 0.5 * 0.9, abs=1e-6)


def test_certain_and_correct_has_no_calibration_error() -> None:
    calibration = make_evaluation([[1.0, 0.0]], [0]).compute_calibration()
    assert calibration.expected_error == 0.0
    assert calibration.bins[0].high == 1.0


def test_logits_of_a_diverged_network_have_no_confidence() -> None:
    evaluation = Evaluation.from_logits(torch.full((2, 3), math.nan), torch.tensor([0, 1]))
    assert math.isnan(evaluation.loss)
    assert evaluation.probabilities.tolist() == [[0.0] * 3] * 2
    assert evaluation.confidence.tolist() == [0.0, 0.0]
    assert evaluation.confusion_matrix.sum() == 2


def test_accuracy_of_few_images_is_formatted_as_a_count() -> None:
    assert format_accuracy(13 / 15, 15) == "13 of 15"
    assert format_accuracy(0.98614, 10_000) == "98.61%"
