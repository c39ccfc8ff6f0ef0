"""Networks for tests of interpretation: tiny ones with weights set by hand, and any architecture as a model."""

from collections.abc import Sequence

import torch
from torch import nn

from playground.core.architecture import Architecture
from playground.engine.model.build import build_model
from playground.interpret.model import Model


def model_of(architecture: Architecture, *, seed: int = 0) -> Model:
    """A model as ``load_model`` returns it: eval mode, no gradients."""
    module = build_model(architecture, seed=seed).eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return Model("test", 0, architecture, module)


def set_weights(module: nn.Module, weight: Sequence[object], bias: Sequence[float] | None = None) -> None:
    """Hand-written weights in the place of drawn ones, the shapes checked."""
    wanted = torch.tensor(weight, dtype=torch.float32)
    assert isinstance(module.weight, torch.Tensor)
    assert wanted.shape == module.weight.shape
    with torch.no_grad():
        module.weight.copy_(wanted)
        if bias is not None:
            assert isinstance(module.bias, torch.Tensor)
            module.bias.copy_(torch.tensor(bias))
