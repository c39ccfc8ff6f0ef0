"""How long an epoch will take: the speed measured on this machine, scaled by what a network costs."""

from functools import lru_cache

from playground.spec.presets import architecture_preset
from playground.spec.summary import Row, Summary, summarize

# The time of a training step grows with its multiply-adds and with the bytes it moves. What a byte and an image as such
# weigh, in multiply-adds, was fitted to the presets on two cores: it meets each within a third.
_MULTIPLY_ADDS_PER_BYTE = 17.0
_MULTIPLY_ADDS_PER_IMAGE = 1_600_000.0

_FORWARD_SHARE = 1 / 3
"""Of a training step: the gradients by weights and by inputs cost as much as the way forward, each."""


def cost(summary: Summary) -> float:
    """Relative cost of training on one image; below the first layer that learns there is only a way forward."""
    fixed = sum(map(_row_cost, summary.fixed_rows))
    return sum(map(_row_cost, summary.rows)) - (1 - _FORWARD_SHARE) * fixed + _MULTIPLY_ADDS_PER_IMAGE


def _row_cost(row: Row) -> float:
    return row.multiply_adds + _MULTIPLY_ADDS_PER_BYTE * row.activation_bytes


def guide_speed(summary: Summary, images_per_second: float) -> float:
    """What the speed of some network says about the speed of the guide's net on the same machine."""
    return images_per_second * cost(summary) / cost(_guide())


def seconds_per_epoch(summary: Summary, images: int, guide_images_per_second: float | None) -> float | None:
    """Expected seconds for ``images`` images, given the guide's net's speed here; None while that is unknown."""
    if not guide_images_per_second:
        return None
    return images / guide_images_per_second * cost(summary) / cost(_guide())


@lru_cache(maxsize=1)
def _guide() -> Summary:
    return summarize(architecture_preset("guide").architecture)
