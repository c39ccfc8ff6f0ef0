"""Plotly figure (dict) of the number of images per class."""

from collections.abc import Sequence
from typing import Any

from playground.charts.theme import Theme

_ROW_HEIGHT = 22  # pixels
_MIN_HEIGHT = 200


def make_class_balance_figure(
    class_names: Sequence[str], train_counts: Sequence[int], test_counts: Sequence[int], theme: Theme
) -> dict[str, Any]:
    """Make a stacked bar per class: training images and test images."""
    bars = [("train", train_counts, theme.accent), ("test", test_counts, theme.muted)]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": list(class_names),
                "x": list(counts),
                "marker": {"color": color},
                "hovertemplate": "%{y}: %{x:,} to " + name + "<extra></extra>",
            }
            for name, counts, color in bars
        ],
        "layout": {
            "height": max(_MIN_HEIGHT, _ROW_HEIGHT * len(class_names) + 60),
            "barmode": "stack",
            "margin": {"l": 8, "r": 8, "t": 8, "b": 32},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": theme.text, "size": 12},
            "legend": {
                "orientation": "h",
                "traceorder": "normal",
                "x": 1,
                "xanchor": "right",
                "y": 1.02,
                "yanchor": "bottom",
            },
            "xaxis": {"gridcolor": theme.grid, "zeroline": False},
            "yaxis": {"autorange": "reversed", "automargin": True, "type": "category"},
        },
    }
