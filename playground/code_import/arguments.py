"""Arguments of a call, read by name and type. Arguments that are not read are rejected."""

import ast
from collections.abc import Callable, Sequence

from playground.code_import.interpreter.values import Call, Unknown
from playground.core.layers.shared.call_import import UnsupportedCallError

__all__ = ["Arguments", "NoteCallback", "UnsupportedCallError", "get_call_source"]

NoteCallback = Callable[[str], None]


class Arguments:
    """Reader of arguments; raises UnsupportedCallError for one that is missing, unknown or of the wrong type."""

    def __init__(self, call: Call, names: Sequence[str], add_note: NoteCallback, open_units: int | None = None) -> None:
        if len(call.positional) > len(names):
            raise UnsupportedCallError(
                f"has {len(call.positional)} positional arguments; at most {len(names)} are supported"
            )
        self.call = call
        self.add_note = add_note
        self.is_shape_dependent = False
        self._unread = dict(zip(names, call.positional, strict=False)) | call.keywords
        self._open_units = open_units

    @property
    def name(self) -> str:
        """Name of the called class or function."""
        return self.call.name

    @property
    def line(self) -> int:
        """Line of the call, from 1."""
        return self.call.line

    @property
    def positional(self) -> tuple[object, ...]:
        """Positional arguments."""
        return tuple(self.call.positional)

    def pop(self, *names: str) -> object:
        """Return the value of the first of these names that was given; None if none was."""
        values = [self._unread.pop(name) for name in names if name in self._unread]
        return next((value for value in values if value is not None), None)

    def set_value(self, name: str, value: object) -> None:
        """Set an argument, for one given under another name or in another form."""
        if value is not None:
            self._unread[name] = value

    def read_integer(self, *names: str, default: int | None = None) -> int:
        """Read a whole number."""
        return self.to_integer(self.pop(*names), names[0], default)

    def read_square(self, *names: str, default: int | None = None) -> int:
        """Read a whole number for both axes, given once or twice."""
        value = self.pop(*names)
        if isinstance(value, list | tuple) and value:
            numbers = {side for side in value if isinstance(side, int)}
            if len(value) > 2 or len(numbers) > 1:
                raise UnsupportedCallError(f"has a {names[0]} that differs between height and width")
            value = value[0] if all(isinstance(side, int) for side in value) else None
            default = None
        return self.to_integer(value, names[0], default)

    def read_units(self, *names: str) -> int:
        """Read the size of a linear layer; that of the last one may be unknown: it is the number of classes."""
        value = self.pop(*names)
        if isinstance(value, Unknown) and value.is_absent and self._open_units:
            value = self._open_units
            self.add_note(f"The code does not state the number of classes; {value} is assumed.")
        return self.to_integer(value, names[0], None)

    def read_expected_size(self, *names: str) -> int | None:
        """Read the size of the input; None if the code does not state it."""
        value = self.pop(*names)
        return value if isinstance(value, int) else None

    def to_integer(self, value: object, name: str, default: int | None = None) -> int:
        """Return a value as a whole number."""
        value = default if value is None else value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnsupportedCallError(f"needs a whole number as {name}{_explain(value)}")
        return value

    def read_number(self, *names: str, default: float | None = None) -> float:
        """Read a number."""
        value = self.pop(*names)
        value = default if value is None else value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UnsupportedCallError(f"needs a number as {names[0]}{_explain(value)}")
        return float(value)

    def read_flag(self, *names: str, default: bool = True) -> bool:
        """Read a boolean."""
        value = self.pop(*names)
        value = default if value is None else value
        if not isinstance(value, bool | int):
            raise UnsupportedCallError(f"needs True or False as {names[0]}{_explain(value)}")
        return bool(value)

    def require_value(self, name: str, *allowed: object) -> None:
        """Reject an argument with another value than these."""
        value = self.pop(name)
        if value is not None and not any(type(value) is type(one) and value == one for one in allowed):
            raise UnsupportedCallError(f"has an unsupported value of {name}")

    def ignore(self, *names: str) -> None:
        """Ignore arguments that do not change the network: names, devices, seeds."""
        for name in names:
            self._unread.pop(name, None)

    def ignore_remaining(self) -> None:
        """Ignore all other arguments."""
        self._unread.clear()

    def drop_with_note(self, *names: str) -> None:
        """Drop arguments that have no counterpart and affect only training, with a note for each."""
        for name in names:
            value = self._unread.pop(name, None)
            if value is not None and value is not False:
                self.add_note(f"{name} is omitted.")

    def mark_shape_dependent(self) -> None:
        """Record that the imported layers hold only for this input shape."""
        self.is_shape_dependent = True

    def reject_unread(self) -> None:
        """Reject all arguments that were not read."""
        if self._unread:
            raise UnsupportedCallError(f"has unsupported arguments: {', '.join(sorted(self._unread))}")


def _explain(value: object) -> str:
    """Return why a value is unknown, as the rest of a sentence."""
    return f": {value.reason}" if isinstance(value, Unknown) else ""


def get_call_source(call: Call, source: str) -> str:
    """Return the source text of a call on one line of at most 60 characters."""
    try:
        text = " ".join((ast.get_source_segment(source, call.node) or call.name).split())
    except (IndexError, ValueError, UnicodeError):
        text = call.name
    return text if len(text) <= 60 else f"{text[:57]}..."
