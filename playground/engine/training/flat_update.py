"""Optimizer updates that a CUDA graph can capture, with learning rates on the device and moments at fixed addresses.

Each optimizer in ``core/optimizers`` names its rule, which is in ``engine/training/optimizers``.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.core.optimizers import Optimizer as OptimizerKind
from playground.engine.training.optimizers import import_by_name
from playground.engine.training.optimizers.update_rule import UpdateRule


class FlatUpdate:
    """Optimizer update of flat parameters from their gradients; ``lrs`` (groups,) are on the parameters' device.

    ``moments`` are the device tensors, other than the parameters, that an update changes. The optimizer's
    hyperparameters are read on creation, so a change of them needs a new update.
    """

    def __init__(self, optimizer: Optimizer, kind: OptimizerKind, lrs: Tensor) -> None:
        self._optimizer = optimizer
        self._rule: UpdateRule = import_by_name(kind.update_rule) if kind.update_rule else UpdateRule()
        self.moments: list[Tensor] = []
        self._host_steps: list[Tensor] = []
        self._updates: list[Callable[[], None]] = []
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            for parameter in group["params"]:
                state = optimizer.state[parameter]
                self._rule.initialize_state(group, parameter, state)
                self.moments += [value for value in state.values() if value.device == parameter.device]
                if self._rule.counts_on_host:
                    self._host_steps.append(state["step"])
                if self._rule.make_update:
                    self._updates.append(self._rule.make_update(group, parameter, state, lr))
        if not self._rule.make_update:
            self._updates.append(_make_own_update(optimizer, lrs))

    def __call__(self) -> None:
        """Update the parameters by one step."""
        with torch.no_grad():
            for update in self._updates:
                update()

    def count_step(self) -> None:
        """Count a step in the state of optimizers that count on the host; call it after every update or replay."""
        for step in self._host_steps:
            step += 1

    def list_states(self) -> dict[nn.Parameter, dict[str, Tensor]]:
        """The optimizer's state of each parameter, as copies of the dictionaries with the same tensors."""
        return {
            part: dict(self._optimizer.state[part])
            for group in self._optimizer.param_groups
            for part in group["params"]
        }

    def reset_states(self) -> None:
        """Fill the optimizer's state with its values before the first step."""
        for tensors in self.list_states().values():
            for name, tensor in tensors.items():
                self._rule.reset(name, tensor)

    def copy_loaded_states(self, target_states: Mapping[nn.Parameter, Mapping[str, Tensor]]) -> None:
        """Copy the optimizer's loaded state into the tensors of ``target_states``; missing moments become zero."""
        for parameter, tensors in target_states.items():
            state = self._optimizer.state[parameter]
            for name, tensor in tensors.items():
                if name in state:
                    tensor.copy_(state[name])
                else:
                    self._rule.reset(name, tensor)
                state[name] = tensor


def _make_own_update(optimizer: Optimizer, lrs: Tensor) -> Callable[[], None]:
    """The optimizer's own step with learning rates on the device, for optimizers that a CUDA graph can capture."""
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = group["params"][0].is_cuda

    def update() -> None:
        host_lrs = [group["lr"] for group in optimizer.param_groups]
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
        optimizer.step()
        for group, host_lr in zip(optimizer.param_groups, host_lrs, strict=True):
            group["lr"] = host_lr  # checkpoints hold numbers

    return update
