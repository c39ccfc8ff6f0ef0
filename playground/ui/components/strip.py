"""The network as a row of clickable pictures, one per layer, changed in place."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

_CSS = """
.strip {
  display: flex;
  align-items: center;
  gap: 0.25rem;
  overflow-x: auto;
  overscroll-behavior-x: contain;
  padding: 4px 4px 0.75rem;
  color: var(--st-text-color);
  font-family: var(--st-font);
}
.item { display: flex; align-items: center; flex: none; gap: 0.25rem; }
.arrow, .caption {
  color: color-mix(in srgb, var(--st-text-color) 68%, var(--st-background-color));
}
.arrow { font-size: 1.25rem; user-select: none; }
.item:first-child .arrow { display: none; }
/* The answer stays in sight however long the way to it is. */
.item:last-child { position: sticky; right: -4px; background: var(--st-background-color); }
.column {
  display: flex;
  flex-direction: column;
  align-items: center;
  gap: 0.25rem;
  min-width: 44px;
  padding: 0.375rem;
  border: 1px solid transparent;
  border-radius: var(--st-base-radius);
  background: none;
  color: inherit;
  font: inherit;
  cursor: pointer;
  touch-action: pan-x pan-y;
}
.column:focus-visible { border-color: var(--st-primary-color); }
@media (hover: hover) {
  .column:hover { border-color: var(--st-primary-color); }
}
.column:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
.column:active { background: var(--st-secondary-background-color); }
.title { font-size: 0.875rem; font-weight: 600; white-space: nowrap; }
.caption { font-size: 0.75rem; white-space: pre; font-variant-numeric: tabular-nums; }
.figure { display: grid; place-items: center; }
.image { width: 100%; height: 100%; image-rendering: pixelated; }
.text { font-size: 3.5rem; font-weight: 700; line-height: 1; font-variant-numeric: tabular-nums; }
[hidden] { display: none; }
"""
_RENDER = st.components.v2.component(
    "playground_network_strip",
    css=_CSS,
    js=Path(__file__).with_name("strip.js").read_text(encoding="utf-8"),
)


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


def network_strip(columns: Sequence[StripColumn], *, key: str) -> str | None:
    """Draw the columns from left to right; the layer_id clicked for this run, else None.

    ValueError when two columns share a layer_id.
    """
    layer_ids = [column.layer_id for column in columns]
    if len(set(layer_ids)) != len(layer_ids):
        raise ValueError(f"layer ids must differ: {layer_ids}")
    result = _RENDER(
        key=key,
        data={"columns": [_describe(column) for column in columns]},
        on_clicked_change=lambda: None,  # without a callback the result has no `clicked`
    )
    clicked = result.clicked
    # The browser can send anything.
    return clicked if isinstance(clicked, str) and clicked in layer_ids else None


def _describe(column: StripColumn) -> dict[str, str | int | None]:
    """JSON form of a column for strip.js; the PNG becomes a data URL."""
    image = column.png and "data:image/png;base64," + b64encode(column.png).decode("ascii")
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
