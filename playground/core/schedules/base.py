"""Base class of learning rate schedules."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Schedule(BaseModel, ABC):
    """Parameters of a schedule, and its code for exported PyTorch and Keras programs.

    The code is a Jinja2 template of the fields, ``lr`` and ``total_steps`` (an expression in ``steps_per_epoch``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    title: ClassVar[str]
    torch_code: ClassVar[str | None]
    """Call of a class of ``torch.optim.lr_scheduler``; None for a constant learning rate."""
    keras_code: ClassVar[str]
    """Keras's learning rate: a number or a schedule."""
    keras_class_code: ClassVar[str | None] = None
    """Class and functions that ``keras_code`` needs and Keras does not have; None without."""
    peak_lr_factor: ClassVar[float] = 1.0
    """Ratio of a usual ``lr`` with this schedule to that of a constant learning rate."""

    @property
    def warm_up_share(self) -> float:
        """Share of the steps in which the learning rate rises."""
        return 0.0

    @abstractmethod
    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of the update after ``step`` batches; ``lr`` is the recipe's."""


def interpolate_cosine(start: float, end: float, progress: float) -> float:
    """Interpolate along half a cosine; ``progress`` 0 gives ``start``, and 1 or more gives ``end``."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
