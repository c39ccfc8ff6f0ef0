"""A map of many images as points: hovering shows the image, clicking opens it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from playground.ui.components.register import encode_array, png_url, register_component

_RENDER = register_component("scatter_plot")


def scatter_plot(
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
            "points": encode_array(points),
            "groups": encode_array(groups.astype(np.uint8)),
            "captions": list(captions),
            "sprite": png_url(sprite),
            "names": list(names),
            "colors": list(colours),
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
