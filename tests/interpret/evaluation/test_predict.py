"""Predictions, their descriptions and evaluations, computed by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Flatten, Output
from playground.engine.data.batch import LabeledImages
from playground.engine.data.splits import load_test_images
from playground.engine.runs.repository import load_pretrained_run
from playground.interpret.evaluation.predict import Prediction, evaluate_model, predict, predict_snapshots
from playground.interpret.model import Model, load_model
from tests import strategies
from tests.interpret.nets import model_of, set_weights


def _reader(classes: int = 3) -> Model:
    """A network with 10 times the first ``classes`` pixels as logits."""
    image = InputShape(height=1, width=classes)
    model = model_of(Architecture(input=image, classes=classes, layers=(Flatten(), Output())))
    set_weights(model.module[1], (10 * np.eye(classes)).tolist(), [0.0] * classes)
    return model


def _image(*pixels: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array([[pixels]], dtype=np.float32)


def test_probabilities_by_hand() -> None:
    (prediction,) = predict(_reader(), [_image(0.1, 0.3, 0.2)])
    powers = [math.exp(score) for score in (1, 3, 2)]
    assert prediction.probabilities == pytest.approx([power / sum(powers) for power in powers], rel=1e-6)
    assert (prediction.top_class, prediction.second_class) == (1, 2)


def test_no_images_give_no_predictions() -> None:
    assert predict(_reader(), []) == ()


def test_predictions_keep_the_order_of_the_images() -> None:
    images = [_image(*(1.0 if place == digit else 0.0 for place in range(3))) for digit in (2, 0, 1, 2)]
    assert [prediction.top_class for prediction in predict(_reader(), images)] == [2, 0, 1, 2]


def test_large_logits_do_not_overflow() -> None:
    (prediction,) = predict(_reader(), [_image(1e6, -1e6, 0)])
    assert prediction.probabilities == (1.0, 0.0, 0.0)


def test_sigmoid_output_gives_two_probabilities() -> None:
    architecture = Architecture(
        input=InputShape(height=1, width=2), classes=2, layers=(Flatten(), Output(activation="sigmoid"))
    )
    model = model_of(architecture)
    set_weights(model.module[1], [[2.0, -2.0]], [0.5])
    for pixels, score in (((1.0, 0.0), 2.5), ((0.0, 1.0), -1.5)):
        (prediction,) = predict(model, [_image(*pixels)])
        sure = 1 / (1 + math.exp(-score))
        assert prediction.probabilities == pytest.approx((1 - sure, sure), rel=1e-6)
        assert prediction.top_class == int(score > 0)
        assert prediction.second_class == 1 - prediction.top_class


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@given(architecture=strategies.architectures())
@settings(max_examples=25)
def test_probabilities_are_the_softmax_of_the_logits(architecture: Architecture) -> None:
    model = model_of(architecture)
    images = list(np.random.default_rng(0).random((3, *architecture.input.shape), dtype=np.float32))
    with torch.inference_mode():
        scores = model.module(torch.from_numpy(np.stack(images))).double()
    single = scores.shape[1] == 1
    expected = torch.cat([1 - scores.sigmoid(), scores.sigmoid()], dim=1) if single else scores.softmax(1)
    for prediction, row in zip(predict(model, images), expected.tolist(), strict=True):
        assert len(prediction.probabilities) == architecture.classes
        assert sum(prediction.probabilities) == pytest.approx(1, abs=1e-9)
        assert prediction.probabilities == pytest.approx(row, rel=1e-6, abs=1e-12)
        ranked = sorted(prediction.probabilities, reverse=True)
        assert prediction.probabilities[prediction.top_class] == ranked[0]
        assert prediction.probabilities[prediction.second_class] == ranked[1]
        assert prediction.top_class != prediction.second_class


@pytest.mark.parametrize(
    ("probabilities", "description"),
    [
        ((0.0, 1.0, 0.0), "certain (100%)"),
        ((0.004, 0.996, 0.0), "certain (100%)"),
        ((0.06, 0.94, 0.0), "certain (94%), next 0 (6%)"),
        ((0.45, 0.5, 0.05), "undecided between 1 (50%) and 0 (45%)"),
        ((0.1, 0.7, 0.2), "probable (70%), next 2 (20%)"),
    ],
)
def test_describe_by_confidence(probabilities: tuple[float, ...], description: str) -> None:
    order = sorted(range(3), key=lambda digit: -probabilities[digit])
    names = [str(place) for place in range(len(probabilities))]
    assert Prediction(probabilities, order[0], order[1]).describe(names) == description


def test_doubted_input_is_never_certain() -> None:
    names = ["0", "1"]
    certain, undecided = Prediction((0.0, 1.0), 1, 0), Prediction((0.55, 0.45), 0, 1)
    assert certain.is_certain
    assert certain.describe(names, ("it is cut",)) == "probable (100%), but it is cut"
    assert undecided.describe(names, ("a", "b")) == "undecided between 0 (55%) and 1 (45%), but a and b"


def test_describe_names_the_classes() -> None:
    assert (
        Prediction((0.45, 0.5, 0.05), 1, 0).describe(["cat", "dog", "frog"])
        == "undecided between dog (50%) and cat (45%)"
    )


def test_evaluate_model_by_hand() -> None:
    """Five images of classes 0, 0, 1, 1, 2; the second and the fifth are predicted as class 1."""
    pixels = [[255, 0, 0], [0, 255, 0], [0, 255, 0], [0, 255, 0], [0, 255, 0]]
    data = LabeledImages(
        torch.tensor(pixels, dtype=torch.uint8).reshape(5, 1, 1, 3), torch.tensor([0, 0, 1, 1, 2], dtype=torch.int64)
    )
    model = _reader()
    evaluation = evaluate_model(model, data)
    assert evaluation.size == 5
    assert evaluation.accuracy == pytest.approx(3 / 5)
    assert evaluation.per_class_accuracy == pytest.approx((0.5, 1.0, 0.0))
    assert evaluation.confusion_matrix.tolist() == [[1, 1, 0], [0, 2, 0], [0, 1, 0]]
    both = math.log(math.exp(10) + 2)
    assert evaluation.loss == pytest.approx((3 * (both - 10) + 2 * both) / 5, rel=1e-5)
    assert not model.module.training


def test_class_without_images_has_accuracy_zero() -> None:
    data = LabeledImages(torch.zeros(2, 1, 1, 3, dtype=torch.uint8), torch.tensor([0, 0]))
    assert evaluate_model(_reader(), data).per_class_accuracy[1:] == (0.0, 0.0)


def test_predict_snapshots_equals_predicting_with_each_snapshot() -> None:
    run = load_pretrained_run()
    image = load_test_images("mnist").get_image(3)
    predictions = predict_snapshots(run, image)
    assert [step for step, _ in predictions] == list(run.list_snapshot_steps())
    for step, prediction in predictions:
        assert prediction == predict(load_model(run, step), [image])[0]
    assert [step for step, _ in predict_snapshots(run, image, max_snapshots=2)] == [
        run.list_snapshot_steps()[0],
        run.list_snapshot_steps()[-1],
    ]
