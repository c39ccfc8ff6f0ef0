"""The arguments of one call, asked for by name. What nobody asks for is refused: nothing gets lost in silence."""

import ast
from collections.abc import Callable, Sequence

from playground.code_import.values import Call, Unknown
from playground.core.layers.shared.call_import import UnsupportedCallError

__all__ = ["Arguments", "NoteCallback", "UnsupportedCallError", "get_call_source"]

NoteCallback = Callable[[str], None]


class Arguments:
    """Reads each argument once and by its type; raises Misread for one that is missing, unknown or of another type."""

    def __init__(self, call: Call, names: Sequence[str], add_note: NoteCallback, open_units: int | None = None) -> None:
        if len(call.positional) > len(names):
            raise UnsupportedCallError(f"has {len(call.positional)} values without a name; {len(names)} are understood")
        self.call = call
        self.add_note = add_note
        self._unread = dict(zip(names, call.positional, strict=False)) | call.keywords
        self._open_units = open_units

    @property
    def name(self) -> str:
        """The name of the called class or function."""
        return self.call.name

    @property
    def line(self) -> int:
        """The line of the call, from 1."""
        return self.call.line

    @property
    def positional(self) -> tuple[object, ...]:
        """The values without a name."""
        return tuple(self.call.positional)

    def pop(self, *names: str) -> object:
        """The value of the first of these names that was given; None if none was."""
        values = [self._unread.pop(name) for name in names if name in self._unread]
        return next((value for value in values if value is not None), None)

    def set_value(self, name: str, value: object) -> None:
        """Give an argument under another name, or in another form."""
        if value is not None:
            self._unread[name] = value

    def read_integer(self, *names: str, default: int | None = None) -> int:
        """A whole number."""
        return self._to_integer(self.pop(*names), names[0], default)

    def read_square(self, *names: str, default: int | None = None) -> int:
        """One number for both axes, or the same number twice."""
        value = self.pop(*names)
        if isinstance(value, list | tuple) and value:
            numbers = {side for side in value if isinstance(side, int)}
            if len(value) > 2 or len(numbers) > 1:
                raise UnsupportedCallError(f"has a {names[0]} that is not the same both ways")
            value = value[0] if all(isinstance(side, int) for side in value) else None
            default = None
        return self._to_integer(value, names[0], default)

    def read_units(self, *names: str) -> int:
        """The size of a linear layer; that of the last one is the number of classes, which the code may leave open."""
        value = self.pop(*names)
        if isinstance(value, Unknown) and self._open_units:
            value = self._open_units
            self.add_note(f"The number of classes is not written in the code: {value} is assumed.")
        return self._to_integer(value, names[0], None)

    def read_expected_size(self, *names: str) -> int | None:
        """The size of the input as the code states it; None if it leaves that open."""
        value = self.pop(*names)
        return value if isinstance(value, int) else None

    def _to_integer(self, value: object, name: str, default: int | None) -> int:
        value = default if value is None else value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnsupportedCallError(f"does not say {name} as a whole number")
        return value

    def read_number(self, *names: str, default: float | None = None) -> float:
        """Any number."""
        value = self.pop(*names)
        value = default if value is None else value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UnsupportedCallError(f"does not say {names[0]} as a number")
        return float(value)

    def read_flag(self, *names: str, default: bool = True) -> bool:
        """Yes or no."""
        value = self.pop(*names)
        value = default if value is None else value
        if not isinstance(value, bool | int):
            raise UnsupportedCallError(f"does not say whether {names[0]} is True or False")
        return bool(value)

    def require_value(self, name: str, *allowed: object) -> None:
        """Refuse an argument with another value than these."""
        value = self.pop(name)
        if value is not None and not any(type(value) is type(one) and value == one for one in allowed):
            raise UnsupportedCallError(f"has a {name} that is not known here")

    def ignore(self, *names: str) -> None:
        """Arguments that change nothing: names, devices, seeds."""
        for name in names:
            self._unread.pop(name, None)

    def ignore_remaining(self) -> None:
        """Everything else."""
        self._unread.clear()

    def drop_with_note(self, *names: str) -> None:
        """Arguments that have no counterpart here, but change the training only; the reader is told."""
        for name in names:
            value = self._unread.pop(name, None)
            if value is not None and value is not False:
                self.add_note(f"{name} is left out.")

    def reject_unread(self) -> None:
        """Refuse what was not asked for."""
        if self._unread:
            raise UnsupportedCallError(f"has {', '.join(sorted(self._unread))}, which is not known here")


def get_call_source(call: Call, source: str) -> str:
    """The call as it stands in the code, on one line of at most 60 characters."""
    try:
        text = " ".join((ast.get_source_segment(source, call.node) or call.name).split())
    except (IndexError, ValueError, UnicodeError):
        text = call.name
    return text if len(text) <= 60 else f"{text[:57]}..."
