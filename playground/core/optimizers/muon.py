"""Muon."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from playground.core.optimizers.adam import AdamFamily


class Muon(AdamFamily):
    """Muon: orthogonalized momentum for hidden kernels, AdamW for all other weights. Source: Jordan et al., 2024.

    Hidden kernels are all but the first and the last of the network, as in the source ("Muon: An optimizer for hidden
    layers in neural networks"). Steps are scaled to the size of AdamW's (Liu et al., "Muon is Scalable for LLM
    Training", 2025), so that one learning rate and one weight decay suit both.
    """

    kind: Literal["muon"] = "muon"
    momentum: float = Field(
        default=0.95,
        ge=0,
        le=0.999,
        description="Decay rate of the gradient's running mean, for hidden kernels.",
        json_schema_extra={"step": 0.01},
    )
    nesterov: bool = Field(default=True, description="Nesterov momentum, for hidden kernels.")
    ns_steps: int = Field(
        default=5,
        ge=1,
        le=10,
        description="Number of Newton–Schulz iterations. More iterations orthogonalize better and take longer.",
    )
    beta1: float = Field(
        default=0.9,
        ge=0,
        le=0.999,
        description="AdamW's decay rate of the gradient's running mean.",
        json_schema_extra={"step": 0.05},
    )
    beta2: float = Field(
        default=0.95,
        ge=0,
        le=0.9999,
        description="AdamW's decay rate of the squared gradient's running mean.",
        json_schema_extra={"step": 0.005},
    )

    title: ClassVar[str] = "Muon"
    torch_class: ClassVar[str] = "playground.engine.training.optimizers.muon.Muon"
    torch_inputs: ClassVar[str] = "model.parameters(), model"
    torch_defaults: ClassVar[dict[str, Any]] = {
        "momentum": 0.95,
        "nesterov": True,
        "ns_steps": 5,
        "betas": (0.9, 0.95),
        "weight_decay": 0.0,
    }
    torch_source: ClassVar[str | None] = "engine/training/optimizers/muon.py"
    is_matrix_wise: ClassVar[bool] = True
    has_decoupled_weight_decay: ClassVar[bool] = True
    fixed_fields: ClassVar[tuple[str, ...]] = ("ns_steps",)
    keras_class: ClassVar[str] = "Muon"
    keras_inputs: ClassVar[str] = "lr, exclude_layers=list_outer_kernels(model)"
    keras_class_code: ClassVar[str | None] = '''
@keras.saving.register_keras_serializable()
class Muon(keras.optimizers.Muon):
    """Keras's Muon, which updates hidden convolution kernels too: as matrices, \
like PyTorch's (out, in * height * width)."""

    def _should_use_adamw(self, variable):
        return len(variable.shape) < 2 or variable.path in self.exclude_layers

    def _muon_update_step(self, gradient, variable, lr, m):
        self.assign(m, self.momentum * m + gradient)
        update = gradient + self.momentum * m if self.nesterov else m
        rows = math.prod(variable.shape[: 2 if "depthwise" in variable.path else -1])
        matrix = self.zeropower_via_newtonschulz5(keras.ops.reshape(update, (rows, -1)), self.ns_steps)
        self.assign_sub(variable, keras.ops.reshape(self.lr_adjust(lr * matrix), variable.shape))


def list_outer_kernels(model):
    """Paths of the first and the last kernel, which AdamW updates."""
    paths = [weight.path for weight in model.weights if len(weight.shape) >= 2]
    return [paths[0], paths[-1]]
'''

    def build_torch_arguments(self) -> dict[str, Any]:
        """The fields, with both decay rates of AdamW as one argument."""
        return {
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "ns_steps": self.ns_steps,
            "betas": (self.beta1, self.beta2),
        }

    def build_keras_arguments(self, weight_decay: float) -> dict[str, Any]:
        """The fields under Keras's names; its default ``rms_rate`` scales the steps as in PyTorch."""
        return {
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "ns_steps": self.ns_steps,
            "adam_beta_1": self.beta1,
            "adam_beta_2": self.beta2,
            "weight_decay": weight_decay,
            "adam_weight_decay": weight_decay,
            "epsilon": 1e-8,
        }
