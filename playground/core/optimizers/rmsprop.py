"""RMSprop."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from playground.core.layers.shared.calls import omit_defaults
from playground.core.optimizers.base import Optimizer


class RmsProp(Optimizer):
    """RMSprop: divides every step by the root of the squared gradient's running mean."""

    kind: Literal["rmsprop"] = "rmsprop"
    alpha: float = Field(
        default=0.99,
        ge=0,
        le=0.9999,
        description="Decay rate of the squared gradient's running mean.",
        json_schema_extra={"step": 0.01},
    )
    momentum: float = Field(
        default=0.0,
        ge=0,
        le=0.999,
        description="Share of the previous step that is added to each step.",
        json_schema_extra={"step": 0.05},
    )

    title: ClassVar[str] = "RMSprop"
    torch_class: ClassVar[str] = "torch.optim.RMSprop"
    torch_defaults: ClassVar[dict[str, Any]] = {"alpha": 0.99, "momentum": 0.0, "weight_decay": 0.0}
    lazy_state: ClassVar[tuple[str, ...]] = ("momentum_buffer",)
    update_rule: ClassVar[str | None] = "playground.engine.training.optimizers.rmsprop.RMSPROP"
    keras_class: ClassVar[str] = "keras.optimizers.RMSprop"

    def build_torch_arguments(self) -> dict[str, Any]:
        """The fields under the same names."""
        return {"alpha": self.alpha, "momentum": self.momentum}

    def build_keras_arguments(self, weight_decay: float) -> dict[str, Any]:
        """The fields under Keras's names, and PyTorch's epsilon."""
        return {"rho": self.alpha, **omit_defaults({"momentum": 0.0}, momentum=self.momentum), "epsilon": 1e-16}
