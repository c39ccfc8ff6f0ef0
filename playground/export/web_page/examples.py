"""Test images of a published page."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from playground.core.datasets import CUSTOM_ORIGIN
from playground.engine.runs.run import Run
from playground.export.report.test_results import EvaluatedRun

_MAX_CLASSES, _MAX_ERRORS = 10, 5
_MAX_BYTES = 600_000
_MIN_COUNT = 3


@dataclass(frozen=True)
class ExampleImages:
    """Test images in the network's input shape: uint8 (count, channels, height, width) and their labels.

    The last ``error_count`` are misclassified. ``is_withheld``: there are images, but their owner did not ask for them
    to be in the page.
    """

    pixels: NDArray[np.uint8]
    labels: list[int]
    error_count: int = 0
    is_withheld: bool = False


def select_examples(run: Run, evaluated: EvaluatedRun | None, *, includes_custom_images: bool) -> ExampleImages:
    """Select the first image of each of up to ten classes, and the most confident errors."""
    is_custom = run.get_dataset().origin == CUSTOM_ORIGIN
    if evaluated is None or (is_custom and not includes_custom_images):
        nothing = np.zeros((0, *run.record.architecture.input.shape), dtype=np.uint8)
        return ExampleImages(nothing, [], is_withheld=evaluated is not None)
    labels = evaluated.evaluation.labels
    classes = np.unique(labels)
    spread = np.unique(np.linspace(0, len(classes) - 1, min(_MAX_CLASSES, len(classes))).round().astype(int))
    firsts = [int(np.flatnonzero(labels == label)[0]) for label in classes[spread]]
    max_count = max(_MIN_COUNT, _MAX_BYTES // evaluated.images.images[0].numel())
    firsts = firsts[:max_count]
    errors = [
        int(index) for index in evaluated.evaluation.find_confident_errors(_MAX_ERRORS) if int(index) not in firsts
    ][: max_count - len(firsts)]
    chosen = [*firsts, *errors]
    pixels = evaluated.images.take(torch.tensor(chosen, dtype=torch.int64)).images.numpy()
    return ExampleImages(pixels, [int(labels[index]) for index in chosen], len(errors))
