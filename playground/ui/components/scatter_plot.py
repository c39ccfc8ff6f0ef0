"""Scatter plot of images: hovering over a point shows its image, clicking opens it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from playground.ui.components.register import encode_array, encode_png_url, register_component

_RENDER = register_component("scatter_plot")


def scatter_plot(
    points: NDArray[np.float32],
    groups: NDArray[np.intp],
    captions: Sequence[str],
    sprite: bytes,
    *,
    group_names: Sequence[str],
    colors: Sequence[str],
    tile_size: tuple[int, int],
    columns: int,
    highlight: tuple[float, float] | None,
    key: str,
    height: int = 460,
) -> int | None:
    """Render points (count, 2), colored by group; returns the index of the one clicked in this run, else None.

    ``sprite``: a PNG of all images, ``columns`` per row, each ``tile_size`` (width, height) pixels. ``highlight``:
    coordinates of an additional, emphasized point.
    """
    result = _RENDER(
        key=key,
        data={
            "points": encode_array(points),
            "groups": encode_array(groups.astype(np.uint8)),
            "captions": list(captions),
            "sprite": encode_png_url(sprite),
            "names": list(group_names),
            "colors": list(colors),
            "tile": list(tile_size),
            "columns": columns,
            "star": highlight and [float(coordinate) for coordinate in highlight],
            "height": height,
        },
        on_clicked_change=lambda: None,  # without a callback the result has no `clicked`
    )
    clicked = result.clicked
    # The browser can send anything.
    return clicked if type(clicked) is int and 0 <= clicked < len(points) else None
