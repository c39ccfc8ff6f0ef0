"""Update of SGD by torch's fused kernel."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from playground.engine.training.optimizers.update_rule import Group, State, UpdateRule, get_gradient, split_into_chunks


def _make_sgd_update(group: Group, parameter: Tensor, state: State, lr: Tensor) -> Callable[[], None]:
    fused: Any = torch._fused_sgd_
    momentum = group["momentum"]
    buffers = [state["momentum_buffer"]] if momentum else []
    tensors = split_into_chunks(parameter.detach(), get_gradient(parameter), *buffers)
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


SGD = UpdateRule(_make_sgd_update, lambda group: ("momentum_buffer",) if group["momentum"] else ())
