"""How far a net can be trusted, as plain Plotly figures (dicts)."""

from collections.abc import Sequence
from typing import Any

from playground.charts.theme import Theme

_HEIGHT = 300


def make_reliability_figure(points: Sequence[tuple[float, float, int]], theme: Theme) -> dict[str, Any]:
    """Confidence against accuracy, (confidence, accuracy, count of images) a point, with the line of honesty."""
    confidence, accuracy, counts = ([point[part] for point in points] for part in range(3))
    largest = max(counts, default=1)
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": [0, 1],
                "y": [0, 1],
                "line": {"color": theme.muted, "width": 1, "dash": "dot"},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": confidence,
                "y": accuracy,
                "customdata": counts,
                "marker": {"color": theme.accent, "size": [8 + 14 * (count / largest) ** 0.5 for count in counts]},
                "line": {"color": theme.accent, "width": 2},
                "hovertemplate": "%{x:.1%} sure, right in %{y:.1%}<br>%{customdata:,} images<extra></extra>",
            },
        ],
        "layout": _make_layout(theme, "how sure the net is", "how often it is right")
        | {"xaxis": {**_make_axis(theme, "how sure the net is", is_percentage=True), "range": [0, 1.03]}},
    }


def make_robustness_figure(points: Sequence[tuple[float, float]], x_title: str, theme: Theme) -> dict[str, Any]:
    """Accuracy at every level of a change, (level, accuracy) a point."""
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [level for level, _ in points],
                "y": [accuracy for _, accuracy in points],
                "line": {"color": theme.accent, "width": 2},
                "hovertemplate": "%{x:g}: %{y:.1%}<extra></extra>",
            }
        ],
        "layout": _make_layout(theme, x_title, "accuracy") | {"height": 210},
    }


def _make_layout(theme: Theme, x_title: str, y_title: str) -> dict[str, Any]:
    return {
        "height": _HEIGHT,
        "margin": {"l": 48, "r": 12, "t": 8, "b": 40},
        "showlegend": False,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": theme.muted, "size": 12},
        "xaxis": _make_axis(theme, x_title),
        "yaxis": _make_axis(theme, y_title, is_percentage=True) | {"range": [0, 1.03]},
    }


def _make_axis(theme: Theme, title: str, *, is_percentage: bool = False) -> dict[str, Any]:
    shown = {"tickformat": ",.0%"} if is_percentage else {}
    return {"title": {"text": title}, "gridcolor": theme.grid, "zeroline": False, "fixedrange": True, **shown}
