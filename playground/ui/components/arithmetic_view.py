"""Feature maps of a layer and the arithmetic of the value under the pointer, computed in the browser."""

import hashlib
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from playground.charts.images import ImageGrid, compute_value_range
from playground.charts.theme import Palette, get_colormap
from playground.core.layers.shared.activation_functions import ACTIVATION_TITLES
from playground.interpret.activations.arithmetic import ChannelExplanation
from playground.interpret.activations.breakdown import INPUT_NAME
from playground.ui.components.register import encode_array, encode_png_url, register_component

Array = NDArray[np.float32]

_RENDER = register_component("arithmetic_view")
_MAX_VALUES = 400_000
"""Values of a layer that are sent to the browser, which shows the one under the pointer."""


class MapPosition(NamedTuple):
    """Position of a value in a layer's output."""

    channel: int
    row: int
    column: int


class FeatureMapGrid(NamedTuple):
    """The feature maps of a layer as one image, their values, and the index of the first map."""

    grid: ImageGrid
    values: Array
    first_index: int
    alt: str
    hint: str
    palette: Palette
    is_shared_scale: bool


def arithmetic_view(
    channel: ChannelExplanation,
    shown: FeatureMapGrid,
    image: Array,
    *,
    position: tuple[int, int],
    is_pre_activation: bool,
    diverging_palette: Palette,
    title: str,
    key: str,
) -> MapPosition | None:
    """Render a layer's feature maps with the arithmetic of one channel; returns the last clicked value, if any.

    ``image``: the input, (channels, height, width); ``is_pre_activation``: show the values before the activation;
    ``diverging_palette``: the palette of weights and products; ``title``: that of the channel.
    """
    detail = {
        "explanation": encode_explanation(channel),
        "source": {
            "title": channel.input_name,
            "imageChannels": len(image) if channel.input_name == INPUT_NAME else None,
        },
        **_serialize_channel_map(channel, shown, is_pre_activation=is_pre_activation),
        "receptiveField": _serialize_receptive_field(channel, image.mean(axis=0)),
    }
    grid = _serialize_map_grid(shown)
    token = hashlib.blake2b(
        repr((channel.layer_index, channel.channel, diverging_palette, detail, grid)).encode(), digest_size=8
    ).hexdigest()
    result = _RENDER(
        key=key,
        data={
            "token": token,
            "layer": f"{channel.layer_index}",
            "channel": channel.channel,
            "position": list(position),
            "detail": detail,
            "grid": grid,
            "palettes": {
                "ink": encode_array(get_colormap("ink")),
                "sequential": encode_array(get_colormap("sequential")),
                "diverging": encode_array(get_colormap(diverging_palette)),
            },
            "titles": {"output": title, "grid": shown.hint, "activation": _activation_title(channel)},
        },
        on_position_change=lambda: None,  # without a callback the result has no `position`
    )
    return _parse_position(result.position)


def _parse_position(value: Any) -> MapPosition | None:
    """Check a position from the browser, which can send anything."""
    if not isinstance(value, list) or len(value) != 3 or not all(type(part) is int and part >= 0 for part in value):
        return None
    return MapPosition(*value)


def encode_explanation(channel: ChannelExplanation) -> dict[str, Any]:
    """Encode a channel as the browser engine explains it (``ChannelExplanation`` in web/engine/types.d.ts).

    Arrays become base64; ``decodeExplanation`` in lib/arithmetic_data.js reads the result.
    """
    window = channel.window
    return {
        "rule": channel.operation,
        "kernelSize": list(window.kernel_size),
        "stride": window.stride,
        "padding": list(window.padding),
        "dilation": window.dilation,
        "inputShape": list(channel.inputs.shape),
        "firstInputChannel": channel.first_input_channel,
        "input": encode_array(channel.inputs),
        "weights": None if channel.weights is None else encode_array(channel.weights),
        "bias": None if channel.bias is None else _number(channel.bias),
        "statistics": {name: _number(value) for name, value in channel.norm_parameters.items()},
    }


def _serialize_receptive_field(channel: ChannelExplanation, image: Array) -> dict[str, Any]:
    return {
        "image": encode_array(image),
        "imageShape": list(image.shape),
        "rows": [list(span) for span in channel.receptive_rows],
        "columns": [list(span) for span in channel.receptive_columns],
    }


def _serialize_channel_map(
    channel: ChannelExplanation, map_grid: FeatureMapGrid, *, is_pre_activation: bool
) -> dict[str, Any]:
    """Encode the channel's feature map, with the color scale of the image of all maps."""
    values = channel.pre_activation if is_pre_activation else channel.output
    low, high = (
        (map_grid.grid.min_value, map_grid.grid.max_value)
        if map_grid.is_shared_scale
        else compute_value_range(values, map_grid.palette)
    )
    palette = "sequential" if map_grid.palette == "sequential" else "diverging"
    return {
        "shape": list(channel.output.shape),
        "output": encode_array(channel.output),
        "displayed": encode_array(values),
        "scale": {"palette": palette, "low": low, "high": high},
    }


def _serialize_map_grid(map_grid: FeatureMapGrid) -> dict[str, Any]:
    """Encode the layout of the image, which maps pixels to values; a vector is one map of all its values."""
    grid, values = map_grid.grid, map_grid.values
    is_vector = values.ndim == 1
    if is_vector:
        columns = int(np.ceil(np.sqrt(len(values))))
        rows_of_map, columns_of_map = -(-len(values) // columns), columns
    else:
        rows_of_map, columns_of_map = values.shape[1:]
    return {
        "png": encode_png_url(grid.png),
        "alt": map_grid.alt,
        "width": grid.width,
        "height": grid.height,
        "columns": grid.columns,
        "tileWidth": grid.tile_width,
        "tileHeight": grid.tile_height,
        "block": grid.cell_size,
        "mapRows": rows_of_map,
        "mapColumns": columns_of_map,
        "count": len(values),
        "first": map_grid.first_index,
        "isVector": is_vector,
        "values": encode_array(values) if values.size <= _MAX_VALUES else None,
    }


def _activation_title(channel: ChannelExplanation) -> str | None:
    return None if channel.activation == "none" else ACTIVATION_TITLES.get(channel.activation, "")


def _number(value: float) -> float | str:
    """Convert to a JSON number; NaN and infinities become the strings that JavaScript parses."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
