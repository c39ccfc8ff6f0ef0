"""Learning rate schedules, with their code for exported PyTorch and Keras programs.

The code is a Jinja2 template of the fields, ``lr`` and ``total_steps`` (an expression in ``steps_per_epoch``).
"""

import math
import sys
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from playground.core.kinds import collect_kinds, make_union

_FINAL_DIV_FACTOR = 1e4
"""PyTorch's default: the first learning rate over the last one."""


class Schedule(BaseModel):
    """Parameters of a schedule. Every subclass in this module is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    title: ClassVar[str]
    torch_code: ClassVar[str | None]
    """Call of a class of ``torch.optim.lr_scheduler``; None for a constant learning rate."""
    keras_code: ClassVar[str]
    """Keras's learning rate: a number or a schedule."""
    keras_class_code: ClassVar[str | None] = None
    """Class and functions that ``keras_code`` needs and Keras does not have; None without."""

    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of the update after ``step`` batches; ``lr`` is the recipe's."""
        raise NotImplementedError


class Constant(Schedule):
    """The same learning rate in every step."""

    kind: Literal["constant"] = "constant"

    title: ClassVar[str] = "Constant"
    torch_code: ClassVar[str | None] = None
    keras_code: ClassVar[str] = "{{ lr }}"

    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Return ``lr``."""
        return lr


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


class Cosine(Schedule):
    """The learning rate falls along half a cosine to zero. Source: Loshchilov and Hutter, 2016."""

    kind: Literal["cosine"] = "cosine"

    title: ClassVar[str] = "Cosine"
    torch_code: ClassVar[str | None] = "CosineAnnealingLR(optimizer, T_max={{ total_steps }})"
    keras_code: ClassVar[str] = "keras.optimizers.schedules.CosineDecay({{ lr }}, {{ total_steps }})"

    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Interpolate from ``lr`` to 0."""
        return _interpolate_cosine(lr, 0.0, step / max(1, steps_per_epoch * epochs))


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

    def compute_lr(self, lr: float, step: float, steps_per_epoch: int, epochs: int) -> float:
        """Interpolate as PyTorch's OneCycleLR does with its default final division factor."""
        total = max(1, steps_per_epoch * epochs)
        first = lr / self.div_factor
        peak_step = max(1.0, self.pct_start * total - 1)
        if step <= peak_step:
            return _interpolate_cosine(first, lr, step / peak_step)
        return _interpolate_cosine(lr, first / _FINAL_DIV_FACTOR, (step - peak_step) / max(1.0, total - 1 - peak_step))


def _interpolate_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


SCHEDULES: dict[str, type[Schedule]] = collect_kinds([sys.modules[__name__]], Schedule)

if TYPE_CHECKING:
    AnySchedule = Schedule
else:
    AnySchedule = make_union(SCHEDULES)
