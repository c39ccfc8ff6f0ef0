"""Training curves as plain Plotly figures (dicts): few points, fixed places, colours that come along."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from playground.charts.theme import SERIES, Theme
from playground.core.history import History

Metric = Literal["accuracy", "loss"]
MAX_POINTS = 400
_PERCENT = {"tickformat": ",.0%"}


@dataclass(frozen=True)
class NamedHistory:
    """A run's history under the name that the legend shows."""

    name: str
    history: History


def thinned_means(
    places: Sequence[float], values: Sequence[float], most: int = MAX_POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most ``most`` points: means of neighbours, placed at their middle; short curves stay as they are."""
    x, y = np.asarray(places, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), most + 1).astype(int)
    counts = np.diff(edges)
    return np.add.reduceat(x, edges[:-1]) / counts, np.add.reduceat(y, edges[:-1]) / counts


def training_figure(
    history: History, metric: Metric, colours: Theme, *, revision: str, parent: NamedHistory | None = None
) -> dict[str, Any]:
    """The live chart of one run: training batch by batch, validation with markers, a line where a knob changed.

    Of the ``parent`` of a fork the part after the fork is drawn too, faintly: two branches from one stem.
    """
    values = history.train_accuracy if metric == "accuracy" else history.train_loss
    x, y = thinned_means(history.places, values)
    validation = [(history.epoch_at(event.step), _value(event, metric), event.size) for event in history.validation]
    traces = [
        _trace("train, per batch", x, y, colours.muted, width=1.2, hover=f"%{{x:.2f}} epochs: {_shown(metric)}"),
        _trace(
            "validation",
            [place for place, _, _ in validation],
            [value for _, value, _ in validation],
            colours.accent,
            width=2.4,
            markers=True,
            custom=[size for _, _, size in validation],
            hover=f"%{{x:.2f}} epochs: {_shown(metric)} of %{{customdata:,}} images",
        ),
    ]
    if parent and history.forked:
        traces += _branch(parent, history.forked.step, metric, colours)
    layout = _layout(metric, colours, revision)
    layout["xaxis"]["range"] = [0, max(history.epochs_planned, history.epoch, 1e-3)]
    if metric == "accuracy":
        layout["yaxis"]["range"] = [_lowest_shown(history), 1.005]
    elif not history.steps:
        layout["yaxis"]["range"] = [0, 2.5]
    changes = [(event.step, _change_text(event.knob, event.before, event.after)) for event in history.knob_changes]
    if history.forked:
        texts = (_change_text(name, before, after) for name, (before, after) in history.forked.changes.items())
        changes.append((history.forked.step, ", ".join(["fork", *texts])))
    layout["shapes"] = [_line(history.epoch_at(step), colours.marker) for step, _ in changes]
    layout["annotations"] = [
        _note(history.epoch_at(step), text, colours.marker, row) for row, (step, text) in enumerate(changes)
    ]
    return {"data": traces, "layout": layout}


def _branch(parent: NamedHistory, step: int, metric: Metric, colours: Theme) -> list[dict[str, Any]]:
    """What the parent's validation did from the fork on, if it did anything."""
    later = [event for event in parent.history.validation if event.step >= step]
    if len(later) < 2:
        return []
    name = _plain_name(parent.name)
    trace = _trace(
        name,
        [parent.history.epoch_at(event.step) for event in later],
        [_value(event, metric) for event in later],
        colours.muted,
        width=1.6,
        hover=f"%{{x:.2f}} epochs: {_shown(metric)}",
        markers=True,
    )
    trace["line"]["dash"] = "dot"
    return [trace]


def _plain_name(name: str) -> str:
    """A run's name as a legend takes it: it is no markup, and no template."""
    return escape(name).replace("{", "&#123;")


def comparison_figure(runs: Sequence[NamedHistory], metric: Metric, colours: Theme) -> dict[str, Any]:
    """Validation curves of several runs over each other, thin training curves behind them; by epoch."""
    traces = []
    for place, run in enumerate(runs):
        history, colour = run.history, SERIES[place % len(SERIES)]
        name = _plain_name(run.name)
        values = history.train_accuracy if metric == "accuracy" else history.train_loss
        x, y = thinned_means(history.places, values)
        faint = _trace(f"{name}, train", x, y, colour, width=0.8, hover=_shown(metric))
        traces.append(faint | {"opacity": 0.35, "showlegend": False, "legendgroup": str(place)})
        places = [history.epoch_at(event.step) for event in history.validation]
        validation = [_value(event, metric) for event in history.validation]
        shown = _trace(name, places, validation, colour, width=2.2, markers=True, hover=_shown(metric))
        traces.append(shown | {"legendgroup": str(place)})
    layout = _layout(metric, colours, "comparison") | {"showlegend": True}
    if metric == "accuracy" and not any(len(trace["x"]) for trace in traces):
        layout["yaxis"] = {**layout["yaxis"], "range": [0, 1]}
    return {"data": traces, "layout": layout}


def _lowest_shown(history: History) -> float:
    """The foot of the accuracy axis: it moves up twice in a run and is still otherwise."""
    reached = max((event.accuracy for event in history.validation), default=0.0)
    return 0.8 if reached >= 0.97 else 0.5 if reached >= 0.9 else 0.0


def _value(event: Any, metric: Metric) -> float:
    return float(event.accuracy if metric == "accuracy" else event.loss)


def _shown(metric: Metric) -> str:
    return "%{y:.2%}" if metric == "accuracy" else "%{y:.4f}"


def _change_text(knob: str, before: Any, after: Any) -> str:
    """What changed, and nothing else: ``lr 0.005 → 0.002``, ``beta1 0.9 → 0.8``, ``augmentation: shift, rotate``."""
    if isinstance(before, dict) and isinstance(after, dict):
        if before.get("kind") != after.get("kind"):
            return escape(f"{knob} {before.get('kind')} → {after.get('kind')}")
        parts = (f"{name} {before.get(name)} → {value}" for name, value in after.items() if before.get(name) != value)
        return escape(", ".join(parts))
    knob = knob.replace("_", " ")
    if knob == "dropout" and isinstance(before, list) and isinstance(after, list):
        return escape(f"{knob} {_rates(before)} → {_rates(after)}")
    if isinstance(after, list):
        kinds = ", ".join(str(item.get("kind")) for item in after if isinstance(item, dict)) or "none"
        return escape(f"{knob}: {kinds}")
    return escape(f"{knob} {_number(before)} → {_number(after)}")


def _rates(values: Sequence[object]) -> str:
    return ", ".join(_number(value) for value in values)


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)[:24]


def _trace(
    name: str,
    x: Any,
    y: Any,
    colour: str,
    *,
    width: float,
    hover: str,
    markers: bool = False,
    custom: Sequence[int] | None = None,
) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if markers else "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "width": width},
        "hovertemplate": f"{hover}<extra>{name}</extra>",
    }
    if markers:
        trace["marker"] = {"size": 6, "color": colour}
    if custom is not None:
        trace["customdata"] = list(custom)
    return trace


def _layout(metric: Metric, colours: Theme, revision: str) -> dict[str, Any]:
    axis = {
        "gridcolor": colours.grid,
        "zeroline": False,
        "linecolor": colours.grid,
        "tickfont": {"color": colours.muted, "size": 11},
        "title": {"font": {"color": colours.muted, "size": 11}},
    }
    return {
        "uirevision": f"{revision}/{metric}",
        "margin": {"l": 46, "r": 10, "t": 26, "b": 36},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": colours.text, "size": 12},
        "hovermode": "closest",
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 11}},
        "xaxis": {
            **axis,
            "title": {"font": {"color": colours.muted, "size": 11}, "text": "epochs"},
            "rangemode": "tozero",
        },
        "yaxis": {**axis, **(_PERCENT if metric == "accuracy" else {}), "title": {"text": ""}},
    }


def _line(place: float, colour: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.2, "dash": "dot"}
    return {"type": "line", "x0": place, "x1": place, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _note(place: float, text: str, colour: str, row: int) -> dict[str, Any]:
    font = {"color": colour, "size": 10}
    # Changes that follow each other closely are written one above the other.
    return {
        "x": place,
        "yref": "paper",
        "y": 0.02 + 0.07 * (row % 4),
        "yanchor": "bottom",
        "text": text,
        "font": font,
        "showarrow": False,
        "xanchor": "left",
    }
