"""Execution that may not happen: both branches of an undecided condition run apart, and their states are joined."""

import ast
from collections.abc import Callable, Sequence
from typing import TypeVar

from playground.code_import.interpreter.heap import Branch, create_stop_error, join_values
from playground.code_import.interpreter.libraries.modules import ModuleEvaluator
from playground.code_import.interpreter.operators import ProgramError
from playground.code_import.interpreter.values import Unknown, get_line_number

T = TypeVar("T")


class UndecidedEvaluator(ModuleEvaluator):
    """Executes alternatives apart from each other."""

    def __init__(self) -> None:
        super().__init__()
        self.last_line = 1
        self.handler_depth = 0

    def speculate(self, run: Callable[[], T]) -> tuple[Branch, T] | None:
        """Execute and undo; None if the program stops there with an error, which is assumed not to happen."""
        results: list[T] = []

        def run_guarded() -> None:
            try:
                results.append(run())
            except ProgramError:
                if self.handler_depth:
                    raise create_stop_error(
                        self.last_line, "an error may be raised and handled here, which cannot be decided"
                    ) from None

        branch = self.heap.speculate(run_guarded)
        return (branch, results[0]) if results else None

    def run_alternatives(self, runs: Sequence[Callable[[], T]], unknown: Unknown) -> list[T]:
        """Execute alternatives and join the states after them; return the results of those without an error."""
        done = [found for run in runs if (found := self.speculate(run))]
        self.heap.join([branch for branch, _ in done], unknown)
        return [result for _, result in done]

    def choose(
        self, condition: object, node: ast.AST, then: Callable[[], object], otherwise: Callable[[], object]
    ) -> object:
        """Evaluate one alternative, or both apart from each other if the condition is unknown."""
        if not isinstance(condition, Unknown):
            return then() if condition else otherwise()
        unknown = create_undecided(node, condition)
        values = self.run_alternatives((then, otherwise), unknown)
        return join_values(values, unknown) if values else unknown


def create_undecided(node: ast.AST, condition: Unknown) -> Unknown:
    """Return the unknown value of what differs between the branches of an undecided condition."""
    line = get_line_number(node)
    reason = (
        condition.reason
        if "cannot be decided" in condition.reason
        else f"it depends on line {line}, which cannot be decided: {condition.reason}"
    )
    return Unknown(reason, line)
