"""How long an epoch will take: the speed measured on this machine, scaled by what a network costs."""

from functools import lru_cache

from playground.core.presets import architecture_preset
from playground.core.recipe import Recipe
from playground.core.summary import Row, Summary, summarize

# The time of a training step grows with its multiply-adds, with the bytes it moves, and with its layers, each of which
# costs something for an image and something for a step. What these weigh, in multiply-adds, was fitted to 13 presets
# with batches of 32, 128 and 512 on two cores: it meets them within 27 % on average, each within a factor of 2.2.
_PER_BYTE = 7.0
_PER_LAYER_AND_IMAGE = 23_000.0
_PER_LAYER_AND_STEP = 11_000_000.0
_USUAL_BATCH, _MEASURING_BATCH = 128, 1000
_FREE = ("flatten",)

_FORWARD_SHARE = 1 / 3
"""Of a training step: the gradients by weights and by inputs cost as much as the way forward, each."""


def cost(summary: Summary, batch_size: int) -> float:
    """Relative cost of training on one image; below the first layer that learns there is only a way forward."""
    fixed = sum(_row_cost(row, batch_size) for row in summary.fixed_rows)
    return sum(_row_cost(row, batch_size) for row in summary.rows) - (1 - _FORWARD_SHARE) * fixed


def _row_cost(row: Row, batch_size: int) -> float:
    if not row.enabled or row.kind in _FREE:
        return 0.0
    layer = _PER_LAYER_AND_IMAGE + _PER_LAYER_AND_STEP / batch_size
    return row.multiply_adds + _PER_BYTE * row.activation_bytes + layer


def guide_speed(summary: Summary, batch_size: int, images_per_second: float) -> float:
    """What the speed of some network says about the speed of the guide's net on the same machine."""
    return images_per_second * cost(summary, batch_size) / _guide_cost()


def seconds_per_epoch(
    summary: Summary, recipe: Recipe, images: int, guide_images_per_second: float | None
) -> float | None:
    """Expected seconds for ``images`` training images and the validation that an epoch ends with.

    Given the guide's net's speed here; None while that is unknown.
    """
    if not guide_images_per_second:
        return None
    training = images * cost(summary, recipe.batch_size)
    measuring = recipe.validation_size * _FORWARD_SHARE * sum(_row_cost(row, _MEASURING_BATCH) for row in summary.rows)
    return (training + measuring) / (guide_images_per_second * _guide_cost())


@lru_cache(maxsize=1)
def _guide_cost() -> float:
    return cost(summarize(architecture_preset("guide").architecture), _USUAL_BATCH)
