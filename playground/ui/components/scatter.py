"""A map of many images as points: hovering shows the image, clicking opens it."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

_HERE = Path(__file__)
_RENDER = st.components.v2.component(
    "playground_scatter",
    css=_HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_HERE.with_suffix(".js").read_text(encoding="utf-8"),
)


def scatter(
    points: NDArray[np.float32],
    groups: NDArray[np.intp],
    captions: Sequence[str],
    sprite: bytes,
    *,
    names: Sequence[str],
    colours: Sequence[str],
    tile: tuple[int, int],
    columns: int,
    star: tuple[float, float] | None,
    key: str,
    height: int = 460,
) -> int | None:
    """Draw points (count, 2), coloured by group; the number of the one clicked in this run, else None.

    ``sprite``: a PNG of all images, ``columns`` a row, each ``tile`` (width, height) pixels; ``star``: one place more.
    """
    result = _RENDER(
        key=key,
        data={
            "points": b64encode(np.ascontiguousarray(points, dtype="<f4").tobytes()).decode("ascii"),
            "groups": b64encode(groups.astype(np.uint8).tobytes()).decode("ascii"),
            "captions": list(captions),
            "sprite": "data:image/png;base64," + b64encode(sprite).decode("ascii"),
            "names": list(names),
            "colours": list(colours),
            "tile": list(tile),
            "columns": columns,
            "star": star and [float(place) for place in star],
            "height": height,
        },
        on_clicked_change=lambda: None,  # without a callback the result has no `clicked`
    )
    clicked = result.clicked
    # The browser can send anything.
    return clicked if type(clicked) is int and 0 <= clicked < len(points) else None
