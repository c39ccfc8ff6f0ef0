"""Build a PyTorch module from an Architecture, through the layers' PyTorch calls."""

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
    """Residual block: the sum of a body and a shortcut."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, feature_maps: Tensor) -> Tensor:
        """Compute (batch, channels, height, width)."""
        total: Tensor = self.body(feature_maps) + self.shortcut(feature_maps)
        return total


@dataclass(frozen=True)
class ModuleRange:
    """Modules of one layer: ``start`` to ``stop`` (exclusive) in the Sequential."""

    layer_index: int
    start: int
    stop: int


def build_model(architecture: Architecture, *, seed: int = 0, limits: ResourceLimits | None = None) -> nn.Sequential:
    """Build a flat ``nn.Sequential`` that returns logits, with weights drawn from ``seed``.

    Exported code has the same flat order, so weights fit both. Weights of frozen layers need no gradient.
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
        torch.default_generator.manual_seed(derive_seed("weights", seed))  # torch.manual_seed would seed CUDA too
        return nn.Sequential(*_create_modules(_iter_torch_calls(architecture)))


def list_module_ranges(architecture: Architecture) -> tuple[ModuleRange, ...]:
    """List the modules of every enabled layer, in order."""
    ranges, start = [], 0
    for step in architecture.resolve_layers():
        stop = start + len(step.layer.build_torch_calls(step.input_shape))
        ranges.append(ModuleRange(step.index, start, stop))
        start = stop
    return tuple(ranges)


def expand_to_class_logits(logits: Tensor) -> Tensor:
    """Expand a sigmoid's single logit z to the two logits (0, z); other logits (batch, classes) stay as they are."""
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
        shortcut = _create_modules(call.shortcut)
        module: nn.Module = Residual(body, shortcut[0] if len(shortcut) == 1 else nn.Sequential(*shortcut))
    else:
        module = getattr(nn, call.name)(**call.arguments)
    return module if call.trainable else module.requires_grad_(False)
