"""PyTorch modules, Keras layers, ONNX nodes and browser operations as data, for the engines and the exporters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from playground.core.shapes import SlidingWindow


@dataclass(frozen=True)
class OnnxNode:
    """One ONNX node of a module.

    ``inputs``: "input" is the module's input; other names are tensors of the module's state dict (left out where the
    module has no such tensor), ``constants``, or earlier nodes of the module. The last node gives the module's output.
    ``constants``: whole numbers become int64, others float32.
    """

    operator: str
    inputs: tuple[str, ...] = ("input",)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    constants: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class JsOperation:
    """The operation of the browser engine that computes a module, with its attributes.

    ``name``: a key of ``OPERATIONS`` in ``web/engine/operations.js``, which also lists the attributes.
    """

    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TorchCall:
    """One ``torch.nn`` module as data: the class name and its keyword arguments.

    A call with a ``body`` is a residual block, the one module that ``torch.nn`` lacks: the sum of ``body`` and
    ``shortcut`` (identity if empty). Two calls are equal if they build equal modules. ``positional_count``: number of
    arguments that exported code writes without their names. ``has_weights``: the module has parameters. ``window``:
    the input positions of one output value; None for the same position. ``label`` tells the modules of a layer apart.
    ``onnx_nodes``: empty where the module changes nothing at inference. ``js_operation``: None only for a module that
    the browser engine cannot compute.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    body: tuple["TorchCall", ...] = ()
    shortcut: tuple["TorchCall", ...] = ()
    trainable: bool = field(default=True, compare=False)
    positional_count: int = field(default=0, compare=False)
    has_weights: bool = field(default=False, compare=False)
    window: SlidingWindow | None = field(default=None, compare=False)
    label: str = field(default="", compare=False)
    onnx_nodes: tuple[OnnxNode, ...] = field(default=(), compare=False)
    js_operation: JsOperation | None = field(default=None, compare=False)


@dataclass(frozen=True)
class KerasCall:
    """One Keras layer as data: the class name, positional and keyword arguments.

    ``modules``: the PyTorch modules whose tensors are the layer's weights, in Keras's order; "0" is the first module of
    the layer. ``has_depthwise_kernel``: the first weight is a depthwise kernel, whose PyTorch
    channel axis Keras splits in two. ``takes_activation``: the layer has an ``activation`` argument. ``code``: a
    keyword argument written as an expression. ``is_helper``: the class is defined by the exported file. A call with a
    ``body`` is a residual block: the sum of ``body`` and ``shortcut``.
    """

    name: str
    positional: tuple[Any, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    has_depthwise_kernel: bool = False
    takes_activation: bool = False
    code: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    is_helper: bool = False
    body: tuple["KerasCall", ...] = ()
    shortcut: tuple["KerasCall", ...] = ()

    def with_positional(self, *values: Any) -> "KerasCall":
        """The same call with these positional arguments."""
        return replace(self, positional=values)

    def with_arguments(self, **arguments: Any) -> "KerasCall":
        """The same call with these keyword arguments."""
        return replace(self, arguments=arguments)

    def with_argument(self, name: str, value: Any) -> "KerasCall":
        """The same call with one more keyword argument."""
        return replace(self, arguments={**self.arguments, name: value})


def omit_defaults(defaults: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """The arguments that differ from their defaults."""
    return {name: value for name, value in arguments.items() if defaults.get(name, ...) != value}


def offset_modules(calls: Sequence[KerasCall], offset: int, prefix: str = "") -> tuple[KerasCall, ...]:
    """Keras layers with ``offset`` added to the index of their modules, and ``prefix`` before it."""
    return tuple(
        replace(call, modules=tuple(_offset_module(name, offset, prefix) for name in call.modules)) for call in calls
    )


def _offset_module(name: str, offset: int, prefix: str) -> str:
    first, dot, rest = name.partition(".")
    return f"{prefix}{int(first) + offset}{dot}{rest}"
