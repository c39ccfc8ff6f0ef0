"""Verdicts: figures computed by hand on six made answers, and the same as measuring the net."""

import numpy as np
import pytest
import torch

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Flatten, Output
from playground.engine.data.batch import LabeledImages
from playground.engine.training.evaluate import evaluate
from playground.interpret.evaluation import predictions as verdicts
from playground.interpret.evaluation.predictions import Predictions, find_index, load_evaluation_images, predict_dataset
from tests.interpret.nets import model_of

# label 0: right, right, taken for 1; label 1: right, taken for 2; label 2: right.
SAID = np.array(
    [[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.0, 0.05, 0.95], [0.3, 0.2, 0.5]],
    dtype=np.float32,
)
MADE = Predictions(SAID, np.array([0, 0, 0, 1, 1, 2]))


def made_images(count: int = 700) -> LabeledImages:
    source = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 1, 5, 5), dtype=torch.uint8, generator=source)
    return LabeledImages(images, torch.randint(0, 3, (count,), generator=source))


def test_confusion_and_cells() -> None:
    assert MADE.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert MADE.accuracy == pytest.approx(4 / 6)
    assert MADE.find_confusions(0, 0).tolist() == [0, 1]  # the more confident one first
    assert MADE.find_confusions(2, 0).tolist() == []
    assert MADE.find_confident_errors(5).tolist() == [4, 2]
    assert MADE.find_smallest_margins(2).tolist() == [3, 5]


def test_precision_recall_and_f1_by_hand() -> None:
    zero, one, two = MADE.compute_class_metrics()
    assert (zero.precision, zero.recall, zero.f1) == pytest.approx((1.0, 2 / 3, 0.8))
    assert (one.precision, one.recall) == pytest.approx((0.5, 0.5))
    assert (two.precision, two.recall, two.support) == pytest.approx((0.5, 1.0, 1))
    never = Predictions(SAID[:2], np.array([2, 2])).compute_class_metrics()
    assert (never[2].precision, never[2].recall, never[2].f1, never[1].recall) == (0.0, 0.0, 0.0, 0.0)


def test_calibration_by_hand() -> None:
    bins, error = MADE.compute_calibration(bins=2)
    (upper,) = bins
    assert upper.count == 6
    assert upper.confidence == pytest.approx((0.9 + 0.6 + 0.7 + 0.5 + 0.95 + 0.5) / 6)
    assert upper.accuracy == pytest.approx(4 / 6)
    assert error == pytest.approx(abs(upper.confidence - 4 / 6))
    certain = Predictions(np.array([[1.0, 0.0]], dtype=np.float32), np.array([0]))
    assert certain.compute_calibration()[1] == 0.0


@pytest.mark.parametrize(("classes", "activation"), [(3, "softmax"), (2, "sigmoid")])
def test_a_net_is_asked_once_and_says_what_measuring_it_says(classes: int, activation: str) -> None:
    layers = (Flatten(), Output(activation=activation))  # type: ignore[arg-type]
    model = model_of(Architecture(input=InputShape(height=5, width=5), classes=classes, layers=layers))
    data = made_images()
    data = LabeledImages(data.images, data.labels.clamp(max=classes - 1))
    steps = list(predict_dataset(model, data))
    assert [progress for progress, _ in steps] == sorted(progress for progress, _ in steps)
    assert all(found is None for _, found in steps[:-1])
    found = steps[-1][1]
    assert found is not None
    assert found.accuracy == pytest.approx(evaluate(model.module, data).accuracy)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-5)
    again = list(predict_dataset(model, data))
    assert len(again) == 1
    assert again[0][1] is found
    other = LabeledImages(data.images.clone(), data.labels)
    assert next(iter(predict_dataset(model, other)))[1] is None  # other images are asked anew


def test_an_image_of_a_sample_is_found_among_all() -> None:
    every = made_images()
    sample = every.sample(50)
    places = [find_index(sample, place, every) for place in range(50)]
    assert torch.equal(every.images[places], sample.images)
    assert find_index(every, 7, every) == 7


def test_a_sample_is_always_the_same() -> None:
    assert load_evaluation_images("mnist", 200) is load_evaluation_images("mnist", 200)
    assert len(load_evaluation_images("mnist", 200)) == 200
    assert len(load_evaluation_images("mnist")) == len(load_evaluation_images("mnist", 10**6)) == 10_000


def test_a_set_that_is_too_large_alone_is_still_kept_beside_its_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "_MAX_IMAGE_BYTES", 10_000)
    every, sample = (
        load_evaluation_images("mnist", None, (1, 30, 30)),
        load_evaluation_images("mnist", 100, (1, 30, 30)),
    )
    assert load_evaluation_images("mnist", None, (1, 30, 30)) is every
    assert load_evaluation_images("mnist", 100, (1, 30, 30)) is sample
    load_evaluation_images("mnist", 50, (1, 30, 30))
    assert load_evaluation_images("mnist", None, (1, 30, 30)) is not every, "and let go of for others"
    assert len(verdicts._image_cache) == 2
