"""Python's built-in functions on known values, with bounded results."""

import ast
import math
from collections.abc import Callable, Sequence

from playground.code_import.interpreter.expressions import ExpressionEvaluator
from playground.code_import.interpreter.heap import create_too_long_error
from playground.code_import.interpreter.libraries.names import split_names
from playground.code_import.interpreter.operators import (
    ProgramError,
    apply_binary_operator,
    check_result,
    get_order_key,
    is_valid_key,
)
from playground.code_import.interpreter.values import (
    CallSite,
    DictView,
    IteratorValue,
    LibraryName,
    ModuleSequence,
    SymbolicTensor,
    Unknown,
    UserInstance,
    find_unknown,
)

_HOST_NUMBER_FUNCTIONS: dict[str, Callable[..., object]] = {
    **{
        function.__name__: function
        for function in (abs, int, float, str, round, pow, divmod, ord, chr, hex, bin, repr, bool, slice, range)
    },
    **{
        f"math.{name}": getattr(math, name)
        for name in ("floor", "ceil", "sqrt", "log", "log2", "log10", "exp", "gcd", "pow", "trunc", "fabs")
    },
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


def get_library_constant(name: str) -> object:
    """Return a constant such as ``math.pi``; None for other names."""
    return _CONSTANTS.get(name)


def call_builtin(evaluator: ExpressionEvaluator, name: str, site: CallSite) -> object:
    """Call a built-in function that depends on nothing but its arguments."""
    unknown = next((value for value in site.values if isinstance(value, Unknown)), None)
    if name in ("dict", "collections.OrderedDict"):
        return unknown or make_dict(evaluator, site)
    if name == "print":
        return None
    if unknown:
        return unknown
    if name in _ITERATOR_FUNCTIONS:
        return _make_iterator(evaluator, name, site)
    if name in _REDUCTIONS:
        return _reduce(evaluator, name, site)
    if name in _HOST_NUMBER_FUNCTIONS:
        if name == "str" and isinstance(site.first, LibraryName | UserInstance | list | tuple | dict):
            return Unknown("this text cannot be followed")
        if name == "bool" and site.positional:
            return evaluator.get_truth(site.first, site.node)
        if all(isinstance(value, int | float | str | None) for value in site.values):
            return _call_number_function(evaluator, name, site)
    if name == "next" and isinstance(site.first, IteratorValue):
        return _advance(evaluator, site.first, site.positional[1:])
    if name == "functools.reduce" and len(site.positional) in (2, 3):
        values = evaluator.iterate(site.positional[1], site.node)
        if not isinstance(values, Unknown):
            values = [*site.positional[2:], *values]
            total = values[0] if values else None
            for value in values[1:]:
                total = evaluator.call_value(site.first, CallSite(site.node, (total, value)))
            return total
    return Unknown(f"{name.removeprefix('__')}(…) cannot be followed")


def _call_number_function(evaluator: ExpressionEvaluator, name: str, site: CallSite) -> object:
    if name == "pow":
        if len(site.positional) != 2:
            return Unknown("pow(…) cannot be followed")
        return apply_binary_operator(evaluator.heap, ast.Pow(), *site.positional)
    if name == "int" and isinstance(site.first, str) and len(site.first) > 80:
        raise create_too_long_error()
    result = _HOST_NUMBER_FUNCTIONS[name](*site.positional, **site.keywords)
    if name.startswith("numpy.") and isinstance(result, int):
        result = float(result)
    return check_result(evaluator.heap, result)


def make_dict(evaluator: ExpressionEvaluator, site: CallSite) -> dict[object, object] | Unknown:
    """Return the dictionary of ``dict(…)``."""
    result: dict[object, object] = {}
    for given in site.positional:
        if isinstance(given, dict):
            result |= given
            continue
        pairs = evaluator.iterate(given, site.node)
        if isinstance(pairs, Unknown):
            return pairs
        for pair in pairs:
            two = evaluator.iterate(pair, site.node)
            if isinstance(two, Unknown) or len(two) != 2 or not is_valid_key(two[0]):
                return two if isinstance(two, Unknown) else Unknown("this dictionary cannot be followed")
            result[two[0]] = two[1]
    result.update(dict(site.keywords))
    check_result(evaluator.heap, result)
    return result


def _make_iterator(evaluator: ExpressionEvaluator, name: str, site: CallSite) -> object:
    given = site.positional[1:] if name in ("map", "filter") else site.positional
    sources = tuple((value, list(value)) for value in given if isinstance(value, list))
    start = site.keywords.get("start", given[1] if name == "enumerate" and len(given) > 1 else 0)
    several: list[list[object]] = []
    for value in given[:1] if name == "enumerate" else given:
        values = evaluator.iterate(value, site.node)
        if isinstance(values, Unknown):
            return values
        several.append(values)
    if not several or set(site.keywords) - {"start", "strict"}:
        return IteratorValue([]) if name in ("zip", "itertools.chain") else Unknown(f"{name}(…) cannot be followed")
    match name:
        case "enumerate":
            if not isinstance(start, int):
                return Unknown("the start of enumerate(…) cannot be followed")
            items: list[object] = list(enumerate(several[0], start))
        case "zip":
            if site.keywords.get("strict") and len({len(values) for values in several}) > 1:
                raise ValueError("zip() arguments have different lengths")
            items = list(zip(*several, strict=False))
        case "reversed":
            items = several[0][::-1]
        case "map":
            rows = zip(*several, strict=False)
            items = [evaluator.call_value(site.first, CallSite(site.node, row)) for row in rows]
        case "filter":
            items = []
            for value in several[0]:
                is_call = site.first is not None
                answer = evaluator.call_value(site.first, CallSite(site.node, (value,))) if is_call else value
                truth = evaluator.get_truth(answer, site.node)
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


def _advance(evaluator: ExpressionEvaluator, iterator: IteratorValue, default: Sequence[object]) -> object:
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


def _reduce(evaluator: ExpressionEvaluator, name: str, site: CallSite) -> object:
    """Compute a function of the elements of one value."""
    given: list[object] | Unknown = []
    if name == "len" and site.positional:
        return _get_length(evaluator, site.first, site.node)
    if name in ("min", "max") and len(site.positional) > 1:
        given = list(site.positional)
    elif site.positional:
        given = evaluator.iterate(site.first, site.node, is_ordered=False)
    if isinstance(given, Unknown):
        return given
    match name:
        case "list" | "tuple" if not isinstance(site.first, set) or len(given) < 2:
            return check_result(evaluator.heap, given if name == "list" else tuple(given))
        case "set" if all(map(is_valid_key, given)):
            return set(given)
        case "any" | "all":
            for value in given:
                truth = evaluator.get_truth(value, site.node)
                if isinstance(truth, Unknown) or truth is (name == "any"):
                    return truth
            return name == "all"
        case "sum" | "math.prod" | "numpy.prod":
            operator, neutral = (ast.Add(), 0) if name == "sum" else (ast.Mult(), 1)
            start = site.keywords.get("start", site.positional[1] if len(site.positional) > 1 else neutral)
            total = start
            for value in given:
                if isinstance(value, SymbolicTensor) and total is start and start == 0 and name == "sum":
                    total = value
                else:
                    total = evaluator.apply_operator(operator, total, value, site.node)
            return total
        case "min" | "max" | "sorted":
            return order_values(evaluator, name, given, site)
    return Unknown(f"{name}(…) cannot be followed")


def order_values(evaluator: ExpressionEvaluator, name: str, values: Sequence[object], site: CallSite) -> object:
    """Compute ``min``, ``max`` or ``sorted``."""
    key, reverse = site.keywords.get("key"), site.keywords.get("reverse", False)
    keys = [evaluator.call_value(key, CallSite(site.node, (value,))) for value in values] if key else values
    if unknown := find_unknown(keys, 1):
        return unknown
    get_key = get_order_key(keys)
    if not get_key or not isinstance(reverse, bool | int) or set(site.keywords) - {"key", "reverse", "default"}:
        return Unknown(f"{name}(…) cannot be followed")
    if not values and name != "sorted":
        if "default" in site.keywords:
            return site.keywords["default"]
        raise ValueError(f"{name}() of nothing")
    places = range(len(values))
    if name == "sorted":
        return [values[place] for place in sorted(places, key=get_key, reverse=bool(reverse))]
    return values[(min if name == "min" else max)(places, key=get_key)]


def _get_length(evaluator: ExpressionEvaluator, value: object, node: ast.AST) -> object:
    if isinstance(value, UserInstance):
        found = evaluator.call_special_method(value, "__len__", CallSite(node))
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
