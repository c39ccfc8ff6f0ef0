"""WRITE a network as PyTorch code that stands by itself: the same modules in the same order, so that weights fit."""

from collections.abc import Iterator

from playground.codegen.text import call_text, check_writable, file_text, plain
from playground.core.architecture import Architecture
from playground.core.layers import TorchCall
from playground.core.shapes import shape_text

_POSITIONAL = {"Conv2d": 2, "Linear": 2, "BatchNorm1d": 1, "BatchNorm2d": 1, "MaxPool2d": 1, "AvgPool2d": 1}
_WITH_WEIGHTS = ("Conv2d", "Linear", "BatchNorm1d", "BatchNorm2d")
_RESIDUAL = '''
class Residual(nn.Module):
    """The sum of a body and a way around it."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.body(maps) + self.shortcut(maps)

'''


def to_json(architecture: Architecture) -> str:
    """The architecture's JSON, indented for people."""
    return architecture.model_dump_json(by_alias=True, indent=2) + "\n"


def to_pytorch(architecture: Architecture, *, title: str = "A network") -> str:
    """A Python file with a function ``make_model``; weights of a snapshot load into it as they are.

    Raises ArchitectureError for a network that cannot be built.
    """
    model = model_code(architecture)
    input_shape = architecture.input.shape
    batch = ", ".join(str(size) for size in (1, *input_shape))
    scores = "sigmoid()" if has_single_score(architecture) else "softmax(1)"
    head = f'''"""{plain(title)}, written by CNN Playground.

Input: (batch, {", ".join(map(str, input_shape))}), values 0 to 1.
Output: scores; ``.{scores}`` makes probabilities of them.
Weights: a file of a run's snapshots folder, ``model.load_state_dict(safetensors.torch.load_file(path))``.
"""

import torch
from torch import nn'''
    program = f"""if __name__ == "__main__":
    model = make_model().eval()
    print(model)
    print(model(torch.zeros({batch})).{scores})"""
    return file_text(head, model, program)


def model_code(architecture: Architecture) -> str:
    """The function ``make_model`` and the class that it may need; raises ArchitectureError as ``to_pytorch`` does."""
    check_writable(architecture)
    lines = []
    residual = False
    for step in architecture.steps():
        calls = step.layer.torch_calls(step.input_shape)
        residual = residual or any(call.name == "Residual" for call in calls)
        for place, call in enumerate(calls):
            shape = f"  # {shape_text(step.output_shape)}" if place == len(calls) - 1 else ""
            lines.append(f"        {_code(call, '        ')},{shape}")
    make_model = f'''def make_model() -> nn.Sequential:
    """The network, with fresh weights."""
    return nn.Sequential(
{chr(10).join(lines)}
    )'''
    return file_text(_RESIDUAL if residual else "", make_model)


def weight_places(architecture: Architecture, *, frozen: bool = False) -> tuple[str, ...]:
    """What a state dict calls the modules with weights, in their order; with ``frozen`` only those that never learn."""
    modules = [call for step in architecture.steps() for call in step.layer.torch_calls(step.input_shape)]
    found = [item for place, call in enumerate(modules) for item in _places(call, str(place), call.trainable)]
    return tuple(place for place, trainable in found if not (frozen and trainable))


def _places(call: TorchCall, place: str, trainable: bool) -> Iterator[tuple[str, bool]]:
    if call.name in _WITH_WEIGHTS:
        yield place, trainable
    for inner, part in enumerate(call.body):
        yield from _places(part, f"{place}.body.{inner}", trainable and part.trainable)
    if call.shortcut:
        yield from _places(call.shortcut, f"{place}.shortcut", trainable)


def has_single_score(architecture: Architecture) -> bool:
    """Whether the output is a sigmoid's one score, which stands for the two scores (0, z)."""
    return architecture.steps()[-1].output_shape == (1,)


def _code(call: TorchCall, indent: str) -> str:
    if call.name == "Residual":
        inner = indent + "        "
        body = "".join(f"{inner}{_code(part, inner)},\n" for part in call.body)
        shortcut = _code(call.shortcut, inner) if call.shortcut else "nn.Identity()"
        return f"Residual(\n{indent}    nn.Sequential(\n{body}{indent}    ),\n{indent}    {shortcut},\n{indent})"
    names = list(call.arguments)[: _POSITIONAL.get(call.name, 0)]
    named = {name: value for name, value in call.arguments.items() if name not in names}
    return call_text(f"nn.{call.name}", *(call.arguments[name] for name in names), **named)
