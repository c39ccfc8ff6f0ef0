"""Clickable small images with captions and an optional outlined region."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import streamlit as st

from playground.ui.components.register import encode_png_url, register_component

_RENDER = register_component("gallery")


class Tile(NamedTuple):
    """An image as a PNG; ``box`` (top, left, bottom, right), as shares of its sides, is outlined."""

    name: str
    png: bytes
    caption: str
    alt: str
    is_error: bool = False
    box: tuple[float, float, float, float] | None = None


def render_gallery(
    tiles: Sequence[Tile],
    *,
    key: str,
    size: int = 72,
    selected: str | None = None,
    on_click: Callable[[str], None] | None = None,
) -> str | None:
    """Render the images ``size`` CSS pixels wide; returns the name of the one clicked in this run, else None.

    ``on_click`` is called with the name before the script runs, as the callbacks of Streamlit's widgets are.
    """
    names = {tile.name for tile in tiles}

    def handle_click() -> None:
        clicked = _validate_click((st.session_state.get(key) or {}).get("clicked"), names)
        if on_click is not None and clicked is not None:
            on_click(clicked)

    result = _RENDER(
        key=key,
        data={
            "size": size,
            "selected": selected,
            "tiles": [
                {
                    "name": tile.name,
                    "image": encode_png_url(tile.png),
                    "caption": tile.caption,
                    "alt": tile.alt,
                    "isBad": tile.is_error,
                    "box": tile.box and list(tile.box),
                }
                for tile in tiles
            ],
        },
        on_clicked_change=handle_click,  # without a callback the result has no `clicked`
    )
    return _validate_click(result.clicked, names)


def _validate_click(clicked: object, names: set[str]) -> str | None:
    """Return the name of the clicked tile; the browser can send anything."""
    return clicked if isinstance(clicked, str) and clicked in names else None
