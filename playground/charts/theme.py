"""Themes, colors and palettes of all charts; the palettes are safe for color-blind people."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from plotly import colors

Palette = Literal["sequential", "diverging", "diverging_dark", "ink"]

# Okabe and Ito, "Color Universal Design", 2008; in the order in which they are given to runs.
SERIES_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")


# Paul Tol, "Colour Schemes", 2021: muted, with gray; ten classes.
CLASS_COLORS = (
    *("#4477CC", "#88CCEE", "#44AA99", "#117733", "#999933"),
    *("#DDCC77", "#CC6677", "#882255", "#AA4499", "#7A7A7A"),
)


_DIVERGING_SCALES = {
    "diverging": ["rgb(5,80,160)", "rgb(120,170,215)", "rgb(245,245,245)", "rgb(230,150,110)", "rgb(165,45,10)"],
    "diverging_dark": ["rgb(120,190,255)", "rgb(45,95,150)", "rgb(27,34,33)", "rgb(160,78,38)", "rgb(255,165,105)"],
}


@dataclass(frozen=True)
class Theme:
    """CSS colors of a theme; ``.streamlit/config.toml`` has the same values."""

    name: Literal["light", "dark"]
    accent: str
    text: str
    muted: str
    grid: str
    marker: str
    gap_color: tuple[int, int, int]
    diverging_palette: Palette


LIGHT = Theme("light", "#0F766E", "#16201E", "#66736F", "#E3E9E7", "#B4540A", (251, 253, 252), "diverging")
DARK = Theme("dark", "#2DD4BF", "#EAF2F0", "#93A29D", "#2A3331", "#F59E0B", (15, 20, 19), "diverging_dark")


def get_theme(name: str | None) -> Theme:
    """Return the theme with Streamlit's name for it; light if unknown."""
    return DARK if name == "dark" else LIGHT


@lru_cache(maxsize=4)
def get_colormap(palette: Palette) -> NDArray[np.uint8]:
    """Return 256 colors, (256, 3): viridis (sequential), black to white (ink), or blue to orange (diverging).

    The middle of a diverging palette is close to the background of its theme, so that zeros do not stand out.
    """
    if palette == "ink":
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    scale = colors.sequential.Viridis if palette == "sequential" else _DIVERGING_SCALES[palette]
    stops = np.array([_parse_rgb(color) for color in scale], dtype=np.float64)
    positions = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(positions, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def to_css_gradient(palette: Palette) -> str:
    """Return the palette as a CSS gradient from left to right, for legends."""
    table = get_colormap(palette)
    stops = (table[index] for index in range(0, 256, 51))
    return "linear-gradient(90deg, " + ", ".join(f"rgb({r},{g},{b})" for r, g, b in stops) + ")"


def _parse_rgb(color: str) -> tuple[float, ...]:
    if color.startswith("#"):
        return tuple(float(part) for part in colors.hex_to_rgb(color))
    return tuple(float(part) for part in colors.unlabel_rgb(color))


def render_css_variables(theme: Theme) -> str:
    """Render a CSS rule that sets the colors of a theme as variables, and the color scheme of form controls."""
    names = ("accent", "text", "muted", "grid", "marker")
    values = "".join(f"--{name}:{getattr(theme, name)};" for name in names)
    return f":root{{color-scheme:{theme.name};--page:rgb{theme.gap_color};{values}}}"
