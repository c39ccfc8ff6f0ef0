"""Output layer: one logit per class."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.base import ExplanationRule, Layer, LayerProblem, LayerReplacement, join_arguments
from playground.core.layers.shared.calls import KerasCall, TorchCall
from playground.core.layers.shared.vector_input import build_linear_call, expand_to_whole_input, validate_vector_input
from playground.core.shapes import ReceptiveField, Shape, count_elements


class Output(Layer):
    """The last layer: one logit per class.

    With ``softmax`` it has one unit per class; with ``sigmoid`` (two classes) a single unit. The built module returns
    logits.
    """

    title = "Output"
    description = "One logit per class, converted to probabilities that add up to 1."
    menu_order = 200
    input_requirement = "vector"
    has_weights = True
    is_output = True
    explanation = ExplanationRule("sum")
    diagram_color = "purple"

    kind: Literal["output"] = "output"
    activation: Literal["softmax", "sigmoid"] = Field(
        default="softmax", description="softmax: one unit per class. sigmoid: a single unit, for two classes."
    )
    units: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Number of outputs. Empty: the number that the classes of the dataset need.",
    )

    def format_arguments(self) -> str:
        """Units and activation."""
        return join_arguments(str(self.units) if self.units else "", self.activation)

    @property
    def activation_name(self) -> str:
        """``"none"``, since the built module returns logits."""
        return "none"

    def resolve_units(self, classes: int) -> "Output":
        """The same layer with an explicit number of units."""
        if self.units is not None:
            return self
        return self.replace(units=1 if self.activation == "sigmoid" else classes)

    def with_classes(self, classes: int) -> "Output":
        """A new, trainable output for other classes."""
        activation = "sigmoid" if self.activation == "sigmoid" and classes == 2 else "softmax"
        return self.replace(activation=activation, units=None, trainable=True)

    @property
    def _unit_count(self) -> int:
        return self.units or 1

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(units,)."""
        return (self._unit_count,)

    def count_parameters(self, input_shape: Shape) -> int:
        """Units × (in_features + 1)."""
        return self._unit_count * (count_elements(input_shape) + 1)

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """One multiplication per weight."""
        return self._unit_count * count_elements(input_shape)

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The whole input."""
        return expand_to_whole_input(field, input_shape)

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Linear``, which returns logits."""
        return (build_linear_call(count_elements(input_shape), self._unit_count, trainable=self.trainable),)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``Dense``, whose activation is left out for ``logits=True``."""
        activation_code = f'None if logits else "{self.activation}"'
        return (KerasCall("Dense", (self._unit_count,), modules=("0",), code={"activation": activation_code}),)

    def get_channel_module_index(self) -> int | None:
        """The linear module."""
        return 0

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Report feature maps that were not flattened."""
        return validate_vector_input(self, input_shape)

    def validate_classes(self, classes: int) -> tuple[LayerProblem, ...]:
        """Report an activation or a number of units that does not fit the number of classes."""
        if self.activation == "sigmoid" and classes != 2:
            return (
                LayerProblem(
                    field="activation",
                    what=f"A sigmoid output distinguishes two classes; the dataset has {classes}.",
                    expected="More than two classes need softmax.",
                    fixes=(LayerReplacement("Use softmax", (self.replace(activation="softmax", units=None),)),),
                ),
            )
        expected_units = 1 if self.activation == "sigmoid" else classes
        if self.units in (None, expected_units):
            return ()
        return (
            LayerProblem(
                field="units",
                what=f"The output has {self.units} units, the dataset has {classes} classes.",
                expected=f"It needs {expected_units}.",
                fixes=(LayerReplacement(f"Set to {expected_units}", (self.replace(units=None),)),),
            ),
        )
