"""Rules for updates of flat parameters that a CUDA graph can capture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Group = Mapping[str, Any]
"""A parameter group of a torch optimizer: its parameters and hyperparameters."""
State = dict[str, Tensor]
"""An optimizer's state of one parameter."""

_MAX_CHUNKS = 36
"""Tensors (with their moments) that one fused kernel takes; more need another launch."""
_MIN_CHUNK_SIZE = 4096
"""Smallest number of values for which another thread block pays off."""


def _list_no_moments(_group: Group) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class UpdateRule:
    """Update of an optimizer that reads the learning rate from the device, and the state that it needs.

    The state has the names and the meaning of that of torch's optimizer, so checkpoints do not depend on which of the
    two computed it. ``make_update`` takes a group, its parameter, the parameter's state and the learning rate, and
    returns the update; None: the step of torch's optimizer, which must be capturable. ``list_moments`` gives the names
    of the moments, which have the parameter's shape and start at zero. ``device_scalars`` are initial values of single
    numbers on the parameter's device. ``counts_on_host``: the state has a ``step`` on the host.
    """

    make_update: Callable[[Group, Tensor, State, Tensor], Callable[[], None]] | None = None
    list_moments: Callable[[Group], tuple[str, ...]] = _list_no_moments
    device_scalars: Mapping[str, float] = field(default_factory=dict)
    counts_on_host: bool = False

    def initialize_state(self, group: Group, parameter: Tensor, state: State) -> None:
        """Add what is missing in a state, with the values before the first step."""
        if self.counts_on_host and "step" not in state:
            state["step"] = torch.zeros(())
        for name in self.device_scalars:
            if name not in state:
                state[name] = parameter.new_empty(())
                self.reset(name, state[name])
        for name in self.list_moments(group):
            if name not in state:
                state[name] = torch.zeros_like(parameter)

    def reset(self, name: str, tensor: Tensor) -> None:
        """Fill a tensor of the state with its value before the first step."""
        tensor.fill_(self.device_scalars.get(name, 0.0))


def get_gradient(parameter: Tensor) -> Tensor:
    """The gradient that FlatParameters has allocated."""
    if parameter.grad is None:
        raise ValueError("The flat parameter has no gradient; expected the one that FlatParameters allocates.")
    return parameter.grad


def get_decayed_gradient(group: Group, parameter: Tensor) -> Tensor:
    """The gradient plus the weight decay, as in torch's optimizers without decoupled weight decay."""
    gradient = get_gradient(parameter)
    return gradient.add(parameter, alpha=group["weight_decay"]) if group["weight_decay"] else gradient


def split_into_chunks(*tensors: Tensor) -> Sequence[list[Tensor]]:
    """Split tensors of equal size into equal chunks.

    A fused kernel gives 65,536 values of a tensor to each thread block, so an unsplit small network would occupy two of
    a GPU's hundred multiprocessors; every chunk goes to another block.
    """
    size = max(_MIN_CHUNK_SIZE, -(-tensors[0].numel() // _MAX_CHUNKS))
    size = -(-size // 64) * 64  # vector loads need aligned addresses
    return [list(torch.split(tensor, size)) for tensor in tensors]
