"""Stochastic gradient descent."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from playground.core.layers.shared.calls import omit_defaults
from playground.core.optimizers.base import Optimizer


class Sgd(Optimizer):
    """Stochastic gradient descent, plain or with momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(
        default=0.9,
        ge=0,
        le=0.999,
        description="Share of the previous step that is added to each step.",
        json_schema_extra={"step": 0.05},
    )
    nesterov: bool = Field(
        default=False, description="Nesterov momentum: the gradient is evaluated after the momentum step."
    )

    title: ClassVar[str] = "SGD"
    torch_class: ClassVar[str] = "torch.optim.SGD"
    torch_defaults: ClassVar[dict[str, Any]] = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    fused_devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    update_rule: ClassVar[str | None] = "playground.engine.training.optimizers.sgd.SGD"
    keras_class: ClassVar[str] = "keras.optimizers.SGD"
    typical_lr: ClassVar[float] = 0.05

    def build_torch_arguments(self) -> dict[str, Any]:
        """The fields; ``nesterov`` is False at momentum 0, which PyTorch rejects."""
        return {"momentum": self.momentum, "nesterov": self.nesterov and self.momentum > 0}

    def build_keras_arguments(self, weight_decay: float) -> dict[str, Any]:
        """The arguments of PyTorch, without Keras's defaults."""
        return omit_defaults({"momentum": 0.0, "nesterov": False}, **self.build_torch_arguments())
