"""Bound widgets: values that the page changes, echoes of old values from the browser, and refused numbers."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.apps import echo, find


def _form() -> None:
    import streamlit as st

    from playground.ui.controls import bind, render_number

    values = st.session_state.setdefault("values", {"size": 3, "kinds": ["a"], "limit": None})
    stored = st.session_state.setdefault("stored", [])

    def store(name: str, value: object) -> None:
        values[name] = value
        stored.append((name, value))

    st.multiselect("Kinds", ["a", "b"], **bind("kinds", values["kinds"], lambda value: store("kinds", value)))
    render_number("Size", values["size"], lambda value: store("size", value), name="size", minimum=1, maximum=8192)
    render_number(
        "Limit", values["limit"], lambda value: store("limit", value), name="limit", minimum=10, is_optional=True
    )
    render_number("Rate", 0.5, lambda value: store("rate", value), name="rate", minimum=1e-6, maximum=1.0, step=0.1)
    st.button("Replace", key="replace", on_click=lambda: values.update(size=5, kinds=["b"]))


@pytest.fixture
def form() -> AppTest:
    return AppTest.from_function(_form, default_timeout=60).run()


def shown(app: AppTest) -> tuple[Any, Any]:
    return find(app.number_input, "size").value, find(app.multiselect, "kinds").value


def refusals(app: AppTest) -> list[str]:
    return [element.proto.body for element in app.get("html")]


def test_change_by_the_user_is_stored_and_keeps_the_widget(form: AppTest) -> None:
    find(form.number_input, "size").set_value(4).run()
    find(form.multiselect, "kinds").set_value(["a", "b"]).run()
    assert form.session_state["stored"] == [("size", 4), ("kinds", ["a", "b"])]
    assert {form.number_input[0].key, form.multiselect[0].key} == {"size", "kinds"}


def test_value_that_the_page_changed_is_shown(form: AppTest) -> None:
    form.button(key="replace").click().run()
    assert shown(form) == (5, ["b"])
    assert form.session_state["stored"] == []


def test_echo_of_values_from_before_a_change_by_the_page_is_ignored(form: AppTest) -> None:
    """A rerun that the browser sent before it received the new values must not bring back the old ones."""
    old_states = form._tree.get_widget_states()
    form.button(key="replace").click().run()
    echo(form, old_states)
    assert form.session_state["stored"] == []
    assert shown(form) == (5, ["b"])
    find(form.number_input, "size").set_value(3).run()
    assert form.session_state["stored"] == [("size", 3)], "the user may still choose the old value"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("size", 0, "0 is refused: from 1 to 8,192."),
        ("size", 60_000, "60,000 is refused: from 1 to 8,192."),
        ("limit", 3, "3 is refused: at least 10."),
        ("rate", -3.0, "-3 is refused: from 1e-06 to 1."),
    ],
)
def test_invalid_number_is_refused_with_the_reason_and_nothing_is_stored(
    form: AppTest, name: str, value: float | None, reason: str
) -> None:
    before = find(form.number_input, name).value
    find(form.number_input, name).set_value(value).run()
    assert not form.exception
    assert form.session_state["stored"] == []
    assert find(form.number_input, name).value == before
    (refusal,) = refusals(form)
    assert reason in refusal
    assert 'role="alert"' in refusal


def test_refusal_disappears_after_the_next_change(form: AppTest) -> None:
    find(form.number_input, "size").set_value(0).run()
    find(form.number_input, "rate").set_value(0.7).run()
    assert refusals(form) == []
    find(form.number_input, "size").set_value(0).run()
    form.button(key="replace").click().run()
    assert refusals(form) == []


def test_optional_number_can_be_emptied(form: AppTest) -> None:
    find(form.number_input, "limit").set_value(50).run()
    find(form.number_input, "limit").set_value(None).run()
    assert form.session_state["stored"] == [("limit", 50), ("limit", None)]
