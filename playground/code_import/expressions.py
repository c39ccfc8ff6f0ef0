"""What an expression of pasted code is worth, as far as that is known without running it."""

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
    """Constants, names, lists and arithmetic. What a name's attribute is and what a call gives, a subclass says."""

    def __init__(self) -> None:
        self.trace = Trace()

    @abstractmethod
    def evaluate_call(self, node: ast.Call, scope: Scope) -> object:
        """What a call gives."""

    @abstractmethod
    def get_attribute(self, owner: object, name: str) -> object:
        """What stands behind the dot."""

    @abstractmethod
    def assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        """Let a name, an attribute or several of them hold a value."""

    def evaluate(self, node: ast.expr, scope: Scope) -> object:
        """A number, a text, a layer …; ``Unknown`` for everything else."""
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
        """Arithmetic of numbers, or of the image: two of its ways can be added, nothing else can be done to it here."""
        flows = [side for side in (left, right) if isinstance(side, SymbolicTensor)]
        if len(flows) == 2 and isinstance(operator, ast.Add):
            return self.trace.add_branches(flows, node)
        if flows:
            return self.trace.extend_tensor(flows[0], Call("arithmetic", (), {}, node))
        return apply_binary_operator(operator, left, right)

    def evaluate_all(self, nodes: Sequence[ast.expr], scope: Scope) -> list[object]:
        """The values of several expressions, those with a star unpacked."""
        found: list[object] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                value = self.evaluate(node.value, scope)
                several = self.get_loop_values(value)
                found += [value] if several is None else several
            else:
                found.append(self.evaluate(node, scope))
        return found

    def get_loop_values(self, value: object) -> list[object] | None:
        """What a loop goes over; None if that is unknown."""
        if isinstance(value, ModuleSequence):
            return list(value.parts)
        return list(value) if isinstance(value, list | tuple) else None

    def _evaluate_comprehension(self, element: ast.expr, loop: ast.comprehension, scope: Scope) -> object:
        rounds = self.get_loop_values(self.evaluate(loop.iter, scope))
        if rounds is None or loop.ifs:
            return Unknown()
        found = []
        for value in rounds:
            inner = create_child_scope(scope)
            self.assign(loop.target, value, inner)
            found.append(self.evaluate(element, inner))
        return found
