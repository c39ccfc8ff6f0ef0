"""How long an epoch will take: the speed measured on this machine, scaled by what a network costs."""

from functools import lru_cache

from playground.spec.presets import architecture_preset
from playground.spec.recipe import Recipe
from playground.spec.summary import Row, Summary, summarize

# The time of a training step grows with its multiply-adds and with the bytes it moves. What a byte, an image and a step
# as such weigh, in multiply-adds, was fitted to the presets on two cores: with batches of 128 it meets each within a
# third, and the guide's net and LeNet-5 with batches of 16 to 512.
_MULTIPLY_ADDS_PER_BYTE = 17.0
_MULTIPLY_ADDS_PER_IMAGE = 870_000.0
_MULTIPLY_ADDS_PER_STEP = 94_000_000.0
_USUAL_BATCH = 128

_FORWARD_SHARE = 1 / 3
"""Of a training step: the gradients by weights and by inputs cost as much as the way forward, each."""


def cost(summary: Summary, batch_size: int) -> float:
    """Relative cost of training on one image; below the first layer that learns there is only a way forward."""
    fixed = (1 - _FORWARD_SHARE) * sum(map(_row_cost, summary.fixed_rows))
    own = _MULTIPLY_ADDS_PER_IMAGE + _MULTIPLY_ADDS_PER_STEP / batch_size
    return sum(map(_row_cost, summary.rows)) - fixed + own


def _row_cost(row: Row) -> float:
    return row.multiply_adds + _MULTIPLY_ADDS_PER_BYTE * row.activation_bytes


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
    measuring = recipe.validation_size * _FORWARD_SHARE * sum(map(_row_cost, summary.rows))
    return (training + measuring) / (guide_images_per_second * _guide_cost())


@lru_cache(maxsize=1)
def _guide_cost() -> float:
    return cost(summarize(architecture_preset("guide").architecture), _USUAL_BATCH)
