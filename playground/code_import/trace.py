"""What a walk through code notes down: the networks that it meets with, their layers, and where it had to guess."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from playground.code_import.values import (
    MAX_LIST_LENGTH,
    Call,
    ModuleSequence,
    SymbolicTensor,
    Unknown,
    UserInstance,
    get_line_number,
    is_network_part,
    iter_calls,
    split_common_prefix,
)
from playground.errors import ArchitectureError

_MAX_STEPS = 300_000
_MAX_CALLS = 300


@dataclass(frozen=True)
class TracedModel:
    """Network that the code creates: the line of its definition, its calls in order, and notes on assumptions.

    ``is_instantiated``: the code itself creates it; otherwise the code only defines its class or function.
    """

    line: int
    calls: tuple[Call, ...]
    notes: tuple[str, ...]
    is_instantiated: bool


class Trace:
    """Every layer that is made or gone through passes here, so that no code can make more than a network has."""

    def __init__(self) -> None:
        self.models: list[ModuleSequence | UserInstance] = []
        """Every network and every part that could be one, in the order in which they are complete."""
        self.growth_count = 0
        """How often something was added to a network: a loop that adds nothing builds nothing."""
        self.undecided_line = 0
        """The line of the condition or loop that the running program may treat otherwise; 0 outside of one."""
        self._step_count = 0
        self._uncertainties: dict[Call, str] = {}

    def count_step(self) -> None:
        """One step of the walk; raises ArchitectureError for too many."""
        self._step_count += 1
        if self._step_count > _MAX_STEPS:
            raise create_too_long_error()

    def mark_uncertain(self, call: Call, reason: str = "") -> None:
        """Remember a reason to doubt what is read of this call; without one, that of an undecided condition."""
        if self.undecided_line and not reason:
            reason = (
                f"Line {self.undecided_line}: whether or how often this is gone through cannot be known without running the "
                "code; it was read as once."
            )
        if reason:
            self._uncertainties[call] = reason

    def record_layer(self, call: Call) -> Call:
        """A layer that the code makes."""
        self.mark_uncertain(call)
        return call

    def extend_tensor(self, tensor: SymbolicTensor, *calls: Call) -> SymbolicTensor:
        """The image after more layers."""
        if len(tensor.calls) + len(calls) > _MAX_CALLS:
            raise create_too_long_error()
        self.growth_count += 1
        for call in calls:
            self.mark_uncertain(call)
        return SymbolicTensor((*tensor.calls, *calls))

    def find_tensor(
        self, values: Sequence[object], node: ast.AST, *, is_addition: bool = False
    ) -> SymbolicTensor | None:
        """The image, if it is among the values that something is applied to; only a sum takes several of its ways."""
        every = [part for value in values for part in (value if isinstance(value, list | tuple) else (value,))]
        flows = [part for part in every if isinstance(part, SymbolicTensor)]
        if len(flows) < 2:
            return flows[0] if flows else None
        return (
            self.add_branches(flows, node)
            if is_addition
            else self.extend_tensor(flows[0], Call("several inputs", (), {}, node))
        )

    def add_branches(self, tensors: Sequence[SymbolicTensor], node: ast.AST) -> SymbolicTensor:
        """Ways that part and meet again: a residual block; or a sum that is no such thing."""
        shared, rests = split_common_prefix(tensors)
        body, *shortcuts = sorted(rests, key=len, reverse=True)
        block = len(shortcuts) == 1 and body
        call = Call("Residual", (), {}, node, body, shortcuts[0]) if block else Call("a sum", (), {}, node)
        return self.extend_tensor(SymbolicTensor(shared), call)

    def record_sequence(self, values: Sequence[object], node: ast.AST, *, is_network: bool) -> ModuleSequence:
        """A ``Sequential`` of modules, of a list of them or of names with them."""
        parts: list[object] = []
        for value in values:
            several = list(value.values()) if isinstance(value, dict) else value
            several = several if isinstance(several, list | tuple) else [several]
            parts += [part[1] if isinstance(part, tuple) and len(part) == 2 else part for part in several]
        if len(parts) > MAX_LIST_LENGTH:
            raise create_too_long_error()
        stack = ModuleSequence(parts, node)
        if is_network:
            self.models.append(stack)
        return stack

    def record_functional_model(self, outputs: Sequence[object], node: ast.AST) -> object:
        """A Keras model, by what comes out of it."""
        flow = self.find_tensor(outputs, node)
        if not flow:
            return Unknown()
        model = ModuleSequence([flow], node)
        self.models.append(model)
        return model

    def append_parts(self, parts: list[object], added: Sequence[object]) -> None:
        """Add layers, or other things, to a network or a list."""
        if len(parts) + len(added) > MAX_LIST_LENGTH:
            raise create_too_long_error()
        parts.extend(added)
        self.growth_count += any(map(is_network_part, added))
        for part in added:
            if isinstance(part, Call):
                self.mark_uncertain(part)

    def build_model(self, node: ast.AST, tensor: SymbolicTensor, *, is_instantiated: bool) -> TracedModel:
        """Return a network with notes on its uncertain layers."""
        uncertain = (call for call in iter_calls(tensor.calls) if call in self._uncertainties)
        notes = tuple(self._uncertainties[call] for call in uncertain)
        return TracedModel(get_line_number(node), tensor.calls, notes, is_instantiated)


def create_too_long_error() -> ArchitectureError:
    """The error of code that goes on and on."""
    return ArchitectureError(
        "This code is too long or too deep to follow.",
        expected="Code that builds one network of at most 64 layers.",
        fix="Paste the network alone.",
    )
