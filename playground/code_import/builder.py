"""Builds an architecture from traced calls, and collects all calls that cannot be imported."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import ValidationError

from playground.code_import.arguments import Arguments, UnsupportedCallError, get_call_source
from playground.code_import.interpreter.values import Call
from playground.code_import.ops import (
    AxisMeanOp,
    InputShapeOp,
    Op,
    OpTable,
    PaddingOp,
    PermuteOp,
    ScalingOp,
    SoftmaxOp,
    SqueezeOp,
)
from playground.core.json_io import format_validation_error
from playground.core.layers import Activation, Flatten, GlobalAvgPool, Layer, MaxPool2d, Residual, ZeroPad2d
from playground.core.layers.shared.activation_functions import LEAKY_RELU_SLOPE
from playground.core.layers.shared.call_import import LayerImport, Sides
from playground.core.layers.shared.convolution_base import MAX_PADDING
from playground.core.layers.shared.window_pool import WindowPool
from playground.core.shapes import Shape, count_elements, is_spatial
from playground.errors import ArchitectureError

_PENDING_REQUIREMENTS = {
    PaddingOp: "must be directly followed by max pooling that can pad equally",
    LayerImport: "must be directly followed by Flatten",
    PermuteOp: "must be directly followed by Flatten",
    AxisMeanOp: "must be directly followed by the mean over the other axis of the maps",
}


@dataclass(frozen=True)
class SourceContext:
    """Conversion table, source text, and units of the linear layers whose size the code does not state."""

    ops: OpTable
    text: str
    open_units: dict[Call, int]
    has_implicit_flatten: bool


@dataclass(frozen=True)
class ImportedLayer:
    """Layer with the call it came from, and the input size that the code states."""

    layer: Layer
    call: Call
    expected_size: int | None = None


class ArchitectureBuilder:
    """Builder of the layers of a network; ``add_call`` is called for every call in order, then ``finish``."""

    def __init__(self, context: SourceContext, shape: Shape, used_calls: set[Call] | None = None) -> None:
        self.layers: list[ImportedLayer] = []
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.is_shape_dependent = False
        """True if a layer was derived from the input shape that the builder was made with."""
        self.stated_input_shape: tuple[int | None, ...] = (None, None, None)
        """Channels, height and width of the input; None for what the code leaves open."""
        self._context = context
        self._shape = shape
        self._input_shapes: list[Shape] = []
        self._pending: tuple[PaddingOp | LayerImport | PermuteOp | AxisMeanOp, Call] | None = None
        self._squeezed_axes = 0
        self._softmax_call: Call | None = None
        self._is_block = used_calls is not None
        self._used_calls: set[Call] = set() if used_calls is None else used_calls

    def add_call(self, call: Call) -> None:
        """Add the layers of a call, or the reason why it cannot be imported."""
        try:
            if call.body:
                self._add_residual_block(call)
                return
            for piece in self._read_ops(call):
                self._add_op(self._freeze(piece, call), call)
        except UnsupportedCallError as error:
            self.reject(call, str(error))
        except ArchitectureError as error:
            self.reject(call, f"has a value out of range: {error}".rstrip("."))
        except ValidationError as error:
            self.reject(call, f"has a value out of range: {format_validation_error(error).rstrip('.')}")

    def finish(self) -> None:
        """Reject operations that lack the layer that must follow, and softmax inside a block."""
        self._flush_padding()
        if self._pending:
            self.reject(self._pending[1], _PENDING_REQUIREMENTS[type(self._pending[0])])
        if self._is_block:
            self._reject_softmax()

    @property
    def has_final_softmax(self) -> bool:
        """True if the code applies softmax to the last layer."""
        return self._softmax_call is not None

    def reject(self, call: Call, reason: str) -> None:
        """Record a call that cannot be imported; ``reason`` completes the sentence that begins with the call."""
        self.problems.append(f"Line {call.line}: {get_call_source(call, self._context.text)} {reason[:200]}.")

    @property
    def _padded_shape(self) -> Shape:
        """Input shape of the next layer, with padding that no layer has taken yet."""
        match self._pending:
            case (PaddingOp(sides=sides), _):
                return _make_padding(sides).compute_output_shape(self._shape)
        return self._shape

    def _reject_softmax(self) -> None:
        if self._softmax_call:
            self.reject(self._softmax_call, "is a softmax before the last layer; only the output layer can have one")
            self._softmax_call = None

    def _read_ops(self, call: Call) -> list[Op]:
        if call.name not in self._context.ops:
            is_visible = call.name in get_call_source(call, self._context.text).partition("(")[0]
            raise UnsupportedCallError(
                "is not supported" if is_visible else f"contains {call.name}, which is not supported"
            )
        names, reader = self._context.ops[call.name]
        arguments = Arguments(call, names, self.notes.append, self._context.open_units.get(call))
        try:
            pieces = reader(arguments, self._padded_shape)
        finally:
            self.is_shape_dependent |= arguments.is_shape_dependent
        arguments.reject_unread()
        if any(isinstance(piece, LayerImport) and piece.layer.has_weights for piece in pieces):
            if call.owner in self._used_calls:
                raise UnsupportedCallError("is used twice; layers that share weights are not supported")
            self._used_calls.add(call.owner)
        return pieces

    def _freeze(self, op: Op, call: Call) -> Op:
        """Return a layer whose weights the code excludes from training as such."""
        if not (isinstance(op, LayerImport) and op.layer.has_weights):
            return op
        flags = [value for name, value in call.owner.cells.items() if isinstance(name, tuple)]
        if flags and all(flag is False or flag == 0 for flag in flags):
            return replace(op, layer=op.layer.replace(trainable=False))
        if any(not isinstance(flag, bool) or not flag for flag in flags):
            self.notes.append(f"Line {call.line}: it is unclear which weights of this layer are trained; all are here.")
        return op

    def _add_op(self, op: Op, call: Call) -> None:
        match op:
            case InputShapeOp():
                self._declare_input_shape(op)
            case SoftmaxOp():
                self._softmax_call = call
            case ScalingOp():
                if self.layers or self._is_block:
                    raise UnsupportedCallError("scales values inside of the network")
            case SqueezeOp(axis=axis):
                self._squeeze(axis)
            case LayerImport(zero_padding=sides) if sides:
                self._add_op(PaddingOp(sides), call)
                self._add_op(replace(op, zero_padding=None), call)
            case LayerImport(layer=layer, expected_size=size, needs_flatten=False):
                self._add_layer(ImportedLayer(self._merge_pending(layer), call, size))
            case AxisMeanOp(axis=2 | -1) if self._pending and isinstance(self._pending[0], AxisMeanOp):
                self._pending = None
                self._add_layer(ImportedLayer(GlobalAvgPool(), call))
            case _ if self._flush_padding() and self._pending:
                (_, before), self._pending = self._pending, None
                raise UnsupportedCallError(f"stands between line {before.line} and the layer that must follow it")
            case _:
                self._pending = (op, call)

    def _flush_padding(self) -> bool:
        """Add zeros that no layer took into its own padding as a layer; return True if an operation still waits."""
        match self._pending:
            case (PaddingOp(sides=sides, is_negative_infinity=False), call):
                self._pending = None
                if any(sides):
                    self._add_layer(ImportedLayer(_make_padding(sides), call))
        return self._pending is not None

    def _declare_input_shape(self, op: InputShapeOp) -> None:
        self._flush_padding()
        if self.layers or self._is_block:
            if op.shape != self._shape:
                raise UnsupportedCallError("states another shape in the middle of the network")
            return
        self._shape = op.complete(self._shape)
        self.stated_input_shape = (
            tuple(old if new is None else new for new, old in zip(op.shape, self.stated_input_shape, strict=True))
            if len(op.shape) == 3
            else (None, None, None)
        )

    def _squeeze(self, axis: int | None) -> None:
        """Remove axes of length 1: those that global pooling left, or one that the vector does not have."""
        if self._pending and isinstance(self._pending[0], LayerImport):
            pending, call = self._pending[0], self._pending[1]
            self._squeezed_axes += 2 if axis is None else axis in (2, 3, -1, -2)
            if self._squeezed_axes == 2:
                self._pending, self._squeezed_axes = None, 0
                self._add_layer(ImportedLayer(pending.layer, call, pending.expected_size))
        elif is_spatial(self._shape) or not self.layers or axis not in (None, 1, -1):
            raise UnsupportedCallError("removes an axis of the images or of the feature maps")

    def _merge_pending(self, layer: Layer) -> Layer:
        """Return the layer merged with the operation that precedes it."""
        if not self._pending:
            return layer
        pending, call = self._pending
        if isinstance(pending, PaddingOp):
            merged = self._merge_padding(layer, pending)
            if merged or not self._flush_padding():
                self._pending = None
                return merged or layer
        self._pending = None
        match pending:
            case LayerImport(layer=completed) if layer.is_view:
                return completed
            case PermuteOp() if layer.is_view:
                return layer
        self.reject(call, _PENDING_REQUIREMENTS[type(pending)])
        return layer

    def _merge_padding(self, layer: Layer, op: PaddingOp) -> Layer | None:
        """Return a layer with padding added to its own; None if it cannot have it."""
        left, right, top, bottom = op.sides
        own = getattr(layer, "padding", None)
        value = "negative_infinity" if op.is_negative_infinity else "zeros"
        if layer.absorbed_padding != value or not isinstance(own, int) or left != top:
            return None
        if own + left > (layer.kernel_size // 2 if isinstance(layer, WindowPool) else MAX_PADDING):
            return None
        merged = layer.replace(padding=own + left)
        if left == right == bottom:
            return merged
        if not isinstance(layer, MaxPool2d) or own:
            return None
        self.is_shape_dependent = True
        merged = merged.replace(ceil_mode=True)
        is_same = merged.compute_output_shape(self._shape) == layer.compute_output_shape(self._padded_shape)
        return merged if is_same else None

    def _add_layer(self, new: ImportedLayer) -> None:
        self._reject_softmax()
        if not self.layers:
            new = self._prepare_first_layer(new)
        last = self.layers[-1] if self.layers else None
        is_default = isinstance(new.layer, Activation) and new.layer.negative_slope == LEAKY_RELU_SLOPE
        if is_default and last and getattr(last.layer, "activation", "") == "none":
            self.layers[-1] = replace(last, layer=last.layer.replace(activation=new.layer.activation_name))
            return
        merged = last.layer.absorb_subsampling(new.layer.subsampling) if last and new.layer.subsampling > 1 else None
        if last and merged:
            self.layers.pop()
            self._shape = self._input_shapes.pop()
            new = replace(last, layer=merged)
        self._append_layer(new)

    def _append_layer(self, new: ImportedLayer) -> None:
        if new.layer.input_requirement == "vector" and is_spatial(self._shape) and not self.problems:
            raise UnsupportedCallError("is applied to every row of the feature maps; they must be flattened first")
        self.layers.append(new)
        self._input_shapes.append(self._shape)
        self._shape = new.layer.compute_output_shape(self._shape)

    def _prepare_first_layer(self, new: ImportedLayer) -> ImportedLayer:
        """Return the first layer; insert Flatten before it if it needs a vector."""
        stated = None if is_spatial(self._shape) else self._shape[0]
        if new.layer.is_view:
            return replace(new, expected_size=new.expected_size or stated)
        takes_vector = new.layer.input_requirement == "vector" and self._context.has_implicit_flatten
        if stated or (takes_vector and new.expected_size):
            self.notes.append(
                "Flatten was inserted first: the first layer needs a vector, but images have height and width."
            )
            self._append_layer(ImportedLayer(Flatten(), new.call, stated or new.expected_size))
        return new

    def _add_residual_block(self, call: Call) -> None:
        """Add a residual block, unless one of its lines cannot be imported."""
        problem_count = len(self.problems)
        inner, around = (self._build_inner_layers(calls) for calls in (call.body, call.shortcut))
        if len(self.problems) > problem_count:
            return
        excluded = [layer.title for layer in (*inner, *around) if not layer.can_be_in_block]
        if excluded:
            raise UnsupportedCallError(f"adds two branches with {excluded[0]}, which a residual block cannot contain")
        block = Residual.model_validate({"layers": inner, "activation": "none", "projection": around})
        self._add_layer(ImportedLayer(block, call))

    def _build_inner_layers(self, calls: tuple[Call, ...]) -> tuple[Layer, ...]:
        builder = ArchitectureBuilder(self._context, self._shape, self._used_calls)
        for call in calls:
            builder.add_call(call)
        builder.finish()
        self.problems += builder.problems
        self.notes += builder.notes
        return tuple(placed.layer for placed in builder.layers)

    def check_shortcuts(self, shape: Shape) -> None:
        """Leave out projections equal to the one that ``Residual`` derives; reject sums of different shapes."""
        for index, placed in enumerate(self.layers):
            block = placed.layer
            if isinstance(block, Residual):
                derived = block.replace(projection=())
                if block.projection and derived.build_torch_calls(shape) == block.build_torch_calls(shape):
                    self.layers[index] = replace(placed, layer=derived)
                elif not block.projection and block.build_torch_calls(shape)[0].shortcut:
                    self.reject(placed.call, "adds feature maps of different shapes")
            shape = block.compute_output_shape(shape)

    def find_size_mismatches(self, shape: Shape) -> Iterator[str]:
        """Describe layers whose stated input size differs from the actual one, for an input of ``shape``."""
        for placed in self.layers:
            layer = placed.layer
            after = layer.compute_output_shape(shape)
            size = shape[0] if layer.states_channels else count_elements(shape)
            if placed.expected_size not in (None, size):
                text = get_call_source(placed.call, self._context.text)
                yield f"Line {placed.call.line}: {text} expects {placed.expected_size} values, but gets {size}."
            shape = after


def _make_padding(sides: Sides) -> ZeroPad2d:
    left, right, top, bottom = sides
    return ZeroPad2d(left=left, right=right, top=top, bottom=bottom)
