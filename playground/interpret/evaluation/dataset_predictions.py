"""Cached evaluations of networks on test images."""

import weakref

import torch

from playground.core.shapes import Shape
from playground.engine.cache import ByteBoundedCache, cached, count_bytes
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.data.splits import load_test_images
from playground.engine.metrics import Evaluation
from playground.engine.model.build import expand_to_class_logits
from playground.engine.progress import Progress, Steps
from playground.engine.runs.run import Run
from playground.interpret.model import Model

_BATCH_SIZE = 250
_MAX_EVALUATION_BYTES = 64 * 2**20
_MAX_IMAGE_BYTES, _MAX_SAMPLE_BYTES = 192 * 2**20, 64 * 2**20


def predict_dataset(model: Model, data: LabeledImages) -> Steps[Evaluation]:
    """Evaluate a network in steps.

    Evaluations are cached by network and images. Callers that ask for the same one at a time share its steps, and the
    next one goes on where the last one left.
    """

    def evaluate_in_steps() -> Steps[Evaluation]:
        logits = []
        for index, batch in enumerate(torch.split(data.images, _BATCH_SIZE)):
            yield Progress(f"Evaluating the network on {len(data):,} test images", index * _BATCH_SIZE, len(data))
            with torch.inference_mode():
                logits.append(expand_to_class_logits(model.module(scale_pixels(batch))).float())
        return Evaluation.from_logits(torch.cat(logits), data.labels)

    key = _make_key(model, data)
    return _evaluation_cache.get_or_compute_in_steps(key, evaluate_in_steps, is_resumable=True)


def is_evaluated(model: Model, data: LabeledImages) -> bool:
    """Return True if ``predict_dataset`` returns at once."""
    return _evaluation_cache.get(_make_key(model, data)) is not None


def _make_key(model: Model, data: LabeledImages) -> tuple[Model, "weakref.ref[LabeledImages]"]:
    return model, weakref.ref(data)  # the cache does not keep the images


def load_evaluation_images(name: str, count: int | None = None, shape: Shape | None = None) -> LabeledImages:
    """Load the test images of a dataset, or a fixed sample of ``count`` of them, resized to ``shape``.

    Raises DataError for images that are missing or unreadable.
    """
    return _load_images(name, shape) if count is None else _load_sample(name, count, shape)


# A page asks for all images and for a sample of them by turns, and each cache keeps at least one set.
@cached(max_bytes=_MAX_IMAGE_BYTES)
def _load_images(name: str, shape: Shape | None) -> LabeledImages:
    data = load_test_images(name)
    return data.resize(shape) if shape else data


@cached(max_bytes=_MAX_SAMPLE_BYTES)
def _load_sample(name: str, count: int, shape: Shape | None) -> LabeledImages:
    data = load_test_images(name)
    if count >= len(data):
        return _load_images(name, shape)
    sample = data.sample(count)
    return sample.resize(shape) if shape else sample


def load_run_test_images(run: Run, count: int | None = None) -> LabeledImages:
    """Load the test images of a run's dataset, resized to its network's input; errors as ``load_evaluation_images``."""
    return load_evaluation_images(run.record.recipe.dataset, count, run.record.architecture.input.shape)


def find_index(data: LabeledImages, index: int, all_images: LabeledImages) -> int:
    """Find the index in ``all_images`` of an image of a sample."""
    if len(data) == len(all_images):
        return index
    same = (all_images.images == data.images[index]).flatten(1).all(1) & (all_images.labels == data.labels[index])
    return int(same.nonzero()[0])


def _measure_evaluation(evaluation: Evaluation) -> int:
    return count_bytes(evaluation) + evaluation.logits.nbytes  # the probabilities are as large as the logits


_evaluation_cache: ByteBoundedCache[tuple[Model, weakref.ref[LabeledImages]], Evaluation] = ByteBoundedCache(
    _MAX_EVALUATION_BYTES, _measure_evaluation
)
