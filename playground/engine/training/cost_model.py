"""Estimated training time: the speed measured on this machine, scaled by a network's cost."""

from functools import lru_cache

from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.core.summary import LayerSummary, Summary, summarize

# The time of a training step grows with its multiply-adds, the bytes it moves, and its layers, each with a cost per
# image and a cost per step. The coefficients, in multiply-adds, were fitted to 13 presets with batch sizes of 32,
# 128 and 512 on two cores; the mean error is 27 %, and each estimate is within a factor of 2.2.
_COST_PER_BYTE = 7.0
_COST_PER_LAYER_AND_IMAGE = 23_000.0
_COST_PER_LAYER_AND_STEP = 11_000_000.0
_REFERENCE_BATCH_SIZE, _EVALUATION_BATCH_SIZE = 128, 1000

_FORWARD_COST_SHARE = 1 / 3
"""Share of the forward pass in a training step: the gradients of weights and of inputs cost as much again, each."""


def estimate_training_cost(summary: Summary, batch_size: int) -> float:
    """Relative cost of training on one image; layers below the first trainable one run forward only."""
    frozen = sum(_estimate_forward_cost(row, batch_size) for row in summary.frozen_prefix)
    return sum(_estimate_forward_cost(row, batch_size) for row in summary.layers) - (1 - _FORWARD_COST_SHARE) * frozen


def _estimate_forward_cost(row: LayerSummary, batch_size: int) -> float:
    if not row.enabled or row.layer_class.is_view:
        return 0.0
    layer = _COST_PER_LAYER_AND_IMAGE + _COST_PER_LAYER_AND_STEP / batch_size
    return row.multiply_adds + _COST_PER_BYTE * row.activation_bytes + layer


def convert_to_reference_speed(summary: Summary, batch_size: int, images_per_second: float) -> float:
    """Convert a network's measured speed to that of the "guide" preset on the same machine."""
    return images_per_second * estimate_training_cost(summary, batch_size) / _get_reference_cost()


def estimate_seconds_per_epoch(
    summary: Summary, recipe: Recipe, train_size: int, reference_images_per_second: float | None
) -> float | None:
    """Estimate the seconds for ``train_size`` training images and the validation at the end of the epoch.

    ``reference_images_per_second`` is the speed of the "guide" preset here; None if it is unknown.
    """
    if not reference_images_per_second:
        return None
    training = train_size * estimate_training_cost(summary, recipe.batch_size)
    evaluation = (
        recipe.validation_size
        * _FORWARD_COST_SHARE
        * sum(_estimate_forward_cost(row, _EVALUATION_BATCH_SIZE) for row in summary.layers)
    )
    return (training + evaluation) / (reference_images_per_second * _get_reference_cost())


@lru_cache(maxsize=1)
def _get_reference_cost() -> float:
    return estimate_training_cost(summarize(get_architecture_preset("guide").architecture), _REFERENCE_BATCH_SIZE)
