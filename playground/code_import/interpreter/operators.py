"""Operators on plain values, with bounded results; ``Unknown`` operands give ``Unknown``."""

import ast
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from playground.code_import.interpreter.heap import Heap, create_too_long_error
from playground.code_import.interpreter.values import (
    Call,
    DictView,
    LibraryName,
    ModuleSequence,
    Parameter,
    Partial,
    SymbolicTensor,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    find_unknown,
)

MAX_LENGTH = 10_000
_MAX_BITS = 256
_PLAIN = (int, float, str, type(None), tuple, list, dict, set, range)
_UNSUPPORTED = "this operation cannot be followed"

_BINARY: dict[type[ast.operator], Callable[[Any, Any], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class ProgramError(Exception):
    """Exception that the interpreted program raises; ``name`` is its type."""

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(message or name)
        self.name = name


def apply_binary_operator(heap: Heap, kind: ast.operator, left: object, right: object) -> object:
    """Compute an operator; raises the host's TypeError or ZeroDivisionError where Python does."""
    unknown = find_unknown((left, right)) if not isinstance(left, list | tuple) else None
    for side in (left, right):
        if isinstance(side, Unknown):
            return find_unknown([side])
    if not (isinstance(left, _PLAIN) and isinstance(right, _PLAIN)):
        return unknown or Unknown(_UNSUPPORTED)
    if isinstance(kind, ast.Mod) and isinstance(left, str):
        return unknown or format_percent(left, right)
    _check_size(kind, left, right)
    if isinstance(left, set | dict) and isinstance(right, set | dict):
        heap.charge(len(left) + len(right))
    function = _BINARY.get(type(kind))
    return check_result(heap, function(left, right)) if function else Unknown(_UNSUPPORTED)


def _check_size(kind: ast.operator, left: object, right: object) -> None:
    """Raise ArchitectureError for a result that would take too much memory."""
    if isinstance(kind, ast.Pow) and isinstance(left, int | float) and isinstance(right, int | float):
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > _MAX_BITS:
            raise create_too_long_error()
    elif isinstance(kind, ast.LShift) and isinstance(right, int) and right > _MAX_BITS:
        raise create_too_long_error()
    elif isinstance(kind, ast.Mult):
        for sequence, count in ((left, right), (right, left)):
            length = len(sequence) if isinstance(sequence, str | list | tuple) else 0
            if isinstance(count, int) and length * max(0, count) > MAX_LENGTH:
                raise create_too_long_error()


def check_result(heap: Heap, value: object) -> object:
    """Charge for a new value; raises ArchitectureError if it is too large."""
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise create_too_long_error()
    elif isinstance(value, str | list | tuple | dict | set):
        if len(value) > MAX_LENGTH:
            raise create_too_long_error()
        heap.charge(len(value) // 16 if isinstance(value, str) else len(value))
    elif isinstance(value, complex):
        return Unknown(_UNSUPPORTED)
    return value


def apply_unary_operator(kind: ast.unaryop, value: object) -> object:
    """Compute ``-``, ``+`` or ``~`` of a number."""
    if isinstance(value, Unknown):
        return value
    match kind, value:
        case ast.USub(), int() | float():
            return -value
        case ast.UAdd(), int() | float():
            return +value
        case ast.Invert(), int():
            return ~value
        case _, str() | list() | tuple() | dict() | None:
            raise TypeError("bad operand type for unary operator")
    return Unknown(_UNSUPPORTED)


def format_percent(text: str, values: object) -> object:
    """Compute ``"%d layers" % n`` of plain values."""
    several = values if isinstance(values, tuple) else (values,)
    if not all(isinstance(value, int | float | str) for value in several) or re.search(r"%[^a-zA-Z%]*(\d{3}|\*)", text):
        return Unknown(_UNSUPPORTED)
    return text % several


def evaluate_truth(value: object) -> bool | Unknown:
    """Return the truth value of everything but instances of the code's classes."""
    match value:
        case Unknown():
            return value
        case SymbolicTensor():
            return Unknown("it depends on the values of the images")
        case Parameter():
            return Unknown("it depends on the weights")
        case (
            ModuleSequence(library="torch", cells=cells)
            | UserInstance(base=ModuleSequence(library="torch", cells=cells))
        ):
            return bool(cells)
        case DictView(items=items):
            return bool(items)
        case _ if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict, set, range, slice)):
            return bool(value)
    return True


def apply_comparison(heap: Heap, kind: ast.cmpop, left: object, right: object) -> object:
    """Compute a comparison: True, False or ``Unknown``."""
    match kind:
        case ast.Eq():
            return is_equal(heap, left, right)
        case ast.NotEq():
            return _negate(is_equal(heap, left, right))
        case ast.Is():
            return is_identical(left, right)
        case ast.IsNot():
            return _negate(is_identical(left, right))
        case ast.In():
            return contains(heap, right, left)
        case ast.NotIn():
            return _negate(contains(heap, right, left))
    if unknown := find_unknown((left, right)):
        return unknown
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _ORDER[type(kind)](left, right)
    if isinstance(left, str) and isinstance(right, str):
        return _ORDER[type(kind)](left, right)
    if isinstance(left, set) and isinstance(right, set):
        return _ORDER[type(kind)](left, right)
    if isinstance(left, list | tuple) and type(left) is type(right) and is_flat((*left, *right)):
        return _ORDER[type(kind)](left, right)
    if isinstance(left, str | int | float | None) and isinstance(right, str | int | float | None):
        raise TypeError("values of these types have no order")
    return Unknown(_UNSUPPORTED)


def _negate(value: object) -> object:
    return value if isinstance(value, Unknown) else not value


def is_flat(values: Sequence[object]) -> bool:
    """Return True for numbers only, or strings only, whose order Python defines."""
    return all(isinstance(value, int | float) for value in values) or all(isinstance(value, str) for value in values)


def get_order_key(keys: Sequence[object]) -> Callable[[int], Any] | None:
    """Return the sort key of each position in a list of numbers, strings or tuples; None if Python defines no order."""
    is_tuples = all(isinstance(key, tuple) and is_flat(key) for key in keys)
    if is_flat(keys) or (is_tuples and len({len(key) for key in keys if isinstance(key, tuple)}) == 1):
        return lambda place: keys[place]
    return None


def is_identical(left: object, right: object) -> object:
    """Compute ``is``. Equal numbers and strings may be one object or two."""
    if left is None or right is None or isinstance(left, bool) or isinstance(right, bool):
        other = right if left is None or isinstance(left, bool) else left
        return other if isinstance(other, Unknown) else left is right
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return left if isinstance(left, Unknown) else right
    if isinstance(left, LibraryName) and isinstance(right, LibraryName):
        return left.name == right.name or Unknown(_UNSUPPORTED)
    if isinstance(left, int | float | str | tuple) and type(left) is type(right):
        return Unknown("equal numbers and strings may be the same object or not") if left == right else False
    return left is right


def is_equal(heap: Heap, left: object, right: object) -> object:
    """Compute ``==``: True, False or ``Unknown``."""
    heap.charge(1)
    for side in (left, right):
        if taint := heap.get_taint(side):
            return taint
    for side in (left, right):
        if isinstance(side, Unknown):
            return side
    if isinstance(left, int | float | str | range | type(None)) and isinstance(
        right, int | float | str | range | type(None)
    ):
        return left == right
    if isinstance(left, list | tuple) and type(left) is type(right):
        return _is_equal_sequence(heap, left, right)
    if isinstance(left, dict) and isinstance(right, dict):
        if set(left) != set(right):
            return False
        return _is_equal_sequence(heap, list(left.values()), [right[key] for key in left])
    if isinstance(left, set) and isinstance(right, set):
        return left == right
    if isinstance(left, LibraryName) and isinstance(right, LibraryName):
        return left.name == right.name or Unknown(_UNSUPPORTED)
    if isinstance(left, SymbolicTensor | Parameter) or isinstance(right, SymbolicTensor | Parameter):
        return Unknown("it depends on the values of the images")
    if isinstance(left, UserInstance) or isinstance(right, UserInstance):
        instance = left if isinstance(left, UserInstance) else right
        assert_plain = isinstance(instance, UserInstance) and instance.user_class.find("__eq__")[1] is None
        is_data = isinstance(instance, UserInstance) and instance.user_class.field_names is not None
        return left is right if assert_plain and not is_data else Unknown(_UNSUPPORTED)
    return left is right


def is_same_or_equal(heap: Heap, left: object, right: object) -> object:
    """Compare as ``in`` and ``index`` do: an object equals itself; an unknown value may differ from itself."""
    return True if left is right and not isinstance(left, Unknown) else is_equal(heap, left, right)


def _is_equal_sequence(heap: Heap, left: Sequence[object], right: Sequence[object]) -> object:
    if len(left) != len(right):
        return False
    answers = [is_equal(heap, a, b) for a, b in zip(left, right, strict=True)]
    if any(answer is False for answer in answers):
        return False
    return next((answer for answer in answers if isinstance(answer, Unknown)), True)


def contains(heap: Heap, container: object, item: object) -> object:
    """Compute ``in``: True, False or ``Unknown``."""
    if isinstance(container, Unknown):
        return container
    if isinstance(container, str):
        return item in container if isinstance(item, str) else (find_unknown((item,)) or Unknown(_UNSUPPORTED))
    if isinstance(container, range | dict | set) and isinstance(item, int | float | str | None):
        return item in container
    if isinstance(container, ModuleSequence):
        values: Sequence[object] = list(container.cells) if container.kind == "ModuleDict" else container.parts
    elif isinstance(container, dict | set | list | tuple):
        values = list(container)
    elif isinstance(container, DictView):
        values = container.items
    else:
        return Unknown(_UNSUPPORTED)
    answers = [is_same_or_equal(heap, value, item) for value in values]
    if any(answer is True for answer in answers):
        return True
    return next((answer for answer in answers if isinstance(answer, Unknown)), False)


def is_valid_key(value: object, depth: int = 0) -> bool:
    """Return True for keys of dictionaries that this interpreter compares as Python does."""
    if isinstance(value, tuple):
        return depth < 3 and len(value) <= 16 and all(is_valid_key(item, depth + 1) for item in value)
    keys = (int, float, str, type(None), LibraryName, UserClass, UserFunction, Call, Partial, UserInstance)
    return isinstance(value, keys)


def get_item(container: object, key: object) -> object:
    """Return an item or a slice of a plain container; raises LookupError where Python does."""
    if unknown := find_unknown((container,)) if isinstance(container, Unknown) else find_unknown((key,)):
        return unknown
    match container:
        case list() | tuple() | str() | range() if isinstance(key, int | slice):
            return container[key]
        case dict() if is_valid_key(key):
            if key not in container:
                raise KeyError(repr(key)[:60])
            return container[key]
        case list() | tuple() | str() | range() | int() | float() | None:
            raise TypeError("this value has no such item")
    return Unknown(_UNSUPPORTED)
