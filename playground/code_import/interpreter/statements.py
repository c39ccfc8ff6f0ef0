"""Interpreter of pasted code: executes the statements it knows with Python's semantics, and never the code itself.

Values that the code does not determine are ``Unknown``, and so is everything computed from them. A condition that is
unknown is not decided: both branches are executed apart from each other, and what they leave differently becomes
unknown. A loop over unknown values may run any number of times. Statements that are not known stop the reading.
"""

import ast
from collections.abc import Callable, Sequence
from functools import partial

from playground.code_import.interpreter.expressions import HOST_ERRORS
from playground.code_import.interpreter.heap import Branch, create_stop_error, join_values
from playground.code_import.interpreter.library_names import get_library
from playground.code_import.interpreter.library_objects import LibraryObjectEvaluator
from playground.code_import.interpreter.operators import (
    ProgramError,
    apply_binary_operator,
    check_result,
    is_equal,
    is_valid_key,
)
from playground.code_import.interpreter.values import (
    Frame,
    IteratorValue,
    LibraryName,
    ModuleSequence,
    Scope,
    SymbolicTensor,
    Unknown,
    UserFunction,
    UserInstance,
    find_unknown,
    get_line_number,
)

_NEXT = "next"
_BREAK = "break"
_CONTINUE = "continue"
_RETURN = "return"
Exits = frozenset[str]
"""How a statement may end: the next statement follows, or the loop or function ends."""

_GO_ON: Exits = frozenset((_NEXT,))
_MAX_LOOP_STEPS = 60_000
_MAX_ROUNDS = 12


class Interpreter(LibraryObjectEvaluator):
    """Executes statements."""

    def __init__(self) -> None:
        super().__init__()
        self.definitions: list[tuple[str, object, ast.AST]] = []
        """Functions and classes that the program defines, in order."""
        self.module_scope = Scope(cells={"__name__": "__main__", "__file__": Unknown("`__file__` is not known here")})
        self.last_line = 1
        self._handler_depth = 0
        self._exit_reason: Unknown | None = None

    def execute_module(self, tree: ast.Module) -> None:
        """Execute a program; raises ArchitectureError where it cannot be followed or stops with an error."""
        try:
            self._execute_block(tree.body, self.module_scope)
        except ProgramError as error:
            if not (tree.body and tree.body[-1].lineno <= self.last_line and self.networks):
                raise self.create_program_error(error) from None

    def create_program_error(self, error: ProgramError) -> Exception:
        """Return the error for a program that stops with an exception."""
        return create_stop_error(
            self.last_line,
            f"the program stops here with {error.name}: {error}"[:200],
            "Correct this line, or remove it.",
        )

    # Blocks and undecided execution

    def _execute_block(self, body: Sequence[ast.stmt], scope: Scope) -> Exits:
        """Execute statements; after one that may leave the block, the others may not run."""
        exits: set[str] = set()
        for index, statement in enumerate(body):
            ended = self._execute(statement, scope)
            exits |= ended - _GO_ON
            if _NEXT not in ended:
                return frozenset(exits)
            if ended != _GO_ON:
                unknown = Unknown("an earlier condition cannot be decided", get_line_number(statement))
                reason = self._exit_reason or unknown
                rest = self._execute_maybe(partial(self._execute_block, body[index + 1 :], scope), reason)
                return frozenset(exits | rest)
        return frozenset(exits | _GO_ON)

    def _execute_maybe(self, run: Callable[[], Exits], unknown: Unknown) -> Exits:
        """Execute what may not run, and join the state with that before."""
        exits: list[Exits] = [frozenset()]
        branch = self._speculate(lambda: exits.append(run()))
        if branch:
            self.heap.join([Branch(), branch], unknown)
        return exits[-1]

    def _speculate(self, run: Callable[[], None]) -> Branch | None:
        """Execute and undo; None if the program stops there with an error, which is assumed not to happen."""
        failed = False

        def run_guarded() -> None:
            nonlocal failed
            try:
                run()
            except ProgramError:
                if self._handler_depth:
                    raise create_stop_error(
                        self.last_line, "an error may be raised and handled here, which cannot be decided"
                    ) from None
                failed = True

        branch = self.heap.speculate(run_guarded)
        return None if failed else branch

    def _execute_alternatives(self, first: Callable[[], Exits], second: Callable[[], Exits], unknown: Unknown) -> Exits:
        """Execute both branches of an undecided condition apart from each other, and join the states after them."""
        exits: list[Exits] = []
        branches = []
        for run in (first, second):
            branch = self._speculate(lambda run=run: exits.append(run()))  # type: ignore[misc]
            if branch:
                branches.append(branch)
        if not branches:
            raise ProgramError("Exception", "every branch raises an error")
        self.heap.join(branches, unknown)
        joined = frozenset(one for ended in exits for one in ended)
        if joined != _GO_ON:
            self._exit_reason = unknown
        return joined

    def choose(
        self, condition: object, node: ast.AST, then: Callable[[], object], otherwise: Callable[[], object]
    ) -> object:
        """Evaluate one alternative, or both apart from each other if the condition is unknown."""
        if not isinstance(condition, Unknown):
            return then() if condition else otherwise()
        unknown = _create_undecided(node, condition)
        values: list[object] = []
        branches = []
        for run in (then, otherwise):
            branch = self._speculate(lambda run=run: values.append(run()))  # type: ignore[misc]
            if branch:
                branches.append(branch)
        self.heap.join(branches, unknown)
        return join_values(values, unknown) if values else unknown

    # Statements

    def _execute(self, statement: ast.stmt, scope: Scope) -> Exits:
        self.heap.charge(1)
        self.last_line = statement.lineno
        try:
            return self._execute_statement(statement, scope)
        except HOST_ERRORS as error:
            raise ProgramError(type(error).__name__, str(error)) from None

    def _execute_statement(self, statement: ast.stmt, scope: Scope) -> Exits:
        match statement:
            case ast.Assign(targets=targets, value=node):
                value = self.evaluate(node, scope)
                for target in targets:
                    self.assign(target, value, scope)
            case ast.AnnAssign(target=target, value=node):
                if node:
                    self.assign(target, self.evaluate(node, scope), scope)
            case ast.AugAssign():
                self._execute_augmented_assignment(statement, scope)
            case ast.Expr(value=node):
                self.evaluate(node, scope)
            case ast.Return(value=node):
                value = self.evaluate(node, scope) if node else None
                if scope.frame:
                    scope.frame.returned.append(value)
                return frozenset((_RETURN,))
            case ast.Break():
                return frozenset((_BREAK,))
            case ast.Continue():
                return frozenset((_CONTINUE,))
            case ast.If(test=test, body=body, orelse=otherwise):
                return self._execute_if(test, body, otherwise, scope)
            case ast.For():
                return self._execute_for(statement, scope)
            case ast.While():
                return self._execute_while(statement, scope)
            case ast.With(items=items, body=body):
                for item in items:
                    value = self.evaluate(item.context_expr, scope)
                    if isinstance(value, UserInstance) or "suppress" in ast.unparse(item.context_expr):
                        raise create_stop_error(statement.lineno, "this context manager cannot be followed")
                    if item.optional_vars:
                        unknown = find_unknown([value]) or Unknown(
                            "a context manager's value is not known here", is_absent=True
                        )
                        self.assign(item.optional_vars, unknown, scope)
                return self._execute_block(body, scope)
            case ast.Try():
                return self._execute_try(statement, scope)
            case ast.Match():
                return self._execute_match(statement, scope)
            case _:
                self._execute_definition(statement, scope)
        return _GO_ON

    def _execute_definition(self, statement: ast.stmt, scope: Scope) -> None:
        match statement:
            case ast.FunctionDef(name=name):
                function = self.define_function(statement, scope)
                self.definitions.append((name, function, statement))
                self._set_name(name, function, scope)
            case ast.ClassDef(name=name):
                user_class = self.define_class(statement, scope, self._execute_block)
                self.definitions.append((name, user_class, statement))
                self._set_name(name, user_class, scope)
            case ast.Import(names=names):
                self.unknown_call_count += any(
                    get_library(alias.name) not in ("torch", "keras", "builtins") for alias in names
                )
                for alias in names:
                    root = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._set_name(alias.asname or root, LibraryName(root, get_library(root)), scope)
            case ast.ImportFrom(module=module, names=names, level=level):
                self.unknown_call_count += get_library(module or "") not in ("torch", "keras", "builtins")
                for alias in names:
                    if alias.name == "*" and get_library(module or "") in ("torch", "keras"):
                        self.star_library = get_library(module or "")
                    elif alias.name != "*":
                        self._set_name(alias.asname or alias.name, _import_name(module or "", alias.name, level), scope)
            case ast.Delete(targets=targets):
                for target in targets:
                    self._delete(target, scope)
            case ast.Assert(test=test):
                if self.get_truth(self.evaluate(test, scope), test) is False:
                    raise ProgramError("AssertionError", ast.unparse(test)[:80])
            case ast.Raise(exc=node):
                value = self.evaluate(node, scope) if node else None
                called = node.func if isinstance(node, ast.Call) else node
                raise ProgramError(
                    ast.unparse(called)[:60] if called else "Exception", ast.unparse(node)[:80] if node else "", value
                )
            case ast.Global(names=names):
                scope.outer_names |= dict.fromkeys(names, self.module_scope)
            case ast.Nonlocal(names=names):
                for name in names:
                    outer = scope.parent.find(name) if scope.parent else None
                    scope.outer_names[name] = outer or self.module_scope
            case ast.AsyncFunctionDef(name=name):
                self._set_name(name, Unknown(f"`async def {name}` cannot be followed", statement.lineno), scope)
            case ast.Pass():
                pass
            case _:
                raise create_stop_error(
                    statement.lineno, f"this statement cannot be followed: {ast.unparse(statement)[:60]!r}"
                )

    def _execute_if(
        self, test: ast.expr, body: Sequence[ast.stmt], otherwise: Sequence[ast.stmt], scope: Scope
    ) -> Exits:
        truth = self.get_truth(self.evaluate(test, scope), test)
        if isinstance(truth, bool):
            return self._execute_block(body if truth else otherwise, scope)
        return self._execute_alternatives(
            lambda: self._execute_block(body, scope),
            lambda: self._execute_block(otherwise, scope),
            _create_undecided(test, truth),
        )

    # Assignments

    def _set_name(self, name: str, value: object, scope: Scope) -> None:
        target = scope.outer_names.get(name, scope)
        self.heap.touch(target)
        target.cells[name] = value

    def assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        """Assign a value to a name, an attribute, an item or several targets."""
        match target:
            case ast.Name(id=name):
                if isinstance(value, UserInstance | ModuleSequence):
                    self.record_use(value, target, "assigned")
                self._set_name(name, value, scope)
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
            found = self.call_special_method(container, "__setitem__", (key, value), node)
            if found is not NotImplemented:
                return
            container = container.base
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
                self.heap.taint(
                    container, find_unknown([key]) or Unknown("this change cannot be followed", get_line_number(node))
                )
            case SymbolicTensor():
                self.heap.taint(container, Unknown("a part of a tensor is assigned", get_line_number(node)))
            case Unknown():
                self.heap.taint_reachable(
                    [value], Unknown("it becomes part of a value that cannot be followed", get_line_number(node))
                )
            case str() | tuple() | int() | float() | None:
                raise TypeError("this value does not support item assignment")
            case _:
                raise create_stop_error(get_line_number(node), "this assignment cannot be followed")

    def _delete(self, target: ast.expr, scope: Scope) -> None:
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
                if isinstance(container, list | dict):
                    self.heap.touch(container)
                    if isinstance(key, Unknown) or not (is_valid_key(key) or isinstance(key, slice)):
                        self.heap.taint(container, find_unknown([key]) or Unknown("this change cannot be followed"))
                    else:
                        del container[key]  # type: ignore[arg-type]
                    return
                if isinstance(container, ModuleSequence):
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

    def _execute_augmented_assignment(self, statement: ast.AugAssign, scope: Scope) -> None:
        target, operator = statement.target, statement.op
        load = ast.copy_location(_to_load(target), target)
        left = self.evaluate(load, scope)
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
            self.call_method(left, "extend", [right], {}, statement)
        elif isinstance(left, dict | set) and not isinstance(right, Unknown):
            result = apply_binary_operator(self.heap, operator, left, right)
            self.heap.touch(left)
            if isinstance(left, dict) and isinstance(result, dict):
                left.update(result)
            elif isinstance(left, set) and isinstance(result, set):
                left.intersection_update(result)
                left.update(result)
            else:
                self.heap.taint(left, Unknown("this change cannot be followed", statement.lineno))
        else:
            if isinstance(right, Unknown) and isinstance(left, list | dict | set):
                self.heap.taint(left, right)
            self.assign(target, self.apply_operator(operator, left, right, statement, is_in_place=True), scope)

    # Loops

    def _execute_for(self, statement: ast.For, scope: Scope) -> Exits:
        iterable = self.evaluate(statement.iter, scope)
        if isinstance(iterable, range):
            values: Sequence[object] | Unknown = iterable
        elif isinstance(iterable, list):
            values = iterable
        else:
            values = self.iterate(iterable, statement)
        start = self.heap.steps
        exits: set[str] = set()
        position = 0
        while not isinstance(values, Unknown) and position < len(values):
            if self.heap.steps - start > _MAX_LOOP_STEPS:
                values = Unknown(f"this loop runs {len(values):,} times, which is too long to follow", statement.lineno)
                break
            self.assign(statement.target, values[position], scope)
            position += 1
            ended = self._execute_block(statement.body, scope)
            exits |= ended & {_RETURN}
            if _BREAK in ended or _RETURN in ended:
                if not ended & {_NEXT, _CONTINUE}:
                    return frozenset(exits | (_GO_ON if _BREAK in ended else frozenset()))
                values = Unknown("it cannot be decided how often this loop runs", statement.lineno)
                exits.add(_BREAK)
            if isinstance(iterable, IteratorValue) and iterable.is_stale():
                raise create_stop_error(statement.lineno, "the list is changed while the loop goes through it")
            if taint := self.heap.get_taint(iterable):
                values = taint
        if isinstance(values, Unknown):
            return self._execute_unknown_loop(
                lambda: self._run_unknown_round(statement, values, scope), statement, values, scope, exits
            )
        return frozenset(exits | self._execute_block(statement.orelse, scope))

    def _run_unknown_round(self, statement: ast.For, values: Unknown, scope: Scope) -> Exits:
        self.assign(statement.target, values, scope)
        return self._execute_block(statement.body, scope)

    def _execute_while(self, statement: ast.While, scope: Scope) -> Exits:
        start = self.heap.steps
        exits: set[str] = set()
        while True:
            truth = self.get_truth(self.evaluate(statement.test, scope), statement.test)
            if truth is False:
                return frozenset(exits | self._execute_block(statement.orelse, scope))
            if isinstance(truth, Unknown):
                break
            if self.heap.steps - start > _MAX_LOOP_STEPS:
                truth = Unknown("this loop runs too long to follow", statement.lineno)
                break
            ended = self._execute_block(statement.body, scope)
            exits |= ended & {_RETURN}
            if _BREAK in ended or _RETURN in ended:
                if not ended & {_NEXT, _CONTINUE}:
                    return frozenset(exits | (_GO_ON if _BREAK in ended else frozenset()))
                truth = Unknown("it cannot be decided how often this loop runs", statement.lineno)
                exits.add(_BREAK)
                break

        def run() -> Exits:
            self.evaluate(statement.test, scope)
            return self._execute_block(statement.body, scope)

        return self._execute_unknown_loop(run, statement, truth, scope, exits)

    def _execute_unknown_loop(
        self, run: Callable[[], Exits], statement: ast.For | ast.While, reason: Unknown, scope: Scope, exits: set[str]
    ) -> Exits:
        """Execute a loop that runs an unknown number of times: the state after it holds after any number of rounds."""
        unknown = _create_undecided(statement, reason)
        reachable = list(self.heap.iter_reachable((scope,)))
        old = set(map(id, reachable))
        for _ in range(_MAX_ROUNDS):
            ended: list[Exits] = []
            branch = self._speculate(lambda ended=ended: ended.append(run()))  # type: ignore[misc]
            exits |= {one for one in (ended[0] if branch else ()) if one in (_RETURN, _BREAK)}
            if branch is None or not self.heap.join([Branch(), branch], unknown) & old:
                break
        else:
            raise create_stop_error(statement.lineno, "this loop cannot be followed")
        if exits:
            self._exit_reason = unknown
        if _BREAK in exits:
            rest = (
                self._execute_maybe(lambda: self._execute_block(statement.orelse, scope), unknown)
                if statement.orelse
                else _GO_ON
            )
        else:
            rest = self._execute_block(statement.orelse, scope)
        return frozenset((exits & {_RETURN}) | rest | _GO_ON)

    # Errors

    def _execute_try(self, statement: ast.Try, scope: Scope) -> Exits:
        """Execute ``try``. A body with operations that are unknown may raise an error at any of them."""
        handlers = [one for one in statement.handlers if "Interrupt" not in ast.unparse(one.type or one)]
        if not handlers:
            return self._finish(statement, scope, self._execute_block(statement.body, scope))
        exits: list[Exits] = []
        errors: list[ProgramError] = []
        unknown_count = self.unknown_call_count

        def run() -> None:
            try:
                ended = self._execute_block(statement.body, scope)
                if _NEXT in ended:
                    ended = (ended - _GO_ON) | self._execute_block(statement.orelse, scope)
                exits.append(ended)
            except ProgramError as error:
                errors.append(error)

        self._handler_depth += 1
        body = self.heap.speculate(run)
        self._handler_depth -= 1
        unknown = Unknown("an error may be raised and handled here", statement.lineno)
        if self.unknown_call_count == unknown_count:
            self.heap.join([body], unknown)
            if errors:
                handler = next((one for one in handlers if _handles(one, errors[0])), None)
                if not handler:
                    raise errors[0]
                exits = [self._execute_handler(handler, scope)]
            return self._finish(statement, scope, exits[0])
        branches = [body] if exits else []
        for handler in handlers:

            def run_handler(handler: ast.ExceptHandler = handler) -> None:
                self.heap.join([Branch(), body], unknown)
                exits.append(self._execute_handler(handler, scope))

            branch = self._speculate(run_handler)
            branches += [branch] if branch else []
        self.heap.join(branches, unknown)
        joined = frozenset(one for ended in exits for one in ended)
        if joined != _GO_ON:
            self._exit_reason = unknown
        return self._finish(statement, scope, joined)

    def _execute_handler(self, handler: ast.ExceptHandler, scope: Scope) -> Exits:
        if handler.name:
            self._set_name(handler.name, Unknown("an exception's value is not known here"), scope)
        return self._execute_block(handler.body, scope)

    def _finish(self, statement: ast.Try, scope: Scope, exits: Exits) -> Exits:
        ended = self._execute_block(statement.finalbody, scope)
        return exits if ended == _GO_ON else ended

    # Matching

    def _execute_match(self, statement: ast.Match, scope: Scope) -> Exits:
        return self._execute_cases(self.evaluate(statement.subject, scope), statement.cases, scope)

    def _execute_cases(self, subject: object, cases: Sequence[ast.match_case], scope: Scope) -> Exits:
        if not cases:
            return _GO_ON
        case = cases[0]
        answer = self._matches(case.pattern, subject, scope)
        if answer is True and case.guard:
            answer = self.get_truth(self.evaluate(case.guard, scope), case.guard)
        if isinstance(answer, Unknown):
            return self._execute_alternatives(
                lambda: self._execute_block(case.body, scope),
                lambda: self._execute_cases(subject, cases[1:], scope),
                _create_undecided(case.pattern, answer),
            )
        return self._execute_block(case.body, scope) if answer else self._execute_cases(subject, cases[1:], scope)

    def _matches(self, pattern: ast.pattern, subject: object, scope: Scope) -> object:
        match pattern:
            case ast.MatchValue(value=node):
                return is_equal(self.heap, subject, self.evaluate(node, scope))
            case ast.MatchSingleton(value=value):
                return subject if isinstance(subject, Unknown) else subject is value
            case ast.MatchAs(pattern=inner, name=name):
                answer = self._matches(inner, subject, scope) if inner else True
                if name and answer is not False:
                    self._set_name(name, subject, scope)
                return answer
            case ast.MatchOr(patterns=patterns):
                answers = [self._matches(one, subject, scope) for one in patterns]
                return True if True in answers else next((one for one in answers if isinstance(one, Unknown)), False)
            case ast.MatchSequence(patterns=patterns) if not any(isinstance(one, ast.MatchStar) for one in patterns):
                if not isinstance(subject, list | tuple):
                    return subject if isinstance(subject, Unknown) else False
                if len(subject) != len(patterns):
                    return False
                answers = [self._matches(one, value, scope) for one, value in zip(patterns, subject, strict=True)]
                return False if False in answers else next((one for one in answers if isinstance(one, Unknown)), True)
        raise create_stop_error(
            get_line_number(pattern), f"this pattern cannot be followed: {ast.unparse(pattern)[:40]}"
        )

    # Functions

    def run_body(self, function: UserFunction, scope: Scope) -> object:
        """Execute the body of a function; return its value."""
        node = function.node
        first = next(iter(scope.cells.values()), None)
        scope.frame = Frame(function, first)
        self.frames.append(scope.frame)
        try:
            if isinstance(node, ast.Lambda):
                return self.evaluate(node.body, scope)
            line = self.last_line
            exits = self._execute_block(node.body, scope)
            self.last_line = line
        finally:
            self.frames.pop()
        returned = scope.frame.returned
        values = [*returned, None] if _NEXT in exits or not returned else returned
        unknown = self._exit_reason or Unknown(f"{function.name} may return different values")
        return join_values(values, unknown)


def _create_undecided(node: ast.AST, condition: Unknown) -> Unknown:
    """Return the unknown value of what differs between the branches of an undecided condition."""
    line = get_line_number(node)
    reason = (
        condition.reason
        if "cannot be decided" in condition.reason
        else f"it depends on line {line}, which cannot be decided: {condition.reason}"
    )
    return Unknown(reason, line)


def _import_name(module: str, name: str, level: int) -> object:
    library = "" if level else get_library(module)
    if level or not module:
        return Unknown(f"`{name}` comes from another file, which is not available here")
    if name in ("Sequence", "Iterable") or library:
        return LibraryName(f"{module}.{name}", library)
    return Unknown(f"`{name}` comes from {module}, which is not available here")


def _to_load(target: ast.expr) -> ast.expr:
    match target:
        case ast.Name(id=name):
            return ast.Name(name, ast.Load())
        case ast.Attribute(value=value, attr=name):
            return ast.Attribute(value, name, ast.Load())
        case ast.Subscript(value=value, slice=key):
            return ast.Subscript(value, key, ast.Load())
    return target


def _handles(handler: ast.ExceptHandler, error: ProgramError) -> bool:
    """Return True if a handler catches an error of the program."""
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {ast.unparse(kind).rpartition(".")[2] for kind in kinds}
    parents = {"KeyError": "LookupError", "IndexError": "LookupError", "ZeroDivisionError": "ArithmeticError"}
    return bool(names & {error.name.rpartition(".")[2], parents.get(error.name, ""), "Exception", "BaseException"})
