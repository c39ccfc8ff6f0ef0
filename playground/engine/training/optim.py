"""Optimizers and schedules: torch's own for the updates, a pure function of the step for the learning rate."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from playground.core.recipe import Adagrad, Adam, AdamW, Constant, Cosine, OneCycle, Recipe, RmsProp, Sgd, StepDecay

_FINAL_DIV_FACTOR = 1e4


def make_optimizer(parameters: Sequence[nn.Parameter], recipe: Recipe) -> Optimizer:
    """The recipe's optimizer, fused into one kernel where torch has one for the parameters' device."""
    device = parameters[0].device
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    fused = device.type in ("cpu", "cuda")
    match recipe.optimizer:
        case Sgd() as sgd:
            nesterov = sgd.nesterov and sgd.momentum > 0
            return torch.optim.SGD(parameters, **common, momentum=sgd.momentum, nesterov=nesterov, fused=fused)
        case AdamW() as adam:
            return torch.optim.AdamW(parameters, **common, betas=(adam.beta1, adam.beta2), fused=fused)
        case Adam() as adam:
            return torch.optim.Adam(parameters, **common, betas=(adam.beta1, adam.beta2), fused=fused)
        case RmsProp() as rms:
            return torch.optim.RMSprop(parameters, **common, alpha=rms.alpha, momentum=rms.momentum)
        case Adagrad():
            return torch.optim.Adagrad(parameters, **common, fused=device.type == "cpu")


def update_optimizer(optimizer: Optimizer, recipe: Recipe) -> None:
    """Write a recipe's present values into the optimizer; its moments stay."""
    for group in optimizer.param_groups:
        group["weight_decay"] = recipe.weight_decay
        match recipe.optimizer:
            case Sgd() as sgd:
                group["momentum"], group["nesterov"] = sgd.momentum, sgd.nesterov and sgd.momentum > 0
            case Adam() as adam:
                group["betas"] = (adam.beta1, adam.beta2)
            case RmsProp() as rms:
                group["alpha"], group["momentum"] = rms.alpha, rms.momentum
                for weight in group["params"]:
                    if optimizer.state[
                        weight
                    ]:  # torch makes the buffer at the first step, and only if it needs it then
                        optimizer.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
            case Adagrad():
                pass


def compute_lr(recipe: Recipe, step: float, steps_per_epoch: int) -> float:
    """The learning rate of the update after ``step`` batches."""
    total = max(1, steps_per_epoch * recipe.epochs)
    match recipe.schedule:
        case Constant():
            return recipe.lr
        case StepDecay(step_size=step_size, gamma=gamma):
            return recipe.lr * gamma ** int(step // (step_size * steps_per_epoch))
        case Cosine():
            return _interpolate_cosine(recipe.lr, 0.0, step / total)
        case OneCycle(pct_start=pct_start, div_factor=div_factor):
            first = recipe.lr / div_factor
            peak_step = max(1.0, pct_start * total - 1)
            if step <= peak_step:
                return _interpolate_cosine(first, recipe.lr, step / peak_step)
            return _interpolate_cosine(
                recipe.lr, first / _FINAL_DIV_FACTOR, (step - peak_step) / max(1.0, total - 1 - peak_step)
            )


def _interpolate_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
