"""Forms generated from pydantic models: the type and bounds of a field decide its control.

Every control is bound to its value, so that undo, a preset or another tab can change it; see ``controls``.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st
from pydantic import BaseModel

from playground.core.form_schema import FormField, build_form_fields
from playground.ui.controls import bind, render_number

ChangeHandler = Callable[[str, Any], None]
Choice = TypeVar("Choice")
_AUTO_VALUE = "auto"
_CHOICE_LABELS = {"none": "none", "relu": "ReLU", "leaky_relu": "Leaky ReLU", "elu": "ELU", "gelu": "GELU"}
_CHOICE_LABELS |= {"silu": "SiLU", "sigmoid": "Sigmoid", "tanh": "Tanh", "softmax": "Softmax"}


def render_model_form(
    model: BaseModel,
    *,
    key: str,
    on_change: ChangeHandler,
    columns: int = 3,
    field_names: Sequence[str] | None = None,
    disabled: Sequence[str] | bool = False,
) -> None:
    """Render the controls of a model's fields in a grid; ``on_change`` gets a field's name and its new value."""
    fields = [field for field in build_form_fields(type(model)) if field_names is None or field.name in field_names]
    if not fields:
        return
    grid_columns = st.columns(min(columns, len(fields)), gap="small")
    for index, field in enumerate(fields):
        is_disabled = disabled if isinstance(disabled, bool) else field.name in disabled
        with grid_columns[index % len(grid_columns)]:
            render_control(
                field, getattr(model, field.name), key=f"{key}-{field.name}", on_change=on_change, disabled=is_disabled
            )


def render_control(field: FormField, value: Any, *, key: str, on_change: ChangeHandler, disabled: bool = False) -> None:
    """Render the control of one field, showing ``value``."""
    widget_value = _AUTO_VALUE if value is None else value

    def store_value(new_value: Any) -> None:
        on_change(field.name, None if new_value == _AUTO_VALUE else new_value)

    common: dict[str, Any] = {"help": _format_help(field), "disabled": disabled}
    match field.control:
        case "flag":
            st.checkbox(field.label, **bind(key, widget_value, store_value), **common)
        case "choice":
            choices = [_AUTO_VALUE if choice is None else choice for choice in field.choices]
            st.selectbox(
                field.label, choices, format_func=_format_choice, **bind(key, widget_value, store_value), **common
            )
        case "integer" | "number":
            render_number(
                field.label,
                value,
                store_value,
                name=key,
                minimum=field.minimum,
                maximum=field.maximum,
                step=1 if field.control == "integer" else field.step or 0.01,
                number_format=None if field.control == "integer" else field.number_format or "%g",
                **common,
            )


def choose_one(
    label: str,
    options: Sequence[Choice],
    *,
    key: str,
    help_text: str | None = None,
    format_label: Callable[[Choice], str] = str,
) -> Choice:
    """Render a choice between a few options, at first the first one; the choice is kept for the session."""
    chosen = st.segmented_control(
        label,
        options,
        key=key,
        default=options[0],
        required=True,
        persist_state="session",
        label_visibility="collapsed",
        format_func=format_label,
        help=help_text,
    )
    return options[0] if chosen is None else chosen


def choose_page_start(noun: str, count: int, page_size: int, *, key: str, default: int = 0) -> int:
    """Render a choice of the page if ``count`` items do not fit on one; returns the index of its first item."""
    if count <= page_size:
        return 0
    starts = range(0, count, page_size)
    chosen = st.segmented_control(
        noun.capitalize(),
        starts,
        key=f"{key}-{count}",
        default=default // page_size * page_size,
        required=True,
        label_visibility="collapsed",
        format_func=lambda start: f"{noun} {start + 1}–{min(count, start + page_size)}",
    )
    return 0 if chosen is None else chosen


def _format_help(field: FormField) -> str | None:
    """Return the field's help and, for numbers, its bounds."""
    if field.minimum is None or field.maximum is None or field.control not in ("integer", "number"):
        return field.help or None
    return f"{field.help} From {field.minimum:g} to {field.maximum:,g}.".strip()


def _format_choice(choice: Any) -> str:
    return _CHOICE_LABELS.get(choice, str(choice))
