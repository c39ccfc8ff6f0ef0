"""Step decay."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.schedules.base import Schedule


class StepDecay(Schedule):
    """The learning rate is multiplied by a factor every few epochs."""

    kind: Literal["step"] = "step"
    step_size: int = Field(default=2, ge=1, le=100, description="Number of epochs between two decreases.")
    gamma: float = Field(
        default=0.5, gt=0, le=1, description="Factor of each decrease.", json_schema_extra={"step": 0.05}
    )

    title: ClassVar[str] = "Step"
    torch_code: ClassVar[str | None] = (
        "StepLR(optimizer, step_size={{ step_size }} * steps_per_epoch, gamma={{ gamma }})"
    )
    keras_code: ClassVar[str] = (
        "keras.optimizers.schedules.ExponentialDecay"
        "({{ lr }}, {{ step_size }} * steps_per_epoch, decay_rate={{ gamma }}, staircase=True)"
    )

    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Count whole periods of ``step_size`` epochs."""
        return lr * self.gamma ** int(step // (self.step_size * steps_per_epoch))
