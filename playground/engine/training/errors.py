"""Errors of a training: invalid batch size, divergence, and memory."""

import torch

from playground.core.recipe import Recipe
from playground.errors import DivergedError, OutOfMemoryError, PlaygroundError, RecipeError

DIVERGENCE_THRESHOLD = 1e4
"""Cross-entropy from which no training recovers: guessing gives ln(classes), about 2.3 for ten."""

_MAX_SUGGESTED_LR = 0.01


def make_batch_size_error(batch_size: int, train_size: int) -> RecipeError:
    """Make the error for a batch that is larger than the training set."""
    return RecipeError(
        f"A batch of {batch_size:,} is larger than the {train_size:,} training images.",
        expected="A batch size of at most the number of training images.",
        fix=f"Choose a batch size of at most {train_size:,}.",
    )


def make_divergence_error(step: int, loss: float, lr: float) -> DivergedError:
    """Make the error for a loss that is not a number or above ``DIVERGENCE_THRESHOLD``."""
    change = f"rose to {loss:.3g}" if loss == loss else "became not-a-number (NaN)"
    return DivergedError(
        f"The loss {change} at step {step}, with learning rate {lr:g}.",
        expected="A falling loss. The learning rate is too high: each update overshoots more than the last.",
        fix=f"Train again with a learning rate of {_format_lr(lr / 10)} or less.",
    )


def _format_lr(lr: float) -> str:
    return f"{min(lr, _MAX_SUGGESTED_LR):.0e}".replace("e-0", "e-")


def convert_memory_error(error: RuntimeError, recipe: Recipe) -> PlaygroundError:
    """Convert an out-of-memory error of PyTorch; any other RuntimeError is raised again."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in text or "out of memory" in text:
        return OutOfMemoryError(
            f"The device ran out of memory at batch size {recipe.batch_size}.",
            expected=text.splitlines()[0][:200],
            fix="Choose a smaller batch size, fewer channels, or pool earlier.",
        )
    raise error
