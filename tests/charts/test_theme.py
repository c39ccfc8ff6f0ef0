"""Colors: the same in the charts and in Streamlit's configuration, readable, and told apart."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.charts.theme import DARK, LIGHT, SERIES_COLORS, Theme, get_colormap, get_theme, to_css_gradient

CONFIG: dict[str, Any] = tomllib.loads(
    (Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text(encoding="utf-8")
)["theme"]


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[place : place + 2], 16) for place in (1, 3, 5))


def _luminance(color: str) -> float:
    """Relative luminance as the WCAG defines it."""
    parts = np.array(_rgb(color)) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(first: str, second: str) -> float:
    high, low = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=lambda colors: colors.name)
def test_charts_wear_the_colors_of_the_page(colors: Theme) -> None:
    page = CONFIG[colors.name]
    assert colors.accent.upper() == page["primaryColor"].upper()
    assert colors.text.upper() == page["textColor"].upper()
    assert colors.grid.upper() == page["borderColor"].upper()
    assert colors.gap_color == _rgb(page["backgroundColor"])


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=lambda colors: colors.name)
def test_text_can_be_read(colors: Theme) -> None:
    """WCAG AA: 4.5 for text, 3 for lines."""
    background = CONFIG[colors.name]["backgroundColor"]
    for text in (colors.text, colors.muted, colors.marker):
        assert _contrast(text, background) >= 4.5
    assert _contrast(colors.accent, background) >= 3


def test_a_theme_by_streamlits_word() -> None:
    assert get_theme("dark") is DARK
    assert get_theme("light") is LIGHT
    assert get_theme(None) is LIGHT
    assert get_theme("sepia") is LIGHT


@pytest.mark.parametrize("palette", ["sequential", "diverging", "diverging_dark", "ink"])
def test_palettes_have_256_colors_that_differ(palette: Any) -> None:
    table = get_colormap(palette)
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    steps = np.abs(np.diff(table.astype(int), axis=0)).max(axis=1)
    assert steps.max() <= 8, "a palette without jumps"
    assert (steps == 0).sum() <= 16
    assert get_colormap(palette) is table


def test_sequential_grows_brighter_and_diverging_is_brightest_in_the_middle() -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    brightness = get_colormap("sequential") @ weights
    assert (np.diff(brightness) > -0.5).all()
    assert brightness[-1] > brightness[0] + 100
    around = get_colormap("diverging") @ weights
    assert 126 <= around.argmax() <= 129
    assert (np.diff(around[:128]) >= -0.5).all()
    assert (np.diff(around[128:]) <= 0.5).all()


def test_nothing_is_dark_on_a_dark_page() -> None:
    around = get_colormap(DARK.diverging_palette) @ np.array([0.2126, 0.7152, 0.0722])
    assert 126 <= around.argmin() <= 129
    assert around.min() < 40
    assert (np.diff(around[:128]) <= 0.5).all()
    assert (np.diff(around[128:]) >= -0.5).all()
    assert LIGHT.diverging_palette == "diverging"


def test_series_are_told_apart() -> None:
    assert len(set(SERIES_COLORS)) == len(SERIES_COLORS) >= 6
    for place, first in enumerate(SERIES_COLORS):
        for second in SERIES_COLORS[place + 1 :]:
            assert np.abs(np.subtract(_rgb(first), _rgb(second))).sum() > 60


def test_the_gradient_goes_from_end_to_end() -> None:
    gradient = to_css_gradient("ink")
    assert gradient.startswith("linear-gradient(90deg, rgb(0,0,0), ")
    assert gradient.endswith("rgb(255,255,255))")
