"""Plotly figures (dicts) of learning curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from playground.charts.theme import SERIES_COLORS, Theme
from playground.core.history import History

Metric = Literal["accuracy", "loss"]
MAX_POINTS = 400
_PERCENT_AXIS = {"tickformat": ",.0%"}


@dataclass(frozen=True)
class NamedHistory:
    """History of a run, with its name in the legend."""

    name: str
    history: History


def downsample_means(
    x_values: Sequence[float], y_values: Sequence[float], max_points: int = MAX_POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reduce a curve to at most ``max_points`` points, each the mean of neighboring ones."""
    x, y = np.asarray(x_values, dtype=np.float64), np.asarray(y_values, dtype=np.float64)
    if len(x) <= max_points:
        return x, y
    edges = np.linspace(0, len(x), max_points + 1).astype(int)
    counts = np.diff(edges)
    return np.add.reduceat(x, edges[:-1]) / counts, np.add.reduceat(y, edges[:-1]) / counts


def make_training_figure(
    history: History,
    metric: Metric,
    theme: Theme,
    *,
    revision: str,
    parent: NamedHistory | None = None,
    has_smoothed_labels: bool = False,
) -> dict[str, Any]:
    """Make the live chart of a run: training per batch, validation, and a line for each changed hyperparameter.

    ``parent``: parent of a fork; its validation curve after the fork is drawn as a muted dotted line.
    ``has_smoothed_labels``: the training loss contains label smoothing, the validation loss never does.
    """
    values = history.train_accuracy if metric == "accuracy" else history.train_loss
    x, y = downsample_means(history.step_epochs, values)
    validation = [
        (history.epoch_at(event.step), _get_metric(event, metric), event.size) for event in history.validation
    ]
    traces = [
        _make_trace(
            "train, smoothed labels" if has_smoothed_labels and metric == "loss" else "train, per batch",
            x,
            y,
            theme.muted,
            width=1.2,
            hover_template=f"%{{x:.2f}} epochs: {_get_hover_format(metric)}",
        ),
        _make_trace(
            "validation",
            [epoch for epoch, _, _ in validation],
            [value for _, value, _ in validation],
            theme.accent,
            width=2.4,
            has_markers=True,
            custom_data=[size for _, _, size in validation],
            hover_template=f"%{{x:.2f}} epochs: {_get_hover_format(metric)} of %{{customdata:,}} images",
        ),
    ]
    if parent and history.fork_event:
        traces += _make_parent_traces(parent, history.fork_event.step, metric, theme)
    layout = _make_layout(metric, theme, revision)
    layout["xaxis"]["range"] = [0, max(history.planned_epochs, history.epoch, 1e-3)]
    if metric == "accuracy":
        layout["yaxis"]["range"] = [_compute_accuracy_axis_minimum(history), 1.005]
    elif not history.steps:
        layout["yaxis"]["range"] = [0, 2.5]
    changes = [
        (event.step, _format_change(event.hyperparameter, event.before, event.after))
        for event in history.hyperparameter_changes
    ]
    if history.fork_event:
        texts = (_format_change(name, before, after) for name, (before, after) in history.fork_event.changes.items())
        changes.append((history.fork_event.step, ", ".join(["fork", *texts])))
    layout["shapes"] = [_make_vertical_line(history.epoch_at(step), theme.marker) for step, _ in changes]
    layout["annotations"] = [
        _make_annotation(history.epoch_at(step), text, theme.marker, row) for row, (step, text) in enumerate(changes)
    ]
    return {"data": traces, "layout": layout}


def _make_parent_traces(parent: NamedHistory, fork_step: int, metric: Metric, theme: Theme) -> list[dict[str, Any]]:
    """Make the trace of the parent's validation after the fork, if it has at least two points."""
    later = [event for event in parent.history.validation if event.step >= fork_step]
    if len(later) < 2:
        return []
    name = _escape_name(parent.name)
    trace = _make_trace(
        name,
        [parent.history.epoch_at(event.step) for event in later],
        [_get_metric(event, metric) for event in later],
        theme.muted,
        width=1.6,
        hover_template=f"%{{x:.2f}} epochs: {_get_hover_format(metric)}",
        has_markers=True,
    )
    trace["line"]["dash"] = "dot"
    return [trace]


def _escape_name(name: str) -> str:
    """Escape a run's name for a legend, including the braces of Plotly templates."""
    return escape(name).replace("{", "&#123;")


def make_comparison_figure(runs: Sequence[NamedHistory], metric: Metric, theme: Theme) -> dict[str, Any]:
    """Make a chart that compares runs: validation curves, with thin training curves behind them."""
    traces = []
    for index, run in enumerate(runs):
        history, color = run.history, SERIES_COLORS[index % len(SERIES_COLORS)]
        name = _escape_name(run.name)
        values = history.train_accuracy if metric == "accuracy" else history.train_loss
        x, y = downsample_means(history.step_epochs, values)
        training_trace = _make_trace(f"{name}, train", x, y, color, width=0.8, hover_template=_get_hover_format(metric))
        traces.append(training_trace | {"opacity": 0.35, "showlegend": False, "legendgroup": str(index)})
        epochs = [history.epoch_at(event.step) for event in history.validation]
        validation = [_get_metric(event, metric) for event in history.validation]
        validation_trace = _make_trace(
            name, epochs, validation, color, width=2.2, has_markers=True, hover_template=_get_hover_format(metric)
        )
        traces.append(validation_trace | {"legendgroup": str(index)})
    layout = _make_layout(metric, theme, "comparison") | {"showlegend": True}
    if metric == "accuracy" and not any(len(trace["x"]) for trace in traces):
        layout["yaxis"] = {**layout["yaxis"], "range": [0, 1]}
    return {"data": traces, "layout": layout}


def _compute_accuracy_axis_minimum(history: History) -> float:
    """Return the minimum of the accuracy axis; it rises at 90 % and at 97 % accuracy."""
    reached = max((event.accuracy for event in history.validation), default=0.0)
    return 0.8 if reached >= 0.97 else 0.5 if reached >= 0.9 else 0.0


def _get_metric(event: Any, metric: Metric) -> float:
    return float(event.accuracy if metric == "accuracy" else event.loss)


def _get_hover_format(metric: Metric) -> str:
    return "%{y:.2%}" if metric == "accuracy" else "%{y:.4f}"


def _format_change(hyperparameter: str, before: Any, after: Any) -> str:
    """Describe a changed hyperparameter: ``lr 0.005 → 0.002``, ``beta1 0.9 → 0.8``, ``augmentation: shift, rotate``."""
    if isinstance(before, dict) and isinstance(after, dict):
        if before.get("kind") != after.get("kind"):
            return escape(f"{hyperparameter} {before.get('kind')} → {after.get('kind')}")
        parts = (f"{name} {before.get(name)} → {value}" for name, value in after.items() if before.get(name) != value)
        return escape(", ".join(parts))
    hyperparameter = hyperparameter.replace("_", " ")
    if hyperparameter == "dropout" and isinstance(before, list) and isinstance(after, list):
        return escape(f"{hyperparameter} {_format_rates(before)} → {_format_rates(after)}")
    if isinstance(after, list):
        kinds = ", ".join(str(item.get("kind")) for item in after if isinstance(item, dict)) or "none"
        return escape(f"{hyperparameter}: {kinds}")
    return escape(f"{hyperparameter} {_format_number(before)} → {_format_number(after)}")


def _format_rates(values: Sequence[object]) -> str:
    return ", ".join(_format_number(value) for value in values)


def _format_number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)[:24]


def _make_trace(
    name: str,
    x: Any,
    y: Any,
    color: str,
    *,
    width: float,
    hover_template: str,
    has_markers: bool = False,
    custom_data: Sequence[int] | None = None,
) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if has_markers else "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": color, "width": width},
        "hovertemplate": f"{hover_template}<extra>{name}</extra>",
    }
    if has_markers:
        trace["marker"] = {"size": 6, "color": color}
    if custom_data is not None:
        trace["customdata"] = list(custom_data)
    return trace


def _make_layout(metric: Metric, theme: Theme, revision: str) -> dict[str, Any]:
    axis = {
        "gridcolor": theme.grid,
        "zeroline": False,
        "linecolor": theme.grid,
        "tickfont": {"color": theme.muted, "size": 11},
        "title": {"font": {"color": theme.muted, "size": 11}},
    }
    return {
        "uirevision": f"{revision}/{metric}",
        "margin": {"l": 46, "r": 10, "t": 26, "b": 36},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": theme.text, "size": 12},
        "hovermode": "closest",
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 11}},
        "xaxis": {
            **axis,
            "title": {"font": {"color": theme.muted, "size": 11}, "text": "epochs"},
            "rangemode": "tozero",
        },
        "yaxis": {**axis, **(_PERCENT_AXIS if metric == "accuracy" else {}), "title": {"text": ""}},
    }


def _make_vertical_line(x: float, color: str) -> dict[str, Any]:
    line = {"color": color, "width": 1.2, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _make_annotation(x: float, text: str, color: str, row: int) -> dict[str, Any]:
    font = {"color": color, "size": 10}
    # Rows alternate so that labels of close changes do not overlap.
    return {
        "x": x,
        "yref": "paper",
        "y": 0.02 + 0.07 * (row % 4),
        "yanchor": "bottom",
        "text": text,
        "font": font,
        "showarrow": False,
        "xanchor": "left",
    }
