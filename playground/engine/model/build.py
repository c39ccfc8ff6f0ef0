"""From an Architecture to a torch module, through the layers' torch calls; and from its scores to class scores."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from playground.core.architecture import Architecture
from playground.core.layers import TorchCall
from playground.core.validation import UNLIMITED, ResourceLimits, validate
from playground.engine.rng import derive_seed
from playground.errors import ArchitectureError


class Residual(nn.Module):
    """The sum of a body and a way around it; the one block that torch has no module for."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut if shortcut is not None else nn.Identity()

    def forward(self, feature_maps: Tensor) -> Tensor:
        """(batch, channels, height, width) in and out."""
        total: Tensor = self.body(feature_maps) + self.shortcut(feature_maps)
        return total


@dataclass(frozen=True)
class ModuleRange:
    """Which modules of the network one layer became: ``start`` to ``stop`` (exclusive) in the Sequential."""

    layer_index: int
    start: int
    stop: int


def build_model(architecture: Architecture, *, seed: int = 0, limits: ResourceLimits | None = None) -> nn.Sequential:
    """A flat ``nn.Sequential`` that puts out scores (logits), its weights drawn from ``seed``.

    The flat order is what exported code writes down, so weights fit both. Those of frozen layers need no gradient.
    Raises ArchitectureError with every problem.
    """
    problems = validate(architecture, limits or UNLIMITED)
    if problems:
        fixes = [problem.fixes[0].label for problem in problems if problem.fixes]
        raise ArchitectureError(
            "This network cannot be built. " + " ".join(str(problem) for problem in problems),
            fix=f"Fixes: {'; '.join(fixes)}." if fixes else "",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("weights", seed))
        return nn.Sequential(*_create_modules(_iter_torch_calls(architecture)))


def list_module_ranges(architecture: Architecture) -> tuple[ModuleRange, ...]:
    """The modules of every enabled layer, in order."""
    found, start = [], 0
    for step in architecture.resolve_layers():
        stop = start + len(step.layer.build_torch_calls(step.input_shape))
        found.append(ModuleRange(step.index, start, stop))
        start = stop
    return tuple(found)


def expand_to_class_logits(logits: Tensor) -> Tensor:
    """Scores of every class, (batch, classes): a sigmoid's single score z stands for the two scores (0, z)."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def _iter_torch_calls(architecture: Architecture) -> Iterable[TorchCall]:
    for step in architecture.resolve_layers():
        yield from step.layer.build_torch_calls(step.input_shape)


def _create_modules(calls: Iterable[TorchCall]) -> list[nn.Module]:
    return [_create_module(call) for call in calls]


def _create_module(call: TorchCall) -> nn.Module:
    if call.body:
        body = nn.Sequential(*_create_modules(call.body))
        module: nn.Module = Residual(body, _create_module(call.shortcut) if call.shortcut else None)
    else:
        module = getattr(nn, call.name)(**call.arguments)
    return module if call.trainable else module.requires_grad_(False)
