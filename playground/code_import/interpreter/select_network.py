"""Choice of the network that a program ends with, and the calls that it applies to an image.

The network is the one that the program trains last; if it trains none, the one that it assigns, calls or prints last;
if it names none, the only one that it makes; and if it makes none, the only one that it defines. A network that is part
of another one stands for that one. Where this leaves several, the reading stops and names them.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from playground.code_import.interpreter.heap import create_stop_error, is_same_value
from playground.code_import.interpreter.libraries.sequences import has_weights
from playground.code_import.interpreter.libraries.tensors import is_dropout
from playground.code_import.interpreter.operators import ProgramError
from playground.code_import.interpreter.statements import Interpreter
from playground.code_import.interpreter.values import (
    Call,
    CallSite,
    ModuleSequence,
    SymbolicTensor,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    get_line_number,
    iter_calls,
)
from playground.errors import ArchitectureError

_TRAINING_USES = frozenset(["fit", "fit_generator", "train_on_batch", "train", "compile", "parameters"])
_SOFTMAX_NAMES = ("softmax", "Softmax", "log_softmax", "LogSoftmax", "sigmoid", "Sigmoid")

Network = ModuleSequence | UserInstance


@dataclass(frozen=True)
class TracedModel:
    """Network of a program: the line that makes it, its calls in order, and notes on what was assumed.

    ``input_shape``: channels, height and width of a tensor that the program passes through the network.
    """

    line: int
    calls: tuple[Call, ...]
    notes: tuple[str, ...]
    input_shape: tuple[int, int, int] | None = None


def trace_program(tree: ast.Module) -> TracedModel:
    """Execute a program by interpretation and return its network; raises ArchitectureError if it cannot be followed."""
    interpreter = Interpreter()
    interpreter.execute_module(tree)
    try:
        return _Selection(interpreter).trace()
    except ProgramError as error:
        raise interpreter.create_program_error(error) from None


class _Selection:
    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._networks = list({id(value): value for value, _, _ in interpreter.networks}.values())
        self._places = {id(value): _get_place(value) for value in self._networks}
        self._undecided = {id(value) for value, _, is_undecided in interpreter.networks if is_undecided}
        self._members = {id(value): {id(part) for part in self._iter_members(value)} for value in self._networks}

    def trace(self) -> TracedModel:
        """Return the network with its calls."""
        chosen = self._choose()
        notes = self._interpreter.notes  # the application of the network adds to them
        others = [value for value in self._list_roots() if value is not chosen and self._has_layers(value)]
        line = get_line_number(self._places[id(chosen)])
        if others and not all(self._is_inside(value, chosen) for value in others):
            notes.append(f"The code has several networks. The last one was imported; it begins on line {line}.")
        calls = self._trace(chosen, notes)
        if not calls:
            raise _create_missing_error()
        self._check_unused(chosen, calls, notes)
        return TracedModel(line, calls, tuple(notes), self._find_example_shape(calls[0]))

    def _find_example_shape(self, first: Call) -> tuple[int, int, int] | None:
        """Return the shape of the images that the program passes through the first layer, if it is the only one."""
        match list(self._interpreter.example_shapes.get(id(first.owner), ())):
            case [(channels, height, width)]:
                return channels, height, width
        return None

    # Choice

    def _choose(self) -> Network:
        uses = [use for use in self._interpreter.uses if isinstance(use.value, Unknown) or self._has_layers(use.value)]
        for is_training in (True, False):
            for use in reversed(uses):
                if is_training and use.kind not in _TRAINING_USES:
                    continue
                if isinstance(use.value, Unknown):
                    raise create_stop_error(
                        get_line_number(use.node), f"this network cannot be followed; {use.value.reason}", _ADVICE
                    )
                if not isinstance(use.value, ModuleSequence | UserInstance):
                    continue
                chosen = self._find_root(use.value)
                if use.is_undecided and use.kind == "assigned" and len(self._list_roots()) > 1:
                    raise self._create_ambiguous_error(self._list_roots())
                return self._check_decided(chosen)
        roots = self._list_roots()
        if len(roots) > 1:
            raise self._create_ambiguous_error(roots)
        return self._check_decided(roots[0]) if roots else self._make_defined()

    def _check_decided(self, network: Network) -> Network:
        if id(network) in self._undecided:
            line = get_line_number(self._places[id(network)])
            raise create_stop_error(
                line, "whether this network is made depends on a condition that cannot be decided", _ADVICE
            )
        return network

    def _create_ambiguous_error(self, networks: Sequence[Network]) -> ArchitectureError:
        names = [f"{_get_name(value)} (line {get_line_number(self._places[id(value)])})" for value in networks]
        return ArchitectureError(
            f"The code has several networks: {', '.join(names[:6])}.",
            expected="One network, or one that the code trains or assigns last.",
            fix="Keep one of them, or add a line such as `model = ...` with the one to import.",
        )

    def _has_layers(self, value: object) -> bool:
        """Return True for a network with weights."""
        return isinstance(value, ModuleSequence | UserInstance) and (
            isinstance(value, UserInstance)
            or self._interpreter.heap.get_taint(value) is not None
            or any(
                isinstance(part, Unknown) or (isinstance(part, Call) and has_weights(part))
                for part in self._iter_members(value)
            )
        )

    def _iter_members(self, value: object) -> list[object]:
        """Return the modules and layers of a network, and the network itself."""
        found: list[object] = []
        for _, module in self._interpreter.iter_modules(value):
            found.append(module)
            if isinstance(module, ModuleSequence):
                tensors = [part for part in module.parts if isinstance(part, SymbolicTensor)]
                found += [call.owner for part in tensors for call in iter_calls(part.calls)]
                found += [part for part in module.parts if isinstance(part, Unknown)]
        return found

    def _is_inside(self, value: Network, other: Network) -> bool:
        """Return True if a network is part of another one, or all its layers are part of one that is made later."""
        if value is other:
            return False
        members, others = self._members.get(id(value), set()), self._members.get(id(other), set())
        if id(value) in others:
            return True
        is_functional = isinstance(other, ModuleSequence) and other.kind == "Model"
        layers = members - {id(value)}
        is_later = self._networks.index(other) > self._networks.index(value)
        return is_functional and is_later and bool(layers) and layers <= others

    def _find_root(self, value: Network) -> Network:
        """Return the network that a network is part of, or the network itself."""
        if not any(value is network for network in self._networks):
            self._networks.append(value)
            self._places[id(value)] = _get_place(value)
            self._members[id(value)] = {id(part) for part in self._iter_members(value)}
        holders = [other for other in self._networks if self._is_inside(value, other) and self._can_forward(other)]
        return self._find_root(holders[-1]) if holders else value

    def _can_forward(self, value: Network) -> bool:
        return (
            isinstance(value, ModuleSequence)
            or self._interpreter.find_forward(value) is not None
            or value.base is not None
        )

    def _list_roots(self) -> list[Network]:
        """Return the networks with weights that are not part of another one."""
        every = [value for value in self._networks if self._can_forward(value)]
        full = [value for value in every if self._has_layers(value)] or every
        return [value for value in full if not any(self._is_inside(value, other) for other in full)]

    def _make_defined(self) -> Network:
        """Make the only network that the program defines and never makes."""
        interpreter = self._interpreter
        interpreter.is_filling = True
        unused = [
            (name, value, node)
            for name, value, node in interpreter.definitions
            if node not in interpreter.used_definitions
        ]
        for _, value, node in unused:
            if isinstance(value, Unknown):
                raise create_stop_error(get_line_number(node), value.reason, _ADVICE)
        found: list[tuple[Network, ast.AST]] = []
        for is_class in (True, False):
            for _, value, node in reversed(unused):
                if node not in interpreter.used_definitions and isinstance(value, UserClass) == is_class:
                    found += [(made, node) for made in self._call_definition(value)]
            if found:
                break
        roots = list({id(made): made for made, _ in found}.values())
        for made, node in found:
            self._places[id(made)] = node
        self._networks = [value for value, _, _ in interpreter.networks]
        self._places = {id(value): _get_place(value) for value in self._networks} | self._places
        self._members = {id(value): {id(part) for part in self._iter_members(value)} for value in self._networks}
        roots = [value for value in roots if not any(self._is_inside(value, other) for other in roots)]
        if len(roots) > 1:
            raise self._create_ambiguous_error(roots[::-1])
        if not roots:
            raise _create_missing_error()
        return roots[0]

    def _call_definition(self, value: object) -> list[Network]:
        """Return the networks that a class or a function makes."""
        interpreter = self._interpreter
        if isinstance(value, UserClass):
            if value.library_bases or any(value.find(name)[1] for name in ("forward", "call")):
                made: object = interpreter.instantiate(value, CallSite(value.node))
                return [made] if isinstance(made, UserInstance) and self._can_forward(made) else []
            functions = [item for item in value.cells.values() if isinstance(item, UserFunction)]
            return [made for function in functions for made in self._call_definition(function)]
        if not isinstance(value, UserFunction):
            return []
        made = interpreter.call_value(value, CallSite(value.node))
        return [made] if isinstance(made, ModuleSequence | UserInstance) and self._has_layers(made) else []

    # Calls

    def _trace(self, network: Network, notes: list[str]) -> tuple[Call, ...]:
        training, evaluation = (self._apply(network, mode, notes) for mode in (True, False))
        calls = list(training)
        kept = [call for call in calls if not is_dropout(call)]
        always = [call for call in evaluation if is_dropout(call)]
        other = [call for call in evaluation if not is_dropout(call)]
        for call in always:
            notes.append(f"Line {call.line}: this dropout is also active when the program evaluates; here it is not.")
        if len(other) == len(kept) + 1 and other[-1].name in _SOFTMAX_NAMES:
            calls.append(other.pop())
        elif len(kept) == len(other) + 1 and kept[-1].name in _SOFTMAX_NAMES:
            kept.pop()
        if len(kept) != len(other) or not all(map(_is_same_call, kept, other)):
            line = get_line_number(self._places[id(network)])
            raise create_stop_error(
                line, "the network differs between training and evaluation in more than dropout", _ADVICE
            )
        return tuple(calls)

    def _apply(self, network: Network, training: bool, notes: list[str]) -> tuple[Call, ...]:
        interpreter = self._interpreter
        interpreter.training = training
        interpreter.apply_depth = 1
        results: list[object] = []
        node = self._places[id(network)]

        def run() -> None:
            result = interpreter.apply(network, CallSite(node, (SymbolicTensor(),)))
            if isinstance(result, tuple | list) and result and isinstance(result[0], SymbolicTensor):
                notes.append("The network returns several values; only the first is used.")
                result = result[0]
            results.append(result.calls if isinstance(result, SymbolicTensor) else result)

        interpreter.heap.speculate(run)
        match results[0]:
            case tuple() as calls:
                return calls
            case Unknown(reason=reason, line=line):
                raise create_stop_error(
                    line or get_line_number(node), f"the network cannot be followed; {reason}", _ADVICE
                )
        raise create_stop_error(
            get_line_number(node), "the network returns no tensor", "Return the output of the last layer."
        )

    def _check_unused(self, network: Network, calls: Sequence[Call], notes: list[str]) -> None:
        """Note layers with weights that the network has and does not apply."""
        used = {id(call.owner) for call in iter_calls(calls)}
        if isinstance(network, ModuleSequence):
            return
        for member in self._iter_members(network):
            if isinstance(member, Call) and id(member) not in used and has_weights(member):
                what = f"{member.name} is made and never applied"
                notes.append(f"Line {member.line}: {what}; it is omitted, which changes no output.")


_ADVICE = "Write it with values that the code states, or paste the missing part."


def _create_missing_error() -> ArchitectureError:
    return ArchitectureError(
        "No network was found in this code.",
        expected="An nn.Sequential(...), a class with a forward method, or a Keras Sequential or Model.",
        fix="Paste the lines that define the network too.",
    )


def _get_place(value: Network) -> ast.AST:
    """Return the definition of a network."""
    return value.node if isinstance(value, ModuleSequence) else value.user_class.node


def _get_name(value: Network) -> str:
    return value.user_class.name if isinstance(value, UserInstance) else value.kind


def _is_same_call(first: Call, second: Call) -> bool:
    """Return True if two calls are the same operation with the same arguments."""
    if first.name == "Residual" and second.name == "Residual":
        one, other = (
            [[call for call in branch if not is_dropout(call)] for branch in (block.body, block.shortcut)]
            for block in (first, second)
        )
        return all(len(a) == len(b) and all(map(_is_same_call, a, b)) for a, b in zip(one, other, strict=True))
    if first.module or second.module:
        return first.owner is second.owner
    return (
        first.name == second.name
        and first.node is second.node
        and (
            len(first.positional) == len(second.positional)
            and all(map(is_same_value, first.positional, second.positional))
        )
        and first.keywords.keys() == second.keywords.keys()
        and all(is_same_value(first.keywords[name], second.keywords[name]) for name in first.keywords)
    )
