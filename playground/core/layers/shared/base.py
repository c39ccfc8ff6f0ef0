"""Base class of layer kinds: fields, shapes, cost, calls in other frameworks and the traits that consumers read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.core.json_io import format_validation_error
from playground.core.layers.shared.activation_functions import ACTIVATION_FUNCTIONS
from playground.core.layers.shared.call_import import CallImport
from playground.core.layers.shared.calls import KerasCall, TorchCall
from playground.core.shapes import ReceptiveField, Shape, count_elements, format_shape, is_spatial
from playground.errors import ArchitectureError

InputRequirement = Literal["any", "spatial", "vector"]
DiagramColor = Literal["gray", "blue", "orange", "green", "purple"]
ExplainedOperation = Literal["sum", "largest", "mean", "scale", "function", "same", "add"]
"""Operation that gives one value: weights times values, maximum, mean, normalization, activation alone, identity,
or the sum of a residual block's branches."""

LayerT = TypeVar("LayerT", bound="Layer")


@dataclass(frozen=True)
class LayerReplacement:
    """A fix of a layer alone: a button label, and the layers that replace it. Validation makes a ``Fix`` of it."""

    label: str
    layers: tuple["Layer", ...]


@dataclass(frozen=True)
class LayerProblem:
    """A problem of a layer on a given input: the field, the reason, and possible fixes."""

    field: str
    what: str
    expected: str
    fixes: tuple[LayerReplacement, ...] = ()


@dataclass(frozen=True)
class ExplanationRule:
    """The operation that explains one value of a layer.

    ``module_index``: index, among the layer's modules, of the one that computes the operation; the modules before it
    are applied first. ``has_group_statistics``: a "scale" whose mean and variance come from groups of channels of the
    image itself, not from running statistics.
    """

    operation: ExplainedOperation
    module_index: int = 0
    has_group_statistics: bool = False


class Layer(BaseModel):
    """One row of a network; a frozen value that describes one layer kind completely.

    ``compute_output_shape`` and the counts are total: for an input that the layer cannot take they return the result
    after the most likely fix, so that validation can go on to the layers below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: ClassVar[str]
    description: ClassVar[str]
    menu_order: ClassVar[int]
    """Position in menus; kinds with lower numbers come first."""

    input_requirement: ClassVar[InputRequirement] = "any"
    has_weights: ClassVar[bool] = False
    is_output: ClassVar[bool] = False
    is_elementwise: ClassVar[bool] = False
    """Each output channel depends on the same input channel; the shape stays the same."""
    is_passthrough: ClassVar[bool] = False
    """At inference the values stay the same, at most in another shape."""
    is_view: ClassVar[bool] = False
    """Only reshapes the values, also in training."""
    uses_batch_statistics: ClassVar[bool] = False
    """Needs more than one image in a training batch."""
    can_be_in_block: ClassVar[bool] = False
    has_shortcut: ClassVar[bool] = False
    block_form_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that the form of a layer inside a block shows."""
    has_editable_kernels: ClassVar[bool] = False
    width_field: ClassVar[str | None] = None
    """Field with the number of output channels or features."""
    suggested_width_limit: ClassVar[int] = 0
    dropout_field: ClassVar[str | None] = None
    """Field with a dropout rate, which can change while a run trains."""
    explanation: ClassVar[ExplanationRule] = ExplanationRule("same")
    diagram_color: ClassVar[DiagramColor] = "gray"

    torch_imports: ClassVar[tuple[CallImport, ...]] = ()
    keras_imports: ClassVar[tuple[CallImport, ...]] = ()
    states_channels: ClassVar[bool] = False
    """The input size in a PyTorch call is the number of channels, not of all values."""
    absorbed_padding: ClassVar[Literal["zeros", "negative_infinity"] | None] = None
    """Value of a separate padding layer that the ``padding`` field stands for."""

    kind: str
    enabled: bool = Field(
        default=True, description="Off: the layer stays in the list, but the network does not use it."
    )
    id: str = Field(default="", exclude=True, repr=False, pattern=r"^[a-z0-9_-]{0,40}$")
    trainable: bool = Field(
        default=True,
        exclude_if=bool,  # networks without frozen layers keep their digests
        description="Off: the layer is frozen, and training does not change its weights. Keras: trainable.",
    )

    def format_arguments(self) -> str:
        """The main arguments in a few characters: ``32 · 3×3 · ReLU``."""
        return ""

    @property
    def activation_name(self) -> str:
        """The activation function after the layer's operation; ``"none"`` without one."""
        return str(getattr(self, "activation", "none"))

    @property
    def inactive_fields(self) -> tuple[str, ...]:
        """Fields without effect for the values of the others; forms disable them."""
        return ()

    @property
    def inner_layers(self) -> tuple["Layer", ...]:
        """The layers inside a block, disabled ones included."""
        return ()

    @property
    def projection_layers(self) -> tuple["Layer", ...]:
        """The given layers of a block's shortcut; empty where the shortcut is derived from the shapes."""
        return ()

    @property
    def subsampling(self) -> int:
        """The stride of a layer that only drops positions; 1 for other layers."""
        return 1

    @property
    def window_size(self) -> int | None:
        """Side of the sliding window in pixels, dilation included; None without one."""
        return None

    def with_inner_layers(self: LayerT, layers: Sequence["Layer"]) -> LayerT:
        """The same block with other layers inside; other kinds stay as they are."""
        return self

    def with_width(self: LayerT, width: int) -> LayerT:
        """The same layer with another number of output channels or features."""
        return self.replace(**{self.width_field: width}) if self.width_field else self

    def absorb_subsampling(self, stride: int) -> "Layer | None":
        """The same layer with the stride of a subsampling that follows it; None if it cannot take one."""
        return None

    def resolve_units(self: LayerT, classes: int) -> LayerT:
        """The same layer for a number of classes; only an output depends on it."""
        return self

    def with_classes(self: LayerT, classes: int) -> LayerT:
        """The same layer in a network for other classes; an output becomes new and trainable."""
        return self

    def validate_classes(self, classes: int) -> tuple[LayerProblem, ...]:
        """Problems of an output with the number of classes."""
        return ()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result for an input of ``input_shape``."""
        return input_shape

    def count_parameters(self, input_shape: Shape) -> int:
        """Number of learned values, frozen or not; running statistics are not counted."""
        return 0

    def count_trainable_parameters(self, input_shape: Shape) -> int:
        """Parameters that are not frozen."""
        return self.count_parameters(input_shape) if self.trainable else 0

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """Number of multiply-adds for one image; biases, pooling and activations are not counted."""
        return 0

    def count_saved_activations(self, input_shape: Shape) -> int:
        """Number of values per image that training keeps for the backward pass."""
        return count_elements(self.compute_output_shape(input_shape))

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The receptive field after this layer, given the one before it (along the longer axis)."""
        return field

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """The PyTorch modules of this layer, in order; arguments at PyTorch's defaults are left out."""
        raise TypeError(f"{type(self).__name__} has no PyTorch calls.")

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """The Keras layers of this layer, in order; arguments at Keras's defaults are left out."""
        raise TypeError(f"{type(self).__name__} has no Keras calls.")

    def get_channel_module_index(self) -> int | None:
        """Index, among the layer's modules, of the one whose weights can be scaled by channel; None without one."""
        return None

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Every problem of this layer on ``input_shape``."""
        return ()

    def replace(self: LayerT, **fields: Any) -> LayerT:
        """A copy with other values in some fields and the same id.

        Raises ArchitectureError for a value out of bounds.
        """
        try:
            return type(self).model_validate({**dict(self), **fields})
        except ValidationError as error:
            raise ArchitectureError(f"{self.title} cannot be changed: {format_validation_error(error)}") from None


def join_arguments(*parts: str) -> str:
    """Join the parts of a layer's arguments with dots; empty parts are left out."""
    return " · ".join(part for part in parts if part)


def format_activation(activation: str) -> str:
    """The title of an activation function, empty for ``"none"``."""
    return ACTIVATION_FUNCTIONS[activation].title if activation in ACTIVATION_FUNCTIONS else ""


def validate_spatial_input(layer: Layer, input_shape: Shape) -> tuple[LayerProblem, ...]:
    """Report a vector as the input of a layer that needs feature maps."""
    if is_spatial(input_shape):
        return ()
    return (
        LayerProblem(
            field="kind",
            what=f"{layer.title} needs feature maps, but its input is a vector of {format_shape(input_shape)} values.",
            expected="It must come before Flatten, global pooling and linear layers.",
            fixes=(LayerReplacement("Remove", ()),),
        ),
    )
