"""Cached evaluations of networks on test images."""

import threading
from collections import OrderedDict
from collections.abc import Iterator

import torch

from playground.core.shapes import Shape
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.data.splits import load_test_images
from playground.engine.metrics import Evaluation
from playground.engine.model.build import expand_to_class_logits
from playground.engine.progress import Progress
from playground.engine.runs.run import Run
from playground.interpret.model import Model

_BATCH_SIZE = 250
_MAX_CACHED_EVALUATIONS = 128
_MAX_EVALUATION_BYTES = 64 * 2**20
_MIN_CACHED_IMAGE_SETS, _MAX_CACHED_IMAGE_SETS = 2, 4  # a page asks for all and for a sample of them
_MAX_IMAGE_BYTES = 256 * 2**20


def predict_dataset(model: Model, data: LabeledImages) -> Iterator[tuple[Progress, Evaluation | None]]:
    """Evaluate a network step by step: (progress, None), and at the end (progress, the evaluation).

    Evaluations are cached by network and images.
    """
    stage = f"Evaluating the network on {len(data):,} test images"
    evaluation = _get_cached_evaluation(model, data)
    if evaluation is None:
        logits = []
        for index, batch in enumerate(torch.split(data.images, _BATCH_SIZE)):
            with torch.inference_mode():
                logits.append(expand_to_class_logits(model.module(scale_pixels(batch))).float())
            yield Progress(stage, min(len(data), (index + 1) * _BATCH_SIZE), len(data)), None
        evaluation = Evaluation.from_logits(torch.cat(logits), data.labels)
        _cache_evaluation(model, data, evaluation)
    yield Progress(stage, len(data), len(data)), evaluation


def load_evaluation_images(name: str, count: int | None = None, shape: Shape | None = None) -> LabeledImages:
    """Load the test images of a dataset, or a fixed sample of ``count`` of them, resized to ``shape``.

    Raises DataError for images that are missing or unreadable.
    """
    key = (name, count, shape)
    with _lock:
        if key in _image_cache:
            _image_cache.move_to_end(key)
            return _image_cache[key]
    data = load_test_images(name)
    sample = data if count is None or count >= len(data) else data.sample(count)
    resized = sample.resize(shape) if shape else sample
    with _lock:
        resized = _image_cache.setdefault(key, resized)
        while len(_image_cache) > _MIN_CACHED_IMAGE_SETS and (
            len(_image_cache) > _MAX_CACHED_IMAGE_SETS or _count_image_bytes() > _MAX_IMAGE_BYTES
        ):
            _image_cache.popitem(last=False)
    return resized


def _count_image_bytes() -> int:
    return sum(data.images.nbytes for data in _image_cache.values())


def load_run_test_images(run: Run, count: int | None = None) -> LabeledImages:
    """Load the test images of a run's dataset, resized to its network's input; errors as ``load_evaluation_images``."""
    return load_evaluation_images(run.record.recipe.dataset, count, run.record.architecture.input.shape)


def find_index(data: LabeledImages, index: int, all_images: LabeledImages) -> int:
    """Find the index in ``all_images`` of an image of a sample."""
    if len(data) == len(all_images):
        return index
    same = (all_images.images == data.images[index]).flatten(1).all(1) & (all_images.labels == data.labels[index])
    return int(same.nonzero()[0])


_image_cache: OrderedDict[tuple[str, int | None, Shape | None], LabeledImages] = OrderedDict()
# Keyed by the images' identity; the value keeps them alive.
_evaluation_cache: OrderedDict[tuple[Model, int], tuple[LabeledImages, Evaluation]] = OrderedDict()
_lock = threading.Lock()


def _get_cached_evaluation(model: Model, data: LabeledImages) -> Evaluation | None:
    key = (model, id(data.images))
    with _lock:
        if key not in _evaluation_cache:
            return None
        _evaluation_cache.move_to_end(key)
        return _evaluation_cache[key][1]


def _cache_evaluation(model: Model, data: LabeledImages, evaluation: Evaluation) -> None:
    with _lock:
        _evaluation_cache[(model, id(data.images))] = (data, evaluation)
        while len(_evaluation_cache) > _MAX_CACHED_EVALUATIONS or (
            len(_evaluation_cache) > 1 and _count_cached_bytes() > _MAX_EVALUATION_BYTES
        ):
            _evaluation_cache.popitem(last=False)


def _count_cached_bytes() -> int:
    weights = sum(weight.nbytes for model, _ in _evaluation_cache for weight in model.module.parameters())
    # The probabilities are as large as the logits.
    logits = sum(2 * evaluation.logits.nbytes for _, evaluation in _evaluation_cache.values())
    shared = {id(data.images) for data in _image_cache.values()}
    images = {
        id(data.images): data.images.nbytes for data, _ in _evaluation_cache.values() if id(data.images) not in shared
    }
    return weights + logits + sum(images.values())
