"""What an expression of pasted code is worth, as far as that is known without running it."""

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence

from playground.code_import.trace import Trace
from playground.code_import.values import (
    Call,
    Flow,
    Function,
    Scope,
    Stack,
    Unknown,
    child,
    combined,
    compared,
    item,
    literal,
    truth,
)


class Expressions(ABC):
    """Constants, names, lists and arithmetic. What a name's attribute is and what a call gives, a subclass says."""

    def __init__(self) -> None:
        self.trace = Trace()

    @abstractmethod
    def call(self, node: ast.Call, scope: Scope) -> object:
        """What a call gives."""

    @abstractmethod
    def attribute(self, owner: object, name: str) -> object:
        """What stands behind the dot."""

    @abstractmethod
    def assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        """Let a name, an attribute or several of them hold a value."""

    def value(self, node: ast.expr, scope: Scope) -> object:
        """A number, a text, a layer …; ``Unknown`` for everything else."""
        self.trace.count()
        match node:
            case ast.Constant(value=constant):
                return literal(constant)
            case ast.Name(id=name):
                return scope.get(name, Unknown(name))
            case ast.Attribute(value=owner, attr=name):
                return self.attribute(self.value(owner, scope), name)
            case ast.Call():
                return self.call(node, scope)
            case ast.Lambda():
                return Function(node, scope)
            case ast.Tuple(elts=nodes):
                return tuple(self.items(nodes, scope))
            case ast.List(elts=nodes):
                return self.items(nodes, scope)
            case ast.Dict(keys=keys, values=nodes):
                names = [self.value(key, scope) if key else None for key in keys]
                values = [self.value(value, scope) for value in nodes]
                return {name: value for name, value in zip(names, values, strict=True) if isinstance(name, str)}
            case ast.Subscript(value=container, slice=key):
                return item(self.value(container, scope), self.value(key, scope))
            case ast.ListComp(elt=element, generators=[loop]) | ast.GeneratorExp(elt=element, generators=[loop]):
                return self._listed(element, loop, scope)
        return self._computed(node, scope)

    def _computed(self, node: ast.expr, scope: Scope) -> object:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self.value(operand, scope)
                return -number if isinstance(number, int | float) else Unknown()
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                known = truth(self.value(operand, scope))
                return Unknown() if known is None else not known
            case ast.BinOp(left=left, op=operator, right=right):
                return self.operation(operator, self.value(left, scope), self.value(right, scope), node)
            case ast.Compare(left=left, ops=[comparison], comparators=[right]):
                return compared(comparison, self.value(left, scope), self.value(right, scope))
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self._either(truth(self.value(test, scope)), node, body, otherwise, scope)
        return Unknown()

    def _either(
        self, decided: bool | None, node: ast.expr, body: ast.expr, otherwise: ast.expr, scope: Scope
    ) -> object:
        before = self.trace.undecided
        self.trace.undecided = before if decided is not None else node.lineno
        value = self.value(body if decided else otherwise, scope)
        self.trace.undecided = before
        return value

    def operation(self, operator: ast.operator, left: object, right: object, node: ast.AST) -> object:
        """Arithmetic of numbers, or of the image: two of its ways can be added, nothing else can be done to it here."""
        flows = [side for side in (left, right) if isinstance(side, Flow)]
        if len(flows) == 2 and isinstance(operator, ast.Add):
            return self.trace.summed(flows, node)
        if flows:
            return self.trace.longer(flows[0], Call("arithmetic", (), {}, node))
        return combined(operator, left, right)

    def items(self, nodes: Sequence[ast.expr], scope: Scope) -> list[object]:
        """The values of several expressions, those with a star unpacked."""
        found: list[object] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                value = self.value(node.value, scope)
                several = self.rounds(value)
                found += [value] if several is None else several
            else:
                found.append(self.value(node, scope))
        return found

    def rounds(self, value: object) -> list[object] | None:
        """What a loop goes over; None if that is unknown."""
        if isinstance(value, Stack):
            return list(value.parts)
        return list(value) if isinstance(value, list | tuple) else None

    def _listed(self, element: ast.expr, loop: ast.comprehension, scope: Scope) -> object:
        rounds = self.rounds(self.value(loop.iter, scope))
        if rounds is None or loop.ifs:
            return Unknown()
        found = []
        for value in rounds:
            inner = child(scope)
            self.assign(loop.target, value, inner)
            found.append(self.value(element, inner))
        return found
