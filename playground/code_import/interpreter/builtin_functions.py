"""Python's built-in functions and the methods of its types, on known values, with bounded results."""

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence

from playground.code_import.interpreter.expressions import ExpressionEvaluator, UnknownValues
from playground.code_import.interpreter.heap import create_too_long_error
from playground.code_import.interpreter.library_names import split_names
from playground.code_import.interpreter.operators import (
    MAX_LENGTH,
    ProgramError,
    apply_binary_operator,
    check_result,
    is_flat,
    is_same_or_equal,
    is_valid_key,
)
from playground.code_import.interpreter.values import (
    DictView,
    IteratorValue,
    LibraryName,
    ModuleSequence,
    SymbolicTensor,
    Unknown,
    UserInstance,
    find_unknown,
)

Arguments = Sequence[object]
Keywords = Mapping[str, object]
_HOST_NUMBER_FUNCTIONS: dict[str, Callable[..., object]] = {
    "abs": abs,
    "int": int,
    "float": float,
    "str": str,
    "round": round,
    "pow": pow,
    "divmod": divmod,
    "ord": ord,
    "chr": chr,
    "hex": hex,
    "bin": bin,
    "repr": repr,
    "bool": bool,
    "slice": slice,
    "range": range,
    **{f"math.{name}": getattr(math, name) for name in ("floor", "ceil", "sqrt", "log", "log2", "log10", "exp", "gcd")},
    "math.pow": math.pow,
    "math.trunc": math.trunc,
    "math.fabs": math.fabs,
    **{f"numpy.{name}": getattr(math, name) for name in ("floor", "ceil", "sqrt", "log2", "log10", "exp")},
}
_CONSTANTS = {"math.pi": math.pi, "math.e": math.e, "math.inf": math.inf, "numpy.pi": math.pi, "numpy.inf": math.inf}
_ITERATOR_FUNCTIONS = ("enumerate", "zip", "reversed", "iter", "map", "filter", "itertools.chain", "itertools.pairwise")
_REDUCTIONS = ("len", "sum", "min", "max", "any", "all", "sorted", "list", "tuple", "set", "math.prod", "numpy.prod")
_OTHER_NAMES = split_names("""
    next dict isinstance issubclass callable type print input open id hash super getattr setattr hasattr delattr vars
    locals globals eval exec object property staticmethod classmethod NotImplemented Ellipsis frozenset complex bytes
    functools.partial functools.reduce collections.OrderedDict copy.copy copy.deepcopy __import__
""")
BUILTIN_NAMES = frozenset((*_HOST_NUMBER_FUNCTIONS, *_CONSTANTS, *_ITERATOR_FUNCTIONS, *_REDUCTIONS, *_OTHER_NAMES))
_STRING_METHODS = split_names("""
    lower upper title capitalize swapcase strip lstrip rstrip split rsplit splitlines startswith endswith find rfind
    index count isdigit isalpha isalnum isnumeric islower isupper isidentifier isspace partition rpartition
    removeprefix removesuffix casefold replace zfill ljust rjust center format
""")
_MUTATING_METHODS = split_names("""
    append extend insert pop remove clear reverse sort update setdefault popitem add discard move_to_end
""")


def get_library_constant(name: str) -> object:
    """Return a constant such as ``math.pi``; None for other names."""
    return _CONSTANTS.get(name)


def call_builtin(
    evaluator: ExpressionEvaluator, name: str, positional: Arguments, keywords: Keywords, node: ast.AST
) -> object:
    """Call a built-in function that depends on nothing but its arguments."""
    unknown = next((value for value in (*positional, *keywords.values()) if isinstance(value, Unknown)), None)
    if name in ("dict", "collections.OrderedDict"):
        return unknown or _make_dict(evaluator, positional, keywords, node)
    if name == "print":
        return None
    if unknown:
        return unknown
    if name in _ITERATOR_FUNCTIONS:
        return _make_iterator(evaluator, name, positional, keywords, node)
    if name in _REDUCTIONS:
        return _reduce(evaluator, name, positional, keywords, node)
    if name in _HOST_NUMBER_FUNCTIONS:
        if name == "str" and positional and isinstance(positional[0], LibraryName | UserInstance | list | tuple | dict):
            return Unknown("this text cannot be followed")
        if name == "bool" and positional:
            return evaluator.get_truth(positional[0], node)
        if all(isinstance(value, int | float | str | None) for value in (*positional, *keywords.values())):
            return _call_number_function(evaluator, name, positional, keywords)
    if name == "next" and positional and isinstance(positional[0], IteratorValue):
        return _advance(evaluator, positional[0], positional[1:])
    if name == "functools.reduce" and len(positional) in (2, 3):
        values = evaluator.iterate(positional[1], node)
        if not isinstance(values, Unknown):
            values = [*positional[2:], *values]
            total = values[0] if values else None
            for value in values[1:]:
                total = evaluator.call_value(positional[0], (total, value), {}, node)
            return total
    return Unknown(f"{name.removeprefix('__')}(…) cannot be followed")


def _call_number_function(
    evaluator: ExpressionEvaluator, name: str, positional: Arguments, keywords: Keywords
) -> object:
    if name == "pow":
        if len(positional) != 2:
            return Unknown("pow(…) cannot be followed")
        return apply_binary_operator(evaluator.heap, ast.Pow(), positional[0], positional[1])
    if name == "int" and positional and isinstance(positional[0], str) and len(positional[0]) > 80:
        raise create_too_long_error()
    result = _HOST_NUMBER_FUNCTIONS[name](*positional, **keywords)
    if name.startswith("numpy.") and isinstance(result, int):
        result = float(result)
    return check_result(evaluator.heap, result)


def _make_dict(evaluator: ExpressionEvaluator, positional: Arguments, keywords: Keywords, node: ast.AST) -> object:
    result: dict[object, object] = {}
    for given in positional:
        if isinstance(given, dict):
            result |= given
            continue
        pairs = evaluator.iterate(given, node)
        if isinstance(pairs, Unknown):
            return pairs
        for pair in pairs:
            two = evaluator.iterate(pair, node)
            if isinstance(two, Unknown) or len(two) != 2 or not is_valid_key(two[0]):
                return two if isinstance(two, Unknown) else Unknown("this dictionary cannot be followed")
            result[two[0]] = two[1]
    return check_result(evaluator.heap, result | dict(keywords))


def _make_iterator(
    evaluator: ExpressionEvaluator, name: str, positional: Arguments, keywords: Keywords, node: ast.AST
) -> object:
    is_call = name in ("map", "filter")
    given = positional[1:] if is_call else positional
    sources = tuple((value, list(value)) for value in given if isinstance(value, list))
    start = keywords.get("start", given[1] if name == "enumerate" and len(given) > 1 else 0)
    several: list[list[object]] = []
    for value in given[:1] if name == "enumerate" else given:
        values = evaluator.iterate(value, node)
        if isinstance(values, Unknown):
            return values
        several.append(values)
    if not several or set(keywords) - {"start", "strict"}:
        return IteratorValue([]) if name in ("zip", "itertools.chain") else Unknown(f"{name}(…) cannot be followed")
    match name:
        case "enumerate":
            if not isinstance(start, int):
                return Unknown("the start of enumerate(…) cannot be followed")
            items: list[object] = list(enumerate(several[0], start))
        case "zip":
            if keywords.get("strict") and len({len(values) for values in several}) > 1:
                raise ValueError("zip() arguments have different lengths")
            items = list(zip(*several, strict=False))
        case "reversed":
            items = several[0][::-1]
        case "map":
            items = [evaluator.call_value(positional[0], row, {}, node) for row in zip(*several, strict=False)]
        case "filter":
            items = []
            for value in several[0]:
                answer = value if positional[0] is None else evaluator.call_value(positional[0], (value,), {}, node)
                truth = evaluator.get_truth(answer, node)
                if isinstance(truth, Unknown):
                    return truth
                items += [value] * truth
        case "itertools.chain":
            items = [value for values in several for value in values]
        case "itertools.pairwise":
            items = list(zip(several[0], several[0][1:], strict=False))
        case _:
            items = several[0]
    check_result(evaluator.heap, items)
    return IteratorValue(items, sources)


def _advance(evaluator: ExpressionEvaluator, iterator: IteratorValue, default: Arguments) -> object:
    position = iterator.cells["position"]
    if not isinstance(position, int) or iterator.is_stale():
        return Unknown("next(…) cannot be followed")
    if position >= len(iterator.items):
        if default:
            return default[0]
        raise ProgramError("StopIteration")
    evaluator.heap.touch(iterator)
    iterator.cells["position"] = position + 1
    return iterator.items[position]


def _reduce(
    evaluator: ExpressionEvaluator, name: str, positional: Arguments, keywords: Keywords, node: ast.AST
) -> object:
    """Compute a function of the elements of one value."""
    if name == "len" and positional:
        return _get_length(evaluator, positional[0], node)
    is_several = name in ("min", "max") and len(positional) > 1
    given = (
        list(positional)
        if is_several
        else evaluator.iterate(positional[0], node, is_ordered=False)
        if positional
        else []
    )
    if isinstance(given, Unknown):
        return given
    is_set = bool(positional) and isinstance(positional[0], set)
    match name:
        case "list" | "tuple" if not is_set or len(given) < 2:
            return check_result(evaluator.heap, given if name == "list" else tuple(given))
        case "set" if all(map(is_valid_key, given)):
            return set(given)
        case "any" | "all":
            for value in given:
                truth = evaluator.get_truth(value, node)
                if isinstance(truth, Unknown) or truth is (name == "any"):
                    return truth
            return name == "all"
        case "sum" | "math.prod" | "numpy.prod":
            start = keywords.get("start", positional[1] if len(positional) > 1 else 0 if name == "sum" else 1)
            total = start
            for value in given:
                operator = ast.Add() if name == "sum" else ast.Mult()
                if isinstance(value, SymbolicTensor) and total is start and start == 0 and name == "sum":
                    total = value
                else:
                    total = evaluator.apply_operator(operator, total, value, node)
            return total
        case "min" | "max" | "sorted":
            return _order(evaluator, name, given, keywords, node)
    return Unknown(f"{name}(…) cannot be followed")


def _order(
    evaluator: ExpressionEvaluator, name: str, values: list[object], keywords: Keywords, node: ast.AST
) -> object:
    key = keywords.get("key")
    keys = [evaluator.call_value(key, (value,), {}, node) for value in values] if key else values
    reverse = keywords.get("reverse", False)
    if unknown := find_unknown(keys, 1):
        return unknown
    is_tuples = all(isinstance(one, tuple) and is_flat(one) for one in keys) and len({len(one) for one in keys}) == 1  # type: ignore[arg-type]
    if (
        not (is_flat(keys) or is_tuples)
        or not isinstance(reverse, bool | int)
        or set(keywords) - {"key", "reverse", "default"}
    ):
        return Unknown(f"{name}(…) cannot be followed")
    if not values and name != "sorted":
        if "default" in keywords:
            return keywords["default"]
        raise ValueError(f"{name}() of nothing")
    places = range(len(values))
    if name == "sorted":
        return [values[place] for place in sorted(places, key=lambda place: keys[place], reverse=bool(reverse))]  # type: ignore[arg-type, return-value]
    return values[(min if name == "min" else max)(places, key=lambda place: keys[place])]  # type: ignore[arg-type, return-value]


def _get_length(evaluator: ExpressionEvaluator, value: object, node: ast.AST) -> object:
    if isinstance(value, UserInstance):
        found = evaluator.call_special_method(value, "__len__", (), node)
        if found is not NotImplemented:
            return found
        value = value.base
    match value:
        case str() | list() | tuple() | dict() | set() | range():
            return len(value)
        case ModuleSequence(cells=cells):
            return len(cells)
        case DictView(items=items):
            return len(items)
        case int() | float() | None:
            raise TypeError("this value has no length")
    return Unknown("this length is known only when the network runs")


def call_plain_method(
    evaluator: ExpressionEvaluator, owner: object, name: str, positional: Arguments, keywords: Keywords, node: ast.AST
) -> object:
    """Call a method of a string, a list, a tuple, a dictionary or a set."""
    if isinstance(owner, list | dict | set) and name in _MUTATING_METHODS:
        evaluator.heap.touch(owner)
    unknown = next((value for value in positional if isinstance(value, UnknownValues)), None)
    result: object = NotImplemented
    if not unknown:
        match owner:
            case str():
                result = _call_string_method(evaluator, owner, name, positional, keywords, node)
            case list():
                result = _call_list_method(evaluator, owner, name, positional, keywords, node)
            case dict():
                result = _call_dict_method(evaluator, owner, name, positional, keywords, node)
            case set():
                result = _call_set_method(evaluator, owner, name, positional, node)
            case tuple():
                result = _search(evaluator, owner, name, positional)
    if result is NotImplemented:
        result = unknown or find_unknown(positional) or Unknown(f".{name}(…) cannot be followed")
        if name in _MUTATING_METHODS and isinstance(result, Unknown):
            evaluator.heap.taint(owner, result)
    return result


def _call_string_method(
    evaluator: ExpressionEvaluator, text: str, name: str, positional: Arguments, keywords: Keywords, node: ast.AST
) -> object:
    given = [*positional, *keywords.values()]
    if name == "join" and len(given) == 1:
        values = evaluator.iterate(given[0], node)
        if isinstance(values, Unknown) or not all(isinstance(value, str) for value in values):
            return values if isinstance(values, Unknown) else Unknown("this text cannot be followed")
        if sum(len(str(value)) + len(text) for value in values) > MAX_LENGTH:
            raise create_too_long_error()
        return text.join(str(value) for value in values)
    if not all(isinstance(value, int | float | str | tuple | None) for value in given) or find_unknown(given):
        return NotImplemented
    if name == "replace" and len(text) * (1 + max(len(str(value)) for value in given)) > MAX_LENGTH:
        raise create_too_long_error()
    if name in ("zfill", "ljust", "rjust", "center") and positional and int(str(positional[0])) > MAX_LENGTH:
        raise create_too_long_error()
    if name == "format" and re.search(r"\{[^{}:!]*[.\[]|\d{3}|:[^}]*\{", text):
        return NotImplemented
    if name in _STRING_METHODS:
        return check_result(evaluator.heap, getattr(str, name)(text, *positional, **keywords))
    return NotImplemented


def _search(evaluator: ExpressionEvaluator, values: Sequence[object], name: str, positional: Arguments) -> object:
    """Compute ``index`` and ``count``; NotImplemented for other names and unknown elements."""
    if name not in ("index", "count", "remove") or len(positional) != 1:
        return NotImplemented
    answers = [is_same_or_equal(evaluator.heap, value, positional[0]) for value in values]
    if any(isinstance(answer, Unknown) for answer in answers):
        return next(answer for answer in answers if isinstance(answer, Unknown)) if name != "remove" else NotImplemented
    if name == "count":
        return answers.count(True)
    if True not in answers:
        raise ValueError("this value is not in the list")
    return answers.index(True)


def _call_list_method(
    evaluator: ExpressionEvaluator,
    owner: list[object],
    name: str,
    positional: Arguments,
    keywords: Keywords,
    node: ast.AST,
) -> object:
    evaluator.heap.charge(1 + len(owner) // 8)
    match name, positional:
        case "append", (value,):
            owner.append(value)
        case "extend", (values,):
            several = evaluator.iterate(values, node)
            if isinstance(several, Unknown):
                return NotImplemented if find_unknown(positional) else several
            owner.extend(several)
        case "insert", (int() as index, value):
            owner.insert(index, value)
        case "pop", () | (int(),):
            return owner.pop(*positional)
        case "remove", (_,):
            place = _search(evaluator, owner, "remove", positional)
            if place is NotImplemented:
                return place
            del owner[int(str(place))]
        case "clear", ():
            owner.clear()
        case "reverse", ():
            owner.reverse()
        case "copy", ():
            return list(owner)
        case "sort", ():
            ordered = _order(evaluator, "sorted", owner, keywords, node)
            if not isinstance(ordered, list):
                return ordered
            owner[:] = ordered
        case _:
            return _search(evaluator, owner, name, positional)
    check_result(evaluator.heap, owner) if name == "extend" else evaluator.heap.charge(1)
    if len(owner) > MAX_LENGTH:
        raise create_too_long_error()
    return None


def _call_dict_method(
    evaluator: ExpressionEvaluator,
    owner: dict[object, object],
    name: str,
    positional: Arguments,
    keywords: Keywords,
    node: ast.AST,
) -> object:
    evaluator.heap.charge(1 + len(owner) // 8)
    key = positional[0] if positional else None
    default = positional[1] if len(positional) > 1 else None
    if name in ("get", "pop", "setdefault") and positional:
        if isinstance(key, Unknown) or not is_valid_key(key):
            return NotImplemented
        if name == "setdefault":
            return owner.setdefault(key, default)
        if name == "pop":
            return owner.pop(key, *positional[1:])
        return owner.get(key, default)
    match name, positional:
        case "keys" | "values" | "items", ():
            return DictView(owner, name)
        case "copy", ():
            return dict(owner)
        case "clear", ():
            owner.clear()
            return None
        case "popitem", ():
            return owner.popitem()
        case "update", _:
            added = _make_dict(evaluator, positional, keywords, node)
            if not isinstance(added, dict):
                return NotImplemented
            owner.update(added)
            return None
    return NotImplemented


def _call_set_method(
    evaluator: ExpressionEvaluator, owner: set[object], name: str, positional: Arguments, node: ast.AST
) -> object:
    if name in ("add", "discard", "remove") and len(positional) == 1 and is_valid_key(positional[0]):
        return getattr(set, name)(owner, positional[0])
    if name in ("union", "intersection", "difference", "update", "issubset", "issuperset") and len(positional) == 1:
        values = evaluator.iterate(positional[0], node, is_ordered=False)
        if not isinstance(values, Unknown) and all(map(is_valid_key, values)):
            return getattr(set, name)(owner, values)
    if name in ("copy", "clear") and not positional:
        return getattr(set, name)(owner)
    return NotImplemented
