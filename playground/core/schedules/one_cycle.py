"""One-cycle schedule."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.schedules.base import Schedule, interpolate_cosine

_FINAL_DIV_FACTOR = 1e4
"""PyTorch's default: the first learning rate over the last one."""


class OneCycle(Schedule):
    """The learning rate rises to ``lr``, then falls to almost zero. Source: Smith and Topin, 2017."""

    kind: Literal["one_cycle"] = "one_cycle"
    pct_start: float = Field(
        default=0.3,
        ge=0.05,
        le=0.95,
        description="Share of the steps in which the learning rate rises.",
        json_schema_extra={"step": 0.05},
    )
    div_factor: float = Field(
        default=25.0,
        ge=1,
        le=1000,
        description="Ratio of the peak to the first learning rate.",
        json_schema_extra={"step": 5.0},
    )

    title: ClassVar[str] = "One-cycle"
    peak_lr_factor: ClassVar[float] = 5.0  # the peak lasts only a few steps
    torch_code: ClassVar[str | None] = (
        "OneCycleLR(optimizer, {{ lr }}, total_steps={{ total_steps }}"
        "{% if pct_start != 0.3 %}, pct_start={{ pct_start }}{% endif %}"
        "{% if div_factor != 25 %}, div_factor={{ div_factor }}{% endif %}, cycle_momentum=False)"
    )
    keras_code: ClassVar[str] = "OneCycle({{ total_steps }})"
    keras_class_code: ClassVar[str | None] = '''
@keras.saving.register_keras_serializable()
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate rises to its peak and falls to almost zero, both along half a cosine."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        peak = max(1.0, {{ pct_start }} * self.steps - 1)
        rise = interpolate_cosine({{ lr / div_factor }}, {{ lr }}, step / peak)
        fall = interpolate_cosine({{ lr }}, {{ lr / div_factor / 1e4 }}, \
(step - peak) / max(1.0, self.steps - 1 - peak))
        return keras.ops.where(step <= peak, rise, fall)

    def get_config(self):
        return {"steps": self.steps}


def interpolate_cosine(start, end, progress):
    """From start to end along half a cosine, for a progress from 0 to 1."""
    return end + (start - end) * (1 + keras.ops.cos(math.pi * keras.ops.clip(progress, 0, 1))) / 2
'''

    @property
    def warm_up_share(self) -> float:
        """``pct_start``."""
        return self.pct_start

    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Interpolate as PyTorch's OneCycleLR does with its default final division factor."""
        total = max(1, steps_per_epoch * epochs)
        first = lr / self.div_factor
        peak_step = max(1.0, self.pct_start * total - 1)
        if step <= peak_step:
            return interpolate_cosine(first, lr, step / peak_step)
        return interpolate_cosine(lr, first / _FINAL_DIV_FACTOR, (step - peak_step) / max(1.0, total - 1 - peak_step))
