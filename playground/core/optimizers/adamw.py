"""AdamW."""

from typing import Any, ClassVar, Literal

from playground.core.optimizers.adam import AdamFamily


class AdamW(AdamFamily):
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter, 2017."""

    kind: Literal["adamw"] = "adamw"

    title: ClassVar[str] = "AdamW"
    torch_class: ClassVar[str] = "torch.optim.AdamW"
    torch_defaults: ClassVar[dict[str, Any]] = {"betas": (0.9, 0.999)}  # weight decay: its default is not 0
    fused_devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    update_rule: ClassVar[str | None] = "playground.engine.training.optimizers.adam.ADAMW"
    keras_class: ClassVar[str] = "keras.optimizers.AdamW"
    has_decoupled_weight_decay: ClassVar[bool] = True

    def build_keras_arguments(self, weight_decay: float) -> dict[str, Any]:
        """The arguments of Adam and the weight decay."""
        return {**super().build_keras_arguments(weight_decay), "weight_decay": weight_decay}
