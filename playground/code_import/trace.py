"""Trace of the abstract interpreter: created networks, their layers, and uncertain decisions."""

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
    """Records layers and tensors, and bounds their number so that no code can exhaust time or memory."""

    def __init__(self) -> None:
        self.models: list[ModuleSequence | UserInstance] = []
        """Every network and every part that could be one, in the order in which they are complete."""
        self.growth_count = 0
        """Number of additions to networks; it tells loops that build a network from other loops."""
        self.undecided_line = 0
        """Line of the enclosing condition or loop that depends on run-time values; 0 outside of one."""
        self._step_count = 0
        self._uncertainties: dict[Call, str] = {}

    def count_step(self) -> None:
        """Count a step of the interpreter; raises ArchitectureError after too many."""
        self._step_count += 1
        if self._step_count > _MAX_STEPS:
            raise create_too_long_error()

    def mark_uncertain(self, call: Call, reason: str = "") -> None:
        """Record a note on this call; without a reason, that of the enclosing undecided condition."""
        if self.undecided_line and not reason:
            reason = (
                f"Line {self.undecided_line}: this condition or loop depends on values known only at run time; it "
                "was imported as executed once."
            )
        if reason:
            self._uncertainties[call] = reason

    def record_layer(self, call: Call) -> Call:
        """Record a layer that the code creates."""
        self.mark_uncertain(call)
        return call

    def extend_tensor(self, tensor: SymbolicTensor, *calls: Call) -> SymbolicTensor:
        """Return the tensor after more calls."""
        if len(tensor.calls) + len(calls) > _MAX_CALLS:
            raise create_too_long_error()
        self.growth_count += 1
        for call in calls:
            self.mark_uncertain(call)
        return SymbolicTensor((*tensor.calls, *calls))

    def find_tensor(
        self, values: Sequence[object], node: ast.AST, *, is_addition: bool = False
    ) -> SymbolicTensor | None:
        """Return the tensor among the arguments of a call, or None; only an addition may have several tensors."""
        every = [part for value in values for part in (value if isinstance(value, list | tuple) else (value,))]
        tensors = [part for part in every if isinstance(part, SymbolicTensor)]
        if len(tensors) < 2:
            return tensors[0] if tensors else None
        return (
            self.add_branches(tensors, node)
            if is_addition
            else self.extend_tensor(tensors[0], Call("several inputs", (), {}, node))
        )

    def add_branches(self, tensors: Sequence[SymbolicTensor], node: ast.AST) -> SymbolicTensor:
        """Record the sum of branches: a residual block, or an unsupported sum."""
        shared, rests = split_common_prefix(tensors)
        body, *shortcuts = sorted(rests, key=len, reverse=True)
        block = len(shortcuts) == 1 and body
        call = Call("Residual", (), {}, node, body, shortcuts[0]) if block else Call("a sum", (), {}, node)
        return self.extend_tensor(SymbolicTensor(shared), call)

    def record_sequence(self, values: Sequence[object], node: ast.AST, *, is_network: bool) -> ModuleSequence:
        """Record a ``Sequential`` of modules, of a list of modules, or of named modules."""
        parts: list[object] = []
        for value in values:
            several = list(value.values()) if isinstance(value, dict) else value
            several = several if isinstance(several, list | tuple) else [several]
            parts += [part[1] if isinstance(part, tuple) and len(part) == 2 else part for part in several]
        if len(parts) > MAX_LIST_LENGTH:
            raise create_too_long_error()
        sequence = ModuleSequence(parts, node)
        if is_network:
            self.models.append(sequence)
        return sequence

    def record_functional_model(self, outputs: Sequence[object], node: ast.AST) -> object:
        """Record a Keras functional model by its outputs."""
        tensor = self.find_tensor(outputs, node)
        if not tensor:
            return Unknown()
        model = ModuleSequence([tensor], node)
        self.models.append(model)
        return model

    def append_parts(self, parts: list[object], added: Sequence[object]) -> None:
        """Append values to a network or a list."""
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
    """Return the error for code that exceeds the limits of the interpreter."""
    return ArchitectureError(
        "This code is too long or too deep to follow.",
        expected="Code that builds one network of at most 64 layers.",
        fix="Paste only the network.",
    )
