"""The Keras layers of a network, and the modules of a state dict that hold their weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from playground.codegen.torch_model import list_weight_module_names
from playground.core.architecture import Architecture
from playground.core.layers.shared.calls import KerasCall, offset_modules
from playground.core.shapes import Shape


def list_keras_places(architecture: Architecture, *, only_frozen: bool = False) -> tuple[str, ...]:
    """The modules of a state dict behind each Keras layer with weights, in the order of ``model.layers``.

    Several modules of one Keras layer are separated by spaces. ``only_frozen``: only layers that are not trained.
    """
    frozen = set(list_weight_module_names(architecture, only_frozen=True))
    weight_modules = [
        call.modules
        for step in list_keras_layers(architecture)
        for call in iter_keras_calls(step.calls)
        if call.modules
    ]
    return tuple(" ".join(modules) for modules in weight_modules if not only_frozen or frozen.issuperset(modules))


@dataclass(frozen=True)
class KerasLayers:
    """The Keras layers of one layer; their modules are named as in the state dict."""

    calls: tuple[KerasCall, ...]
    output_shape: Shape


def list_keras_layers(architecture: Architecture) -> list[KerasLayers]:
    """The Keras layers of every enabled layer, in order."""
    result, offset = [], 0
    for step in architecture.resolve_layers():
        calls = step.layer.build_keras_calls(step.input_shape)
        result.append(KerasLayers(_offset_block_modules(calls, offset), step.output_shape))
        offset += len(step.layer.build_torch_calls(step.input_shape))
    return result


def _offset_block_modules(calls: Sequence[KerasCall], offset: int) -> tuple[KerasCall, ...]:
    return tuple(
        replace(call, body=offset_modules(call.body, offset), shortcut=offset_modules(call.shortcut, offset))
        for call in offset_modules(calls, offset)
    )


def iter_keras_calls(calls: Sequence[KerasCall]) -> Iterator[KerasCall]:
    """Iterate over all Keras layers in the order of ``model.layers``: by their distance from the sum of a block."""
    for call in calls:
        branches = (call.body, call.shortcut)
        distances = [(len(branch) - index, part) for branch in branches for index, part in enumerate(branch)]
        yield from (part for _, part in sorted(distances, key=lambda item: -item[0]))
        yield call
