"""Keyboard shortcuts: the list of them, and the switch that turns them off."""

from typing import Literal

import streamlit as st

from playground.ui import html
from playground.ui.components.keyboard_guard import guard_keyboard
from playground.ui.state import get_app_state

Shortcut = Literal["Space", "S", "Z", "E", "Delete"]

SHORTCUTS: dict[Shortcut, str] = {
    "Space": "Train, pause, resume; on Inspect and Mistakes: play training",
    "S": "Train one step",
    "Z": "Undo the last edit of the network",
    "E": "Pen or eraser",
    "Delete": "Clear the canvas",
}
"""Shortcuts by key, and their actions."""


def get_shortcut(key: Shortcut) -> str | None:
    """Return the key for a button's ``shortcut``; None while shortcuts are switched off."""
    return key if get_app_state().has_shortcuts else None


def render_shortcuts_popover() -> None:
    """Render the list of shortcuts, and the switch for them, in the header."""
    with st.container(key="shortcuts"):
        guard_keyboard()
        popover = st.popover(
            "Keys", icon=":material/keyboard:", key="shortcuts-list", help="Keyboard shortcuts", on_change="rerun"
        )
        if not popover.open:
            return
        with popover:
            html.render_title("Keyboard shortcuts")
            html.render_key_value_table(list(SHORTCUTS.items()))
            html.render_hint("A key acts on the page while no control has the focus.")
            st.session_state["shortcuts-on"] = get_app_state().has_shortcuts
            st.toggle("Use keyboard shortcuts", key="shortcuts-on", on_change=_store_choice)


def _store_choice() -> None:
    get_app_state().has_shortcuts = bool(st.session_state["shortcuts-on"])
