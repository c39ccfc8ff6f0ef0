"""Methods of strings, lists, tuples, dictionaries and sets, with bounded results."""

import re
from collections.abc import Sequence

from playground.code_import.interpreter.builtin_functions import make_dict, order_values
from playground.code_import.interpreter.expressions import ExpressionEvaluator
from playground.code_import.interpreter.heap import create_too_long_error
from playground.code_import.interpreter.libraries.names import split_names
from playground.code_import.interpreter.operators import MAX_LENGTH, check_result, is_same_or_equal, is_valid_key
from playground.code_import.interpreter.values import CallSite, DictView, Unknown, find_unknown

_STRING_METHODS = split_names("""
    lower upper title capitalize swapcase strip lstrip rstrip split rsplit splitlines startswith endswith find rfind
    index count isdigit isalpha isalnum isnumeric islower isupper isidentifier isspace partition rpartition
    removeprefix removesuffix casefold replace zfill ljust rjust center format
""")
_MUTATING_METHODS = split_names("""
    append extend insert pop remove clear reverse sort update setdefault popitem add discard move_to_end
""")
_ELEMENT_SET_METHODS = ("add", "discard", "remove")
_OTHER_SET_METHODS = ("union", "intersection", "difference", "update", "issubset", "issuperset")


def call_plain_method(evaluator: ExpressionEvaluator, owner: object, name: str, site: CallSite) -> object:
    """Call a method of a string, a list, a tuple, a dictionary or a set."""
    if isinstance(owner, list | dict | set) and name in _MUTATING_METHODS:
        evaluator.heap.touch(owner)
    result: object = NotImplemented
    if not site.unknown_values:
        match owner:
            case str():
                result = _call_string_method(evaluator, owner, name, site)
            case list():
                result = _call_list_method(evaluator, owner, name, site)
            case dict():
                result = _call_dict_method(evaluator, owner, name, site)
            case set():
                result = _call_set_method(evaluator, owner, name, site)
            case tuple():
                result = _search(evaluator, owner, name, site)
    if result is NotImplemented:
        result = site.unknown_values or find_unknown(site.positional) or Unknown(f".{name}(…) cannot be followed")
        if name in _MUTATING_METHODS and isinstance(result, Unknown):
            evaluator.heap.taint(owner, result)
    return result


def _call_string_method(evaluator: ExpressionEvaluator, text: str, name: str, site: CallSite) -> object:
    given = site.values
    if name == "join" and len(given) == 1:
        values = evaluator.iterate(given[0], site.node)
        if isinstance(values, Unknown) or not all(isinstance(value, str) for value in values):
            return values if isinstance(values, Unknown) else Unknown("this text cannot be followed")
        if sum(len(str(value)) + len(text) for value in values) > MAX_LENGTH:
            raise create_too_long_error()
        return text.join(str(value) for value in values)
    if not all(isinstance(value, int | float | str | tuple | None) for value in given) or find_unknown(given):
        return NotImplemented
    if name == "replace" and len(text) * (1 + max(len(str(value)) for value in given)) > MAX_LENGTH:
        raise create_too_long_error()
    if name in ("zfill", "ljust", "rjust", "center") and site.positional and int(str(site.first)) > MAX_LENGTH:
        raise create_too_long_error()
    if name == "format" and re.search(r"\{[^{}:!]*[.\[]|\d{3}|:[^}]*\{", text):
        return NotImplemented
    if name in _STRING_METHODS:
        return check_result(evaluator.heap, getattr(str, name)(text, *site.positional, **site.keywords))
    return NotImplemented


def _search(evaluator: ExpressionEvaluator, values: Sequence[object], name: str, site: CallSite) -> object:
    """Compute ``index`` and ``count``; NotImplemented for other names and unknown elements."""
    if name not in ("index", "count", "remove") or len(site.positional) != 1:
        return NotImplemented
    answers = [is_same_or_equal(evaluator.heap, value, site.first) for value in values]
    if any(isinstance(answer, Unknown) for answer in answers):
        return next(answer for answer in answers if isinstance(answer, Unknown)) if name != "remove" else NotImplemented
    if name == "count":
        return answers.count(True)
    if True not in answers:
        raise ValueError("this value is not in the list")
    return answers.index(True)


def _call_list_method(evaluator: ExpressionEvaluator, owner: list[object], name: str, site: CallSite) -> object:
    evaluator.heap.charge(1 + len(owner) // 8)
    result: object = None
    match name, site.positional:
        case "extend", (values,):
            several = evaluator.iterate(values, site.node)
            if isinstance(several, Unknown):
                return NotImplemented if find_unknown(site.positional) else several
            owner.extend(several)
            check_result(evaluator.heap, owner)
        case ("append", (_,)) | ("insert", (int(), _)) | ("pop", () | (int(),)) | ("clear" | "reverse" | "copy", ()):
            result = getattr(list, name)(owner, *site.positional)
        case "remove", (_,):
            place = _search(evaluator, owner, "remove", site)
            if place is NotImplemented:
                return place
            del owner[int(str(place))]
        case "sort", ():
            ordered = order_values(evaluator, "sorted", owner, site)
            if not isinstance(ordered, list):
                return ordered
            owner[:] = ordered
        case _:
            return _search(evaluator, owner, name, site)
    evaluator.heap.charge(1)
    if len(owner) > MAX_LENGTH:
        raise create_too_long_error()
    return result


def _call_dict_method(evaluator: ExpressionEvaluator, owner: dict[object, object], name: str, site: CallSite) -> object:
    evaluator.heap.charge(1 + len(owner) // 8)
    match name, site.positional:
        case (("get" | "pop" | "setdefault"), (key, *_)):
            is_known = is_valid_key(key) and not site.keywords
            return getattr(dict, name)(owner, *site.positional) if is_known else NotImplemented
        case (("keys" | "values" | "items"), ()):
            return DictView(owner, name)
        case (("copy" | "clear" | "popitem"), ()):
            return getattr(dict, name)(owner)
        case "update", _:
            added = make_dict(evaluator, site)
            if not isinstance(added, dict):
                return NotImplemented
            owner.update(added)
            return None
    return NotImplemented


def _call_set_method(evaluator: ExpressionEvaluator, owner: set[object], name: str, site: CallSite) -> object:
    if name in _ELEMENT_SET_METHODS and len(site.positional) == 1 and is_valid_key(site.first):
        return getattr(set, name)(owner, site.first)
    if name in _OTHER_SET_METHODS and len(site.positional) == 1:
        values = evaluator.iterate(site.first, site.node, is_ordered=False)
        if not isinstance(values, Unknown) and all(map(is_valid_key, values)):
            return getattr(set, name)(owner, values)
    if name in ("copy", "clear") and not site.positional:
        return getattr(set, name)(owner)
    return NotImplemented
