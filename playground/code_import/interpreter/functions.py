"""Functions of the interpreted program: definition, binding of arguments and calls."""

import ast

from playground.code_import.interpreter.expressions import ExpressionEvaluator
from playground.code_import.interpreter.heap import create_too_long_error
from playground.code_import.interpreter.libraries.names import split_names
from playground.code_import.interpreter.operators import ProgramError
from playground.code_import.interpreter.values import CallSite, Scope, Unknown, UserFunction, get_line_number

_MAX_CALL_DEPTH = 32
IGNORED_DECORATORS = split_names("""
    no_grad inference_mode enable_grad function register_keras_serializable compile register wraps override
    abstractmethod final script export ignore total_ordering overload deprecated lru_cache cache
""")
"""Decorators that leave a function or a class as it is."""
_METHOD_KINDS = ("staticmethod", "classmethod", "property")


class FunctionEvaluator(ExpressionEvaluator):
    """Defines and calls functions."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def call_function(self, function: UserFunction, site: CallSite) -> object:
        """Call a function of the program."""
        if self._depth >= _MAX_CALL_DEPTH:
            raise create_too_long_error()
        self.used_definitions.add(function.node)
        scope = Scope(parent=function.scope)
        self._bind(function, site, scope)
        self._depth += 1
        try:
            return self.run_body(function, scope)
        finally:
            self._depth -= 1

    def _bind(self, function: UserFunction, site: CallSite, scope: Scope) -> None:
        """Bind arguments as Python does; ``*args`` and ``**kwargs`` that are unknown make parameters unknown."""
        arguments = function.node.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        by_keyword = [argument.arg for argument in arguments.kwonlyargs]
        cells = scope.cells
        open_values, open_keywords = site.unknown_values, site.keywords.get("**")
        positional = list(site.positional)
        if open_values:
            positional = positional[: positional.index(open_values)]
        cells.update(zip(names, positional, strict=False))
        extra = positional[len(names) :]
        if extra and not arguments.vararg:
            raise ProgramError("TypeError", f"{function.name}() takes {len(names)} positional arguments")
        others: dict[object, object] = {}
        for name, value in site.keywords.items():
            if name == "**":
                continue
            if name in cells:
                raise ProgramError("TypeError", f"{function.name}() got two values for {name}")
            if name in names or name in by_keyword:
                cells[name] = value
            elif arguments.kwarg:
                others[name] = value
            else:
                raise ProgramError("TypeError", f"{function.name}() has no argument {name}")
        defaults = dict(zip(reversed(names), reversed(function.defaults), strict=False))
        defaults |= {
            name: value for name, value in zip(by_keyword, function.keyword_defaults, strict=True) if value is not ...
        }
        for name in (*names, *by_keyword):
            if name not in cells:
                if open_values or open_keywords:
                    cells[name] = open_values or open_keywords
                else:
                    cells[name] = defaults[name] if name in defaults else self._fill_argument(function, name)
        if arguments.vararg:
            cells[arguments.vararg.arg] = open_values or tuple(extra)
        if arguments.kwarg:
            cells[arguments.kwarg.arg] = open_keywords or others
        self.heap.charge(len(cells))

    def _fill_argument(self, function: UserFunction, name: str) -> Unknown:
        """Return the value of a required argument that a call lacks."""
        if self.is_filling:
            return Unknown(f"`{name}` has no value in this code", get_line_number(function.node), is_absent=True)
        raise ProgramError("TypeError", f"{function.name}() needs a value for {name}")

    def define_function(self, statement: ast.FunctionDef, scope: Scope) -> object:
        """Return the function of a ``def`` statement, or ``Unknown`` if a decorator may replace it."""
        function = self.make_function(statement, statement.args, scope)
        kind = ""
        for decorator in reversed(statement.decorator_list):
            name = get_decorator_name(decorator)
            if name in _METHOD_KINDS:
                kind = name
            elif name not in IGNORED_DECORATORS:
                return Unknown(f"the decorator `{ast.unparse(decorator)[:40]}` may change {statement.name}")
        if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(statement)):
            return Unknown(f"{statement.name} is a generator, which cannot be followed")
        return UserFunction(statement, scope, function.defaults, function.keyword_defaults, kind=kind)


def get_decorator_name(node: ast.expr) -> str:
    """Return the last part of a decorator's name; of ``@x.setter`` and the like, nothing that is known."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]
