"""PNG grids of feature maps and images; every value is a block of whole pixels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground.charts.theme import Palette, get_colormap

Array = NDArray[np.float32]
Scaling = Literal["layer", "map"]
_MAX_DRAWABLE = 1e30


@dataclass(frozen=True)
class ImageGrid:
    """Grid of images as PNG: its size in pixels, its columns and rows, and the values at the ends of the palette.

    ``tile_width`` and ``tile_height``: pixels from one map to the next; ``cell_size``: pixels of one value.
    """

    png: bytes
    width: int
    height: int
    columns: int
    rows: int
    min_value: float
    max_value: float
    tile_width: int
    tile_height: int
    cell_size: int


def compute_value_range(values: NDArray[Any], palette: Palette) -> tuple[float, float]:
    """Compute the values at the ends of a palette: symmetric if diverging, 0 to 1 for ink, else from at most 0."""
    drawn = _clip_to_finite(values)
    low, high = float(drawn.min(initial=0)), float(drawn.max(initial=0))
    if palette == "ink":
        return 0.0, 1.0
    if palette in ("diverging", "diverging_dark"):
        extent = max(abs(low), abs(high), 1e-12)
        return -extent, extent
    return low, max(high, low + 1e-12)


def _clip_to_finite(values: NDArray[Any]) -> NDArray[np.float64]:
    """Replace values that are not finite, so that feature maps of a diverged network can be drawn."""
    clipped: NDArray[np.float64] = np.clip(np.nan_to_num(values.astype(np.float64)), -_MAX_DRAWABLE, _MAX_DRAWABLE)
    return clipped


def select_palette(values: Array, diverging_palette: Palette = "diverging") -> Palette:
    """Return ``diverging_palette`` if a value is negative, else the sequential palette."""
    return diverging_palette if float(values.min(initial=0)) < 0 else "sequential"


def render_feature_maps(
    feature_maps: Array,
    *,
    palette: Palette,
    columns: int | None = None,
    tile_size: int = 40,
    gap: int = 2,
    scaling: Scaling = "layer",
    gap_color: tuple[int, int, int] = (255, 255, 255),
    value_limits: tuple[float, float] | None = None,
) -> ImageGrid:
    """Render feature maps (count, height, width) side by side, each at most ``tile_size`` pixels large if possible.

    ``scaling``: one range of values for all maps of the layer, or one per map.
    ``value_limits``: values at the ends of the palette; the range of the maps by default.
    """
    count, height, width = feature_maps.shape
    drawn = _clip_to_finite(feature_maps)
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    block = max(1, tile_size // max(height, width))
    low, high = value_limits or compute_value_range(drawn, palette)
    colors = get_colormap(palette)
    ranges = (compute_value_range(values, palette) if scaling == "map" else (low, high) for values in drawn)
    tiles = (colors[_quantize_to_levels(values, *own)] for values, own in zip(drawn, ranges, strict=True))
    return _compose_tiles(tiles, (height, width), (low, high), (columns, rows), block, gap, gap_color)


def render_image_grid(
    images: Array,
    *,
    columns: int | None = None,
    tile_size: int = 40,
    gap: int = 0,
    gap_color: tuple[int, int, int] = (255, 255, 255),
) -> ImageGrid:
    """Render images (count, channels, height, width), values 0 to 1, side by side in color or grayscale."""
    count, channels, height, width = images.shape
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    pixels = _quantize_to_levels(_clip_to_finite(images[:, :3]), 0.0, 1.0).astype(np.uint8).transpose(0, 2, 3, 1)
    tiles = pixels if channels >= 3 else pixels[..., :1].repeat(3, axis=3)
    block = max(1, tile_size // max(height, width))
    shape = (columns, math.ceil(count / columns))
    return _compose_tiles(tiles, (height, width), (0.0, 1.0), shape, block, gap, gap_color)


def render_image(image: Array, *, size: int = 112) -> bytes:
    """Render an image (channels, height, width), values 0 to 1, as a PNG of about ``size`` pixels."""
    return render_image_grid(image[None], tile_size=size).png


def _compose_tiles(
    tiles: Iterable[NDArray[np.uint8]],
    tile_shape: tuple[int, int],
    value_limits: tuple[float, float],
    grid_shape: tuple[int, int],
    cell_size: int,
    gap: int,
    gap_color: tuple[int, int, int],
) -> ImageGrid:
    """Compose tiles (height, width, 3) into a grid of ``grid_shape`` (columns, rows)."""
    (height, width), (columns, rows) = tile_shape, grid_shape
    across, down = width * cell_size + gap, height * cell_size + gap
    canvas = np.empty((rows * down - gap, columns * across - gap, 3), dtype=np.uint8)
    canvas[:] = gap_color
    for index, tile in enumerate(tiles):
        top, left = index // columns * down, index % columns * across
        canvas[top : top + height * cell_size, left : left + width * cell_size] = tile.repeat(cell_size, axis=0).repeat(
            cell_size, axis=1
        )
    return ImageGrid(
        _encode_png(canvas), canvas.shape[1], canvas.shape[0], columns, rows, *value_limits, across, down, cell_size
    )


def reshape_to_feature_map(features: Array) -> Array:
    """Reshape a vector (features,) to one nearly square map (1, height, width), padded with zeros."""
    width = math.ceil(math.sqrt(len(features)))
    height = math.ceil(len(features) / width)
    padded = np.zeros(width * height, dtype=np.float32)
    padded[: len(features)] = features
    return padded.reshape(1, height, width)


def to_feature_maps(values: Array) -> Array:
    """Return a layer's activations as maps (count, height, width); a vector becomes one map."""
    return values if values.ndim == 3 else reshape_to_feature_map(values)


def _quantize_to_levels(values: NDArray[Any], low: float, high: float) -> NDArray[np.intp]:
    scaled = (values - low) * (255 / max(high - low, 1e-12))
    levels: NDArray[np.intp] = np.clip(scaled, 0, 255).round().astype(np.intp)
    return levels


def _encode_png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    # Images are redrawn after every stroke, and blocks of equal pixels compress well at the fastest level.
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def describe_feature_maps(title: str, shape: Sequence[int], low: float, high: float, zero_fraction: float) -> str:
    """Return the alternative text of feature maps."""
    return f"{title}: {'×'.join(map(str, shape))} values from {low:.3g} to {high:.3g}, {zero_fraction:.0%} of them zero"
