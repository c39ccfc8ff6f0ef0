"""Optimizer updates that a CUDA graph can capture: learning lrs are device tensors, moments never move in memory.

The moments are those of torch's optimizers, by the same names in the same places, so checkpoints do not depend on
which of the two computed them. Fused kernels do the update where torch has them for a learning rate on the device.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

_MAX_CHUNKS = 36
"""Tensors that one fused kernel takes along with their moments; more cost another launch."""
_MIN_CHUNK_SIZE = 4096
"""Values for which a block of threads is worth its start."""


class FlatUpdate:
    """The update of every part of the flat parameters, from their gradients; ``lrs`` (parts,) on their device.

    ``moments`` are the device tensors that an update changes, beside the parameters. The optimizer's hyperparameters
    are read when the update is made: after a change another one has to be made.
    """

    def __init__(self, optimizer: Optimizer, lrs: Tensor) -> None:
        self.moments: list[Tensor] = []
        self._host_steps: list[Tensor] = []
        self._updates: list[Callable[[], None]] = []
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            (part,) = group["params"]
            state = optimizer.state[part]
            _initialize_moments(optimizer, group, part, state)
            self.moments += [value for value in state.values() if value.device == part.device]
            if not isinstance(optimizer, Adam | SGD):
                self._host_steps.append(state["step"])
            self._updates.append(_make_update(optimizer, group, part, state, lr))

    def __call__(self) -> None:
        """Move the parameters by one step."""
        with torch.no_grad():
            for update in self._updates:
                update()

    def count_step(self) -> None:
        """Count the step where torch's optimizer counts on the host; called for every update, also a replayed one."""
        for step in self._host_steps:
            step += 1


def copy_optimizer_state(optimizer: Optimizer, kept: Mapping[nn.Parameter, Mapping[str, Tensor]]) -> None:
    """Copy the optimizer's state, just loaded, into the tensors of ``kept``; what was not loaded becomes zero."""
    for part, tensors in kept.items():
        state = optimizer.state[part]
        for name, tensor in tensors.items():
            if name in state:
                tensor.copy_(state[name])
            else:
                tensor.zero_()
            state[name] = tensor


def _initialize_moments(optimizer: Optimizer, group: dict[str, Any], part: Tensor, state: dict[str, Tensor]) -> None:
    """Add the moments that torch's optimizer would make at its first step; zeros give the same first update."""
    names: tuple[str, ...] = ("sum",)  # Adagrad's
    step_device: torch.device | None = torch.device("cpu")
    match optimizer:
        case Adam():
            names, step_device = ("exp_avg", "exp_avg_sq"), part.device
        case SGD():
            names, step_device = ("momentum_buffer",) if group["momentum"] else (), None
        case RMSprop():
            names = ("square_avg", "momentum_buffer") if group["momentum"] else ("square_avg",)
    if step_device is not None and "step" not in state:
        state["step"] = torch.zeros((), device=step_device)
    for name in names:
        if name not in state:
            state[name] = torch.zeros_like(part)


def _make_update(
    optimizer: Optimizer, group: dict[str, Any], part: Tensor, state: dict[str, Tensor], lr: Tensor
) -> Callable[[], None]:
    match optimizer:
        case Adam():
            return _make_adam_update(group, part, state, lr, decoupled=isinstance(optimizer, AdamW))
        case SGD():
            return _make_sgd_update(group, part, state, lr)
        case RMSprop():
            return lambda: _update_rmsprop(group, part, state, lr)
        case Adagrad():
            return lambda: _update_adagrad(group, part, state, lr)
    raise TypeError(f"{type(optimizer).__name__} has no update that can be captured")


def _make_adam_update(
    group: dict[str, Any], part: Tensor, state: dict[str, Tensor], lr: Tensor, *, decoupled: bool
) -> Callable[[], None]:
    fused: Any = torch._fused_adamw_ if decoupled else torch._fused_adam_
    tensors = _split_into_chunks(part.detach(), _get_gradient(part), state["exp_avg"], state["exp_avg_sq"])
    step = state["step"]
    beta1, beta2 = group["betas"]
    options = {
        "lr": lr,
        "beta1": beta1,
        "beta2": beta2,
        "weight_decay": group["weight_decay"],
        "eps": group["eps"],
        "amsgrad": False,
        "maximize": False,
    }

    def update() -> None:
        step.add_(1)
        fused(*tensors, [], [step] * len(tensors[0]), **options)

    return update


def _make_sgd_update(group: dict[str, Any], part: Tensor, state: dict[str, Tensor], lr: Tensor) -> Callable[[], None]:
    fused: Any = torch._fused_sgd_
    momentum = group["momentum"]
    buffers = [state["momentum_buffer"]] if momentum else []
    tensors = _split_into_chunks(part.detach(), _get_gradient(part), *buffers)
    options = {
        "weight_decay": group["weight_decay"],
        "momentum": momentum,
        "lr": lr,
        "dampening": 0.0,
        "nesterov": group["nesterov"],
        "maximize": False,
        "is_first_step": False,
    }

    def update() -> None:
        fused(*tensors, *([] if momentum else [[]]), **options)

    return update


def _update_rmsprop(group: dict[str, Any], part: Tensor, state: dict[str, Tensor], lr: Tensor) -> None:
    gradient = _get_decayed_gradient(group, part)
    square_avg = state["square_avg"]
    square_avg.mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
    average = square_avg.sqrt().add_(group["eps"])
    if group["momentum"]:
        buffer = state["momentum_buffer"]
        buffer.mul_(group["momentum"]).addcdiv_(gradient, average)
        part.sub_(buffer * lr)
    else:
        part.sub_(gradient.div(average).mul_(lr))


def _update_adagrad(group: dict[str, Any], part: Tensor, state: dict[str, Tensor], lr: Tensor) -> None:
    gradient = _get_decayed_gradient(group, part)
    state["sum"].addcmul_(gradient, gradient)
    part.sub_(gradient.div(state["sum"].sqrt().add_(group["eps"])).mul_(lr))


def _get_decayed_gradient(group: dict[str, Any], part: Tensor) -> Tensor:
    gradient = _get_gradient(part)
    return gradient.add(part, alpha=group["weight_decay"]) if group["weight_decay"] else gradient


def _get_gradient(part: Tensor) -> Tensor:
    if part.grad is None:
        raise ValueError("A part of the flat parameters has a gradient of its own from the start.")
    return part.grad


def _split_into_chunks(*tensors: Tensor) -> Sequence[list[Tensor]]:
    """Tensors of equal size in equal pieces.

    A fused kernel gives 65,536 values to each block of threads, so that the parameters of a small network would keep
    two of a hundred processors busy; in pieces, each goes to another block.
    """
    size = max(_MIN_CHUNK_SIZE, -(-tensors[0].numel() // _MAX_CHUNKS))
    size = -(-size // 64) * 64  # pieces begin at aligned addresses, as vector loads need
    return [list(torch.split(tensor, size)) for tensor in tensors]
