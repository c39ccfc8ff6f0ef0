"""Static SVG of a training chart, for pages without JavaScript."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from playground.charts.theme import Theme

CSS_THEME = Theme(
    "light", "var(--accent)", "var(--text)", "var(--muted)", "var(--grid)", "var(--marker)", (0, 0, 0), "ink"
)
"""Theme of CSS variables, so that one SVG serves light and dark pages."""

_WIDTH, _HEIGHT = 480, 264
_PLOT_LEFT, _PLOT_TOP = 46, 30
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _PLOT_LEFT - 12, _HEIGHT - _PLOT_TOP - 42
_MAX_TICKS = 6
_MAX_MARKERS = 40  # more would hide the line
_CHARACTER_WIDTH = 6.4  # pixels, at most, per character of the legend

AxisRange = tuple[float, float]


def render_svg(figure: dict[str, Any], *, title: str) -> str:
    """Render a figure of ``charts.curves`` as an SVG element that fills the width of its container.

    Names and annotations must be escaped already. Points that are not finite are omitted.
    """
    layout, traces = figure["layout"], [(trace, _extract_points(trace)) for trace in figure["data"]]
    every = [point for _, points in traces for point in points]
    x_range = layout["xaxis"].get("range") or _compute_axis_range(x for x, _ in every)
    y_range = layout["yaxis"].get("range") or _compute_axis_range(y for _, y in every)
    is_percentage = layout["yaxis"].get("tickformat") == ",.0%"
    parts = [
        *_draw_grid(x_range, y_range, is_percentage),
        f'<text class="axis" x="{_PLOT_LEFT + _PLOT_WIDTH / 2}" y="{_HEIGHT - 6}" text-anchor="middle">epochs</text>',
        # The nested SVG clips lines at the plot area.
        f'<svg x="{_PLOT_LEFT}" y="{_PLOT_TOP}" width="{_PLOT_WIDTH}" height="{_PLOT_HEIGHT}">',
        *(
            _draw_change_marker(shape, note, x_range)
            for shape, note in zip(layout["shapes"], layout["annotations"], strict=True)
        ),
        *(_draw_line(trace, _scale_points(points, x_range, y_range)) for trace, points in traces),
        "</svg>",
        *(_draw_markers(trace, _scale_points(points, x_range, y_range)) for trace, points in traces),
        *_draw_legend([trace for trace, _ in traces]),
    ]
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" font-size="12">'
    return f"{head}{''.join(parts)}</svg>"


def compute_ticks(low: float, high: float) -> list[float]:
    """Return at most six ticks: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / _MAX_TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) < _MAX_TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _extract_points(trace: dict[str, Any]) -> list[tuple[float, float]]:
    pairs = ((float(x), float(y)) for x, y in zip(trace["x"], trace["y"], strict=True))
    return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def _compute_axis_range(values: Iterable[float]) -> AxisRange:
    """Compute a range that includes 0 and extends slightly above the largest value."""
    kept = list(values)
    low, high = min(kept, default=0.0), max(kept, default=0.0)
    return min(0.0, low), high * 1.05 if high > 0 else 1.0


def _scale_points(
    points: Iterable[tuple[float, float]], x_range: AxisRange, y_range: AxisRange
) -> list[tuple[float, float]]:
    """Scale points to pixels of the plot area."""
    return [(_PLOT_WIDTH * _normalize(x, x_range), _PLOT_HEIGHT * (1 - _normalize(y, y_range))) for x, y in points]


def _normalize(value: float, axis_range: AxisRange) -> float:
    return (value - axis_range[0]) / (axis_range[1] - axis_range[0])


def _draw_grid(x_range: AxisRange, y_range: AxisRange, is_percentage: bool) -> list[str]:
    parts = []
    for value in compute_ticks(*y_range):
        y = _PLOT_TOP + _PLOT_HEIGHT * (1 - _normalize(value, y_range))
        label = f"{value:.0%}" if is_percentage else f"{value:.4g}"
        parts.append(f'<path d="M{_PLOT_LEFT} {y:.1f}h{_PLOT_WIDTH}" stroke="{CSS_THEME.grid}"/>')
        parts.append(f'<text class="axis" x="{_PLOT_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for value in compute_ticks(*x_range):
        x = _PLOT_LEFT + _PLOT_WIDTH * _normalize(value, x_range)
        parts.append(
            f'<text class="axis" x="{x:.1f}" y="{_PLOT_TOP + _PLOT_HEIGHT + 17}" '
            f'text-anchor="middle">{value:.4g}</text>'
        )
    return parts


def _draw_line(trace: dict[str, Any], points: Sequence[tuple[float, float]]) -> str:
    coordinates = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    color, width = trace["line"]["color"], trace["line"]["width"]
    return f'<polyline fill="none" stroke="{color}" stroke-width="{width}" points="{coordinates}"/>'


def _draw_markers(trace: dict[str, Any], points: Sequence[tuple[float, float]]) -> str:
    if "marker" not in trace or len(points) > _MAX_MARKERS:
        return ""
    inside = ((x, y) for x, y in points if 0 <= y <= _PLOT_HEIGHT)
    return "".join(
        f'<circle cx="{_PLOT_LEFT + x:.1f}" cy="{_PLOT_TOP + y:.1f}" r="3" fill="{trace["line"]["color"]}"/>'
        for x, y in inside
    )


def _draw_change_marker(shape: dict[str, Any], annotation: dict[str, Any], x_range: AxisRange) -> str:
    """Draw a changed hyperparameter as a vertical line, with its label on the side with more room."""
    x = _PLOT_WIDTH * _normalize(shape["x0"], x_range)
    side, anchor = (4, "start") if x < _PLOT_WIDTH * 0.6 else (-4, "end")
    color, y = shape["line"]["color"], _PLOT_HEIGHT * (1 - annotation["y"]) - 4
    return (
        f'<path d="M{x:.1f} 0v{_PLOT_HEIGHT}" stroke="{color}" stroke-dasharray="2 3"/>'
        f'<text x="{x + side:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="10" fill="{color}">'
        f"{annotation['text']}</text>"
    )


def _draw_legend(traces: Sequence[dict[str, Any]]) -> list[str]:
    parts, x = [], float(_PLOT_LEFT)
    for trace in traces:
        color, width = trace["line"]["color"], trace["line"]["width"]
        parts.append(f'<path d="M{x:.0f} 14h18" stroke="{color}" stroke-width="{width}"/>')
        parts.append(f'<text x="{x + 24:.0f}" y="18" fill="{CSS_THEME.text}">{trace["name"]}</text>')
        x += 44 + _CHARACTER_WIDTH * len(trace["name"])
    return parts
