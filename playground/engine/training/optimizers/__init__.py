"""A recipe's optimizer and learning rate, as the registries in ``core`` declare them."""

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from playground.core.recipe import Recipe

ParameterGroups = Sequence[nn.Parameter] | Sequence[Sequence[nn.Parameter]]


def make_optimizer(parameters: ParameterGroups, recipe: Recipe, model: nn.Module | None = None) -> Optimizer:
    """Create the recipe's optimizer, fused into one kernel where PyTorch has one for the parameters' device.

    ``parameters`` are parameters, or groups of them. ``model`` is needed by optimizers whose update is matrix-wise:
    the parameters are its weights then.
    """
    groups = _list_groups(parameters)
    device = groups[0]["params"][0].device
    declared = recipe.optimizer
    arguments: dict[str, Any] = {
        "lr": recipe.lr,
        "weight_decay": recipe.weight_decay,
        **declared.build_torch_arguments(),
    }
    if declared.fused_devices:
        arguments["fused"] = device.type in declared.fused_devices
    if declared.is_matrix_wise:
        arguments["model"] = model
    optimizer: Optimizer = import_by_name(declared.torch_class)(groups, **arguments)
    return optimizer


def import_by_name(full_name: str) -> Any:
    """Import the class or value that a registry in ``core`` names as text."""
    module_name, _, name = full_name.rpartition(".")
    return getattr(importlib.import_module(module_name), name)


def update_optimizer(optimizer: Optimizer, recipe: Recipe) -> None:
    """Write a recipe's present hyperparameters into the optimizer; its state stays."""
    for group in optimizer.param_groups:
        group["weight_decay"] = recipe.weight_decay
        group.update(recipe.optimizer.build_torch_arguments())
        for weight in group["params"]:
            if optimizer.state[weight]:
                for name in recipe.optimizer.lazy_state:
                    optimizer.state[weight].setdefault(name, torch.zeros_like(weight))


def compute_lr(recipe: Recipe, step: float, steps_per_epoch: int) -> float:
    """Compute the learning rate of the update after ``step`` batches."""
    return recipe.schedule.compute_lr(recipe.lr, step, steps_per_epoch, recipe.epochs)


def _list_groups(parameters: ParameterGroups) -> list[dict[str, Any]]:
    """One group for each sequence of parameters.

    All groups are given to the constructor: Adagrad makes no state for groups that are added later (PyTorch 2.11).
    """
    groups: list[Iterable[nn.Parameter]] = []
    single: list[nn.Parameter] = []
    for item in parameters:
        if isinstance(item, nn.Parameter):
            single.append(item)
        else:
            groups.append(item)
    return [{"params": list(group)} for group in ([single] if single else []) + groups]
