"""The table of a network: shapes, parameters, cost and receptive field of every layer, without torch."""

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
"""Measured on the presets: what a training step keeps and makes, over the forward activations alone."""


@dataclass(frozen=True)
class LayerSummary:
    """One layer in figures. Shapes leave out the batch; ``compute_receptive_field`` is (height, width) in input pixels."""

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
    def layer_class(self) -> type[Layer]:
        """The layer kind, with its traits."""
        return LAYER_KINDS[self.kind]


@dataclass(frozen=True)
class Summary:
    """All rows and their totals."""

    input_shape: Shape
    layers: tuple[LayerSummary, ...]

    @property
    def parameters(self) -> int:
        """Numbers of the whole network that training finds, frozen or not."""
        return sum(row.parameters for row in self.layers)

    @property
    def trainable_parameters(self) -> int:
        """Those of the parameters that are not frozen."""
        return sum(row.trainable_parameters for row in self.layers)

    @property
    def frozen_prefix(self) -> tuple[LayerSummary, ...]:
        """Those before the first layer that learns: no gradient goes as far down."""
        return tuple(takewhile(lambda row: not row.trainable_parameters, self.layers))

    @property
    def backbone_and_head(self) -> dict[int, str]:
        """The two halves of a network, by the index of the first layer of each; none where there is only one.

        The first makes features of maps, the second classes of features: it begins where maps become a vector.
        """
        active = [row for row in self.layers if row.enabled]
        is_map = [len(row.output_shape) == 3 for row in active]
        if not active or not is_map[0] or all(is_map):
            return {}
        return {active[0].index: "Feature extraction", active[is_map.index(False)].index: "Classification"}

    @property
    def multiply_adds(self) -> int:
        """Multiplications by a weight for one image, forward."""
        return sum(row.multiply_adds for row in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Bytes of every layer's result for one image, in float32."""
        return sum(row.activation_bytes for row in self.layers)

    @property
    def receptive_field(self) -> tuple[int, int]:
        """What one value of the last map (before the vector part) sees of the input, in pixels."""
        maps = [row.receptive_field for row in self.layers if row.enabled and len(row.output_shape) == 3]
        return maps[-1] if maps else (1, 1)

    def estimate_training_bytes(self, batch_size: int) -> int:
        """An estimate of the memory of one training step."""
        frozen = self.parameters - self.trainable_parameters
        weights = (frozen + self.trainable_parameters * OPTIMIZER_COPIES) * BYTES_PER_VALUE
        images = count_elements(self.input_shape) * BYTES_PER_VALUE
        passing = [row.activation_bytes for row in self.frozen_prefix]  # let go as soon as the next layer has read it
        kept = self.activation_bytes + images - sum(passing)
        return weights + (int(kept * BACKWARD_MEMORY_FACTOR) + 2 * max(passing, default=0)) * batch_size


def summarize(architecture: Architecture) -> Summary:
    """The rows of every layer; a disabled one passes its input on and costs nothing."""
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
