"""Adam, and what the optimizers derived from it share."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from playground.core.layers.shared.calls import omit_defaults
from playground.core.optimizers.base import Optimizer


class AdamFamily(Optimizer):
    """Optimizer with running means of gradients and squared gradients."""

    beta1: float = Field(
        default=0.9,
        ge=0,
        le=0.999,
        description="Decay rate of the gradient's running mean.",
        json_schema_extra={"step": 0.05},
    )
    beta2: float = Field(
        default=0.999,
        ge=0,
        le=0.9999,
        description="Decay rate of the squared gradient's running mean.",
        json_schema_extra={"step": 0.005},
    )

    def build_torch_arguments(self) -> dict[str, Any]:
        """Both decay rates as one argument."""
        return {"betas": (self.beta1, self.beta2)}

    def build_keras_arguments(self, weight_decay: float) -> dict[str, Any]:
        """Both decay rates, and PyTorch's epsilon."""
        betas = omit_defaults({"beta_1": 0.9, "beta_2": 0.999}, beta_1=self.beta1, beta_2=self.beta2)
        return {**betas, "epsilon": 1e-8}


class Adam(AdamFamily):
    """Adam: steps scaled by running means of gradients and squared gradients. Source: Kingma and Ba, 2014."""

    kind: Literal["adam"] = "adam"

    title: ClassVar[str] = "Adam"
    torch_class: ClassVar[str] = "torch.optim.Adam"
    torch_defaults: ClassVar[dict[str, Any]] = {"betas": (0.9, 0.999), "weight_decay": 0.0}
    fused_devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    update_rule: ClassVar[str | None] = "playground.engine.training.optimizers.adam.ADAM"
    keras_class: ClassVar[str] = "keras.optimizers.Adam"
