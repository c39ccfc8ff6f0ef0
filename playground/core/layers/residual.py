"""The residual block: a short stack of layers with a way around it."""

from typing import Annotated, Literal

from pydantic import Field

from playground.core.layers.base import (
    ACTIVATION_HELP,
    ACTIVATION_TITLES,
    Defect,
    Layer,
    OptionalActivation,
    Repair,
    TorchCall,
    activation_calls,
    joined_detail,
    needs_map,
)
from playground.core.layers.convolution import Conv2d
from playground.core.layers.pointwise import Activation, BatchNorm, Dropout
from playground.core.shapes import ReceptiveField, Shape, element_count, is_map, shape_text

InnerLayer = Annotated[Conv2d | BatchNorm | Dropout | Activation, Field(discriminator="kind")]


def _default_layers() -> tuple[InnerLayer, ...]:
    return (
        Conv2d(out_channels=32, padding="same"),
        Conv2d(out_channels=32, padding="same", activation="none"),
    )


class Residual(Layer):
    """Adds what a short stack of layers puts out to what went in.

    Where the stack changes the number of channels, or shrinks the maps by a whole factor, the way around it is a 1×1
    convolution with that stride. Source: He et al., "Deep Residual Learning for Image Recognition", 2015.
    """

    title = "Residual"
    summary = "A short stack of layers plus a way around it: the stack only has to learn what to change."
    has_weights = True

    kind: Literal["residual"] = "residual"
    layers: tuple[InnerLayer, ...] = Field(
        default_factory=_default_layers, min_length=1, max_length=8, description="The layers inside, in order."
    )
    activation: OptionalActivation = Field(default="relu", description=ACTIVATION_HELP)

    def detail(self) -> str:
        """What is inside."""
        inner = " + ".join(
            f"{layer.title} {layer.detail()}".strip() for layer in self._active if layer.kind == "conv2d"
        )
        return joined_detail(inner, ACTIVATION_TITLES.get(self.activation, ""))

    @property
    def _active(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.enabled)

    def _steps(self, input_shape: Shape) -> list[tuple[Layer, Shape]]:
        steps = []
        shape = input_shape
        for layer in self._active:
            steps.append((layer, shape))
            shape = layer.output_shape(shape)
        return steps

    def output_shape(self, input_shape: Shape) -> Shape:
        """The inner stack's."""
        shape = input_shape
        for layer in self._active:
            shape = layer.output_shape(shape)
        return shape

    def _shortcut(self, input_shape: Shape) -> Conv2d | None:
        output_shape = self.output_shape(input_shape)
        if output_shape == input_shape or not is_map(input_shape):
            return None
        stride = max(1, min(8, round(input_shape[1] / output_shape[1])))
        return Conv2d(out_channels=output_shape[0], kernel_size=1, stride=stride, activation="none")

    def parameters(self, input_shape: Shape) -> int:
        """The inner layers' and the 1×1 convolution's."""
        shortcut = self._shortcut(input_shape)
        inner = sum(layer.parameters(shape) for layer, shape in self._steps(input_shape))
        return inner + (shortcut.parameters(input_shape) if shortcut else 0)

    def trainable_parameters(self, input_shape: Shape) -> int:
        """None if the block is frozen, else all but those of its frozen layers."""
        frozen = sum(layer.parameters(shape) for layer, shape in self._steps(input_shape) if not layer.trainable)
        return self.parameters(input_shape) - frozen if self.trainable else 0

    def multiply_adds(self, input_shape: Shape) -> int:
        """The inner layers' and the 1×1 convolution's."""
        shortcut = self._shortcut(input_shape)
        inner = sum(layer.multiply_adds(shape) for layer, shape in self._steps(input_shape))
        return inner + (shortcut.multiply_adds(input_shape) if shortcut else 0)

    def kept_values(self, input_shape: Shape) -> int:
        """Each inner layer's result, and the sum."""
        inner = sum(layer.kept_values(shape) for layer, shape in self._steps(input_shape))
        return inner + element_count(self.output_shape(input_shape))

    def receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The inner stack's, joined with the way around it."""
        inside = field
        for layer, shape in self._steps(input_shape):
            inside = layer.receptive_field(inside, shape)
        shortcut = self._shortcut(input_shape)
        return inside.joined(shortcut.receptive_field(field, input_shape) if shortcut else field)

    def torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Residual`` with its body and shortcut, then the activation."""
        body = tuple(call for layer, shape in self._steps(input_shape) for call in layer.torch_calls(shape))
        shortcut = self._shortcut(input_shape)
        around = shortcut.torch_calls(input_shape)[0] if shortcut else None
        block = TorchCall("Residual", body=body, shortcut=around, trainable=self.trainable)
        return (block, *activation_calls(self.activation))

    def defects(self, input_shape: Shape) -> tuple[Defect, ...]:
        """Inner layers that do not work, and a stack whose maps do not meet those of the way around it."""
        if not is_map(input_shape):
            return needs_map(self, input_shape)
        if not self._active:
            return (
                Defect("layers", "Every layer inside is switched off.", "A block needs one.", (Repair("Remove", ()),)),
            )
        found = []
        places = [index for index, layer in enumerate(self.layers) if layer.enabled]
        for index, (layer, shape) in zip(places, self._steps(input_shape), strict=True):
            for defect in layer.defects(shape):
                repairs = tuple(
                    self._inner_repair(index, repair) for repair in defect.repairs if self._fits(index, repair)
                )
                found.append(Defect("layers", f"Inside, layer {index + 1}: {defect.what}", defect.expected, repairs))
        if found:
            return tuple(found)
        return self._meeting_defects(input_shape)

    def _fits(self, index: int, repair: Repair) -> bool:
        return 1 <= len(self.layers) - 1 + len(repair.layers) <= 8

    def _inner_repair(self, index: int, repair: Repair) -> Repair:
        inner = (*self.layers[:index], *repair.layers, *self.layers[index + 1 :])
        return Repair(repair.label, (self.changed(layers=inner),))

    def _meeting_defects(self, input_shape: Shape) -> tuple[Defect, ...]:
        output_shape = self.output_shape(input_shape)
        shortcut = self._shortcut(input_shape)
        around = shortcut.output_shape(input_shape) if shortcut else input_shape
        if around == output_shape:
            return ()
        kept = tuple(
            layer.changed(padding="same", stride=1) if isinstance(layer, Conv2d) else layer for layer in self.layers
        )
        return (
            Defect(
                field="layers",
                what=f"The stack ends in {shape_text(output_shape)} maps, the way around it in {shape_text(around)}.",
                expected="Both are added, so they must have the same size.",
                repairs=(Repair("Use 'same' padding inside", (self.changed(layers=kept),)),),
            ),
        )
