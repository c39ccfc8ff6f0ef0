"""PyTorch code of a network, with the modules and parameter names of the engine's model."""

from collections.abc import Iterator, Sequence

from playground.codegen.text import ensure_buildable, format_call, join_sections, sanitize_text
from playground.core.architecture import Architecture
from playground.core.layers import TorchCall
from playground.core.shapes import format_shape

_RESIDUAL_CODE = '''
class Residual(nn.Module):
    """The sum of a body and a shortcut."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)

'''


def to_json(architecture: Architecture) -> str:
    """The architecture as indented JSON."""
    return architecture.model_dump_json(by_alias=True, indent=2) + "\n"


def to_pytorch(architecture: Architecture, *, title: str = "A network") -> str:
    """Generate a Python file with a function ``make_model``; snapshots of runs can be loaded into the model.

    Raises ArchitectureError for a network that cannot be built.
    """
    model = generate_model_code(architecture)
    input_shape = architecture.input.shape
    batch = ", ".join(str(size) for size in (1, *input_shape))
    scores = "sigmoid()" if has_single_logit(architecture) else "softmax(1)"
    head = f'''"""{sanitize_text(title)}, written by CNN Playground.

Input: (batch, {", ".join(map(str, input_shape))}), values 0 to 1.
Output: logits; ``.{scores}`` turns them into probabilities.
Weights: a file of a run's snapshots folder, ``model.load_state_dict(safetensors.torch.load_file(path))``.
"""

import torch
from torch import nn'''
    program = f"""if __name__ == "__main__":
    model = make_model().eval()
    print(model)
    print(model(torch.zeros({batch})).{scores})"""
    return join_sections(head, model, program)


def generate_model_code(architecture: Architecture) -> str:
    """Generate the function ``make_model``, and the class ``Residual`` if the network has blocks.

    Raises ArchitectureError for a network that cannot be built.
    """
    ensure_buildable(architecture)
    lines = []
    has_residual = False
    for step in architecture.resolve_layers():
        calls = step.layer.build_torch_calls(step.input_shape)
        has_residual = has_residual or any(call.body for call in calls)
        for index, call in enumerate(calls):
            shape = f"  # {format_shape(step.output_shape)}" if index == len(calls) - 1 else ""
            lines.append(f"        {_format_torch_call(call, '        ')},{shape}")
    make_model = f'''def make_model() -> nn.Sequential:
    """The network, with fresh weights."""
    return nn.Sequential(
{chr(10).join(lines)}
    )'''
    return join_sections(_RESIDUAL_CODE if has_residual else "", make_model)


def list_weight_module_names(architecture: Architecture, *, only_frozen: bool = False) -> tuple[str, ...]:
    """Names of the modules with weights in a state dict, in order.

    ``only_frozen``: only modules that are not trained.
    """
    modules = [
        call for step in architecture.resolve_layers() for call in step.layer.build_torch_calls(step.input_shape)
    ]
    weight_modules = [
        item for index, call in enumerate(modules) for item in _iter_weight_modules(call, str(index), call.trainable)
    ]
    return tuple(name for name, trainable in weight_modules if not (only_frozen and trainable))


def _iter_weight_modules(call: TorchCall, module_name: str, trainable: bool) -> Iterator[tuple[str, bool]]:
    if call.has_weights:
        yield module_name, trainable
    for inner, part in enumerate(call.body):
        yield from _iter_weight_modules(part, f"{module_name}.body.{inner}", trainable and part.trainable)
    for inner, part in enumerate(call.shortcut):
        suffix = "" if len(call.shortcut) == 1 else f".{inner}"
        yield from _iter_weight_modules(part, f"{module_name}.shortcut{suffix}", trainable and part.trainable)


def has_single_logit(architecture: Architecture) -> bool:
    """True for a sigmoid output, whose single logit z is equivalent to the logits (0, z)."""
    return architecture.resolve_layers()[-1].output_shape == (1,)


def _format_torch_call(call: TorchCall, indent: str) -> str:
    if call.body:
        inner = indent + "    "
        body = _format_torch_sequence(call.body, inner)
        if len(call.shortcut) > 1:
            shortcut = _format_torch_sequence(call.shortcut, inner)
        else:
            shortcut = _format_torch_call(call.shortcut[0], inner) if call.shortcut else "nn.Identity()"
        return f"Residual(\n{inner}{body},\n{inner}{shortcut},\n{indent})"
    names = list(call.arguments)[: call.positional_count]
    keywords = {name: value for name, value in call.arguments.items() if name not in names}
    return format_call(f"nn.{call.name}", *(call.arguments[name] for name in names), **keywords)


def _format_torch_sequence(calls: Sequence[TorchCall], indent: str) -> str:
    inner = indent + "    "
    lines = "".join(f"{inner}{_format_torch_call(call, inner)},\n" for call in calls)
    return f"nn.Sequential(\n{lines}{indent})"
