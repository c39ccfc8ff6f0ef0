"""Clickable small images with captions and an optional outlined region."""

from collections.abc import Sequence
from typing import NamedTuple

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


def render_gallery(tiles: Sequence[Tile], *, key: str, size: int = 72, selected: str | None = None) -> str | None:
    """Render the images ``size`` CSS pixels wide; returns the name of the one clicked in this run, else None."""
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
        on_clicked_change=lambda: None,  # without a callback the result has no `clicked`
    )
    clicked = result.clicked
    # The browser can send anything.
    return clicked if isinstance(clicked, str) and clicked in {tile.name for tile in tiles} else None
