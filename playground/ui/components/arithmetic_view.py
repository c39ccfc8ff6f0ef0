"""One layer's maps and the arithmetic behind one value, answered in the browser wherever the pointer goes."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from playground.charts.images import Grid, value_range
from playground.charts.theme import Palette, lookup
from playground.core.layers.base import ACTIVATION_TITLES
from playground.interpret.activations.arithmetic import Channel
from playground.ui.components.register import encode_array, png_url, register_component

Array = NDArray[np.float32]

_RENDER = register_component("arithmetic_view")
_COLOURS = ("red", "green", "blue")
_MOST_VALUES = 400_000
"""Values of a layer that travel to the browser, so that it can say them where the pointer rests."""


class Place(NamedTuple):
    """A value of a layer: its channel, and where in the channel's map."""

    channel: int
    row: int
    column: int


class MapGrid(NamedTuple):
    """The picture of a layer's maps: the composed grid, the values in it, and the number of its first map."""

    grid: Grid
    values: Array
    first: int
    alt: str
    hint: str
    palette: Palette
    is_one_scale: bool


def arithmetic_view(
    channel: Channel,
    shown: MapGrid,
    image: Array,
    *,
    place: tuple[int, int],
    before: bool,
    around_zero: Palette,
    titles: Mapping[str, str],
    key: str,
) -> Place | None:
    """Draw a layer's maps with one channel's arithmetic; the value that was clicked last, None before the first click.

    ``image``: the input, (height, width); ``before``: show the values before the activation;
    ``around_zero``: the palette of weights and products. ``titles``: words for
    ``output`` (the channel) and ``below`` (its layer).
    """
    detail = encode_channel(channel, image, titles["below"]) | _painted(channel, shown, before=before)
    grid = _grid(shown)
    token = hashlib.blake2b(
        repr((channel.layer_index, channel.channel, around_zero, detail, grid)).encode(), digest_size=8
    ).hexdigest()
    result = _RENDER(
        key=key,
        data={
            "token": token,
            "layer": f"{channel.layer_index}",
            "channel": channel.channel,
            "position": list(place),
            "detail": detail,
            "grid": grid,
            "palettes": {
                "ink": encode_array(lookup("ink")),
                "sequential": encode_array(lookup("sequential")),
                "diverging": encode_array(lookup(around_zero)),
            },
            "titles": {**titles, "grid": shown.hint, "activation": _activation_title(channel)},
        },
        on_position_change=lambda: None,  # without a callback the result has no `position`
    )
    return _place(result.position)


def _place(given: Any) -> Place | None:
    """The browser can send anything."""
    if not isinstance(given, list) or len(given) != 3 or not all(type(part) is int and part >= 0 for part in given):
        return None
    return Place(*given)


def encode_channel(channel: Channel, image: Array, below_title: str) -> dict[str, Any]:
    """Encode a channel for ``decodeChannel`` in lib/arithmetic_data.js; arrays become base64."""
    window = channel.window
    return {
        "rule": channel.rule,
        "kernelSize": list(window.kernel_size),
        "stride": window.stride,
        "padding": list(window.padding),
        "dilation": window.dilation,
        "inputShape": list(channel.below.shape),
        "inputNames": _input_names(channel, below_title),
        "inputTitle": below_title,
        "firstInputChannel": channel.first_below,
        "isNetworkInput": below_title == "input" and channel.rule != "add",
        "input": encode_array(channel.below),
        "weights": None if channel.weights is None else encode_array(channel.weights),
        "bias": None if channel.bias is None else _number(channel.bias),
        "statistics": {name: _number(value) for name, value in channel.numbers.items()},
        "shape": list(channel.after.shape),
        "output": encode_array(channel.after),
        "receptiveRows": [list(span) for span in channel.seen_rows],
        "receptiveColumns": [list(span) for span in channel.seen_columns],
        "imageShape": list(image.shape),
        "image": encode_array(image),
    }


def _input_names(channel: Channel, below_title: str) -> list[str] | None:
    """Names of the input channels, if they have any: branches of a residual block, colors of an image."""
    if channel.rule == "add":
        return ["main branch", "shortcut"]
    if below_title == "input" and channel.first_below == 0 and len(channel.below) == len(_COLOURS):
        return [f"input, {colour}" for colour in _COLOURS]
    return None


def _painted(channel: Channel, shown: MapGrid, *, before: bool) -> dict[str, Any]:
    """The channel's own map as it is drawn large: in the colours of the picture of all maps."""
    values = channel.before if before else channel.after
    low, high = (shown.grid.low, shown.grid.high) if shown.is_one_scale else value_range(values, shown.palette)
    palette = "sequential" if shown.palette == "sequential" else "diverging"
    return {"displayed": encode_array(values), "palette": palette, "low": low, "high": high}


def _grid(shown: MapGrid) -> dict[str, Any]:
    """How the picture is laid out, so that a place in it finds its value; a vector is one map of all its values."""
    grid, values = shown.grid, shown.values
    is_vector = values.ndim == 1
    if is_vector:
        columns = int(np.ceil(np.sqrt(len(values))))
        rows_of_map, columns_of_map = -(-len(values) // columns), columns
    else:
        rows_of_map, columns_of_map = values.shape[1:]
    return {
        "png": png_url(grid.png),
        "alt": shown.alt,
        "width": grid.width,
        "height": grid.height,
        "columns": grid.columns,
        "tileWidth": grid.tile_width,
        "tileHeight": grid.tile_height,
        "block": grid.block,
        "mapRows": rows_of_map,
        "mapColumns": columns_of_map,
        "count": len(values),
        "first": shown.first,
        "isVector": is_vector,
        "values": encode_array(values) if values.size <= _MOST_VALUES else None,
    }


def _activation_title(channel: Channel) -> str | None:
    return None if channel.activation == "none" else ACTIVATION_TITLES.get(channel.activation, "")


def _number(value: float) -> float | str:
    """A number as JSON can hold it; one that is not finite in JavaScript's words."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
