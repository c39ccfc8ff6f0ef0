"""Optimizer updates that a CUDA graph can capture, with learning rates on the device and moments at fixed addresses.

The moments have the names and the meaning of those in torch's optimizers, so checkpoints do not depend on which of
the two computed them. The update uses torch's fused kernels for Adam, AdamW and SGD; for RMSprop and Adagrad there are
none that read the learning rate from the device.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

_MAX_CHUNKS = 36
"""Tensors (with their moments) that one fused kernel takes; more need another launch."""
_MIN_CHUNK_SIZE = 4096
"""Smallest number of values for which another thread block pays off."""


class FlatUpdate:
    """Optimizer update of flat parameters from their gradients; ``lrs`` (groups,) are on the parameters' device.

    ``moments`` are the device tensors, other than the parameters, that an update changes. The optimizer's
    hyperparameters are read on creation, so a change of them needs a new update.
    """

    def __init__(self, optimizer: Optimizer, lrs: Tensor) -> None:
        self.moments: list[Tensor] = []
        self._host_steps: list[Tensor] = []
        self._updates: list[Callable[[], None]] = []
        if not isinstance(optimizer, Adam | SGD | RMSprop | Adagrad):
            self._updates.append(_make_own_update(optimizer, lrs))
            self.moments += [
                value
                for part in list_parameters(optimizer)
                for value in optimizer.state[part].values()
                if value.device == part.device
            ]
            return
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            (parameter,) = group["params"]
            state = optimizer.state[parameter]
            _initialize_moments(optimizer, group, parameter, state)
            self.moments += [value for value in state.values() if value.device == parameter.device]
            if not isinstance(optimizer, Adam | SGD):
                self._host_steps.append(state["step"])
            self._updates.append(_make_update(optimizer, group, parameter, state, lr))

    def __call__(self) -> None:
        """Update the parameters by one step."""
        with torch.no_grad():
            for update in self._updates:
                update()

    def count_step(self) -> None:
        """Count a step in the state of optimizers that count on the host; call it after every update or replay."""
        for step in self._host_steps:
            step += 1


def copy_optimizer_state(optimizer: Optimizer, target_state: Mapping[nn.Parameter, Mapping[str, Tensor]]) -> None:
    """Copy the optimizer's loaded state into the tensors of ``target_state``; missing moments become zero."""
    for parameter, tensors in target_state.items():
        state = optimizer.state[parameter]
        for name, tensor in tensors.items():
            if name in state:
                tensor.copy_(state[name])
            else:
                reset_moment(name, tensor)
            state[name] = tensor


def list_parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    """The parameters of all groups."""
    return [part for group in optimizer.param_groups for part in group["params"]]


def reset_moment(name: str, tensor: Tensor) -> None:
    """Fill a tensor of the optimizer's state with its value before the first step."""
    tensor.fill_(1.0 if name == "mu_product" else 0.0)  # NAdam's product of all momentums so far


def _make_own_update(optimizer: Optimizer, lrs: Tensor) -> Callable[[], None]:
    """The optimizer's own step with learning rates on the device, for optimizers that a CUDA graph can capture."""
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = group["params"][0].is_cuda
    if isinstance(optimizer, NAdam):
        for part in list_parameters(optimizer):
            _initialize_nadam_state(part, optimizer.state[part])

    def update() -> None:
        host_lrs = [group["lr"] for group in optimizer.param_groups]
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
        optimizer.step()
        for group, host_lr in zip(optimizer.param_groups, host_lrs, strict=True):
            group["lr"] = host_lr  # checkpoints hold numbers

    return update


def _initialize_nadam_state(part: Tensor, state: dict[str, Tensor]) -> None:
    """Make the state that PyTorch makes at the first step, with counters on the parameter's device."""
    for name in ("step", "mu_product", "exp_avg", "exp_avg_sq"):
        if name not in state:
            state[name] = part.new_empty(()) if name in ("step", "mu_product") else torch.zeros_like(part)
            reset_moment(name, state[name])


def _initialize_moments(
    optimizer: Optimizer, group: dict[str, Any], parameter: Tensor, state: dict[str, Tensor]
) -> None:
    """Add missing moments as zeros, which give the same first update as torch's optimizer."""
    names: tuple[str, ...] = ("sum",)  # Adagrad's
    step_device: torch.device | None = torch.device("cpu")
    match optimizer:
        case Adam():
            names, step_device = ("exp_avg", "exp_avg_sq"), parameter.device
        case SGD():
            names, step_device = ("momentum_buffer",) if group["momentum"] else (), None
        case RMSprop():
            names = ("square_avg", "momentum_buffer") if group["momentum"] else ("square_avg",)
    if step_device is not None and "step" not in state:
        state["step"] = torch.zeros((), device=step_device)
    for name in names:
        if name not in state:
            state[name] = torch.zeros_like(parameter)


def _make_update(
    optimizer: Optimizer, group: dict[str, Any], parameter: Tensor, state: dict[str, Tensor], lr: Tensor
) -> Callable[[], None]:
    match optimizer:
        case Adam():
            return _make_adam_update(group, parameter, state, lr, decoupled=isinstance(optimizer, AdamW))
        case SGD():
            return _make_sgd_update(group, parameter, state, lr)
        case RMSprop():
            return lambda: _update_rmsprop(group, parameter, state, lr)
        case Adagrad():
            return lambda: _update_adagrad(group, parameter, state, lr)
    raise TypeError(f"No capturable update for the optimizer {type(optimizer).__name__}; expected one of the recipe's.")


def _make_adam_update(
    group: dict[str, Any], parameter: Tensor, state: dict[str, Tensor], lr: Tensor, *, decoupled: bool
) -> Callable[[], None]:
    fused: Any = torch._fused_adamw_ if decoupled else torch._fused_adam_
    tensors = _split_into_chunks(parameter.detach(), _get_gradient(parameter), state["exp_avg"], state["exp_avg_sq"])
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


def _make_sgd_update(
    group: dict[str, Any], parameter: Tensor, state: dict[str, Tensor], lr: Tensor
) -> Callable[[], None]:
    fused: Any = torch._fused_sgd_
    momentum = group["momentum"]
    buffers = [state["momentum_buffer"]] if momentum else []
    tensors = _split_into_chunks(parameter.detach(), _get_gradient(parameter), *buffers)
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


def _update_rmsprop(group: dict[str, Any], parameter: Tensor, state: dict[str, Tensor], lr: Tensor) -> None:
    gradient = _get_decayed_gradient(group, parameter)
    square_avg = state["square_avg"]
    square_avg.mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
    average = square_avg.sqrt().add_(group["eps"])
    if group["momentum"]:
        buffer = state["momentum_buffer"]
        buffer.mul_(group["momentum"]).addcdiv_(gradient, average)
        parameter.sub_(buffer * lr)
    else:
        parameter.sub_(gradient.div(average).mul_(lr))


def _update_adagrad(group: dict[str, Any], parameter: Tensor, state: dict[str, Tensor], lr: Tensor) -> None:
    gradient = _get_decayed_gradient(group, parameter)
    state["sum"].addcmul_(gradient, gradient)
    parameter.sub_(gradient.div(state["sum"].sqrt().add_(group["eps"])).mul_(lr))


def _get_decayed_gradient(group: dict[str, Any], parameter: Tensor) -> Tensor:
    gradient = _get_gradient(parameter)
    return gradient.add(parameter, alpha=group["weight_decay"]) if group["weight_decay"] else gradient


def _get_gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        raise ValueError("The flat parameter has no gradient; expected the one that FlatParameters allocates.")
    return parameter.grad


def _split_into_chunks(*tensors: Tensor) -> Sequence[list[Tensor]]:
    """Split tensors of equal size into equal chunks.

    A fused kernel gives 65,536 values of a tensor to each thread block, so an unsplit small network would occupy two of
    a GPU's hundred multiprocessors; every chunk goes to another block.
    """
    size = max(_MIN_CHUNK_SIZE, -(-tensors[0].numel() // _MAX_CHUNKS))
    size = -(-size // 64) * 64  # vector loads need aligned addresses
    return [list(torch.split(tensor, size)) for tensor in tensors]
