"""Summary of a network: shapes, parameters, cost and receptive field of every layer."""

from dataclasses import dataclass
from itertools import takewhile

from playground.core.architecture import Architecture
from playground.core.layers import LAYER_KINDS, Layer
from playground.core.shapes import ReceptiveField, Shape, count_elements

BYTES_PER_VALUE = 4
"""Activations and weights are counted as float32."""

OPTIMIZER_COPIES = 4
"""Weight, gradient and two moments, as Adam keeps them."""

BACKWARD_MEMORY_FACTOR = 2.5
"""Ratio of a training step's memory to its forward activations, measured on the presets."""


@dataclass(frozen=True)
class LayerSummary:
    """Shapes, cost and receptive field of one layer.

    Shapes are without the batch; ``receptive_field`` is (height, width) in input pixels.
    """

    index: int
    id: str
    kind: str
    title: str
    arguments_text: str
    enabled: bool
    input_shape: Shape
    output_shape: Shape
    parameters: int
    trainable_parameters: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: tuple[int, int]

    @property
    def label(self) -> str:
        """The title with the layer's arguments, if it has any."""
        return f"{self.title} {self.arguments_text}".strip()

    @property
    def layer_class(self) -> type[Layer]:
        """The layer kind, with its traits."""
        return LAYER_KINDS[self.kind]


@dataclass(frozen=True)
class Summary:
    """Summaries of all layers and their totals."""

    input_shape: Shape
    layers: tuple[LayerSummary, ...]

    @property
    def parameters(self) -> int:
        """Parameters of the network, frozen or not."""
        return sum(row.parameters for row in self.layers)

    @property
    def trainable_parameters(self) -> int:
        """Parameters that are not frozen."""
        return sum(row.trainable_parameters for row in self.layers)

    @property
    def frozen_prefix(self) -> tuple[LayerSummary, ...]:
        """The layers before the first trainable one, which receive no gradient."""
        return tuple(takewhile(lambda row: not row.trainable_parameters, self.layers))

    @property
    def backbone_and_head(self) -> dict[int, str]:
        """Titles of backbone and head by the index of their first layer; empty for networks with one of them.

        The head begins at the first layer whose output is a vector.
        """
        active = [row for row in self.layers if row.enabled]
        is_spatial = [len(row.output_shape) == 3 for row in active]
        if not active or not is_spatial[0] or all(is_spatial):
            return {}
        return {active[0].index: "Feature extraction", active[is_spatial.index(False)].index: "Classification"}

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the forward pass for one image."""
        return sum(row.multiply_adds for row in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Bytes of the saved activations for one image, in float32."""
        return sum(row.activation_bytes for row in self.layers)

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Receptive field of the last feature maps, in input pixels."""
        fields = [row.receptive_field for row in self.layers if row.enabled and len(row.output_shape) == 3]
        return fields[-1] if fields else (1, 1)

    def estimate_training_bytes(self, batch_size: int) -> int:
        """Estimate the memory of one training step."""
        frozen = self.parameters - self.trainable_parameters
        weights = (frozen + self.trainable_parameters * OPTIMIZER_COPIES) * BYTES_PER_VALUE
        images = count_elements(self.input_shape) * BYTES_PER_VALUE
        transient = [row.activation_bytes for row in self.frozen_prefix]  # freed as soon as the next layer has read it
        saved = self.activation_bytes + images - sum(transient)
        return weights + (int(saved * BACKWARD_MEMORY_FACTOR) + 2 * max(transient, default=0)) * batch_size


def summarize(architecture: Architecture) -> Summary:
    """Summarize every layer; a disabled layer keeps the shape and costs nothing."""
    steps = {step.index: step for step in architecture.resolve_layers()}
    height, width = architecture.input.height, architecture.input.width
    field, shape = ReceptiveField(), architecture.input.shape
    rows = []
    for index, layer in enumerate(architecture.layers):
        step = steps.get(index)
        if step:
            field = step.layer.compute_receptive_field(field, shape)
        output_shape = step.output_shape if step else shape
        rows.append(
            LayerSummary(
                index=index,
                id=layer.id,
                kind=layer.kind,
                title=layer.title,
                arguments_text=(step.layer if step else layer).format_arguments(),
                enabled=layer.enabled,
                input_shape=shape,
                output_shape=output_shape,
                parameters=step.layer.count_parameters(shape) if step else 0,
                trainable_parameters=step.layer.count_trainable_parameters(shape) if step else 0,
                multiply_adds=step.layer.count_multiply_adds(shape) if step else 0,
                activation_bytes=step.layer.count_saved_activations(shape) * BYTES_PER_VALUE if step else 0,
                receptive_field=(min(field.size, height), min(field.size, width)),
            )
        )
        shape = output_shape
    return Summary(architecture.input.shape, tuple(rows))
