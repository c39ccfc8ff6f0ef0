"""Constant learning rate."""

from typing import ClassVar, Literal

from playground.core.schedules.base import Schedule


class Constant(Schedule):
    """The same learning rate in every step."""

    kind: Literal["constant"] = "constant"

    title: ClassVar[str] = "Constant"
    torch_code: ClassVar[str | None] = None
    keras_code: ClassVar[str] = "{{ lr }}"

    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Return ``lr``."""
        return lr
