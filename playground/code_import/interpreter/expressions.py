"""Evaluation of expressions with Python's semantics over known values."""

import ast
import re
from collections.abc import Sequence
from dataclasses import replace

from playground.code_import.interpreter.evaluator import HOST_ERRORS, Evaluator
from playground.code_import.interpreter.heap import create_stop_error
from playground.code_import.interpreter.operators import (
    MAX_LENGTH,
    ProgramError,
    apply_binary_operator,
    apply_comparison,
    apply_unary_operator,
    check_result,
    evaluate_truth,
    get_item,
    is_valid_key,
)
from playground.code_import.interpreter.values import (
    Call,
    CallSite,
    DictView,
    ExampleTensor,
    IteratorValue,
    LibraryName,
    ModuleSequence,
    Scope,
    SymbolicTensor,
    TensorSize,
    Unknown,
    UnknownValues,
    UserFunction,
    UserInstance,
    find_unknown,
    get_line_number,
)

_UNORDERED = Unknown("the order of the elements of a set is not defined")


class ExpressionEvaluator(Evaluator):
    """Evaluates expressions."""

    def evaluate(self, node: ast.expr, scope: Scope) -> object:
        """Evaluate an expression; ``Unknown`` if the code does not determine its value."""
        self.heap.charge(1)
        try:
            value = self._evaluate(node, scope)
        except HOST_ERRORS as error:
            raise ProgramError(type(error).__name__, str(error)) from None
        value = self.heap.get_taint(value) or value
        self.unknown_call_count += isinstance(value, Unknown)
        if isinstance(value, Unknown) and not value.line:
            return replace(value, line=get_line_number(node))
        return value

    def _evaluate(self, node: ast.expr, scope: Scope) -> object:
        match node:
            case ast.Constant(value=constant):
                return self._make_constant(constant)
            case ast.Name(id=name):
                return self.find_name(name, scope, node)
            case ast.Attribute(value=owner, attr=name):
                return self.get_attribute(self.evaluate(owner, scope), name, node)
            case ast.Call():
                return self._evaluate_call(node, scope)
            case ast.Lambda(args=arguments):
                return self.make_function(node, arguments, scope)
            case ast.Tuple(elts=nodes) | ast.List(elts=nodes) | ast.Set(elts=nodes):
                return self._make_collection(node, self.evaluate_all(nodes, scope))
            case ast.Dict():
                return self._evaluate_dict(node, scope)
            case ast.Subscript(value=container, slice=key):
                return self.get_subscript(self.evaluate(container, scope), self.evaluate(key, scope), node)
            case ast.Slice(lower=lower, upper=upper, step=step):
                ends = [self.evaluate(end, scope) if end else None for end in (lower, upper, step)]
                unknown = next((end for end in ends if isinstance(end, Unknown)), None)
                return unknown or slice(*ends)
        return self._evaluate_operator(node, scope)

    def _evaluate_operator(self, node: ast.expr, scope: Scope) -> object:
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                truth = self.get_truth(self.evaluate(operand, scope), node)
                return truth if isinstance(truth, Unknown) else not truth
            case ast.UnaryOp(op=operator, operand=operand):
                value = self.evaluate(operand, scope)
                if isinstance(value, SymbolicTensor):
                    return self.extend(value, Call("arithmetic", (), {}, node))
                return apply_unary_operator(operator, value)
            case ast.BinOp(left=left, op=operator, right=right):
                return self.apply_operator(operator, self.evaluate(left, scope), self.evaluate(right, scope), node)
            case ast.BoolOp(op=operator, values=nodes):
                return self._evaluate_boolean(node, nodes, scope, is_or=isinstance(operator, ast.Or))
            case ast.Compare(left=left, ops=operators, comparators=nodes):
                return self._evaluate_comparison(self.evaluate(left, scope), operators, nodes, scope, node)
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self.choose(
                    self.get_truth(self.evaluate(test, scope), test),
                    test,
                    lambda: self.evaluate(body, scope),
                    lambda: self.evaluate(otherwise, scope),
                )
            case ast.NamedExpr(target=target, value=inner):
                value = self.evaluate(inner, scope)
                self.assign(target, value, scope.function_scope)
                return value
            case ast.ListComp() | ast.SetComp() | ast.DictComp():
                return self._evaluate_comprehension(node, scope)
            case ast.GeneratorExp():
                return Unknown("a generator that is kept cannot be followed; make it a list")
            case ast.JoinedStr(values=nodes):
                return self._evaluate_formatted(nodes, scope)
        raise create_stop_error(get_line_number(node), f"{ast.unparse(node)[:60]} cannot be followed")

    def _make_constant(self, value: object) -> object:
        if isinstance(value, int | float | str | None):
            return check_result(self.heap, value)
        return value if value is ... else Unknown("this constant is not supported")

    def _make_collection(self, node: ast.Tuple | ast.List | ast.Set, values: list[object]) -> object:
        """Return the value of a list, a tuple or a set, whose length must be known."""
        unknown = next((value for value in values if isinstance(value, UnknownValues)), None)
        if unknown:
            return Unknown(unknown.reason, unknown.line)
        if isinstance(node, ast.Set):
            return self._make_set(values)
        return values if isinstance(node, ast.List) else tuple(values)

    def _make_set(self, values: Sequence[object]) -> object:
        if all(map(is_valid_key, values)):
            return set(values)
        return find_unknown(values) or Unknown("the elements of this set cannot be followed")

    def _evaluate_dict(self, node: ast.Dict, scope: Scope) -> object:
        result: dict[object, object] = {}
        unknown: Unknown | None = None
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            key = self.evaluate(key_node, scope) if key_node else None
            value = self.evaluate(value_node, scope)
            if not key_node:
                if isinstance(value, dict):
                    result |= value
                else:
                    unknown = value if isinstance(value, Unknown) else Unknown("this is not a dictionary")
            elif is_valid_key(key):
                result[key] = value
            else:
                unknown = key if isinstance(key, Unknown) else Unknown("this key of a dictionary cannot be followed")
        return unknown or check_result(self.heap, result)

    def get_subscript(self, container: object, key: object, node: ast.AST) -> object:
        """Evaluate ``container[key]``."""
        if isinstance(container, UserInstance):
            found = self.call_special_method(container, "__getitem__", CallSite(node, (key,)))
            if found is not NotImplemented or container.base is None:
                return Unknown("this class has no items") if found is NotImplemented else found
            container = container.base
        if isinstance(container, ModuleSequence):
            return self.get_part(container, key, node)
        if isinstance(container, SymbolicTensor):
            return self.extend(container, Call("indexing", (key,), {}, node))
        if isinstance(container, LibraryName):  # ``list[int]`` in an annotation
            return container
        if isinstance(container, TensorSize):
            return container.select(key)
        if isinstance(container, ExampleTensor):
            return container.values
        return check_result(self.heap, get_item(container, key))

    def apply_operator(
        self, operator: ast.operator, left: object, right: object, node: ast.AST, *, is_in_place: bool = False
    ) -> object:
        """Apply an operator to plain values, sequences of modules or tensors."""
        if isinstance(left, SymbolicTensor) or isinstance(right, SymbolicTensor):
            return self.apply_tensor_operator(operator, left, right, node, is_in_place=is_in_place)
        if isinstance(left, ModuleSequence) and isinstance(right, ModuleSequence) and isinstance(operator, ast.Add):
            parts = enumerate([*left.parts, *right.parts])
            return ModuleSequence(left.kind, node, left.library, {str(index): part for index, part in parts})
        return apply_binary_operator(self.heap, operator, left, right)

    def get_truth(self, value: object, node: ast.AST) -> bool | Unknown:
        """Return the truth value of a value."""
        if isinstance(value, UserInstance):
            for name in ("__bool__", "__len__"):
                answer = self.call_special_method(value, name, CallSite(node))
                if answer is not NotImplemented:
                    return evaluate_truth(answer)
        return evaluate_truth(value)

    def _evaluate_boolean(self, node: ast.AST, nodes: Sequence[ast.expr], scope: Scope, *, is_or: bool) -> object:
        value = self.evaluate(nodes[0], scope)
        if len(nodes) == 1:
            return value
        truth = self.get_truth(value, nodes[0])
        if isinstance(truth, bool):
            return value if truth is is_or else self._evaluate_boolean(node, nodes[1:], scope, is_or=is_or)
        rest = self.choose(
            truth, node, lambda: value, lambda: self._evaluate_boolean(node, nodes[1:], scope, is_or=is_or)
        )
        return rest if isinstance(rest, Unknown) else truth

    def _evaluate_comparison(
        self, left: object, operators: Sequence[ast.cmpop], nodes: Sequence[ast.expr], scope: Scope, node: ast.AST
    ) -> object:
        right = self.evaluate(nodes[0], scope)
        answer = apply_comparison(self.heap, operators[0], left, right)
        if len(nodes) == 1 or answer is False:
            return answer
        return self.choose(
            answer,
            node,
            lambda: self._evaluate_comparison(right, operators[1:], nodes[1:], scope, node),
            lambda: answer,
        )

    def _evaluate_formatted(self, nodes: Sequence[ast.expr], scope: Scope) -> object:
        parts: list[str] = []
        unknown: Unknown | None = None
        for node in nodes:
            value = self.evaluate(node.value if isinstance(node, ast.FormattedValue) else node, scope)
            spec: object = ""
            if isinstance(node, ast.FormattedValue) and node.format_spec:
                spec = self.evaluate(node.format_spec, scope)
            is_plain = isinstance(value, int | float | str | None) and isinstance(spec, str)
            if not is_plain or re.search(r"\d{3}", str(spec)):
                unknown = value if isinstance(value, Unknown) else Unknown("this text cannot be followed")
            else:
                shown = repr(value) if isinstance(node, ast.FormattedValue) and node.conversion == ord("r") else value
                parts.append(format(shown, str(spec)))
        return unknown or check_result(self.heap, "".join(parts))

    def _evaluate_call(self, node: ast.Call, scope: Scope) -> object:
        function = self.evaluate(node.func, scope)
        positional = self.evaluate_all(node.args, scope)
        keywords: dict[str, object] = {}
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, scope)
            if keyword.arg:
                keywords[keyword.arg] = value
            elif isinstance(value, dict) and all(isinstance(name, str) for name in value):
                keywords |= {str(name): item for name, item in value.items()}
            else:
                keywords["**"] = value if isinstance(value, Unknown) else Unknown("these arguments cannot be followed")
        return self.call_value(function, CallSite(node, positional, keywords))

    def evaluate_all(self, nodes: Sequence[ast.expr], scope: Scope) -> list[object]:
        """Evaluate several expressions, unpacking starred ones; an unknown number of values gives one marker."""
        values: list[object] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                several = self.iterate(self._evaluate_argument(node.value, scope), node)
                values += [UnknownValues(several.reason, several.line)] if isinstance(several, Unknown) else several
            else:
                values.append(self._evaluate_argument(node, scope))
        self.heap.charge(len(values))
        return values

    def _evaluate_argument(self, node: ast.expr, scope: Scope) -> object:
        """Evaluate an argument or an element; a generator is used up at once there."""
        if isinstance(node, ast.GeneratorExp):
            return self._evaluate_comprehension(node, scope)
        return self.evaluate(node, scope)

    def make_function(self, node: ast.FunctionDef | ast.Lambda, arguments: ast.arguments, scope: Scope) -> UserFunction:
        """Return a function with its default values, which are evaluated once."""
        defaults = tuple(self.evaluate(default, scope) for default in arguments.defaults)
        by_keyword = tuple(self.evaluate(default, scope) if default else ... for default in arguments.kw_defaults)
        return UserFunction(node, scope, defaults, by_keyword)

    def iterate(self, value: object, node: ast.AST, *, is_ordered: bool = True) -> list[object] | Unknown:
        """Return the values that a loop goes through; an iterator is used up."""
        if taint := self.heap.get_taint(value):
            return taint
        if isinstance(value, UserInstance) and value.base:
            value = value.base
        match value:
            case Unknown():
                return value
            case IteratorValue(items=items):
                if value.is_stale():
                    raise create_stop_error(get_line_number(node), "the list is changed while a loop goes through it")
                self.heap.touch(value)
                start = value.cells["position"]
                value.cells["position"] = len(items)
                return items[start if isinstance(start, int) else 0 :]
            case DictView(owner=owner, items=items):
                return self.heap.get_taint(owner) or items
            case set() if is_ordered and len(value) > 1:
                return _UNORDERED
            case ModuleSequence():
                return list(value.cells) if value.kind == "ModuleDict" else value.parts
            case list() | tuple() | str() | dict() | set() | range():
                if len(value) > MAX_LENGTH:
                    return Unknown("this sequence is too long to follow")
                self.heap.charge(len(value))
                return list(value)
            case int() | float() | None:
                raise TypeError("this value is not iterable")
        return Unknown("the values of this loop cannot be followed")

    def _evaluate_comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> object:
        inner = Scope(parent=scope, frame=scope.frame, is_comprehension=True)
        found: list[object] = []
        unknown: list[Unknown] = []

        def run(depth: int) -> None:
            if depth == len(node.generators):
                if isinstance(node, ast.DictComp):
                    found.append((self.evaluate(node.key, inner), self.evaluate(node.value, inner)))
                else:
                    found.append(self.evaluate(node.elt, inner))
                return
            values = self.iterate(self.evaluate(node.generators[depth].iter, inner if depth else scope), node)
            if isinstance(values, Unknown):
                unknown.append(values)
                self.assign(node.generators[depth].target, values, inner)
                self.choose(values, node, lambda: step(depth, 0), lambda: None)
                return
            for value in values:
                self.assign(node.generators[depth].target, value, inner)
                step(depth, 0)

        def step(depth: int, position: int) -> None:
            self.heap.charge(1)
            tests = node.generators[depth].ifs
            if position == len(tests):
                run(depth + 1)
                return
            truth = self.get_truth(self.evaluate(tests[position], inner), tests[position])
            if isinstance(truth, Unknown):
                unknown.append(truth)
            self.choose(truth, tests[position], lambda: step(depth, position + 1), lambda: None)

        run(0)
        if unknown:
            return unknown[0]
        if isinstance(node, ast.GeneratorExp):
            return IteratorValue(found)
        if isinstance(node, ast.SetComp):
            return self._make_set(found)
        if isinstance(node, ast.DictComp):
            pairs = [pair for pair in found if isinstance(pair, tuple)]
            if not all(is_valid_key(key) for key, _ in pairs):
                return Unknown("the keys of this dictionary cannot be followed")
            return check_result(self.heap, dict(pairs))
        return check_result(self.heap, found)
