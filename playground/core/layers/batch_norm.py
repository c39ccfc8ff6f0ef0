"""Batch normalization of feature maps and vectors."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.base import ExplanationRule, Layer
from playground.core.layers.shared.call_import import TORCH_IGNORED_ARGUMENTS, CallArguments, CallImport, LayerImport
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall, omit_defaults
from playground.core.shapes import Shape, is_spatial


class BatchNorm(Layer):
    """Normalizes each channel to mean 0 and variance 1 over the batch, then scales and shifts it.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015.
    """

    title = "Batch norm"
    description = "Normalizes each channel to mean 0 and variance 1 over the batch: training is more stable and faster."
    menu_order = 60
    has_weights = True
    is_elementwise = True
    uses_batch_statistics = True
    can_be_in_block = True
    explanation = ExplanationRule("scale")
    states_channels = True

    kind: Literal["batch_norm"] = "batch_norm"
    momentum: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Weight of the newest batch in the running mean and variance. Keras: momentum = 1 - this value.",
        json_schema_extra={"step": 0.01},
    )
    eps: float = Field(
        default=1e-5,
        gt=0,
        le=0.1,
        description="Added to the variance to avoid a division by zero. Keras: epsilon.",
        json_schema_extra={"step": 1e-5, "format": "%.0e"},
    )

    def count_parameters(self, input_shape: Shape) -> int:
        """A scale and a shift per channel."""
        return 2 * input_shape[0]

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``BatchNorm2d`` for feature maps, ``BatchNorm1d`` for a vector."""
        arguments = {
            "num_features": input_shape[0],
            **omit_defaults({"eps": 1e-5, "momentum": 0.1}, eps=self.eps, momentum=self.momentum),
        }
        call = TorchCall(
            "BatchNorm2d" if is_spatial(input_shape) else "BatchNorm1d",
            arguments,
            trainable=self.trainable,
            positional_count=1,
            has_weights=True,
            onnx_nodes=(
                OnnxNode(
                    "BatchNormalization",
                    ("input", "weight", "bias", "running_mean", "running_var"),
                    {"epsilon": self.eps},
                ),
            ),
            js_operation=JsOperation("batchNorm", {"eps": self.eps}),
        )
        return (call,)

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``BatchNormalization``, whose momentum is 1 minus PyTorch's."""
        # Rounded, since 1 - 0.1 is not exactly 0.9 in binary.
        arguments = {"momentum": round(1 - self.momentum, 12), "epsilon": self.eps}
        return (KerasCall("BatchNormalization", arguments=arguments, modules=("0",)),)

    def get_channel_module_index(self) -> int | None:
        """The normalization."""
        return 0


def _read_torch_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    size = arguments.read_expected_size("num_features")
    layer = BatchNorm(
        momentum=arguments.read_number("momentum", default=0.1), eps=arguments.read_number("eps", default=1e-5)
    )
    for name in ("affine", "track_running_stats", "bias"):
        arguments.require_value(name, True)
    arguments.ignore(*TORCH_IGNORED_ARGUMENTS)
    return LayerImport(layer, size)


def _read_keras_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    keras_momentum = arguments.read_number("momentum", default=0.99)
    momentum = round(1 - keras_momentum, 12)
    layer = BatchNorm(momentum=momentum, eps=arguments.read_number("epsilon", default=1e-3))
    arguments.add_note(
        f"BatchNorm momentum {keras_momentum:g} in Keras is {momentum:g} in PyTorch: 1 minus Keras's value."
    )
    if arguments.pop("axis", "mode") not in (None, -1, 0, len(shape)):
        arguments.add_note(f"Line {arguments.line}: BatchNorm always normalizes channels here; the axis was ignored.")
    for name in ("center", "scale"):
        if not arguments.read_flag(name):
            arguments.add_note(f"BatchNorm always has a scale and a shift here; {name}=False was ignored.")
    return LayerImport(layer)


_TORCH_ARGUMENTS = ("eps", "momentum", "affine", "track_running_stats")
BatchNorm.torch_imports = (
    CallImport(("BatchNorm2d", "BatchNorm1d"), ("num_features", *_TORCH_ARGUMENTS), _read_torch_call),
    CallImport(("LazyBatchNorm2d", "LazyBatchNorm1d"), _TORCH_ARGUMENTS, _read_torch_call),
)
BatchNorm.keras_imports = (
    CallImport(("BatchNormalization",), ("axis", "momentum", "epsilon", "center", "scale"), _read_keras_call),
)
