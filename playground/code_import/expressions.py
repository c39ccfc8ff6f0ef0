"""Evaluation of expressions by the abstract interpreter."""

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence

from playground.code_import.trace import Trace
from playground.code_import.values import (
    Call,
    ModuleSequence,
    Scope,
    SymbolicTensor,
    Unknown,
    UserFunction,
    apply_binary_operator,
    apply_comparison,
    create_child_scope,
    evaluate_truth,
    get_item,
    to_constant,
)


class ExpressionEvaluator(ABC):
    """Evaluates constants, names, lists and arithmetic; subclasses evaluate attributes and calls."""

    def __init__(self) -> None:
        self.trace = Trace()

    @abstractmethod
    def evaluate_call(self, node: ast.Call, scope: Scope) -> object:
        """Evaluate a call."""

    @abstractmethod
    def get_attribute(self, owner: object, name: str) -> object:
        """Evaluate an attribute of a value."""

    @abstractmethod
    def assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        """Assign a value to a name, an attribute or a tuple of them."""

    def evaluate(self, node: ast.expr, scope: Scope) -> object:
        """Evaluate an expression; ``Unknown`` if its value is known only at run time."""
        self.trace.count_step()
        match node:
            case ast.Constant(value=constant):
                return to_constant(constant)
            case ast.Name(id=name):
                return scope.get(name, Unknown(name))
            case ast.Attribute(value=owner, attr=name):
                return self.get_attribute(self.evaluate(owner, scope), name)
            case ast.Call():
                return self.evaluate_call(node, scope)
            case ast.Lambda():
                return UserFunction(node, scope)
            case ast.Tuple(elts=nodes):
                return tuple(self.evaluate_all(nodes, scope))
            case ast.List(elts=nodes):
                return self.evaluate_all(nodes, scope)
            case ast.Dict(keys=keys, values=nodes):
                names = [self.evaluate(key, scope) if key else None for key in keys]
                values = [self.evaluate(value, scope) for value in nodes]
                return {name: value for name, value in zip(names, values, strict=True) if isinstance(name, str)}
            case ast.Subscript(value=container, slice=key):
                return get_item(self.evaluate(container, scope), self.evaluate(key, scope))
            case ast.ListComp(elt=element, generators=[loop]) | ast.GeneratorExp(elt=element, generators=[loop]):
                return self._evaluate_comprehension(element, loop, scope)
        return self._evaluate_operator(node, scope)

    def _evaluate_operator(self, node: ast.expr, scope: Scope) -> object:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self.evaluate(operand, scope)
                return -number if isinstance(number, int | float) else Unknown()
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                known = evaluate_truth(self.evaluate(operand, scope))
                return Unknown() if known is None else not known
            case ast.BinOp(left=left, op=operator, right=right):
                return self.apply_operator(operator, self.evaluate(left, scope), self.evaluate(right, scope), node)
            case ast.Compare(left=left, ops=[comparison], comparators=[right]):
                return apply_comparison(comparison, self.evaluate(left, scope), self.evaluate(right, scope))
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self._evaluate_conditional(
                    evaluate_truth(self.evaluate(test, scope)), node, body, otherwise, scope
                )
        return Unknown()

    def _evaluate_conditional(
        self, condition: bool | None, node: ast.expr, body: ast.expr, otherwise: ast.expr, scope: Scope
    ) -> object:
        before = self.trace.undecided_line
        self.trace.undecided_line = before if condition is not None else node.lineno
        value = self.evaluate(body if condition else otherwise, scope)
        self.trace.undecided_line = before
        return value

    def apply_operator(self, operator: ast.operator, left: object, right: object, node: ast.AST) -> object:
        """Apply an operator to numbers or tensors; of tensors, only the sum of two is supported."""
        tensors = [side for side in (left, right) if isinstance(side, SymbolicTensor)]
        if len(tensors) == 2 and isinstance(operator, ast.Add):
            return self.trace.add_branches(tensors, node)
        if tensors:
            return self.trace.extend_tensor(tensors[0], Call("arithmetic", (), {}, node))
        return apply_binary_operator(operator, left, right)

    def evaluate_all(self, nodes: Sequence[ast.expr], scope: Scope) -> list[object]:
        """Evaluate several expressions, unpacking starred ones."""
        values: list[object] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                value = self.evaluate(node.value, scope)
                several = self.get_loop_values(value)
                values += [value] if several is None else several
            else:
                values.append(self.evaluate(node, scope))
        return values

    def get_loop_values(self, value: object) -> list[object] | None:
        """Return the values that a loop iterates over; None if they are unknown."""
        if isinstance(value, ModuleSequence):
            return list(value.parts)
        return list(value) if isinstance(value, list | tuple) else None

    def _evaluate_comprehension(self, element: ast.expr, loop: ast.comprehension, scope: Scope) -> object:
        rounds = self.get_loop_values(self.evaluate(loop.iter, scope))
        if rounds is None or loop.ifs:
            return Unknown()
        elements = []
        for value in rounds:
            inner = create_child_scope(scope)
            self.assign(loop.target, value, inner)
            elements.append(self.evaluate(element, inner))
        return elements
