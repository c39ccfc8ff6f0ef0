"""Residual block: a short stack of layers and a shortcut connection."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from playground.core.layers.conv2d import Conv2d
from playground.core.layers.shared.activation_functions import (
    ACTIVATION_HELP,
    OptionalActivation,
    add_keras_activation,
    build_activation_calls,
)
from playground.core.layers.shared.base import (
    ExplanationRule,
    Layer,
    LayerProblem,
    LayerReplacement,
    format_activation,
    join_arguments,
    validate_spatial_input,
)
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall, offset_modules
from playground.core.layers.shared.convolution_base import Convolution
from playground.core.registry import collect_kinds, import_submodules, make_union
from playground.core.shapes import ReceptiveField, Shape, count_elements, format_shape, is_spatial

if TYPE_CHECKING:
    InnerLayer = Layer
else:
    _kinds = collect_kinds(import_submodules("playground.core.layers"), Layer)  # all kinds but this one
    InnerLayer = make_union({name: kind for name, kind in _kinds.items() if kind.can_be_in_block})


def _make_default_layers() -> tuple[InnerLayer, ...]:
    return (
        Conv2d(out_channels=32, padding="same"),
        Conv2d(out_channels=32, padding="same", activation="none"),
    )


class Residual(Layer):
    """Residual block: adds the input to the result of a short stack of layers.

    If the stack changes the number of channels, or the size of the feature maps by a whole factor, the shortcut is a
    1×1 convolution with that stride, unless its layers are given. Source: He et al., "Deep Residual Learning for Image
    Recognition", 2015.
    """

    title = "Residual"
    description = "A short stack of layers with a shortcut connection: the stack learns the difference from its input."
    menu_order = 110
    input_requirement = "spatial"
    has_weights = True
    has_shortcut = True
    explanation = ExplanationRule("add")
    diagram_color = "green"

    kind: Literal["residual"] = "residual"
    layers: tuple[InnerLayer, ...] = Field(
        default_factory=_make_default_layers, min_length=1, max_length=8, description="Layers of the block, in order."
    )
    activation: OptionalActivation = Field(default="relu", description=ACTIVATION_HELP)
    projection: tuple[InnerLayer, ...] = Field(
        default=(),
        max_length=4,
        exclude_if=lambda layers: not layers,  # networks without one keep their digests
        description="Layers of the shortcut, such as a 1×1 convolution and batch norm. Empty: the identity, or a 1×1 "
        "convolution if the stack changes the shape.",
    )

    @field_validator("projection")
    @classmethod
    def _check_projection(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        if any(layer.dropout_field or not (layer.enabled and layer.trainable) for layer in layers):
            raise ValueError(
                "the layers of a shortcut are enabled, are frozen only with the block, and have no dropout"
            )
        return layers

    def format_arguments(self) -> str:
        """The convolutions of the block, the layers of its shortcut and its activation."""
        inner = _format_layers(layer for layer in self._enabled_layers if isinstance(layer, Convolution))
        shortcut = f"shortcut {_format_layers(self.projection)}" if self.projection else ""
        return join_arguments(inner, shortcut, format_activation(self.activation))

    @property
    def inner_layers(self) -> tuple[Layer, ...]:
        """The layers of the block."""
        return self.layers

    @property
    def projection_layers(self) -> tuple[Layer, ...]:
        """The layers of the shortcut, if they are given."""
        return self.projection

    def with_inner_layers(self, layers: Sequence[Layer]) -> "Residual":
        """The same block with other layers."""
        return self.replace(layers=tuple(layers))

    @property
    def _enabled_layers(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.enabled)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape after the layers of the block."""
        return _compute_output_shape(self._enabled_layers, input_shape)

    def _list_shortcut_layers(self, input_shape: Shape) -> tuple[Layer, ...]:
        output_shape = self.compute_output_shape(input_shape)
        if self.projection or output_shape == input_shape or not is_spatial(input_shape):
            return self.projection
        stride = max(1, min(8, round(input_shape[1] / output_shape[1])))
        return (Conv2d(out_channels=output_shape[0], kernel_size=1, stride=stride, activation="none"),)

    def _trace_branches(self, input_shape: Shape) -> tuple[list[tuple[Layer, Shape]], list[tuple[Layer, Shape]]]:
        """The layers of the body and of the shortcut, each with its input shape."""
        body, shortcut = self._enabled_layers, self._list_shortcut_layers(input_shape)
        return _trace_input_shapes(body, input_shape), _trace_input_shapes(shortcut, input_shape)

    def count_parameters(self, input_shape: Shape) -> int:
        """Sum over the layers of both branches."""
        body, shortcut = self._trace_branches(input_shape)
        return sum(layer.count_parameters(shape) for layer, shape in (*body, *shortcut))

    def count_trainable_parameters(self, input_shape: Shape) -> int:
        """Parameters of the block without its frozen layers; 0 if the block is frozen."""
        body, shortcut = self._trace_branches(input_shape)
        trainable = sum(layer.count_parameters(shape) for layer, shape in (*body, *shortcut) if layer.trainable)
        return trainable if self.trainable else 0

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """Sum over the layers of both branches."""
        body, shortcut = self._trace_branches(input_shape)
        return sum(layer.count_multiply_adds(shape) for layer, shape in (*body, *shortcut))

    def count_saved_activations(self, input_shape: Shape) -> int:
        """The outputs of the layers of the body, of all but the last one of the shortcut, and the sum."""
        body, shortcut = self._trace_branches(input_shape)
        inner = sum(layer.count_saved_activations(shape) for layer, shape in (*body, *shortcut[:-1]))
        return inner + count_elements(self.compute_output_shape(input_shape))

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """Union of the receptive fields of both branches."""
        fields = []
        for branch in self._trace_branches(input_shape):
            branch_field = field
            for layer, shape in branch:
                branch_field = layer.compute_receptive_field(branch_field, shape)
            fields.append(branch_field)
        return fields[0].unite(fields[1])

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Residual`` with its body and shortcut, then the activation."""
        body, shortcut = (
            tuple(call for layer, shape in branch for call in layer.build_torch_calls(shape))
            for branch in self._trace_branches(input_shape)
        )
        block = TorchCall(
            "Residual",
            body=body,
            shortcut=shortcut,
            trainable=self.trainable,
            onnx_nodes=(OnnxNode("Add", ("body", "shortcut")),),
            js_operation=JsOperation("add"),
        )
        return (block, *build_activation_calls(self.activation))

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """The layers of both branches, their sum and the activation."""
        body, shortcut = self._trace_branches(input_shape)
        shortcut_calls, shortcut_count = _build_keras_branch(shortcut, "0.shortcut.")
        if shortcut_count == 1:
            shortcut_calls = tuple(
                replace(call, modules=("0.shortcut",) if call.modules else ()) for call in shortcut_calls
            )
        block = KerasCall("Add", body=_build_keras_branch(body, "0.body.")[0], shortcut=shortcut_calls)
        return add_keras_activation((block,), self.activation)

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report problems of the inner layers, and an output whose shape differs from the shortcut's."""
        if not is_spatial(input_shape):
            return validate_spatial_input(self, input_shape)
        if not self._enabled_layers:
            return (
                LayerProblem(
                    "layers",
                    "Every layer of the block is disabled.",
                    "A block needs at least one enabled layer.",
                    (LayerReplacement("Remove", ()),),
                ),
            )
        problems = []
        indices = [index for index, layer in enumerate(self.layers) if layer.enabled]
        for index, (layer, shape) in zip(indices, _trace_input_shapes(self._enabled_layers, input_shape), strict=True):
            for problem in layer.validate_input(shape):
                fixes = tuple(
                    self._wrap_inner_fix(index, fix) for fix in problem.fixes if self._can_apply_fix(index, fix)
                )
                problems.append(
                    LayerProblem("layers", f"Inner layer {index + 1}: {problem.what}", problem.expected, fixes)
                )
        return tuple(problems) or self._validate_shortcut(input_shape)

    def _can_apply_fix(self, index: int, fix: LayerReplacement) -> bool:
        return 1 <= len(self.layers) - 1 + len(fix.layers) <= 8

    def _wrap_inner_fix(self, index: int, fix: LayerReplacement) -> LayerReplacement:
        inner = (*self.layers[:index], *fix.layers, *self.layers[index + 1 :])
        return LayerReplacement(fix.label, (self.replace(layers=inner),))

    def _validate_shortcut(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report problems of the shortcut's layers, and an output whose shape differs from the body's."""
        for layer, shape in _trace_input_shapes(self.projection, input_shape):
            for problem in layer.validate_input(shape):
                return (self._build_projection_problem(f"Shortcut: {problem.what}", problem.expected, input_shape),)
        output_shape = self.compute_output_shape(input_shape)
        shortcut_shape = _compute_output_shape(self._list_shortcut_layers(input_shape), input_shape)
        if shortcut_shape == output_shape:
            return ()
        what = (
            f"The output of the stack is {format_shape(output_shape)}, that of the shortcut "
            f"{format_shape(shortcut_shape)}."
        )
        expected = "Both are added, so they must have the same shape."
        if self.projection:
            return (self._build_projection_problem(what, expected, input_shape),)
        same_size_layers = tuple(
            layer.replace(padding="same", stride=1) if isinstance(layer, Convolution) else layer
            for layer in self.layers
        )
        same_size = LayerReplacement("Use 'same' padding inside", (self.replace(layers=same_size_layers),))
        return (LayerProblem("layers", what, expected, (same_size,)),)

    def _build_projection_problem(self, what: str, expected: str, input_shape: Shape) -> LayerProblem:
        derived = self.replace(projection=())
        remaining = derived.validate_input(input_shape)
        fixed = remaining[0].fixes[0].layers[0] if remaining else derived
        return LayerProblem("projection", what, expected, (LayerReplacement("Derive the shortcut", (fixed,)),))


def _format_layers(layers: Iterable[Layer]) -> str:
    return " + ".join(f"{layer.title} {layer.format_arguments()}".strip() for layer in layers)


def _trace_input_shapes(layers: Iterable[Layer], input_shape: Shape) -> list[tuple[Layer, Shape]]:
    steps = []
    shape = input_shape
    for layer in layers:
        steps.append((layer, shape))
        shape = layer.compute_output_shape(shape)
    return steps


def _compute_output_shape(layers: Iterable[Layer], input_shape: Shape) -> Shape:
    for layer in layers:
        input_shape = layer.compute_output_shape(input_shape)
    return input_shape


def _build_keras_branch(branch: Iterable[tuple[Layer, Shape]], prefix: str) -> tuple[tuple[KerasCall, ...], int]:
    """The Keras layers of a branch, and the number of its PyTorch modules."""
    calls: list[KerasCall] = []
    module_count = 0
    for layer, shape in branch:
        calls += offset_modules(layer.build_keras_calls(shape), module_count, prefix)
        module_count += len(layer.build_torch_calls(shape))
    return tuple(calls), module_count
