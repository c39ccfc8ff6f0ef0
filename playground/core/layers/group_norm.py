"""Group normalization of feature maps and vectors."""

from typing import Literal

from pydantic import Field

from playground.core.layers.shared.base import ExplanationRule, Layer, LayerProblem, LayerReplacement
from playground.core.layers.shared.call_import import TORCH_IGNORED_ARGUMENTS, CallArguments, CallImport, LayerImport
from playground.core.layers.shared.calls import JsOperation, KerasCall, OnnxNode, TorchCall, omit_defaults
from playground.core.shapes import ReceptiveField, Shape, SlidingWindow, count_elements, is_spatial


class GroupNorm(Layer):
    """Normalizes groups of channels of each image to mean 0 and variance 1, then scales and shifts each channel.

    Source: Wu and He, "Group Normalization", 2018.
    """

    title = "Group norm"
    description = "Normalizes groups of channels of each image to mean 0 and variance 1, at any batch size."
    menu_order = 65
    has_weights = True
    is_elementwise = True
    can_be_in_block = True
    block_form_fields = ("num_groups",)
    explanation = ExplanationRule("scale", has_group_statistics=True)
    states_channels = True

    kind: Literal["group_norm"] = "group_norm"
    num_groups: int = Field(
        default=1,
        ge=1,
        le=512,
        description="Number of groups; it must divide the channels. 1 normalizes all channels together. Keras: groups.",
    )
    eps: float = Field(
        default=1e-5,
        gt=0,
        le=0.1,
        description="Added to the variance to avoid a division by zero. Keras: epsilon.",
        json_schema_extra={"step": 1e-5, "format": "%.0e"},
    )
    affine: bool = Field(
        default=True, description="Learns a scale and a shift for each channel. Keras: scale and center."
    )

    def format_arguments(self) -> str:
        """The number of groups."""
        return f"{self.num_groups} {'group' if self.num_groups == 1 else 'groups'}"

    def count_parameters(self, input_shape: Shape) -> int:
        """A scale and a shift per channel."""
        return 2 * input_shape[0] if self.affine else 0

    def compute_receptive_field(self, field: ReceptiveField, input_shape: Shape) -> ReceptiveField:
        """The union of the receptive fields of all positions: each contributes to mean and variance."""
        return field.expand_to_feature_map(max(input_shape[1:])) if is_spatial(input_shape) else field

    def build_torch_calls(self, input_shape: Shape) -> tuple[TorchCall, ...]:
        """``GroupNorm``."""
        arguments = {
            "num_groups": self.num_groups,
            "num_channels": input_shape[0],
            **omit_defaults({"eps": 1e-5, "affine": True}, eps=self.eps, affine=self.affine),
        }
        call = TorchCall(
            "GroupNorm",
            arguments,
            trainable=self.trainable,
            positional_count=2,
            has_weights=self.affine,
            window=SlidingWindow(kernel_size=None),
            onnx_nodes=self._build_onnx_nodes(input_shape),
            js_operation=JsOperation("groupNorm", {"groups": self.num_groups, "eps": self.eps}),
        )
        return (call,)

    def _build_onnx_nodes(self, input_shape: Shape) -> tuple[OnnxNode, ...]:
        # GroupNormalization with parameters per channel came with opset 21; instance normalization of groups is older.
        ones, zeros = [1.0] * self.num_groups, [0.0] * self.num_groups
        grouped = (0, self.num_groups, -1)
        nodes = (
            OnnxNode("Reshape", ("input", "grouped"), name="groups", constants={"grouped": grouped}),
            OnnxNode(
                "InstanceNormalization",
                ("groups", "ones", "zeros"),
                {"epsilon": self.eps},
                name="normalized",
                constants={"ones": ones, "zeros": zeros},
            ),
            OnnxNode("Reshape", ("normalized", "shape"), name="restored", constants={"shape": (-1, *input_shape)}),
        )
        if not self.affine:
            return nodes
        per_channel = (input_shape[0], *(1 for _ in input_shape[1:]))
        return (
            *nodes,
            OnnxNode("Reshape", ("weight", "per_channel"), name="scale", constants={"per_channel": per_channel}),
            OnnxNode("Reshape", ("bias", "per_channel"), name="shift", constants={"per_channel": per_channel}),
            OnnxNode("Mul", ("restored", "scale"), name="scaled"),
            OnnxNode("Add", ("scaled", "shift")),
        )

    def build_keras_calls(self, input_shape: Shape) -> tuple[KerasCall, ...]:
        """``GroupNormalization``."""
        arguments = omit_defaults(
            {"center": True, "scale": True},
            groups=self.num_groups,
            epsilon=self.eps,
            center=self.affine,
            scale=self.affine,
        )
        return (KerasCall("GroupNormalization", arguments=arguments, modules=("0",) if self.affine else ()),)

    def get_channel_module_index(self) -> int | None:
        """The normalization, if it has weights."""
        return 0 if self.affine else None

    def validate_input(self, input_shape: Shape) -> tuple[LayerProblem, ...]:
        """Groups that do not divide the channels, or that hold a single value."""
        channels = input_shape[0]
        divisors = [size for size in range(1, min(channels, self.num_groups) + 1) if channels % size == 0]
        if channels % self.num_groups:
            return (
                self._build_group_problem(
                    f"{self.num_groups} groups do not divide {channels} channels evenly.",
                    "The number of groups must divide the channels.",
                    divisors[-1] if count_elements(input_shape) > divisors[-1] else 0,
                ),
            )
        if count_elements(input_shape) > self.num_groups:
            return ()
        smaller = [size for size in divisors if size < self.num_groups]
        return (
            self._build_group_problem(
                "Every group holds a single value, whose normalized value is always 0.",
                "A group needs two or more values.",
                smaller[-1] if smaller else 0,
            ),
        )

    def _build_group_problem(self, what: str, expected: str, num_groups: int) -> LayerProblem:
        remove = LayerReplacement("Remove", ())
        if not num_groups:
            return LayerProblem("num_groups", what, expected, (remove,))
        label = f"Use {num_groups} {'group' if num_groups == 1 else 'groups'}"
        return LayerProblem(
            "num_groups", what, expected, (LayerReplacement(label, (self.replace(num_groups=num_groups),)), remove)
        )


def _read_torch_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    size = arguments.read_expected_size("num_channels")
    layer = GroupNorm(
        num_groups=arguments.read_integer("num_groups"),
        eps=arguments.read_number("eps", default=1e-5),
        affine=arguments.read_flag("affine"),
    )
    arguments.require_value("bias", True)
    arguments.ignore(*TORCH_IGNORED_ARGUMENTS)
    return LayerImport(layer, size)


def _read_keras_call(arguments: CallArguments, shape: Shape) -> LayerImport:
    groups = arguments.read_integer("groups", default=32)
    has_shift, has_scale = arguments.read_flag("center"), arguments.read_flag("scale")
    arguments.require_value("axis", -1, len(shape))
    if has_shift != has_scale:
        arguments.add_note("GroupNorm has either both a scale and a shift here, or neither; it was imported with both.")
    layer = GroupNorm(
        num_groups=shape[0] if groups == -1 else groups,
        eps=arguments.read_number("epsilon", default=1e-3),
        affine=has_shift or has_scale,
    )
    return LayerImport(layer)


GroupNorm.torch_imports = (
    CallImport(("GroupNorm",), ("num_groups", "num_channels", "eps", "affine"), _read_torch_call),
)
GroupNorm.keras_imports = (
    CallImport(("GroupNormalization",), ("groups", "axis", "epsilon", "center", "scale"), _read_keras_call),
)
