"""The network as a row of clickable images, one per layer, updated in place."""

from collections.abc import Sequence
from dataclasses import dataclass

from playground.ui.components.register import encode_png_url, register_component

_RENDER = register_component("layer_strip")


@dataclass(frozen=True)
class StripColumn:
    """One layer of the strip: a PNG shown at `width` x `height` CSS pixels, or large `text`."""

    layer_id: str
    title: str
    caption: str
    png: bytes | None
    width: int
    height: int
    alt: str
    text: str = ""


def layer_strip(columns: Sequence[StripColumn], *, key: str) -> str | None:
    """Render the columns from left to right; returns the layer_id clicked in this run, else None.

    Raises ValueError if two columns share a layer_id.
    """
    layer_ids = [column.layer_id for column in columns]
    if len(set(layer_ids)) != len(layer_ids):
        raise ValueError(f"layer ids must differ: {layer_ids}")
    result = _RENDER(
        key=key,
        data={"layers": [_describe(column) for column in columns]},
        on_clicked_change=lambda: None,  # without a callback the result has no `clicked`
    )
    clicked = result.clicked
    # The browser can send anything.
    return clicked if isinstance(clicked, str) and clicked in layer_ids else None


def _describe(column: StripColumn) -> dict[str, str | int | None]:
    """Convert a column to the JSON that layer_strip.js reads; the PNG becomes a data URL."""
    image = column.png and encode_png_url(column.png)
    return {
        "id": column.layer_id,
        "title": column.title,
        "caption": column.caption,
        "image": image or None,
        "width": column.width,
        "height": column.height,
        "alt": column.alt,
        "text": column.text,
    }
