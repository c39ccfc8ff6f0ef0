"""What names hold while pasted code is walked: numbers and texts, layers, and the way of one image through them."""

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
    """What cannot be known without running the code, by its dotted name where it has one."""

    name: str = ""

    @property
    def short_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, eq=False)
class Call:
    """A layer, or a function applied to the image. Each is an object of its own: the same one twice shares weights."""

    name: str
    positional: tuple[object, ...]
    keywords: dict[str, object]
    node: ast.AST
    body: tuple["Call", ...] = ()
    shortcut: tuple["Call", ...] = ()

    @property
    def line(self) -> int:
        """Where it stands, from 1."""
        return get_line_number(self.node)


@dataclass(frozen=True, eq=False)
class SymbolicTensor:
    """What one image went through so far, in order."""

    calls: tuple[Call, ...] = ()


@dataclass(eq=False)
class ModuleSequence:
    """A ``Sequential``, or a list of modules."""

    parts: list[object]
    node: ast.AST


@dataclass(frozen=True, eq=False)
class UserClass:
    """A class that the code defines."""

    node: ast.ClassDef
    scope: Scope

    def find_method(self, *names: str) -> ast.FunctionDef | None:
        """The first of its methods with one of these names."""
        for statement in self.node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in names:
                return statement
        return None


@dataclass(eq=False)
class UserInstance:
    """An object of such a class: a block, or the whole network."""

    user_class: UserClass
    attributes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class UserFunction:
    """A function that the code defines, with the object that it belongs to."""

    node: ast.FunctionDef | ast.Lambda
    scope: Scope
    owner: UserInstance | None = None


@dataclass(frozen=True, eq=False)
class BoundMethod:
    """Something that a value itself can do: ``model.add``, ``x.view``."""

    owner: object
    name: str


def get_line_number(node: ast.AST) -> int:
    """The line on which a piece of code begins, from 1."""
    return int(getattr(node, "lineno", 0))


def create_child_scope(scope: Scope) -> Scope:
    """A scope inside another one."""
    return ChainMap({}, scope)


def is_network_part(value: object) -> bool:
    """Whether a value is a part of a network."""
    return isinstance(value, Call | ModuleSequence | UserInstance | SymbolicTensor)


def evaluate_truth(value: object) -> bool | None:
    """Whether a value counts as true; None where that cannot be known."""
    if isinstance(value, Unknown | BoundMethod):
        return None
    return True if is_network_part(value) else bool(value)


def to_constant(value: Any) -> object:
    """A constant of the code as it stands; huge numbers are not kept."""
    if isinstance(value, int | float) and abs(value) > _MAX_NUMBER:
        return Unknown()
    return value if isinstance(value, int | float | str | None) else Unknown()


def apply_binary_operator(operator: ast.operator, left: object, right: object) -> object:
    """The sum, difference, product or quotient of two small numbers; lists can be joined."""
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
    """Whether the comparison holds; Unknown for all but plain values and ``is None``."""
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
    """One item of a list, a tuple or a dictionary."""
    if isinstance(container, list | tuple) and isinstance(key, int):
        return container[key] if -len(container) <= key < len(container) else Unknown()
    if isinstance(container, dict) and isinstance(key, str):
        return container.get(key, Unknown())
    return Unknown()


def split_common_prefix(tensors: Sequence[SymbolicTensor]) -> tuple[tuple[Call, ...], list[tuple[Call, ...]]]:
    """What several ways of the image have in common, from the start, and the rest of each."""
    ways = [flow.calls for flow in tensors]
    common = 0
    for calls in zip(*ways, strict=False):
        if any(call is not calls[0] for call in calls):
            break
        common += 1
    return ways[0][:common], [way[common:] for way in ways]


def iter_calls(calls: Sequence[Call]) -> Iterator[Call]:
    """Calls with those inside of blocks."""
    for call in calls:
        yield call
        yield from iter_calls((*call.body, *call.shortcut))


def call_builtin(name: str, positional: Sequence[object]) -> object:
    """What a few of Python's own functions give for plain values."""
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
