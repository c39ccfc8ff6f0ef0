"""A chart of training as a still SVG: the same figure as the live one, for pages that run no JavaScript."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from playground.charts.theme import Theme

PAGE = Theme("light", "var(--accent)", "var(--text)", "var(--muted)", "var(--grid)", "var(--marker)", (0, 0, 0), "ink")
"""Colours by the names of a page's CSS variables, so that one picture serves a light page and a dark one."""

_WIDTH, _HEIGHT = 480, 264
_LEFT, _TOP = 46, 30
_ACROSS, _UP = _WIDTH - _LEFT - 12, _HEIGHT - _TOP - 42
_MOST_TICKS = 6
_MOST_MARKERS = 40  # more would hide the line
_LETTER = 6.4  # pixels that a letter of the legend takes at most

Range = tuple[float, float]


def figure_svg(figure: dict[str, Any], *, title: str) -> str:
    """A figure of ``charts.curves``, lines and notes, as an SVG element that is as wide as its place.

    Names and notes are markup already, as in the figure; what is not a number is left out.
    """
    layout, traces = figure["layout"], [(trace, _points(trace)) for trace in figure["data"]]
    every = [point for _, points in traces for point in points]
    x_range = layout["xaxis"].get("range") or _around(x for x, _ in every)
    y_range = layout["yaxis"].get("range") or _around(y for _, y in every)
    is_share = layout["yaxis"].get("tickformat") == ",.0%"
    parts = [
        *_grid(x_range, y_range, is_share),
        f'<text class="axis" x="{_LEFT + _ACROSS / 2}" y="{_HEIGHT - 6}" text-anchor="middle">epochs</text>',
        # An SVG inside cuts off what leaves its frame.
        f'<svg x="{_LEFT}" y="{_TOP}" width="{_ACROSS}" height="{_UP}">',
        *(_knob(shape, note, x_range) for shape, note in zip(layout["shapes"], layout["annotations"], strict=True)),
        *(_line(trace, _placed(points, x_range, y_range)) for trace, points in traces),
        "</svg>",
        *(_markers(trace, _placed(points, x_range, y_range)) for trace, points in traces),
        *_legend([trace for trace, _ in traces]),
    ]
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" font-size="12">'
    return f"{head}{''.join(parts)}</svg>"


def ticks(low: float, high: float) -> list[float]:
    """At most six round numbers between two: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / _MOST_TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) < _MOST_TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _points(trace: dict[str, Any]) -> list[tuple[float, float]]:
    pairs = ((float(x), float(y)) for x, y in zip(trace["x"], trace["y"], strict=True))
    return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def _around(values: Iterable[float]) -> Range:
    """From 0, or what lies below it, to a little above the largest."""
    kept = list(values)
    low, high = min(kept, default=0.0), max(kept, default=0.0)
    return min(0.0, low), high * 1.05 if high > 0 else 1.0


def _placed(points: Iterable[tuple[float, float]], x_range: Range, y_range: Range) -> list[tuple[float, float]]:
    """In pixels of the frame."""
    return [(_ACROSS * _share(x, x_range), _UP * (1 - _share(y, y_range))) for x, y in points]


def _share(value: float, ends: Range) -> float:
    return (value - ends[0]) / (ends[1] - ends[0])


def _grid(x_range: Range, y_range: Range, is_share: bool) -> list[str]:
    parts = []
    for value in ticks(*y_range):
        y = _TOP + _UP * (1 - _share(value, y_range))
        words = f"{value:.0%}" if is_share else f"{value:.4g}"
        parts.append(f'<path d="M{_LEFT} {y:.1f}h{_ACROSS}" stroke="{PAGE.grid}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{words}</text>')
    for value in ticks(*x_range):
        x = _LEFT + _ACROSS * _share(value, x_range)
        parts.append(f'<text class="axis" x="{x:.1f}" y="{_TOP + _UP + 17}" text-anchor="middle">{value:.4g}</text>')
    return parts


def _line(trace: dict[str, Any], points: Sequence[tuple[float, float]]) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    colour, width = trace["line"]["color"], trace["line"]["width"]
    return f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="{places}"/>'


def _markers(trace: dict[str, Any], points: Sequence[tuple[float, float]]) -> str:
    if "marker" not in trace or len(points) > _MOST_MARKERS:
        return ""
    inside = ((x, y) for x, y in points if 0 <= y <= _UP)
    return "".join(
        f'<circle cx="{_LEFT + x:.1f}" cy="{_TOP + y:.1f}" r="3" fill="{trace["line"]["color"]}"/>' for x, y in inside
    )


def _knob(shape: dict[str, Any], note: dict[str, Any], x_range: Range) -> str:
    """Where a knob was changed, and what it was; the words on the side where there is room."""
    x = _ACROSS * _share(shape["x0"], x_range)
    side, anchor = (4, "start") if x < _ACROSS * 0.6 else (-4, "end")
    colour, y = shape["line"]["color"], _UP * (1 - note["y"]) - 4
    return (
        f'<path d="M{x:.1f} 0v{_UP}" stroke="{colour}" stroke-dasharray="2 3"/>'
        f'<text x="{x + side:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="10" fill="{colour}">'
        f"{note['text']}</text>"
    )


def _legend(traces: Sequence[dict[str, Any]]) -> list[str]:
    parts, x = [], float(_LEFT)
    for trace in traces:
        colour, width = trace["line"]["color"], trace["line"]["width"]
        parts.append(f'<path d="M{x:.0f} 14h18" stroke="{colour}" stroke-width="{width}"/>')
        parts.append(f'<text x="{x + 24:.0f}" y="18" fill="{PAGE.text}">{trace["name"]}</text>')
        x += 44 + _LETTER * len(trace["name"])
    return parts
