"""Cards of presets in groups, with a search field."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypedDict

import streamlit as st

from playground.ui.components.register import register_component

_RENDER = register_component("preset_gallery")


class PictureBlock(TypedDict):
    """A layer in the small picture of a network; width and height in CSS pixels."""

    width: float
    height: float
    color: str


class PresetCard(NamedTuple):
    """A preset: its name, texts, and the layers of its picture."""

    name: str
    group: str
    title: str
    description: str
    facts: tuple[str, ...]
    blocks: tuple[PictureBlock, ...] = ()


def render_preset_gallery(
    cards: Sequence[PresetCard], *, key: str, selected: str | None, on_select: Callable[[str], None]
) -> None:
    """Render the cards; ``on_select`` is called with the name of a clicked one before the script runs."""
    names = {card.name for card in cards}

    def handle_select() -> None:
        name = (st.session_state.get(key) or {}).get("selected")
        if isinstance(name, str) and name in names:  # the browser can send anything
            on_select(name)

    _RENDER(
        key=key,
        data={"selected": selected, "cards": [card._asdict() for card in cards]},
        on_selected_change=handle_select,
    )
