"""Muon, with AdamW for all weights but hidden kernels; exported programs contain this code.

Nothing is read back from the device, so a CUDA graph can capture a step whose learning rate is a tensor.
"""

import math

import torch
from torch import nn


class Muon(torch.optim.Optimizer):
    """Muon for the kernels between the first and the last one of ``model``, AdamW for its other weights.

    A convolution kernel is a matrix (out_channels, in_channels * height * width). Steps are scaled to the size of
    AdamW's. Sources: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon
    is Scalable for LLM Training", 2025.
    """

    def __init__(
        self,
        params: "torch.optim.optimizer.ParamsT",
        model: nn.Module,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "betas": betas,
            "eps": eps,
        }
        super().__init__(params, defaults)
        kernels = [weight for weight in model.parameters() if weight.ndim >= 2]
        hidden = {id(weight) for weight in kernels[1:-1]}
        for group in self.param_groups:
            for weight in group["params"]:
                names = ("momentum_buffer",) if id(weight) in hidden else ("exp_avg", "exp_avg_sq")
                self.state[weight] = {name: torch.zeros_like(weight) for name in names}
                if id(weight) not in hidden:
                    self.state[weight]["step"] = torch.zeros((), device=weight.device)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # without a closure
        """Move all weights by one step."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" in state:
                    update = compute_muon_update(
                        weight.grad, state, group["momentum"], group["nesterov"], group["ns_steps"]
                    )
                else:
                    update = compute_adam_update(weight.grad, state, group["betas"], group["eps"])
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(update * group["lr"])


def compute_muon_update(
    gradient: torch.Tensor, state: dict[str, torch.Tensor], momentum: float, nesterov: bool, ns_steps: int
) -> torch.Tensor:
    """The momentum, orthogonalized as a matrix, with the root mean square that AdamW's updates usually have."""
    buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
    update = gradient.lerp(buffer, momentum) if nesterov else buffer
    matrix = update.flatten(1)
    scale = 0.2 * math.sqrt(max(matrix.shape))
    return orthogonalize(matrix, ns_steps).reshape(update.shape) * scale


def compute_adam_update(
    gradient: torch.Tensor, state: dict[str, torch.Tensor], betas: tuple[float, float], eps: float
) -> torch.Tensor:
    """The update of Adam, without the learning rate."""
    step = state["step"].add_(1)
    mean = state["exp_avg"].lerp_(gradient, 1 - betas[0])
    square = state["exp_avg_sq"].mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    mean_correction, square_correction = 1 - torch.pow(betas[0], step), 1 - torch.pow(betas[1], step)
    return mean / mean_correction / (square / square_correction).sqrt_().add_(eps)


def orthogonalize(matrix: torch.Tensor, steps: int) -> torch.Tensor:
    """Move the singular values of a matrix close to 1 by Newton–Schulz iterations of a polynomial of degree 5."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        polynomial = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.addmm(x, polynomial, x, beta=3.4445)
    return x.T if is_tall else x
