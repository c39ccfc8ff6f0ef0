"""Adam for one tensor. ``torch.optim`` loads a compiler on first use: 150 MB and three seconds."""

import torch
from torch import Tensor


class Adam:
    """Adam with its default settings; ``relative_eps`` is its epsilon in units of the root mean square gradient.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
    """

    def __init__(self, like: Tensor, relative_eps: float = 1e-8) -> None:
        self._mean, self._square, self._steps = torch.zeros_like(like), torch.zeros_like(like), 0
        self._relative_eps = relative_eps

    def compute_direction(self, gradient: Tensor) -> Tensor:
        """Update the moments with a gradient and return the direction to subtract."""
        self._steps += 1
        self._mean = 0.9 * self._mean + 0.1 * gradient
        self._square = 0.999 * self._square + 0.001 * gradient.square()
        mean, square = self._mean / (1 - 0.9**self._steps), self._square / (1 - 0.999**self._steps)
        mean_magnitude = square.mean().sqrt().clamp(min=1e-12)
        return mean / (square.sqrt() + self._relative_eps * mean_magnitude)
