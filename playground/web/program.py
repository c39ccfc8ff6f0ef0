"""Program of a network for the browser engine: the operations of every layer, with the names of their weights."""

from collections.abc import Sequence
from typing import Any

from playground.core.architecture import Architecture
from playground.core.layers import TorchCall
from playground.errors import ArchitectureError

Program = dict[str, Any]
"""JSON that ``buildPlan`` in ``engine/plan.js`` reads."""


def compile_program(architecture: Architecture) -> Program:
    """Compile a valid network to the operations of its enabled layers, in order.

    Each operation has a name, attributes and ``module``, the prefix of its tensors in a snapshot. Raises
    ArchitectureError for a module without an operation.
    """
    layers = []
    start = 0
    for step in architecture.resolve_layers():
        calls = step.layer.build_torch_calls(step.input_shape)
        layers.append(
            {
                "index": step.index,
                "kind": step.layer.kind,
                "title": step.layer.title,
                "outputShape": list(step.output_shape),
                "activation": step.layer.activation_name if len(calls) > 1 else "none",
                "explainedOperation": step.layer.explanation.module_index,
                "operations": _compile_sequence(calls, start=start),
            }
        )
        start += len(calls)
    return {"inputShape": list(architecture.input.shape), "classes": architecture.classes, "layers": layers}


def _compile_sequence(calls: Sequence[TorchCall], *, start: int = 0, prefix: str = "") -> list[dict[str, Any]]:
    return [_compile_call(call, f"{prefix}{start + index}") for index, call in enumerate(calls)]


def _compile_call(call: TorchCall, module: str) -> dict[str, Any]:
    if call.js_operation is None:
        raise ArchitectureError(
            f"The browser engine has no operation for {call.name}.",
            fix="Give the TorchCall of this layer kind a js_operation.",
        )
    compiled: dict[str, Any] = {"name": call.js_operation.name, "module": module, **call.js_operation.attributes}
    if call.body:
        compiled["body"] = _compile_sequence(call.body, prefix=f"{module}.body.")
        compiled["shortcut"] = _compile_shortcut(call.shortcut, f"{module}.shortcut")
    return compiled


def _compile_shortcut(calls: Sequence[TorchCall], module: str) -> list[dict[str, Any]]:
    """Compile a shortcut; a single call is the module itself, several are a Sequential."""
    if len(calls) == 1:
        return [_compile_call(calls[0], module)]
    return _compile_sequence(calls, prefix=f"{module}.")
