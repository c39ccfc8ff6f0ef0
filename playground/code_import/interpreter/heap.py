"""State of the interpreted program: bounds of time and memory, and execution that may or may not happen."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from playground.code_import.interpreter.values import (
    BoundMethod,
    Call,
    DictView,
    IteratorValue,
    LibraryName,
    ModuleSequence,
    Partial,
    Scope,
    SymbolicTensor,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
)
from playground.errors import ArchitectureError

_MAX_STEPS = 400_000
_MISSING = object()

Mutable = (
    list[object]
    | dict[object, object]
    | set[object]
    | Scope
    | Call
    | SymbolicTensor
    | ModuleSequence
    | UserClass
    | UserInstance
    | IteratorValue
)
MUTABLE_TYPES = (list, dict, set, Scope, Call, SymbolicTensor, ModuleSequence, UserClass, UserInstance, IteratorValue)
_KEYED_TYPES = (Scope, Call, UserClass, UserInstance)


@dataclass
class _State:
    """Contents of an object, and the reason why it is unknown as a whole."""

    contents: list[object] | dict[object, object] | set[object]
    taint: Unknown | None


@dataclass
class Branch:
    """Objects that an execution changed, with their states afterwards."""

    touched: dict[int, Mutable] = field(default_factory=dict)
    before: dict[int, _State] = field(default_factory=dict)
    after: dict[int, _State] = field(default_factory=dict)


class Heap:
    """Records every change, so that a branch can be undone and joined with another one.

    A step is a node of the syntax tree or an element of a value; their number bounds time and memory.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._taints: dict[int, tuple[object, Unknown]] = {}
        self._journals: list[Branch] = []

    @property
    def is_speculating(self) -> bool:
        """True while code is executed that may not run."""
        return bool(self._journals)

    def charge(self, steps: int) -> None:
        """Count steps; raises ArchitectureError after too many."""
        self.steps += steps
        if self.steps > _MAX_STEPS:
            raise create_too_long_error()

    def touch(self, value: Mutable) -> None:
        """Remember the state of an object that is about to change."""
        if self._journals and id(value) not in self._journals[-1].before:
            self._journals[-1].touched[id(value)] = value
            self._journals[-1].before[id(value)] = self._read(value)

    def taint(self, value: object, unknown: Unknown) -> None:
        """Make an object unknown as a whole; values that never change stay known."""
        if isinstance(value, MUTABLE_TYPES) and id(value) not in self._taints:
            self.touch(value)
            self._taints[id(value)] = (value, unknown)

    def get_taint(self, value: object) -> Unknown | None:
        """Return the reason why an object is unknown as a whole."""
        entry = self._taints.get(id(value)) if self._taints else None
        return entry[1] if entry else None

    def taint_reachable(self, values: Sequence[object], unknown: Unknown, *, with_networks: bool = True) -> None:
        """Make all objects unknown that code unknown to us could change through these values."""
        networks = () if with_networks else (Call, ModuleSequence, UserInstance)
        for value in list(self.iter_reachable(values, (UserClass, Scope, UserFunction, SymbolicTensor, *networks))):
            self.taint(value, unknown)

    def iter_reachable(self, values: Iterable[object], excluded: tuple[type, ...] = ()) -> Iterator[object]:
        """Iterate over all objects that code can reach from these values."""
        seen: set[int] = set()
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if id(value) in seen or isinstance(value, excluded):
                continue
            self.charge(1)
            seen.add(id(value))
            yield value
            waiting += _iter_inner(value)

    def _read(self, value: Mutable) -> _State:
        contents = _get_contents(value)
        self.charge(1 + len(contents) // 8)
        return _State(contents.copy(), self.get_taint(value))

    def _write(self, value: Mutable, state: _State) -> None:
        match _get_contents(value), state.contents:
            case (list() as contents, list() as saved):
                contents[:] = saved
            case (dict() as cells, dict() as saved_cells):
                cells.clear()
                cells.update(saved_cells)
            case (set() as elements, set() as saved_elements):
                elements.clear()
                elements.update(saved_elements)
        if state.taint:
            self._taints[id(value)] = (value, state.taint)
        else:
            self._taints.pop(id(value), None)

    def speculate(self, run: Callable[[], None]) -> Branch:
        """Execute, undo all changes, and return them."""
        branch = Branch()
        self._journals.append(branch)
        try:
            run()
        finally:
            self._journals.pop()
            branch.after = {key: self._read(value) for key, value in branch.touched.items()}
            for key, value in branch.touched.items():
                self._write(value, branch.before[key])
        return branch

    def join(self, branches: Sequence[Branch], unknown: Unknown) -> set[int]:
        """Make the state one that holds after any of the branches; return the identities of changed objects."""
        changed: set[int] = set()
        touched = {key: value for branch in branches for key, value in branch.touched.items()}
        for key, value in touched.items():
            now = self._read(value)
            states = [branch.after.get(key, now) for branch in branches]
            joined = self._join_states(value, states, unknown)
            if not _is_same_state(joined, now):
                changed.add(key)
                self.touch(value)
                self._write(value, joined)
        return changed

    def _join_states(self, value: Mutable, states: Sequence[_State], unknown: Unknown) -> _State:
        first = states[0]
        if all(_is_same_state(first, state) for state in states[1:]):
            return first
        taint = next((state.taint for state in states if state.taint), None)
        if taint:
            return _State(first.contents, taint)
        every = [_to_dict(state.contents) for state in states]
        has_same_keys = all(list(contents) == list(every[0]) for contents in every[1:])
        if isinstance(value, set | SymbolicTensor | IteratorValue) or not (
            has_same_keys or isinstance(value, _KEYED_TYPES)
        ):
            return _State(first.contents, unknown)
        joined = {
            name: join_values([contents.get(name, _MISSING) for contents in every], unknown)
            for name in dict.fromkeys(name for contents in every for name in contents)
        }
        return _State(list(joined.values()) if isinstance(value, list) else joined, None)


def _iter_inner(value: object) -> Iterable[object]:
    """Return the values that a value refers to."""
    match value:
        case list() | tuple() | set() | dict():
            return value.values() if isinstance(value, dict) else value
        case UserFunction():
            return (value.scope, value.owner, *value.defaults, *value.keyword_defaults)
        case BoundMethod():
            return (value.owner, value.function)
        case Partial():
            return (value.function, *value.positional, *value.keywords.values())
        case IteratorValue():
            return value.items
        case DictView():
            return (value.owner,)
        case Scope():
            return (*value.cells.values(), value.parent)
        case UserClass():
            return (*value.cells.values(), *value.mro, value.scope)
        case UserInstance():
            return (*value.cells.values(), value.user_class)
        case Call() | ModuleSequence() | SymbolicTensor():
            return value.cells.values()
    return ()


def _get_contents(value: Mutable) -> list[object] | dict[object, object] | set[object]:
    return value if isinstance(value, list | dict | set) else value.cells


def _to_dict(contents: list[object] | dict[object, object] | set[object]) -> dict[object, object]:
    return contents if isinstance(contents, dict) else dict(enumerate(contents))


def _is_same_state(first: _State, second: _State) -> bool:
    if bool(first.taint) != bool(second.taint):
        return False
    if first.taint:
        return True
    if isinstance(first.contents, set):
        return first.contents == second.contents
    one, other = _to_dict(first.contents), _to_dict(second.contents)
    return list(one) == list(other) and all(is_same_value(one[name], other[name]) for name in one)


def is_same_value(first: object, second: object, depth: int = 3) -> bool:
    """Return True for the same object, equal plain values, and any two unknown values."""
    if first is second or (isinstance(first, Unknown) and isinstance(second, Unknown)):
        return True
    if type(first) is not type(second):
        return False
    if isinstance(first, tuple) and isinstance(second, tuple):
        pairs = list(zip(first, second, strict=False))
        return bool(depth) and len(first) == len(second) <= 64 and all(is_same_value(a, b, depth - 1) for a, b in pairs)
    return isinstance(first, int | float | str | range | LibraryName) and first == second


def join_values(values: Sequence[object], unknown: Unknown) -> object:
    """Return the value if all are the same; otherwise unknown."""
    first = values[0]
    if all(is_same_value(first, value) for value in values[1:]):
        return first
    return next((value for value in values if isinstance(value, Unknown)), unknown)


def create_too_long_error() -> ArchitectureError:
    """Return the error for code that exceeds the limits of the interpreter."""
    return ArchitectureError(
        "This code is too long or too deep to follow.",
        expected="Code that builds one network of at most 64 layers.",
        fix="Paste only the network.",
    )


def create_stop_error(line: int, reason: str, fix: str = "") -> ArchitectureError:
    """Return the error for code that cannot be followed; ``reason`` is a clause that the line's number precedes."""
    return ArchitectureError(f"Line {line}: {reason}.", fix=fix or "Write this part in a simpler way, or remove it.")
