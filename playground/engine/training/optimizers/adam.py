"""Updates of Adam and AdamW by torch's fused kernels."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from playground.engine.training.optimizers.update_rule import Group, State, UpdateRule, get_gradient, split_into_chunks


def _make_adam_update(fused: Any, group: Group, parameter: Tensor, state: State, lr: Tensor) -> Callable[[], None]:
    tensors = split_into_chunks(parameter.detach(), get_gradient(parameter), state["exp_avg"], state["exp_avg_sq"])
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


def _list_moments(_group: Group) -> tuple[str, ...]:
    return ("exp_avg", "exp_avg_sq")


ADAM = UpdateRule(partial(_make_adam_update, torch._fused_adam_), _list_moments, {"step": 0.0})
ADAMW = UpdateRule(partial(_make_adam_update, torch._fused_adamw_), _list_moments, {"step": 0.0})
