"""Adagrad."""

from typing import Any, ClassVar, Literal

from playground.core.optimizers.base import Optimizer


class Adagrad(Optimizer):
    """Adagrad: divides every step by the root of the sum of all squared gradients. Source: Duchi et al., 2011."""

    kind: Literal["adagrad"] = "adagrad"

    title: ClassVar[str] = "Adagrad"
    torch_class: ClassVar[str] = "torch.optim.Adagrad"
    fused_devices: ClassVar[tuple[str, ...]] = ("cpu",)
    update_rule: ClassVar[str | None] = "playground.engine.training.optimizers.adagrad.ADAGRAD"
    keras_class: ClassVar[str] = "keras.optimizers.Adagrad"
    typical_lr: ClassVar[float] = 0.01

    def build_keras_arguments(self, weight_decay: float) -> dict[str, Any]:
        """The initial sum and epsilon of PyTorch."""
        return {"initial_accumulator_value": 0.0, "epsilon": 1e-20}
