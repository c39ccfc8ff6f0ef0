"""Immutable description of a network: ordered layers, input shape and number of classes."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from playground.core.json_io import parse_json, to_canonical_json
from playground.core.layers import AnyLayer, Layer
from playground.core.layers.shared.base import LayerT
from playground.core.shapes import Shape
from playground.errors import ArchitectureError

MAX_LAYERS = 64


class InputShape(BaseModel):
    """Channels, height and width of the images, in pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(default=1, ge=1, le=4)
    height: int = Field(default=28, ge=1, le=256)
    width: int = Field(default=28, ge=1, le=256)

    @property
    def shape(self) -> Shape:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)


class ResolvedLayer(BaseModel):
    """An enabled layer with its index among all layers and its input and output shapes."""

    model_config = ConfigDict(frozen=True)

    index: int
    layer: AnyLayer
    input_shape: Shape
    output_shape: Shape


class Architecture(BaseModel):
    """An immutable network description; every edit returns a new value.

    Each layer has an id that is unique in the network and survives edits; ids are not part of the JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    input: InputShape = InputShape()
    classes: int = Field(default=10, ge=2, le=1000)
    layers: tuple[AnyLayer, ...] = Field(default=(), max_length=MAX_LAYERS)

    @model_validator(mode="before")
    @classmethod
    def _assign_layer_ids(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("layers"), Sequence):
            return data
        layers = list(data["layers"])
        given_ids = [_read_layer_id(layer) for layer in layers]
        used_ids = {identity for identity in given_ids if identity}
        seen: set[str] = set()
        layers_with_ids = []
        for layer, given_id in zip(layers, given_ids, strict=True):
            if given_id is None:  # not a layer: pydantic reports it
                layers_with_ids.append(layer)
                continue
            identity = given_id if given_id and given_id not in seen else _generate_layer_id(layer, used_ids)
            used_ids.add(identity)
            seen.add(identity)
            if isinstance(layer, dict):
                layers_with_ids.append({**layer, "id": identity})
            else:
                layers_with_ids.append(layer if layer.id == identity else layer.model_copy(update={"id": identity}))
        return {**data, "layers": tuple(layers_with_ids)}

    @classmethod
    def from_json(cls, source: str | bytes | dict[str, Any]) -> "Architecture":
        """Parse JSON; raises ArchitectureError naming each wrong field, SchemaVersionError for a newer version."""
        return parse_json(cls, source, ArchitectureError)

    def to_canonical_json(self) -> str:
        """JSON with sorted keys, without spaces and ids."""
        return to_canonical_json(self)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits of a hash of the canonical JSON."""
        return hashlib.blake2b(self.to_canonical_json().encode(), digest_size=6).hexdigest()

    def resolve_layers(self) -> tuple[ResolvedLayer, ...]:
        """The enabled layers with their shapes; the output's units are resolved."""
        shape = self.input.shape
        resolved = []
        for index, layer in enumerate(self.layers):
            if not layer.enabled:
                continue
            active = layer.resolve_units(self.classes)
            output_shape = active.compute_output_shape(shape)
            resolved.append(
                ResolvedLayer.model_construct(index=index, layer=active, input_shape=shape, output_shape=output_shape)
            )
            shape = output_shape
        return tuple(resolved)

    @property
    def uses_batch_statistics(self) -> bool:
        """True if an enabled layer normalizes by the statistics of a batch."""
        layers = [layer for layer in self.layers if layer.enabled]
        inner = [layer for block in layers for layer in block.inner_layers if layer.enabled]
        return any(layer.uses_batch_statistics for layer in (*layers, *inner))

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """The rates of the enabled dropout layers, those in blocks included, in order."""
        return tuple(_iter_dropout_rates(self.layers))

    def with_dropout_rates(self, rates: Sequence[float]) -> "Architecture":
        """The same network with other dropout rates; raises ArchitectureError for a wrong number of rates."""
        if isinstance(rates, str) or len(rates) != len(self.dropout_rates):
            raise ArchitectureError(
                f"These dropout rates do not match the network: {rates!r:.60}.",
                expected=f"One for each enabled dropout layer; the network has {len(self.dropout_rates)}.",
            )
        remaining_rates = list(rates)
        return self.with_layers([_with_dropout_rates(layer, remaining_rates) for layer in self.layers])

    def is_equal_except_dropout_rates(self, other: "Architecture") -> bool:
        """True if the networks differ at most in dropout rates, which can change during a run."""
        rates = other.dropout_rates
        return len(self.dropout_rates) == len(rates) and self.with_dropout_rates(rates).digest == other.digest

    def find_layer_index(self, layer_id: str) -> int:
        """The index of the layer with this id; raises ArchitectureError if there is none."""
        for index, layer in enumerate(self.layers):
            if layer.id == layer_id:
                return index
        raise ArchitectureError(f"There is no layer {layer_id!r} in this network.", fix="Reload the page.")

    def with_layers(self, layers: Sequence[Layer]) -> "Architecture":
        """The same input and classes with other layers; new ones get ids. Raises ArchitectureError for too many."""
        if len(layers) > MAX_LAYERS:
            raise ArchitectureError(
                f"The network would have {len(layers)} layers.",
                expected=f"At most {MAX_LAYERS} are allowed.",
                fix="Remove one first.",
            )
        return Architecture(input=self.input, classes=self.classes, layers=tuple(layers))

    def adapt_to_images(self, input_shape: Shape, classes: int) -> "Architecture":
        """The same layers for images of another (channels, height, width), with a new head for other classes."""
        channels, height, width = input_shape
        adapted = self if classes == self.classes else self.with_new_head(classes)
        return adapted.model_copy(update={"input": InputShape(channels=channels, height=height, width=width)})

    def with_new_head(self, classes: int) -> "Architecture":
        """The same layers with a trainable output for another number of classes."""
        layers = [layer.with_classes(classes) for layer in self.layers]
        return Architecture(input=self.input, classes=classes, layers=tuple(layers))

    def freeze_up_to(self, index: int) -> "Architecture":
        """The layers up to and including ``index`` frozen, all others trainable; -1 freezes none."""
        return self.with_layers(
            [_with_trainable(layer, position > index) for position, layer in enumerate(self.layers)]
        )

    def replace_layer(self, index: int, *layers: Layer) -> "Architecture":
        """Replace one layer by others; without others it is removed."""
        return self.with_layers((*self.layers[:index], *layers, *self.layers[index + 1 :]))

    def insert_layer(self, index: int, layer: Layer) -> "Architecture":
        """Insert a layer before ``index``."""
        return self.with_layers((*self.layers[:index], layer, *self.layers[index:]))

    def duplicate_layer(self, index: int) -> "Architecture":
        """Insert a copy of a layer after it."""
        return self.insert_layer(index + 1, self.layers[index].model_copy(update={"id": ""}))

    def move_layer(self, index: int, offset: int) -> "Architecture":
        """Move a layer down by ``offset`` positions (up if negative), at most to the ends."""
        rest = [layer for position, layer in enumerate(self.layers) if position != index]
        rest.insert(max(0, min(len(rest), index + offset)), self.layers[index])
        return self.with_layers(rest)

    def toggle_layer(self, index: int) -> "Architecture":
        """Disable or enable a layer."""
        layer = self.layers[index]
        return self.replace_layer(index, layer.model_copy(update={"enabled": not layer.enabled}))


def _iter_dropout_rates(layers: Sequence[Layer]) -> Iterator[float]:
    for layer in layers:
        if layer.enabled:
            if layer.dropout_field:
                yield getattr(layer, layer.dropout_field)
            yield from _iter_dropout_rates(layer.inner_layers)


def _with_dropout_rates(layer: LayerT, remaining_rates: list[float]) -> LayerT:
    """Set the dropout rates of a layer to the first of ``remaining_rates``, and remove these from the list."""
    if not layer.enabled:
        return layer
    if layer.dropout_field:
        layer = layer.replace(**{layer.dropout_field: remaining_rates.pop(0)})
    if not layer.inner_layers:
        return layer
    return layer.with_inner_layers([_with_dropout_rates(inner, remaining_rates) for inner in layer.inner_layers])


def _with_trainable(layer: Layer, trainable: bool) -> Layer:
    if not layer.has_weights:
        return layer
    if layer.inner_layers:
        layer = layer.with_inner_layers([_with_trainable(inner, True) for inner in layer.inner_layers])
    return layer.replace(trainable=trainable)


def _read_layer_id(layer: Any) -> str | None:
    """The id of a layer, empty if it has none yet; None if ``layer`` is not a layer."""
    if isinstance(layer, Layer):
        return layer.id
    if not isinstance(layer, dict):
        return None
    identity = layer.get("id", "")
    return identity if isinstance(identity, str) else None


def _generate_layer_id(layer: Any, used_ids: set[str]) -> str:
    kind = layer.kind if isinstance(layer, Layer) else str(layer.get("kind", "layer"))
    safe = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in kind.lower())[:30]
    number = 1
    while f"{safe}-{number}" in used_ids:
        number += 1
    return f"{safe}-{number}"
