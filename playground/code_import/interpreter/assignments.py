"""Assignment to names, attributes, items and patterns, and deletion."""

import ast
from collections.abc import Sequence

from playground.code_import.interpreter.heap import create_stop_error
from playground.code_import.interpreter.operators import (
    ProgramError,
    apply_binary_operator,
    check_result,
    is_equal,
    is_valid_key,
)
from playground.code_import.interpreter.undecided import UndecidedEvaluator
from playground.code_import.interpreter.values import (
    CallSite,
    ModuleSequence,
    Scope,
    SymbolicTensor,
    Unknown,
    UserInstance,
    find_unknown,
    get_line_number,
)

_NOT_FOLLOWED = "this change cannot be followed"


class AssignmentEvaluator(UndecidedEvaluator):
    """Assigns values."""

    def set_name(self, name: str, value: object, scope: Scope) -> None:
        """Assign a value to a name, in the scope that the name belongs to."""
        target = scope.outer_names.get(name, scope)
        self.heap.touch(target)
        target.cells[name] = value

    def assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        """Assign a value to a name, an attribute, an item or several targets."""
        match target:
            case ast.Name(id=name):
                if isinstance(value, UserInstance | ModuleSequence):
                    self.record_use(value, target, "assigned")
                self.set_name(name, value, scope)
            case ast.Attribute(value=node, attr=name):
                self.set_attribute(self.evaluate(node, scope), name, value, target)
            case ast.Subscript(value=node, slice=key):
                self._set_item(self.evaluate(node, scope), self.evaluate(key, scope), value, target)
            case ast.Starred(value=inner):
                self.assign(inner, value, scope)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                self._unpack(targets, value, target, scope)
            case _:
                raise create_stop_error(get_line_number(target), "this assignment cannot be followed")

    def _unpack(self, targets: Sequence[ast.expr], value: object, node: ast.AST, scope: Scope) -> None:
        values = self.iterate(value, node)
        if isinstance(values, Unknown):
            for target in targets:
                self.assign(target, values, scope)
            return
        starred = [index for index, target in enumerate(targets) if isinstance(target, ast.Starred)]
        if starred:
            after = len(targets) - starred[0] - 1
            if len(values) < len(targets) - 1:
                raise ValueError("not enough values to unpack")
            end = len(values) - after
            values = [*values[: starred[0]], values[starred[0] : end], *values[end:]]
        if len(values) != len(targets):
            raise ValueError(f"expected {len(targets)} values to unpack, not {len(values)}")
        for target, one in zip(targets, values, strict=True):
            self.assign(target, one, scope)

    def _set_item(self, container: object, key: object, value: object, node: ast.AST) -> None:
        if isinstance(container, UserInstance):
            found = self.call_special_method(container, "__setitem__", CallSite(node, (key, value)))
            if found is not NotImplemented:
                return
            container = container.base
        line = get_line_number(node)
        match container:
            case ModuleSequence():
                self.set_part(container, key, value, node)
            case list() if isinstance(key, int):
                self.heap.touch(container)
                container[key] = value
            case list() if isinstance(key, slice):
                values = self.iterate(value, node)
                if isinstance(values, Unknown):
                    self.heap.taint(container, values)
                    return
                self.heap.touch(container)
                container[key] = values
                check_result(self.heap, container)
            case dict() if is_valid_key(key):
                self.heap.touch(container)
                container[key] = value
            case list() | dict():
                self.heap.taint(container, find_unknown([key]) or Unknown(_NOT_FOLLOWED, line))
            case SymbolicTensor():
                self.heap.taint(container, Unknown("a part of a tensor is assigned", line))
            case Unknown():
                self.heap.taint_reachable([value], Unknown("it becomes part of a value that cannot be followed", line))
            case str() | tuple() | int() | float() | None:
                raise TypeError("this value does not support item assignment")
            case _:
                raise create_stop_error(line, "this assignment cannot be followed")

    def delete(self, target: ast.expr, scope: Scope) -> None:
        """Delete a name, an attribute or an item."""
        match target:
            case ast.Name(id=name):
                found = scope.outer_names.get(name, scope)
                self.heap.touch(found)
                if name not in found.cells:
                    raise ProgramError("NameError", f"{name} is not defined")
                del found.cells[name]
                return
            case ast.Subscript(value=node, slice=key_node):
                container, key = self.evaluate(node, scope), self.evaluate(key_node, scope)
                if isinstance(container, UserInstance) and container.base:
                    container = container.base
                match container:
                    case list() | dict():
                        self._delete_item(container, key)
                        return
                    case ModuleSequence():
                        self.delete_part(container, key, target)
                        return
            case ast.Attribute(value=node, attr=name):
                owner = self.evaluate(node, scope)
                if isinstance(owner, UserInstance | ModuleSequence) and name in owner.cells:
                    self.heap.touch(owner)
                    del owner.cells[name]
                    return
        if not isinstance(self.evaluate(target, scope), Unknown):
            raise create_stop_error(get_line_number(target), "this deletion cannot be followed")

    def _delete_item(self, container: list[object] | dict[object, object], key: object) -> None:
        self.heap.touch(container)
        match container, key:
            case list(), int() | slice():
                del container[key]
            case dict(), _ if is_valid_key(key):
                del container[key]
            case _:
                self.heap.taint(container, find_unknown([key]) or Unknown(_NOT_FOLLOWED))

    def execute_augmented_assignment(self, statement: ast.AugAssign, scope: Scope) -> None:
        """Execute ``x += 1``; lists, dictionaries, sets and sequences of modules are changed in place."""
        target, operator = statement.target, statement.op
        left = self.evaluate(ast.copy_location(_to_load(target), target), scope)
        right = self.evaluate(statement.value, scope)
        if isinstance(left, list) and isinstance(operator, ast.Add):
            values = self.iterate(right, statement)
            if isinstance(values, Unknown):
                self.heap.taint(left, values)
                return
            self.heap.touch(left)
            left.extend(values)
            check_result(self.heap, left)
            self.assign(target, left, scope)
        elif isinstance(left, ModuleSequence) and isinstance(operator, ast.Add):
            self.call_method(left, "extend", CallSite(statement, (right,)))
        elif isinstance(left, dict | set) and not isinstance(right, Unknown):
            result = apply_binary_operator(self.heap, operator, left, right)
            self.heap.touch(left)
            if isinstance(left, dict) and isinstance(result, dict):
                left.update(result)
            elif isinstance(left, set) and isinstance(result, set):
                left.intersection_update(result)
                left.update(result)
            else:
                self.heap.taint(left, Unknown(_NOT_FOLLOWED, statement.lineno))
        else:
            if isinstance(right, Unknown) and isinstance(left, list | dict | set):
                self.heap.taint(left, right)
            self.assign(target, self.apply_operator(operator, left, right, statement, is_in_place=True), scope)

    def match_pattern(self, pattern: ast.pattern, subject: object, scope: Scope) -> object:
        """Compare a value with the pattern of a ``case`` and assign its names: True, False or ``Unknown``."""
        match pattern:
            case ast.MatchValue(value=node):
                return is_equal(self.heap, subject, self.evaluate(node, scope))
            case ast.MatchSingleton(value=value):
                return subject if isinstance(subject, Unknown) else subject is value
            case ast.MatchAs(pattern=inner, name=name):
                answer = self.match_pattern(inner, subject, scope) if inner else True
                if name and answer is not False:
                    self.set_name(name, subject, scope)
                return answer
            case ast.MatchOr(patterns=patterns):
                answers = [self.match_pattern(one, subject, scope) for one in patterns]
                return True if True in answers else next((one for one in answers if isinstance(one, Unknown)), False)
            case ast.MatchSequence(patterns=patterns) if not any(isinstance(one, ast.MatchStar) for one in patterns):
                if not isinstance(subject, list | tuple):
                    return subject if isinstance(subject, Unknown) else False
                if len(subject) != len(patterns):
                    return False
                pairs = zip(patterns, subject, strict=True)
                answers = [self.match_pattern(one, value, scope) for one, value in pairs]
                return False if False in answers else next((one for one in answers if isinstance(one, Unknown)), True)
        reason = f"this pattern cannot be followed: {ast.unparse(pattern)[:40]}"
        raise create_stop_error(get_line_number(pattern), reason)


def _to_load(target: ast.expr) -> ast.expr:
    match target:
        case ast.Name(id=name):
            return ast.Name(name, ast.Load())
        case ast.Attribute(value=value, attr=name):
            return ast.Attribute(value, name, ast.Load())
        case ast.Subscript(value=value, slice=key):
            return ast.Subscript(value, key, ast.Load())
    return target
