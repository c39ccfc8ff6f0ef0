"""Values of the abstract interpreter: constants, layers, and symbolic tensors."""

import ast
from collections import ChainMap
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, object]

MAX_LIST_LENGTH = 300
_MAX_NUMBER = 10**9


@dataclass(frozen=True, eq=False)
class Unknown:
    """Value known only at run time, with its dotted name if it has one."""

    name: str = ""

    @property
    def short_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, eq=False)
class Call:
    """Layer, or function applied to the tensor. Calls compare by identity: the same one used twice shares weights."""

    name: str
    positional: tuple[object, ...]
    keywords: dict[str, object]
    node: ast.AST
    body: tuple["Call", ...] = ()
    shortcut: tuple["Call", ...] = ()

    @property
    def line(self) -> int:
        """Line of the call, from 1."""
        return get_line_number(self.node)


@dataclass(frozen=True, eq=False)
class SymbolicTensor:
    """Tensor, represented by the calls that produced it, in order."""

    calls: tuple[Call, ...] = ()


@dataclass(eq=False)
class ModuleSequence:
    """``Sequential`` or list of modules."""

    parts: list[object]
    node: ast.AST


@dataclass(frozen=True, eq=False)
class UserClass:
    """Class that the code defines."""

    node: ast.ClassDef
    scope: Scope

    def find_method(self, *names: str) -> ast.FunctionDef | None:
        """Return the first method with one of these names."""
        for statement in self.node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in names:
                return statement
        return None


@dataclass(eq=False)
class UserInstance:
    """Instance of a class that the code defines: a block or a network."""

    user_class: UserClass
    attributes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class UserFunction:
    """Function that the code defines; a method has an owner."""

    node: ast.FunctionDef | ast.Lambda
    scope: Scope
    owner: UserInstance | None = None


@dataclass(frozen=True, eq=False)
class BoundMethod:
    """Method of a value of a library: ``model.add``, ``x.view``."""

    owner: object
    name: str


def get_line_number(node: ast.AST) -> int:
    """Return the first line of a node, from 1."""
    return int(getattr(node, "lineno", 0))


def create_child_scope(scope: Scope) -> Scope:
    """Create a scope inside another one."""
    return ChainMap({}, scope)


def is_network_part(value: object) -> bool:
    """Return True for layers, modules and tensors."""
    return isinstance(value, Call | ModuleSequence | UserInstance | SymbolicTensor)


def evaluate_truth(value: object) -> bool | None:
    """Return the truth value; None if it is known only at run time."""
    if isinstance(value, Unknown | BoundMethod):
        return None
    return True if is_network_part(value) else bool(value)


def to_constant(value: Any) -> object:
    """Return a constant as a value; numbers that are too large become ``Unknown``."""
    if isinstance(value, int | float) and abs(value) > _MAX_NUMBER:
        return Unknown()
    return value if isinstance(value, int | float | str | None) else Unknown()


def apply_binary_operator(operator: ast.operator, left: object, right: object) -> object:
    """Compute the result of an arithmetic operator on small numbers, or the concatenation of lists."""
    if isinstance(operator, ast.Add) and isinstance(left, list | tuple) and type(left) is type(right):
        both = [*left, *right] if isinstance(right, list | tuple) else []
        return type(left)(both) if len(both) <= MAX_LIST_LENGTH else Unknown()
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        return Unknown()
    match operator:
        case ast.Add():
            return to_constant(left + right)
        case ast.Sub():
            return to_constant(left - right)
        case ast.Mult():
            return to_constant(left * right)
        case ast.Div() if right:
            return to_constant(left / right)
        case ast.FloorDiv() if right:
            return to_constant(left // right)
    return Unknown()


def apply_comparison(operator: ast.cmpop, left: object, right: object) -> object:
    """Compute a comparison of plain values or with None; ``Unknown`` for others."""
    if isinstance(operator, ast.Is | ast.IsNot) and right is None and evaluate_truth(left) is not None:
        return (left is None) == isinstance(operator, ast.Is)
    plain = (int, float, str, type(None))
    if not (isinstance(left, plain) and isinstance(right, plain)):
        return Unknown()
    match operator:
        case ast.Eq() | ast.Is():
            return left == right
        case ast.NotEq() | ast.IsNot():
            return left != right
    if isinstance(left, int | float) and isinstance(right, int | float):
        match operator:
            case ast.Lt():
                return left < right
            case ast.LtE():
                return left <= right
            case ast.Gt():
                return left > right
            case ast.GtE():
                return left >= right
    return Unknown()


def get_item(container: object, key: object) -> object:
    """Return an item of a list, a tuple or a dictionary."""
    if isinstance(container, list | tuple) and isinstance(key, int):
        return container[key] if -len(container) <= key < len(container) else Unknown()
    if isinstance(container, dict) and isinstance(key, str):
        return container.get(key, Unknown())
    return Unknown()


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


def call_builtin(name: str, positional: Sequence[object]) -> object:
    """Compute ``range``, ``len``, ``int`` and ``float`` of plain values; ``Unknown`` for others."""
    first = positional[0] if positional else None
    numbers = [number for number in positional if isinstance(number, int)]
    match name:
        case "range" if numbers and len(numbers) == len(positional) and 0 not in numbers[2:] and len(numbers) <= 3:
            return list(range(*numbers)[:MAX_LIST_LENGTH])
        case "len" if isinstance(first, list | tuple | dict):
            return len(first)
        case "int" if isinstance(first, int | float) and abs(first) <= _MAX_NUMBER:
            return int(first)
        case "float" if isinstance(first, str) and first in ("inf", "-inf"):
            return float(first)
    return Unknown()
