"""Dropout."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.base import Layer
from playground.core.layers.shared.call_import import CallArguments, CallImport, LayerImport
from playground.core.layers.shared.calls import JsOperation, KerasCall, TorchCall
from playground.core.shapes import Shape, is_spatial


class Dropout(Layer):
    """Dropout, which sets random values to zero during training. Source: Srivastava et al., "Dropout", 2014."""

    title = "Dropout"
    description = "Sets random values to zero during training, so that the network cannot rely on single values."
    menu_order = 70
    is_elementwise = True
    is_passthrough = True
    can_be_in_block = True
    block_form_fields = ("p",)
    dropout_field = "p"

    kind: Literal["dropout"] = "dropout"
    p: float = Field(
        default=0.25,
        ge=0,
        le=0.95,
        description="Share of the values set to zero in each training step. Keras: rate.",
        json_schema_extra={"step": 0.05},
    )

    def format_arguments(self) -> str:
        """The dropout rate."""
        return f"{self.p:.0%}"

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``Dropout``, which changes nothing at inference."""
        return (TorchCall("Dropout", {"p": self.p}, js_operation=JsOperation("identity")),)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``Dropout``."""
        return (KerasCall("Dropout", (self.p,)),)


def _read_torch_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    layer = Dropout(p=arguments.read_number("p", default=0.5))
    arguments.ignore("inplace", "training")
    if arguments.name.lower() == "dropout2d" and is_spatial(shape):
        arguments.add_note("Dropout drops single values here; Dropout2d drops whole channels.")
    return LayerImport(layer)


def _read_keras_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    layer = Dropout(p=arguments.read_number("rate", "p"))
    if arguments.name == "SpatialDropout2D":
        arguments.add_note("Dropout drops single values here; SpatialDropout2D drops whole channels.")
    return LayerImport(layer)


Dropout.torch_imports = (
    CallImport(("Dropout", "Dropout2d"), ("p", "inplace"), _read_torch_call),
    CallImport(("dropout", "dropout2d"), ("p", "training", "inplace"), _read_torch_call),
)
Dropout.keras_imports = (
    CallImport(("Dropout",), ("rate", "noise_shape", "seed"), _read_keras_call),
    CallImport(("SpatialDropout2D",), ("rate", "data_format", "seed"), _read_keras_call),
)
