"""What every layer kind says about itself: fields, shape, cost, its torch call as data, and what is wrong with it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.core.json_io import format_validation_error
from playground.core.shapes import ReceptiveField, Shape, count_elements, format_shape, is_spatial
from playground.errors import ArchitectureError

ActivationName = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]
OptionalActivation = Literal["none", "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh"]

ACTIVATION_TITLES: dict[str, str] = {
    "relu": "ReLU",
    "leaky_relu": "Leaky ReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
}
_ACTIVATION_TORCH_MODULES = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
}
ACTIVATION_HELP = "The function applied to every value. Without one, stacked layers collapse into a single linear map."

LayerT = TypeVar("LayerT", bound="Layer")


@dataclass(frozen=True)
class TorchCall:
    """One ``torch.nn`` module as data: the class's name and its keyword arguments.

    ``Residual`` is the one name that torch lacks: its ``body`` runs beside its ``shortcut`` (identity if None).
    Whether it is ``trainable`` makes no other module of it: calls are compared without.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    body: tuple["TorchCall", ...] = ()
    shortcut: "TorchCall | None" = None
    trainable: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class LayerFix:
    """A way to mend a layer: the layers that take its place, and a label of a few words for the button."""

    label: str
    layers: tuple["Layer", ...]


@dataclass(frozen=True)
class LayerProblem:
    """What is wrong with a layer on a given input: the field at fault, the reason, and possible repairs."""

    field: str
    what: str
    expected: str
    fixes: tuple[LayerFix, ...] = ()


class Layer(BaseModel):
    """One row of a network; a frozen value that describes one layer kind completely.

    ``compute_output_shape`` and the counts are total: on an input that the layer cannot take they answer what would hold after
    the most likely repair, so that validation can go on and name the problems further down too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: ClassVar[str]
    description: ClassVar[str]
    has_weights: ClassVar[bool] = False

    kind: str
    enabled: bool = Field(default=True, description="Off: the layer is kept in the list but left out of the network.")
    id: str = Field(default="", exclude=True, repr=False, pattern=r"^[a-z0-9_-]{0,40}$")
    trainable: bool = Field(
        default=True,
        exclude_if=bool,  # networks without frozen layers keep the digests that they have
        description="Off: the layer is frozen, training leaves its weights as they are. Keras: trainable.",
    )

    def format_arguments(self) -> str:
        """The main figures in a few characters: ``32 · 3×3 · ReLU``."""
        return ""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result for an input of ``input_shape``."""
        return input_shape

    def count_parameters(self, input_shape: Shape) -> int:
        """Numbers that training finds, frozen or not; running statistics are not trained and not counted."""
        return 0

    def count_trainable_parameters(self, input_shape: Shape) -> int:
        """Those of the parameters that are not frozen."""
        return self.count_parameters(input_shape) if self.trainable else 0

    def count_multiply_adds(self, input_shape: Shape) -> int:
        """Multiplications by a weight for one image; additions of a bias, pooling and activations are not counted."""
        return 0

    def count_saved_activations(self, input_shape: Shape) -> int:
        """Numbers that training keeps of one image for the backward pass."""
        return count_elements(self.compute_output_shape(input_shape))

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The receptive field after this layer, given the one before it (along the longer axis)."""
        return field

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """The modules that PyTorch needs for this layer, in order; arguments at torch's defaults are left out."""
        raise TypeError(f"{type(self).__name__} does not say its torch call")

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Everything that keeps this layer from working on ``input_shape``."""
        return ()

    def replace(self: LayerT, **fields: Any) -> LayerT:
        """A copy with other values in some fields; the id stays. Raises ArchitectureError for a value out of bounds."""
        try:
            return type(self).model_validate({**dict(self), **fields})
        except ValidationError as problem:
            raise ArchitectureError(f"{self.title} cannot be changed: {format_validation_error(problem)}") from None


def build_activation_calls(activation: str) -> tuple[TorchCall, ...]:
    """The module of an activation by its name; none for ``"none"``."""
    return () if activation == "none" else (TorchCall(_ACTIVATION_TORCH_MODULES[activation]),)


def join_arguments(*parts: str) -> str:
    """Parts of a layer's detail with a dot between, empty ones left out."""
    return " · ".join(part for part in parts if part)


def omit_defaults(defaults: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """The arguments that differ from torch's defaults, so that exported code reads as a person would write it."""
    return {name: value for name, value in arguments.items() if defaults.get(name, ...) != value}


def validate_spatial_input(layer: Layer, input_shape: Shape) -> tuple[LayerProblem, ...]:
    """The defect of a map layer that comes after the maps were flattened."""
    if is_spatial(input_shape):
        return ()
    return (
        LayerProblem(
            field="kind",
            what=f"{layer.title} needs maps with height and width, but gets {format_shape(input_shape)} values in a row.",
            expected="It belongs before Flatten, global pooling and linear layers.",
            fixes=(LayerFix("Remove", ()),),
        ),
    )
