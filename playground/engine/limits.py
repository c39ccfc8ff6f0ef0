"""What this machine allows a training to take."""

from playground.engine.precision import available_memory_bytes
from playground.spec.recipe import Recipe
from playground.spec.validation import Limits

_SHARE = 0.75


def machine_limits(recipe: Recipe) -> Limits:
    """What this machine allows a training to take: three quarters of the memory that is free."""
    return Limits(training_bytes=int(available_memory_bytes(recipe.device) * _SHARE), batch_size=recipe.batch_size)
