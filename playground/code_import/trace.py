"""What a walk through code notes down: the networks that it meets with, their layers, and where it had to guess."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from playground.code_import.values import (
    LONGEST_LIST,
    Call,
    Flow,
    Stack,
    Unknown,
    every_call,
    is_layer,
    line_of,
    parted,
)
from playground.errors import ArchitectureError

_MOST_STEPS = 300_000
_MOST_CALLS = 300


@dataclass(frozen=True)
class Model:
    """A network that the code makes: where it stands, what an image goes through, and what the walk had to guess."""

    line: int
    calls: tuple[Call, ...]
    guesses: tuple[str, ...]


class Trace:
    """Every layer that is made or gone through passes here, so that no code can make more than a network has."""

    def __init__(self) -> None:
        self.stacks: list[Stack] = []
        self.ends: list[Stack] = []
        self.grown = 0
        """How often something was added to a network: a loop that adds nothing builds nothing."""
        self.undecided = 0
        """The line of the condition or loop that the running program may treat otherwise; 0 outside of one."""
        self._steps = 0
        self._doubts: dict[Call, str] = {}

    def count(self) -> None:
        """One step of the walk; raises ArchitectureError for too many."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise endless()

    def doubt(self, call: Call, reason: str = "") -> None:
        """Remember a reason to doubt what is read of this call; without one, that of an undecided condition."""
        if self.undecided and not reason:
            reason = (
                f"Line {self.undecided}: whether or how often this is gone through cannot be known without running the "
                "code; it was read as once."
            )
        if reason:
            self._doubts[call] = reason

    def made(self, call: Call) -> Call:
        """A layer that the code makes."""
        self.doubt(call)
        return call

    def longer(self, flow: Flow, *calls: Call) -> Flow:
        """The image after more layers."""
        if len(flow.calls) + len(calls) > _MOST_CALLS:
            raise endless()
        self.grown += 1
        for call in calls:
            self.doubt(call)
        return Flow((*flow.calls, *calls))

    def image(self, values: Sequence[object], node: ast.AST, *, adds: bool = False) -> Flow | None:
        """The image, if it is among the values that something is applied to; only a sum takes several of its ways."""
        every = [part for value in values for part in (value if isinstance(value, list | tuple) else (value,))]
        flows = [part for part in every if isinstance(part, Flow)]
        if len(flows) < 2:
            return flows[0] if flows else None
        return self.summed(flows, node) if adds else self.longer(flows[0], Call("several inputs", (), {}, node))

    def summed(self, flows: Sequence[Flow], node: ast.AST) -> Flow:
        """Ways that part and meet again: a residual block; or a sum that is no such thing."""
        shared, rests = parted(flows)
        body, *shortcuts = sorted(rests, key=len, reverse=True)
        block = len(shortcuts) == 1 and body
        call = Call("Residual", (), {}, node, body, shortcuts[0]) if block else Call("a sum", (), {}, node)
        return self.longer(Flow(shared), call)

    def stack(self, given: Sequence[object], node: ast.AST, *, is_network: bool) -> Stack:
        """A ``Sequential`` of modules, of a list of them or of names with them."""
        parts: list[object] = []
        for value in given:
            several = list(value.values()) if isinstance(value, dict) else value
            several = several if isinstance(several, list | tuple) else [several]
            parts += [part[1] if isinstance(part, tuple) and len(part) == 2 else part for part in several]
        if len(parts) > LONGEST_LIST:
            raise endless()
        stack = Stack(parts, node)
        if is_network:
            self.stacks.append(stack)
        return stack

    def end(self, outputs: Sequence[object], node: ast.AST) -> object:
        """A Keras model, by what comes out of it."""
        flow = self.image(outputs, node)
        if not flow:
            return Unknown()
        self.ends.append(Stack([flow], node))
        return self.ends[-1]

    def grow(self, parts: list[object], added: Sequence[object]) -> None:
        """Add layers, or other things, to a network or a list."""
        if len(parts) + len(added) > LONGEST_LIST:
            raise endless()
        parts.extend(added)
        self.grown += any(map(is_layer, added))
        for part in added:
            if isinstance(part, Call):
                self.doubt(part)

    def model(self, node: ast.AST, flow: Flow) -> Model:
        """A network with the doubts about its layers."""
        doubted = (call for call in every_call(flow.calls) if call in self._doubts)
        return Model(line_of(node), flow.calls, tuple(self._doubts[call] for call in doubted))


def endless() -> ArchitectureError:
    """The error of code that goes on and on."""
    return ArchitectureError(
        "This code is too long or too deep to follow.",
        expected="Code that builds one network of at most 64 layers.",
        fix="Paste the network alone.",
    )
