"""Plotly figures (dicts) of calibration and robustness."""

from collections.abc import Sequence
from typing import Any

from playground.charts.theme import Theme

_HEIGHT = 300


def make_reliability_figure(points: Sequence[tuple[float, float, int]], theme: Theme) -> dict[str, Any]:
    """Reliability diagram: (confidence, accuracy, image count) a point, with the diagonal."""
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
                "cliponaxis": False,
                "x": confidence,
                "y": accuracy,
                "customdata": counts,
                "marker": {"color": theme.accent, "size": [8 + 14 * (count / largest) ** 0.5 for count in counts]},
                "line": {"color": theme.accent, "width": 2},
                "hovertemplate": "confidence %{x:.1%}, accuracy %{y:.1%}<br>%{customdata:,} images<extra></extra>",
            },
        ],
        "layout": _make_layout(theme, "confidence", "accuracy")
        | {"xaxis": {**_make_axis(theme, "confidence", is_percentage=True), "range": [0, 1.03]}},
    }


def make_robustness_figure(points: Sequence[tuple[float, float]], x_title: str, theme: Theme) -> dict[str, Any]:
    """Accuracy at every level of a perturbation, (level, accuracy) a point."""
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "cliponaxis": False,
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
    number_format = {"tickformat": ",.0%"} if is_percentage else {}
    return {"title": {"text": title}, "gridcolor": theme.grid, "zeroline": False, "fixedrange": True, **number_format}
