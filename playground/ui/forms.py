"""A form for any model of the spec: which control a field gets follows from the field itself.

Widgets are controlled: the value in the state is written into the widget before it is drawn, and a change goes back
through a callback. So undo, a preset or another tab can change a value under a form without it drifting apart.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from pydantic import BaseModel

from playground.spec.fields import FormField, form_fields

Changed = Callable[[str, Any], None]
_WORDS = {None: "auto", "none": "none", "relu": "ReLU", "leaky_relu": "Leaky ReLU", "elu": "ELU", "gelu": "GELU"}
_WORDS |= {"silu": "SiLU", "sigmoid": "Sigmoid", "tanh": "Tanh", "softmax": "Softmax"}


def model_form(
    model: BaseModel,
    *,
    key: str,
    on_change: Changed,
    columns: int = 3,
    only: Sequence[str] | None = None,
    disabled: Sequence[str] | bool = False,
) -> None:
    """Controls for a model's fields in a grid; ``on_change`` gets a field's name and its new value."""
    fields = [field for field in form_fields(type(model)) if only is None or field.name in only]
    if not fields:
        return
    places = st.columns(min(columns, len(fields)), gap="small")
    for number, field in enumerate(fields):
        off = disabled if isinstance(disabled, bool) else field.name in disabled
        with places[number % len(places)]:
            control(field, getattr(model, field.name), key=f"{key}-{field.name}", on_change=on_change, disabled=off)


def control(field: FormField, value: Any, *, key: str, on_change: Changed, disabled: bool = False) -> None:
    """One field's control, showing ``value``."""
    st.session_state[key] = value

    def changed() -> None:
        on_change(field.name, st.session_state[key])

    common: dict[str, Any] = {"key": key, "help": field.help or None, "on_change": changed, "disabled": disabled}
    match field.control:
        case "flag":
            st.checkbox(field.label, **common)
        case "choice":
            st.selectbox(field.label, field.choices, format_func=_word, **common)
        case "integer":
            st.number_input(field.label, _whole(field.minimum), _whole(field.maximum), step=1, **common)
        case "number":
            st.session_state[key] = float(value)
            st.number_input(
                field.label,
                field.minimum,
                field.maximum,
                step=field.step or 0.01,
                format=field.number_format or "%g",
                **common,
            )


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


def _word(choice: Any) -> str:
    return _WORDS.get(choice, str(choice))
