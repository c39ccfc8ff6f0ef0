"""Residual block: a short stack of layers and a shortcut connection."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

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
from playground.core.layers.shared.calls import KerasCall, OnnxNode, TorchCall, offset_modules
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
    1×1 convolution with that stride. Source: He et al., "Deep Residual Learning for Image Recognition", 2015.
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

    def format_arguments(self) -> str:
        """The convolutions of the block and its activation."""
        inner = " + ".join(
            f"{layer.title} {layer.format_arguments()}".strip()
            for layer in self._enabled_layers
            if isinstance(layer, Convolution)
        )
        return join_arguments(inner, format_activation(self.activation))

    @property
    def inner_layers(self) -> tuple[Layer, ...]:
        """The layers of the block."""
        return self.layers

    def with_inner_layers(self, layers: Sequence[Layer]) -> "Residual":
        """The same block with other layers."""
        return self.replace(layers=tuple(layers))

    @property
    def _enabled_layers(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.enabled)

    def _trace_input_shapes(self, input_shape: Shape) -> list[tuple[Layer, Shape]]:
        steps = []
        shape = input_shape
        for layer in self._enabled_layers:
            steps.append((layer, shape))
            shape = layer.compute_output_shape(shape)
        return steps

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape after the layers of the block."""
        shape = input_shape
        for layer in self._enabled_layers:
            shape = layer.compute_output_shape(shape)
        return shape

    def _build_shortcut(self, input_shape: Shape) -> Conv2d | None:
        output_shape = self.compute_output_shape(input_shape)
        if output_shape == input_shape or not is_spatial(input_shape):
            return None
        stride = max(1, min(8, round(input_shape[1] / output_shape[1])))
        return Conv2d(out_channels=output_shape[0], kernel_size=1, stride=stride, activation="none")

    def count_parameters(self, input_shape: Shape) -> int:
        """Sum over the inner layers and the 1×1 convolution of the shortcut."""
        shortcut = self._build_shortcut(input_shape)
        inner = sum(layer.count_parameters(shape) for layer, shape in self._trace_input_shapes(input_shape))
        return inner + (shortcut.count_parameters(input_shape) if shortcut else 0)

    def count_trainable_parameters(self, input_shape: Shape) -> int:
        """Parameters of the block without its frozen layers; 0 if the block is frozen."""
        frozen = sum(
            layer.count_parameters(shape)
            for layer, shape in self._trace_input_shapes(input_shape)
            if not layer.trainable
        )
        return self.count_parameters(input_shape) - frozen if self.trainable else 0

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """Sum over the inner layers and the 1×1 convolution of the shortcut."""
        shortcut = self._build_shortcut(input_shape)
        inner = sum(layer.count_multiply_adds(shape) for layer, shape in self._trace_input_shapes(input_shape))
        return inner + (shortcut.count_multiply_adds(input_shape) if shortcut else 0)

    def count_saved_activations(self, input_shape: Shape) -> int:
        """The outputs of the inner layers and the sum."""
        inner = sum(layer.count_saved_activations(shape) for layer, shape in self._trace_input_shapes(input_shape))
        return inner + count_elements(self.compute_output_shape(input_shape))

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """Union of the receptive fields of both branches."""
        body_field = field
        for layer, shape in self._trace_input_shapes(input_shape):
            body_field = layer.compute_receptive_field(body_field, shape)
        shortcut = self._build_shortcut(input_shape)
        return body_field.unite(shortcut.compute_receptive_field(field, input_shape) if shortcut else field)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Residual`` with its body and shortcut, then the activation."""
        body = tuple(
            call for layer, shape in self._trace_input_shapes(input_shape) for call in layer.build_torch_calls(shape)
        )
        shortcut = self._build_shortcut(input_shape)
        shortcut_call = shortcut.build_torch_calls(input_shape)[0] if shortcut else None
        block = TorchCall(
            "Residual",
            body=body,
            shortcut=shortcut_call,
            trainable=self.trainable,
            onnx_nodes=(OnnxNode("Add", ("body", "shortcut")),),
        )
        return (block, *build_activation_calls(self.activation))

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """The layers of both branches, their sum and the activation."""
        body: list[KerasCall] = []
        offset = 0
        for layer, shape in self._trace_input_shapes(input_shape):
            body += offset_modules(layer.build_keras_calls(shape), offset, "0.body.")
            offset += len(layer.build_torch_calls(shape))
        shortcut = self._build_shortcut(input_shape)
        shortcut_calls = shortcut.build_keras_calls(input_shape) if shortcut else ()
        block = KerasCall(
            "Add",
            body=tuple(body),
            shortcut=tuple(replace(call, modules=("0.shortcut",) if call.modules else ()) for call in shortcut_calls),
        )
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
        for index, (layer, shape) in zip(indices, self._trace_input_shapes(input_shape), strict=True):
            for problem in layer.validate_input(shape):
                fixes = tuple(
                    self._wrap_inner_fix(index, fix) for fix in problem.fixes if self._can_apply_fix(index, fix)
                )
                problems.append(
                    LayerProblem("layers", f"Inner layer {index + 1}: {problem.what}", problem.expected, fixes)
                )
        if problems:
            return tuple(problems)
        return self._validate_shortcut_shape(input_shape)

    def _can_apply_fix(self, index: int, fix: LayerReplacement) -> bool:
        return 1 <= len(self.layers) - 1 + len(fix.layers) <= 8

    def _wrap_inner_fix(self, index: int, fix: LayerReplacement) -> LayerReplacement:
        inner = (*self.layers[:index], *fix.layers, *self.layers[index + 1 :])
        return LayerReplacement(fix.label, (self.replace(layers=inner),))

    def _validate_shortcut_shape(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        output_shape = self.compute_output_shape(input_shape)
        shortcut = self._build_shortcut(input_shape)
        shortcut_shape = shortcut.compute_output_shape(input_shape) if shortcut else input_shape
        if shortcut_shape == output_shape:
            return ()
        same_size_layers = tuple(
            layer.replace(padding="same", stride=1) if isinstance(layer, Convolution) else layer
            for layer in self.layers
        )
        return (
            LayerProblem(
                field="layers",
                what=f"The output of the stack is {format_shape(output_shape)}, "
                f"that of the shortcut {format_shape(shortcut_shape)}.",
                expected="Both are added, so they must have the same shape.",
                fixes=(LayerReplacement("Use 'same' padding inside", (self.replace(layers=same_size_layers),)),),
            ),
        )
