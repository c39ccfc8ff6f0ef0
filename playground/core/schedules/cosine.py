"""Cosine annealing."""

from typing import ClassVar, Literal

from playground.core.schedules.base import Schedule, interpolate_cosine


class Cosine(Schedule):
    """The learning rate falls along half a cosine to zero. Source: Loshchilov and Hutter, 2016."""

    kind: Literal["cosine"] = "cosine"

    title: ClassVar[str] = "Cosine"
    torch_code: ClassVar[str | None] = "CosineAnnealingLR(optimizer, T_max={{ total_steps }})"
    keras_code: ClassVar[str] = "keras.optimizers.schedules.CosineDecay({{ lr }}, {{ total_steps }})"

    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Interpolate from ``lr`` to 0."""
        return interpolate_cosine(lr, 0.0, step / max(1, steps_per_epoch * epochs))
