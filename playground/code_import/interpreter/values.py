"""Values of the interpreter: plain Python values, what is unknown, and stand-ins for the objects of the libraries."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod


@dataclass(frozen=True, eq=False)
class Unknown:
    """Value that the code alone does not determine; all that is computed from it is unknown for the same reason.

    ``reason`` is a clause: "`n` is not defined in this code". ``is_absent``: it stands for data or a name outside of
    the code, and not for the result of a decision inside of it. ``origin`` is the network that it may be part of.
    """

    reason: str
    line: int = 0
    is_absent: bool = False
    origin: object = None


class UnknownValues(Unknown):
    """Unknown number of unknown arguments: ``*args``."""


@dataclass(frozen=True, eq=False)
class TensorSize(Unknown):
    """Size of a tensor, which is known only when the network runs: of all axes, of one, or height and width."""

    calls: tuple["Call", ...] = ()
    axis: int | str = "all"

    def select(self, key: object) -> "TensorSize | Unknown":
        """Return ``x.size()[2:]`` or ``x.shape[3]``."""
        if self.axis == "all" and isinstance(key, int) and -4 <= key < 4:
            return replace(self, axis=key % 4)
        if self.axis == "all" and key in (slice(2, None), slice(2, 4), slice(-2, None)):
            return replace(self, axis="height and width")
        return Unknown(self.reason, self.line, self.is_absent)


@dataclass(frozen=True, eq=False)
class ExampleTensor(Unknown):
    """Tensor of known shape and unknown values, such as ``torch.randn(1, 1, 28, 28)``."""

    shape: tuple[int, ...] = ()

    @property
    def values(self) -> Unknown:
        """Unknown result of a computation with the tensor, whose shape is not followed."""
        return Unknown(self.reason, self.line, self.is_absent)

    def reshape(self, sizes: Sequence[object]) -> Unknown:
        """Return the tensor in another shape, of which one size may be -1."""
        numbers = [size for size in sizes if isinstance(size, int) and (size > 0 or size == -1)]
        rest = prod(size for size in numbers if size > 0)
        total = prod(self.shape)
        if len(numbers) < len(sizes) or numbers.count(-1) > 1 or total % rest:
            return self.values
        return replace(self, shape=tuple(total // rest if size == -1 else size for size in numbers))


WHOLE_MAP = Unknown("the size of the map is known only when the network runs", is_absent=True)
"""Window of a pooling that is as large as the map."""


@dataclass(frozen=True)
class LibraryName:
    """Name in a library: ``torch.nn.Conv2d``; ``library`` is torch, keras, another package or empty if not imported."""

    name: str
    library: str = ""

    @property
    def short_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, eq=False)
class CallSite:
    """Place of a call in the code, and its evaluated arguments.

    An unknown number of arguments is one ``UnknownValues``, or the unknown value of the keyword ``**``.
    """

    node: ast.AST
    positional: Sequence[object] = ()
    keywords: Mapping[str, object] = field(default_factory=dict)

    @property
    def line(self) -> int:
        """Line of the call, from 1."""
        return get_line_number(self.node)

    @property
    def values(self) -> list[object]:
        """All arguments."""
        return [*self.positional, *self.keywords.values()]

    @property
    def first(self) -> object:
        """The first positional argument; None without one."""
        return self.positional[0] if self.positional else None

    @property
    def networks(self) -> list["Network"]:
        """The networks among the arguments."""
        return [value for value in self.values if isinstance(value, UserInstance | ModuleSequence)]

    @property
    def tensors(self) -> list["SymbolicTensor"]:
        """The tensors among the arguments, also in lists."""
        every = [part for value in self.values for part in (value if isinstance(value, list | tuple) else (value,))]
        return [part for part in every if isinstance(part, SymbolicTensor)]

    @property
    def unknown_values(self) -> "UnknownValues | None":
        """The marker of an unknown number of positional arguments."""
        return next((value for value in self.positional if isinstance(value, UnknownValues)), None)

    def prepend(self, *values: object) -> "CallSite":
        """Return the call with more arguments before the others, as that of a bound method."""
        return replace(self, positional=[*values, *self.positional])


@dataclass(eq=False)
class Scope:
    """Names of a module, a class body, a function call or a comprehension."""

    cells: dict[object, object] = field(default_factory=dict)
    parent: "Scope | None" = None
    is_class: bool = False
    is_comprehension: bool = False
    outer_names: dict[str, "Scope"] = field(default_factory=dict)
    """Names declared by ``global`` or ``nonlocal``, with the scope that has them."""
    frame: "Frame | None" = None

    @property
    def function_scope(self) -> "Scope":
        """The scope around comprehensions, where ``:=`` assigns."""
        return self.parent.function_scope if self.is_comprehension and self.parent else self

    def find(self, name: str) -> "Scope | None":
        """Return the scope that has a name; class bodies are visible only to themselves."""
        scope: Scope | None = self.outer_names.get(name, self)
        while scope and (name not in scope.cells or (scope.is_class and scope is not self)):
            scope = scope.parent
        return scope


@dataclass(eq=False)
class Frame:
    """Call of a function: the values that it may return."""

    function: "UserFunction | None" = None
    first_argument: object = None
    returned: list[object] = field(default_factory=list)


@dataclass(eq=False)
class Call:
    """Layer, or operation applied to the tensor.

    ``module``: the layer that this application belongs to; a layer applied twice shares its weights. ``cells`` holds
    the attributes that the code sets, such as ``trainable``.
    """

    name: str
    positional: tuple[object, ...]
    keywords: dict[str, object]
    node: ast.AST
    body: tuple["Call", ...] = ()
    shortcut: tuple["Call", ...] = ()
    library: str = ""
    module: "Call | None" = None
    cells: dict[object, object] = field(default_factory=dict)

    @property
    def line(self) -> int:
        """Line of the call, from 1."""
        return get_line_number(self.node)

    @property
    def owner(self) -> "Call":
        """The layer of this application, or the call itself."""
        return self.module or self


class SymbolicTensor:
    """Tensor, represented by the calls that produced it, in order; ``views`` are the tensors that share its memory."""

    def __init__(self, calls: tuple[Call, ...] = (), base: "SymbolicTensor | None" = None) -> None:
        self.cells: dict[object, object] = {"calls": calls}
        self.views: list[SymbolicTensor] = base.views if base else []
        self.views.append(self)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that produced the tensor."""
        calls = self.cells["calls"]
        return calls if isinstance(calls, tuple) else ()


@dataclass(eq=False)
class ModuleSequence:
    """``Sequential``, ``ModuleList``, ``ModuleDict`` or a Keras model; ``cells`` holds the modules by name."""

    kind: str
    node: ast.AST
    library: str = ""
    cells: dict[object, object] = field(default_factory=dict)

    @property
    def parts(self) -> list[object]:
        """The modules in order."""
        return list(self.cells.values())


@dataclass(eq=False)
class UserClass:
    """Class that the code defines; ``mro`` begins with the class itself and ends with names of libraries."""

    name: str
    node: ast.ClassDef
    scope: Scope
    cells: dict[object, object] = field(default_factory=dict)
    mro: tuple["UserClass | LibraryName", ...] = ()
    field_names: tuple[str, ...] | None = None
    """Fields of a dataclass."""

    def find(self, name: str, after: "UserClass | None" = None) -> tuple[object, "UserClass | None"]:
        """Return a class attribute and the class that defines it, in resolution order after another class."""
        classes = self.mro[self.mro.index(after) + 1 :] if after else self.mro
        for user_class in classes:
            if isinstance(user_class, UserClass) and name in user_class.cells:
                return user_class.cells[name], user_class
        return None, None

    @property
    def library_bases(self) -> list[LibraryName]:
        """The classes of libraries among the bases."""
        return [base for base in self.mro if isinstance(base, LibraryName)]


@dataclass(eq=False)
class UserInstance:
    """Instance of a class that the code defines; ``base`` is the layer or sequence that it extends, if any."""

    user_class: UserClass
    cells: dict[object, object] = field(default_factory=dict)

    @property
    def base(self) -> "Call | ModuleSequence | None":
        """The library object that the constructor of the base class made."""
        base = self.cells.get(_BASE)
        return base if isinstance(base, Call | ModuleSequence) else None

    @base.setter
    def base(self, value: "Call | ModuleSequence") -> None:
        self.cells[_BASE] = value


_BASE = ("base",)


@dataclass(frozen=True, eq=False)
class UserFunction:
    """Function that the code defines, with its default values."""

    node: ast.FunctionDef | ast.Lambda
    scope: Scope
    defaults: tuple[object, ...] = ()
    keyword_defaults: tuple[object, ...] = ()
    owner: UserClass | None = None
    kind: str = ""
    """``staticmethod``, ``classmethod``, ``property`` or empty."""

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.node.name if isinstance(self.node, ast.FunctionDef) else "lambda"


@dataclass(frozen=True, eq=False)
class BoundMethod:
    """Function bound to its first argument, or a method of a library's value: ``model.add``, ``x.view``."""

    owner: object
    function: "UserFunction | str"


@dataclass(frozen=True, eq=False)
class SuperProxy:
    """``super()``: attributes of the classes after ``after`` in the resolution order of the instance."""

    instance: object
    after: UserClass


@dataclass(frozen=True, eq=False)
class Partial:
    """``functools.partial``."""

    function: object
    positional: tuple[object, ...]
    keywords: dict[str, object]


@dataclass(eq=False)
class IteratorValue:
    """Iterator over known values; ``sources`` are lists with their contents when the iterator was made."""

    items: list[object]
    sources: tuple[tuple[list[object], list[object]], ...] = ()
    cells: dict[object, object] = field(default_factory=lambda: {"position": 0})

    def is_stale(self) -> bool:
        """Return True if a list was changed after the iterator was made."""
        return any(
            len(source) != len(copy) or any(a is not b for a, b in zip(source, copy, strict=True))
            for source, copy in self.sources
        )


@dataclass(frozen=True, eq=False)
class DictView:
    """``keys()``, ``values()`` or ``items()`` of a dictionary or a ``ModuleDict``."""

    owner: "dict[object, object] | ModuleSequence"
    kind: str

    @property
    def items(self) -> list[object]:
        """The present elements."""
        cells = self.owner.cells if isinstance(self.owner, ModuleSequence) else self.owner
        return list(cells if self.kind == "keys" else cells.values() if self.kind == "values" else cells.items())


@dataclass(frozen=True, eq=False)
class Parameter:
    """Weight or bias of a layer."""

    layer: Call
    role: str


Plain = int | float | str | bool | None
Network = ModuleSequence | UserInstance


def get_line_number(node: ast.AST) -> int:
    """Return the first line of a node, from 1."""
    return int(getattr(node, "lineno", 0))


def is_network_part(value: object) -> bool:
    """Return True for layers, modules and tensors."""
    return isinstance(value, Call | ModuleSequence | UserInstance | SymbolicTensor)


def find_unknown(values: Sequence[object], depth: int = 2) -> Unknown | None:
    """Return the first unknown value, also inside small tuples and lists."""
    for value in values:
        if isinstance(value, Unknown):
            return value.values if isinstance(value, ExampleTensor) else value
        if depth and isinstance(value, list | tuple) and len(value) <= 16 and (inner := find_unknown(value, depth - 1)):
            return inner
    return None


def split_common_prefix(tensors: Sequence[SymbolicTensor]) -> tuple[tuple[Call, ...], list[tuple[Call, ...]]]:
    """Split the call sequences of tensors into their common prefix and the rest of each."""
    branches = [tensor.calls for tensor in tensors]
    common = 0
    for calls in zip(*branches, strict=False):
        if any(call is not calls[0] for call in calls):
            break
        common += 1
    return branches[0][:common], [branch[common:] for branch in branches]


def iter_calls(calls: Sequence[Call]) -> Iterator[Call]:
    """Iterate over calls, including those inside residual blocks."""
    for call in calls:
        yield call
        yield from iter_calls((*call.body, *call.shortcut))
