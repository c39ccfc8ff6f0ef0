"""Widgets bound to values of the state: a widget shows the value, and a change by the user is stored.

The browser sends the values of all widgets with every rerun. A rerun that it sent before it received a value that the
page itself has changed (by undo, a preset, another run) still holds the old one, which Streamlit reports as a change
by the user. So a widget gets another key whenever its value changes by other means, and changes of earlier keys are
ignored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import streamlit as st

from playground.ui import html

Store = Callable[[Any], None]
_BINDINGS_KEY = "bindings"
_REFUSAL_KEY = "refusal"


class WidgetArguments(TypedDict):
    """Arguments of a bound widget."""

    key: str
    on_change: Callable[[], None]


@dataclass
class _Binding:
    """The value that a widget shows, and how often it was changed by other means than the widget."""

    value: Any
    revision: int = 0


def bind(name: str, value: Any, store: Store, *, check: Callable[[Any], str] | None = None) -> WidgetArguments:
    """Bind a widget to a value; ``store`` gets what the user chooses. The widget's key begins with ``name``.

    ``check`` returns the reason for refusing a value, or an empty string; see ``render_refusal``.
    """
    bindings: dict[str, _Binding] = st.session_state.setdefault(_BINDINGS_KEY, {})
    binding = bindings.setdefault(name, _Binding(value))
    if binding.value != value:
        binding.value, binding.revision = value, binding.revision + 1
        _clear_refusal(name)
    revision = binding.revision
    key = f"{name}.{revision}" if revision else name
    st.session_state[key] = value

    def handle_change() -> None:
        if binding.revision != revision:
            return
        new_value = st.session_state[key]
        reason = check(new_value) if check else ""
        if reason:
            st.session_state[_REFUSAL_KEY] = (name, reason)
        elif new_value != binding.value:
            binding.value = new_value
            _clear_refusal()
            store(new_value)

    return WidgetArguments(key=key, on_change=handle_change)


def render_number(
    label: str,
    value: float | None,
    store: Store,
    *,
    name: str,
    minimum: float | None = None,
    maximum: float | None = None,
    is_optional: bool = False,
    step: float = 1,
    number_format: str | None = None,
    **widget_options: Any,
) -> None:
    """Render a number field; a number out of bounds is refused below the field, and the field keeps its value.

    ``is_optional``: an empty field is allowed and stored as None. An integer ``step`` makes it a field of integers.
    The bounds are not given to the widget: the browser would go on showing a number that it does not send.
    """

    def check(number: float | None) -> str:
        return _find_refusal(number, minimum, maximum, is_optional=is_optional)

    number = value if value is None else type(step)(value)
    arguments = bind(name, number, store, check=check)
    # A field that may be empty has a button for it, which needs the room of three digits.
    default: Any = None if is_optional else "min"
    st.number_input(label, value=default, step=step, format=number_format, **arguments, **widget_options)
    refused_name, reason = st.session_state.get(_REFUSAL_KEY, ("", ""))
    if refused_name == name:
        html.render_refusal(reason)


def choose_number(
    label: str, default: int, *, name: str, minimum: int, maximum: int | None = None, **widget_options: Any
) -> int:
    """Render a field for an integer that is kept for the session, and return it."""
    slot = f"{name}-value"
    value = max(minimum, int(st.session_state.get(slot, default)))
    value = value if maximum is None else min(value, maximum)

    def store_number(number: Any) -> None:
        st.session_state[slot] = number

    render_number(label, value, store_number, name=name, minimum=minimum, maximum=maximum, **widget_options)
    return value


def _find_refusal(number: float | None, minimum: float | None, maximum: float | None, *, is_optional: bool) -> str:
    """Return the reason for refusing a number; empty if it is accepted."""
    bounds = _format_bounds(minimum, maximum)
    if number is None:
        return "" if is_optional else f"Enter a number, {bounds}." if bounds else "Enter a number."
    is_within = (minimum is None or number >= minimum) and (maximum is None or number <= maximum)
    return "" if is_within else f"{_format_number(number)} is refused: {bounds}."


def _format_bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return "" if maximum is None else f"at most {_format_number(maximum)}"
    if maximum is None:
        return f"at least {_format_number(minimum)}"
    return f"from {_format_number(minimum)} to {_format_number(maximum)}"


def _format_number(number: float) -> str:
    return f"{int(number):,}" if float(number).is_integer() else f"{number:g}"


def _clear_refusal(name: str | None = None) -> None:
    refused_name, _ = st.session_state.get(_REFUSAL_KEY, (None, ""))
    if name in (None, refused_name):
        st.session_state.pop(_REFUSAL_KEY, None)
