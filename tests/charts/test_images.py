"""Composed pictures, pixel by pixel."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from playground.charts.images import (
    ImageGrid,
    Scaling,
    compute_value_range,
    describe_feature_maps,
    render_feature_maps,
    render_image,
    reshape_to_feature_map,
    select_palette,
    to_feature_maps,
)
from playground.charts.theme import Palette, get_colormap
from tests.strategies import settings

Array = NDArray[np.float32]


def _pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def _array(values: object) -> Array:
    return np.asarray(values, dtype=np.float32)


def test_every_value_is_a_block_in_its_place() -> None:
    """Five 2×3 maps in two columns: value k of map m stands where it must, in the palette's color for it."""
    maps = np.arange(30, dtype=np.float32).reshape(5, 2, 3)
    grid = render_feature_maps(maps, palette="sequential", columns=2, tile_size=12, gap=3, gap_color=(9, 8, 7))
    block = 4  # 12 pixels for the longer side of 3
    assert (grid.tile_width, grid.tile_height) == (3 * block + 3, 2 * block + 3)
    assert (grid.columns, grid.rows, grid.min_value, grid.max_value) == (2, 3, 0.0, 29.0)
    pixels = _pixels(grid.png)
    assert pixels.shape == (grid.height, grid.width, 3) == (3 * 8 + 2 * 3, 2 * 12 + 3, 3)
    expected = np.empty_like(pixels)
    expected[:] = (9, 8, 7)
    colors = get_colormap("sequential")
    for place, values in enumerate(maps):
        for row in range(2):
            for column in range(3):
                top = place // 2 * 11 + row * block
                left = place % 2 * 15 + column * block
                level = round(float(values[row, column]) * 255 / 29)
                expected[top : top + block, left : left + block] = colors[level]
    np.testing.assert_array_equal(pixels, expected)


def test_ink_is_black_to_white_whatever_the_values() -> None:
    pixels = _pixels(render_feature_maps(_array([[[0, 0.2], [1, 2]]]), palette="ink", tile_size=2, gap=0).png)
    np.testing.assert_array_equal(pixels[:, :, 0], [[0, 51], [255, 255]])
    assert (pixels[:, :, 0] == pixels[:, :, 1]).all()
    assert (pixels[:, :, 0] == pixels[:, :, 2]).all()


def test_scaling_by_layer_compares_and_by_map_shows_the_faint() -> None:
    maps = _array([[[0, 1]], [[0, 10]]])
    table = get_colormap("sequential")
    by_layer = _pixels(render_feature_maps(maps, palette="sequential", columns=2, tile_size=2, gap=0).png)[0]
    np.testing.assert_array_equal(by_layer, table[[0, 26, 0, 255]])  # 1 of 10 is level 25.5, rounded to even
    by_map = _pixels(render_feature_maps(maps, palette="sequential", columns=2, tile_size=2, gap=0, scaling="map").png)[
        0
    ]
    np.testing.assert_array_equal(by_map, table[[0, 255, 0, 255]])


@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=12))
@settings(max_examples=100)
def test_diverging_zero_is_the_middle_and_signs_are_sides(values: list[float]) -> None:
    grid = render_feature_maps(_array([[[0.0, *values]]]), palette="diverging", tile_size=1, gap=0)
    pixels = _pixels(grid.png)[0].astype(int)
    middle = np.array([245, 245, 245])
    assert np.abs(pixels[0] - middle).max() <= 1
    assert grid.min_value == -grid.max_value
    extent = max(abs(value) for value in values)
    for value, (red, _, blue) in zip(values, pixels[1:], strict=True):
        if abs(value) > 0.05 * extent and extent > 1e-6:
            assert (red > blue) == (value > 0)


def test_diverging_ends() -> None:
    pixels = _pixels(render_feature_maps(_array([[[-2, 0, 2]]]), palette="diverging", tile_size=3, gap=0).png)[0]
    np.testing.assert_array_equal(pixels[[0, 2]], [[5, 80, 160], [165, 45, 10]])


def test_ranges() -> None:
    assert compute_value_range(_array([3, 5]), "sequential") == (0.0, 5.0)
    assert compute_value_range(_array([-3, 5]), "sequential") == (-3.0, 5.0)
    assert compute_value_range(_array([-3, 5]), "diverging") == (-5.0, 5.0)
    assert compute_value_range(_array([-3, 5]), "ink") == (0.0, 1.0)
    palettes: tuple[Palette, ...] = ("sequential", "diverging")
    for palette in palettes:
        low, high = compute_value_range(_array([0, 0]), palette)
        assert low < high
    assert select_palette(_array([0, 1])) == "sequential"
    assert select_palette(_array([-0.1, 1])) == "diverging"


def test_all_zeros_are_one_color() -> None:
    pixels = _pixels(render_feature_maps(np.zeros((1, 3, 3), np.float32), palette="sequential", tile_size=3, gap=0).png)
    assert (pixels == get_colormap("sequential")[0]).all()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 32, 64, 100])
def test_the_default_grid_is_squarish_and_holds_all(count: int) -> None:
    grid = render_feature_maps(np.ones((count, 4, 4), np.float32), palette="sequential", tile_size=4, gap=1)
    assert grid.columns * grid.rows >= count > grid.columns * (grid.rows - 1)
    assert abs(grid.columns - grid.rows) <= 1
    assert _pixels(grid.png).shape[:2] == (grid.height, grid.width)
    assert _clicked(grid, count - 1) == count - 1


def _clicked(grid: ImageGrid, place: int) -> int:
    """The map under the middle of a map's tile, found as a click finds it."""
    x = place % grid.columns * grid.tile_width + grid.tile_width // 2
    y = place // grid.columns * grid.tile_height + grid.tile_height // 2
    return y // grid.tile_height * grid.columns + x // grid.tile_width


def test_maps_larger_than_their_tile_keep_every_value() -> None:
    values = np.linspace(0, 1, 100 * 100, dtype=np.float32).reshape(1, 100, 100)
    pixels = _pixels(render_feature_maps(values, palette="ink", tile_size=40, gap=2).png)
    assert pixels.shape == (100, 100, 3)
    np.testing.assert_array_equal(pixels[:, :, 0], np.round(values[0] * 255))


@pytest.mark.parametrize("palette", ["sequential", "diverging", "ink"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_values_of_a_diverged_net_are_drawn_too(palette: Palette, bad: float) -> None:
    """Such maps are what one wants to see then; nothing may be raised, not even a warning."""
    maps = _array([[[bad, 1.0], [-1.0, 0.0]], [[0.5, -bad], [1.0, 2.0]]])
    scalings: tuple[Scaling, ...] = ("layer", "map")
    for scaling in scalings:
        grid = render_feature_maps(maps, palette=palette, tile_size=2, gap=0, scaling=scaling)
        assert _pixels(grid.png).shape == (2, 4, 3)


def test_a_single_image() -> None:
    pixels = _pixels(render_image(np.eye(28, dtype=np.float32)[None], size=112))
    assert pixels.shape == (112, 112, 3)
    np.testing.assert_array_equal(pixels[::4, ::4, 0], np.eye(28, dtype=np.uint8) * 255)


def test_a_vector_becomes_a_grid() -> None:
    np.testing.assert_array_equal(reshape_to_feature_map(_array([1, 2, 3, 4, 5])), [[[1, 2, 3], [4, 5, 0]]])
    assert reshape_to_feature_map(np.ones(10, np.float32)).shape == (1, 3, 4)
    assert reshape_to_feature_map(np.ones(1, np.float32)).shape == (1, 1, 1)
    maps = np.zeros((2, 3, 4), np.float32)
    assert to_feature_maps(maps) is maps
    assert to_feature_maps(np.ones(64, np.float32)).shape == (1, 8, 8)


def test_the_alternative_text_has_the_figures() -> None:
    text = describe_feature_maps("Conv 1", (32, 26, 26), 0.0, 1.23456, 0.256)
    assert text == "Conv 1: 32×26×26 values from 0 to 1.23, 26% of them zero"
