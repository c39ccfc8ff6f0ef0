"""Evaluations of whole datasets: equal to ``evaluate``, cached by network and images; samples of test images."""

import weakref

import numpy as np
import pytest
import torch

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Flatten, Output
from playground.engine.cache import ByteBoundedCache
from playground.engine.data.batch import LabeledImages
from playground.engine.progress import run_to_end
from playground.engine.training.evaluate import evaluate
from playground.interpret.evaluation import dataset_predictions
from playground.interpret.evaluation.dataset_predictions import find_index, load_evaluation_images, predict_dataset
from tests.interpret.nets import model_of


def make_images(count: int = 700) -> LabeledImages:
    source = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 1, 5, 5), dtype=torch.uint8, generator=source)
    return LabeledImages(images, torch.randint(0, 3, (count,), generator=source))


@pytest.mark.parametrize(("classes", "activation"), [(3, "softmax"), (2, "sigmoid")])
def test_predict_dataset_equals_evaluate_and_is_cached(classes: int, activation: str) -> None:
    layers = (Flatten(), Output(activation=activation))
    model = model_of(Architecture(input=InputShape(height=5, width=5), classes=classes, layers=layers))
    data = make_images()
    data = LabeledImages(data.images, data.labels.clamp(max=classes - 1))
    assert [progress.completed for progress in predict_dataset(model, data)] == [0, 250, 500]
    evaluation = run_to_end(predict_dataset(model, data))
    expected = evaluate(model.module, data)
    assert (evaluation.loss, evaluation.accuracy) == pytest.approx((expected.loss, expected.accuracy))
    torch.testing.assert_close(evaluation.logits, expected.logits)
    np.testing.assert_allclose(evaluation.probabilities.sum(1), 1, rtol=1e-5)
    assert list(predict_dataset(model, data)) == []
    assert run_to_end(predict_dataset(model, data)) is evaluation
    other = LabeledImages(data.images.clone(), data.labels)
    assert len(list(predict_dataset(model, other))) == 3  # other images are evaluated again


def test_two_callers_share_one_evaluation() -> None:
    architecture = Architecture(input=InputShape(height=5, width=5), classes=3, layers=(Flatten(), Output()))
    model, data = model_of(architecture), make_images()
    batch_sizes: list[int] = []
    model.module.register_forward_hook(lambda _module, inputs, _output: batch_sizes.append(len(inputs[0])))
    first, second = predict_dataset(model, data), predict_dataset(model, data)
    next(first)
    assert batch_sizes == []  # the first progress comes at once
    next(first)
    assert next(second).completed == 250
    assert run_to_end(second) is run_to_end(first)
    assert batch_sizes == [250, 250, 200]


def test_evaluation_goes_on_where_the_last_caller_left() -> None:
    architecture = Architecture(input=InputShape(height=5, width=5), classes=3, layers=(Flatten(), Output()))
    model, data = model_of(architecture), make_images()
    batch_sizes: list[int] = []
    model.module.register_forward_hook(lambda _module, inputs, _output: batch_sizes.append(len(inputs[0])))
    interrupted = predict_dataset(model, data)
    next(interrupted)
    next(interrupted)
    interrupted.close()
    assert run_to_end(predict_dataset(model, data)).size == 700
    assert batch_sizes == [250, 250, 200]


def test_find_index_of_a_sampled_image() -> None:
    every = make_images()
    sample = every.sample(50)
    indices = [find_index(sample, index, every) for index in range(50)]
    assert torch.equal(every.images[indices], sample.images)
    assert find_index(every, 7, every) == 7


def test_samples_are_deterministic_and_cached() -> None:
    assert load_evaluation_images("mnist", 200) is load_evaluation_images("mnist", 200)
    assert len(load_evaluation_images("mnist", 200)) == 200
    assert len(load_evaluation_images("mnist")) == len(load_evaluation_images("mnist", 10**6)) == 10_000


def test_all_images_and_a_sample_stay_cached_however_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for load in (dataset_predictions._load_images, dataset_predictions._load_sample):
        monkeypatch.setattr(load, "cache", ByteBoundedCache(10_000))
    shape = (1, 30, 30)
    every, sample = load_evaluation_images("mnist", None, shape), load_evaluation_images("mnist", 100, shape)
    assert load_evaluation_images("mnist", None, shape) is every
    assert load_evaluation_images("mnist", 100, shape) is sample
    load_evaluation_images("mnist", 50, shape)
    assert load_evaluation_images("mnist", 100, shape) is not sample, "evicted by another sample"
    assert load_evaluation_images("mnist", None, shape) is every


def test_evaluation_cache_does_not_keep_the_images() -> None:
    layers = (Flatten(), Output())
    model = model_of(Architecture(input=InputShape(height=5, width=5), classes=3, layers=layers))
    data = make_images(10)
    list(predict_dataset(model, data))
    images = weakref.ref(data)
    del data
    assert images() is None
