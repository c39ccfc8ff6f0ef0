"""Interpreter of pasted code: executes the statements it knows with Python's semantics, and never the code itself.

Values that the code does not determine are ``Unknown``, and so is everything computed from them. A condition that is
unknown is not decided: both branches are executed apart from each other, and what they leave differently becomes
unknown. A loop over unknown values may run any number of times. Statements that are not known stop the reading.
"""

import ast
from collections.abc import Callable, Sequence
from functools import partial

from playground.code_import.interpreter.assignments import AssignmentEvaluator
from playground.code_import.interpreter.evaluator import HOST_ERRORS
from playground.code_import.interpreter.heap import Branch, create_stop_error, join_values
from playground.code_import.interpreter.libraries.names import get_library
from playground.code_import.interpreter.operators import ProgramError
from playground.code_import.interpreter.undecided import create_undecided
from playground.code_import.interpreter.values import (
    Frame,
    IteratorValue,
    LibraryName,
    Scope,
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
"""Possible ends of a statement: the next statement follows, or the loop or function ends."""

_GO_ON: Exits = frozenset((_NEXT,))
_MAX_LOOP_STEPS = 60_000
_MAX_ROUNDS = 12
_KNOWN_LIBRARIES = ("torch", "keras", "builtins")


class Interpreter(AssignmentEvaluator):
    """Executes statements."""

    def __init__(self) -> None:
        super().__init__()
        self.definitions: list[tuple[str, object, ast.AST]] = []
        """Functions and classes that the program defines, in order."""
        self.module_scope = Scope(cells={"__name__": "__main__", "__file__": Unknown("`__file__` is not known here")})
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
        reason = f"the program stops here with {error.name}: {error}"[:200]
        return create_stop_error(self.last_line, reason, "Correct this line, or remove it.")

    def run_body(self, function: UserFunction, scope: Scope) -> object:
        """Execute the body of a function; return its value."""
        node = function.node
        scope.frame = Frame(function, next(iter(scope.cells.values()), None))
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
        return join_values(values, self._exit_reason or Unknown(f"{function.name} may return different values"))

    # Blocks and branches

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
        found = self.speculate(run)
        if found:
            self.heap.join([Branch(), found[0]], unknown)
        return found[1] if found else frozenset()

    def _execute_alternatives(self, runs: Sequence[Callable[[], Exits]], unknown: Unknown) -> Exits:
        """Execute both branches of an undecided condition apart from each other, and join the states after them."""
        exits = self.run_alternatives(runs, unknown)
        if not exits:
            raise ProgramError("Exception", "every branch raises an error")
        return self._unite_exits(exits, unknown)

    def _unite_exits(self, exits: Sequence[Exits], unknown: Unknown) -> Exits:
        united = frozenset(one for ended in exits for one in ended)
        if united != _GO_ON:
            self._exit_reason = unknown
        return united

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
                self.execute_augmented_assignment(statement, scope)
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
                truth = self.get_truth(self.evaluate(test, scope), test)
                if isinstance(truth, bool):
                    return self._execute_block(body if truth else otherwise, scope)
                runs = [partial(self._execute_block, block, scope) for block in (body, otherwise)]
                return self._execute_alternatives(runs, create_undecided(test, truth))
            case ast.For() | ast.While():
                return self._execute_loop(statement, scope)
            case ast.With(items=items, body=body):
                for item in items:
                    self._enter_context(item, scope)
                return self._execute_block(body, scope)
            case ast.Try():
                return self._execute_try(statement, scope)
            case ast.Match(subject=subject, cases=cases):
                return self._execute_cases(self.evaluate(subject, scope), cases, scope)
            case _:
                self._execute_definition(statement, scope)
        return _GO_ON

    def _enter_context(self, item: ast.withitem, scope: Scope) -> None:
        value = self.evaluate(item.context_expr, scope)
        line, text = get_line_number(item.context_expr), ast.unparse(item.context_expr)
        if isinstance(value, UserInstance) or "suppress" in text:
            raise create_stop_error(line, "this context manager cannot be followed")
        if self.apply_depth and ("no_grad" in text or "inference_mode" in text):
            self.notes.append(f"Line {line}: the layers that are applied without gradients are trained here.")
        if item.optional_vars:
            unknown = Unknown("a context manager's value is not known here", is_absent=True)
            self.assign(item.optional_vars, find_unknown([value]) or unknown, scope)

    def _execute_definition(self, statement: ast.stmt, scope: Scope) -> None:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                defined = (
                    self.define_function(statement, scope)
                    if isinstance(statement, ast.FunctionDef)
                    else self.define_class(statement, scope, self._execute_block)
                )
                self.definitions.append((name, defined, statement))
                self.set_name(name, defined, scope)
            case ast.Import(names=names):
                self.unknown_call_count += any(get_library(alias.name) not in _KNOWN_LIBRARIES for alias in names)
                for alias in names:
                    root = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.set_name(alias.asname or root, LibraryName(root, get_library(root)), scope)
            case ast.ImportFrom(module=module, names=names, level=level):
                library = get_library(module or "")
                self.unknown_call_count += library not in _KNOWN_LIBRARIES
                for alias in names:
                    if alias.name == "*" and library in ("torch", "keras"):
                        self.star_library = library
                    elif alias.name != "*":
                        self.set_name(alias.asname or alias.name, _import_name(module or "", alias.name, level), scope)
            case ast.Delete(targets=targets):
                for target in targets:
                    self.delete(target, scope)
            case ast.Assert(test=test):
                if self.get_truth(self.evaluate(test, scope), test) is False:
                    raise ProgramError("AssertionError", ast.unparse(test)[:80])
            case ast.Raise(exc=node):
                if node:
                    self.evaluate(node, scope)
                called = node.func if isinstance(node, ast.Call) else node
                name = ast.unparse(called)[:60] if called else "Exception"
                raise ProgramError(name, ast.unparse(node)[:80] if node else "")
            case ast.Global(names=names):
                scope.outer_names |= dict.fromkeys(names, self.module_scope)
            case ast.Nonlocal(names=names):
                for name in names:
                    outer = scope.parent.find(name) if scope.parent else None
                    scope.outer_names[name] = outer or self.module_scope
            case ast.AsyncFunctionDef(name=name):
                self.set_name(name, Unknown(f"`async def {name}` cannot be followed", statement.lineno), scope)
            case ast.Pass():
                pass
            case _:
                reason = f"this statement cannot be followed: {ast.unparse(statement)[:60]!r}"
                raise create_stop_error(statement.lineno, reason)

    # Loops

    def _execute_loop(self, statement: ast.For | ast.While, scope: Scope) -> Exits:
        begin_round = (
            self._make_iteration(statement, scope)
            if isinstance(statement, ast.For)
            else lambda: self.get_truth(self.evaluate(statement.test, scope), statement.test)
        )
        start = self.heap.steps
        exits: set[str] = set()
        while isinstance(has_round := begin_round(), bool):
            if not has_round:
                return frozenset(exits | self._execute_block(statement.orelse, scope))
            if self.heap.steps - start > _MAX_LOOP_STEPS:
                has_round = Unknown("this loop runs too long to follow", statement.lineno)
                break
            ended = self._execute_block(statement.body, scope)
            exits |= ended & {_RETURN}
            if _BREAK in ended or _RETURN in ended:
                if not ended & {_NEXT, _CONTINUE}:
                    return frozenset(exits | (_GO_ON if _BREAK in ended else frozenset()))
                has_round = Unknown("it cannot be decided how often this loop runs", statement.lineno)
                exits.add(_BREAK)
                break
        return self._execute_unknown_loop(statement, has_round, scope, exits)

    def _make_iteration(self, statement: ast.For, scope: Scope) -> Callable[[], bool | Unknown]:
        """Return the function that assigns the next value; it returns False after the last one."""
        iterable = self.evaluate(statement.iter, scope)
        is_lazy = isinstance(iterable, range | list)  # a list may grow while the loop runs
        values = iterable if isinstance(iterable, range | list) and is_lazy else self.iterate(iterable, statement)
        position = 0

        def begin_round() -> bool | Unknown:
            nonlocal position
            if isinstance(values, Unknown):
                return values
            if isinstance(iterable, IteratorValue) and iterable.is_stale():
                raise create_stop_error(statement.lineno, "the list is changed while the loop goes through it")
            if taint := self.heap.get_taint(iterable):
                return taint
            if position == len(values):
                return False
            self.assign(statement.target, values[position], scope)
            position += 1
            return True

        return begin_round

    def _execute_unknown_loop(
        self, statement: ast.For | ast.While, reason: Unknown, scope: Scope, exits: set[str]
    ) -> Exits:
        """Execute a loop that runs an unknown number of times: the state after it holds after any number of rounds."""
        unknown = create_undecided(statement, reason)
        old = set(map(id, list(self.heap.iter_reachable((scope,)))))

        def run_round() -> Exits:
            if isinstance(statement, ast.For):
                self.assign(statement.target, reason, scope)
            else:
                self.evaluate(statement.test, scope)
            return self._execute_block(statement.body, scope)

        for _ in range(_MAX_ROUNDS):
            found = self.speculate(run_round)
            exits |= found[1] & {_RETURN, _BREAK} if found else set()
            if not found or not self.heap.join([Branch(), found[0]], unknown) & old:
                break
        else:
            raise create_stop_error(statement.lineno, "this loop cannot be followed")
        if exits:
            self._exit_reason = unknown
        run_else = partial(self._execute_block, statement.orelse, scope)
        is_optional = _BREAK in exits and statement.orelse
        rest = self._execute_maybe(run_else, unknown) if is_optional else run_else()
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

        self.handler_depth += 1
        body = self.heap.speculate(run)
        self.handler_depth -= 1
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

            def run_handler(handler: ast.ExceptHandler = handler) -> Exits:
                self.heap.join([Branch(), body], unknown)
                return self._execute_handler(handler, scope)

            if found := self.speculate(run_handler):
                branches.append(found[0])
                exits.append(found[1])
        self.heap.join(branches, unknown)
        return self._finish(statement, scope, self._unite_exits(exits, unknown))

    def _execute_handler(self, handler: ast.ExceptHandler, scope: Scope) -> Exits:
        if handler.name:
            self.set_name(handler.name, Unknown("an exception's value is not known here"), scope)
        return self._execute_block(handler.body, scope)

    def _finish(self, statement: ast.Try, scope: Scope, exits: Exits) -> Exits:
        ended = self._execute_block(statement.finalbody, scope)
        return exits if ended == _GO_ON else ended

    # Matching

    def _execute_cases(self, subject: object, cases: Sequence[ast.match_case], scope: Scope) -> Exits:
        if not cases:
            return _GO_ON
        case = cases[0]
        answer = self.match_pattern(case.pattern, subject, scope)
        if answer is True and case.guard:
            answer = self.get_truth(self.evaluate(case.guard, scope), case.guard)
        run_case = partial(self._execute_block, case.body, scope)
        run_others = partial(self._execute_cases, subject, cases[1:], scope)
        if isinstance(answer, Unknown):
            return self._execute_alternatives((run_case, run_others), create_undecided(case.pattern, answer))
        return run_case() if answer else run_others()


def _import_name(module: str, name: str, level: int) -> object:
    library = "" if level else get_library(module)
    if level or not module:
        return Unknown(f"`{name}` comes from another file, which is not available here")
    if name in ("Sequence", "Iterable") or library:
        return LibraryName(f"{module}.{name}", library)
    return Unknown(f"`{name}` comes from {module}, which is not available here")


def _handles(handler: ast.ExceptHandler, error: ProgramError) -> bool:
    """Return True if a handler catches an error of the program."""
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {ast.unparse(kind).rpartition(".")[2] for kind in kinds}
    parents = {"KeyError": "LookupError", "IndexError": "LookupError", "ZeroDivisionError": "ArithmeticError"}
    return bool(names & {error.name.rpartition(".")[2], parents.get(error.name, ""), "Exception", "BaseException"})
