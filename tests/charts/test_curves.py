"""Training curves: few points that tell the truth, and a figure that keeps its place."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.charts.curves import (
    MAX_POINTS,
    NamedHistory,
    downsample_means,
    make_comparison_figure,
    make_training_figure,
)
from playground.charts.theme import DARK, LIGHT, SERIES_COLORS
from playground.core.events import Evaluated, Forked, HyperparameterChanged
from playground.core.history import History
from tests.core.test_events import any_json
from tests.core.test_history import started, step
from tests.strategies import settings


@given(values=st.lists(st.floats(-1e3, 1e3), max_size=300), most=st.integers(1, 60))
@settings(max_examples=200)
def test_thinned_curves_keep_their_mean(values: list[float], most: int) -> None:
    places = [3.0 * place for place in range(len(values))]
    x, y = downsample_means(places, values, most)
    assert len(x) == len(y) == min(len(values), most)
    assert (np.diff(x) > 0).all()
    if len(values) <= most:
        np.testing.assert_array_equal(x, places)
        np.testing.assert_array_equal(y, values)
        return
    counts = np.diff(np.linspace(0, len(values), most + 1).astype(int))
    assert set(counts) <= {len(values) // most, len(values) // most + 1}
    assert float(y @ counts) == pytest.approx(sum(values), rel=1e-9, abs=1e-6)
    assert float(x @ counts) == pytest.approx(sum(places))
    assert min(values) - 1e-9 <= y.min() <= y.max() <= max(values) + 1e-9


def test_thinning_by_hand() -> None:
    x, y = downsample_means([0, 1, 2, 3, 4, 5], [1, 3, 10, 20, 7, 7], 3)
    assert x.tolist() == [0.5, 2.5, 4.5]
    assert y.tolist() == [2, 15, 7]
    assert len(downsample_means(range(10_000), range(10_000))[0]) == MAX_POINTS <= 500


def _history(steps: int = 12) -> History:
    history = History.from_events([started(), *(step(number, accuracy=number / 20) for number in range(1, steps + 1))])
    for number, accuracy in ((5, 0.6), (10, 0.8)):
        history.add(
            Evaluated(step=number, elapsed_s=1, split="validation", loss=1 - accuracy, accuracy=accuracy, size=5000)
        )
    history.add(HyperparameterChanged(step=5, elapsed_s=1, hyperparameter="lr", before=0.001, after=0.0005))
    history.add(
        HyperparameterChanged(step=8, elapsed_s=1, hyperparameter="augmentation", before=[], after=[{"kind": "flip"}])
    )
    return history


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_the_live_chart(metric: Any) -> None:
    figure = make_training_figure(_history(), metric, LIGHT, revision="run-1")
    train, validation = figure["data"]
    assert (train["name"], validation["name"]) == ("train, per batch", "validation")
    np.testing.assert_allclose(train["x"], np.arange(1, 13) / 10)
    wanted = np.arange(1, 13) / 20 if metric == "accuracy" else 1 / np.arange(1, 13)
    np.testing.assert_allclose(train["y"], wanted)
    assert validation["x"] == [0.5, 1.0]
    assert validation["y"] == pytest.approx([0.6, 0.8] if metric == "accuracy" else [0.4, 0.2])
    assert validation["customdata"] == [5000, 5000]
    assert validation["mode"] == "lines+markers"
    assert (train["line"]["color"], validation["line"]["color"]) == (LIGHT.muted, LIGHT.accent)
    layout = figure["layout"]
    assert layout["xaxis"]["range"] == [0, 3.0]
    assert layout["uirevision"] == f"run-1/{metric}"
    go.Figure(figure)  # Plotly knows every property that is in it


def test_knob_changes_are_marked_where_they_happened() -> None:
    layout = make_training_figure(_history(), "loss", DARK, revision="r")["layout"]
    assert [(shape["x0"], shape["x1"], shape["yref"]) for shape in layout["shapes"]] == [
        (0.5, 0.5, "paper"),
        (0.8, 0.8, "paper"),
    ]
    assert all(shape["line"]["color"] == DARK.marker for shape in layout["shapes"])
    assert [note["text"] for note in layout["annotations"]] == ["lr 0.001 → 0.0005", "augmentation: flip"]
    assert [note["x"] for note in layout["annotations"]] == [0.5, 0.8]


def test_the_chart_keeps_its_place_while_it_grows() -> None:
    """Same margins, traces, axes and revision from the empty chart to the full one: nothing jumps."""
    empty = make_training_figure(History.from_events([started()]), "accuracy", LIGHT, revision="r")
    full = make_training_figure(_history(), "accuracy", LIGHT, revision="r")
    assert [trace["name"] for trace in empty["data"]] == [trace["name"] for trace in full["data"]]
    for part in ("uirevision", "margin", "legend", "xaxis", "yaxis"):
        assert empty["layout"][part] == full["layout"][part]
    assert make_training_figure(History(), "loss", LIGHT, revision="r")["layout"]["yaxis"]["range"] == [0, 2.5]


def test_the_accuracy_axis_rises_with_the_net() -> None:
    def foot(accuracy: float) -> float:
        event = Evaluated(step=1, elapsed_s=1, split="validation", loss=1, accuracy=accuracy, size=10)
        figure = make_training_figure(History.from_events([started(), event]), "accuracy", LIGHT, revision="r")
        low, high = figure["layout"]["yaxis"]["range"]
        assert high == pytest.approx(1.005)
        return float(low)

    assert [foot(accuracy) for accuracy in (0.1, 0.89, 0.9, 0.96, 0.97, 1.0)] == [0, 0, 0.5, 0.5, 0.8, 0.8]


def test_a_long_run_has_few_points() -> None:
    history = History.from_events([started(steps_per_epoch=1000, total_steps=5000)])
    for number in range(1, 3001):
        history.add(step(number, epochs=number / 1000))
    train = make_training_figure(history, "loss", LIGHT, revision="r")["data"][0]
    assert len(train["x"]) == MAX_POINTS
    assert isinstance(train["x"], np.ndarray)
    assert train["x"][-1] <= 3.0


def test_runs_over_each_other() -> None:
    runs = [NamedHistory(f"Run {number}", _history(number)) for number in range(10, 19)]
    figure = make_comparison_figure(runs, "accuracy", LIGHT)
    assert len(figure["data"]) == 2 * len(runs)
    faint, shown = figure["data"][0::2], figure["data"][1::2]
    assert [trace["name"] for trace in shown] == [run.name for run in runs]
    assert not any(trace["showlegend"] for trace in faint)
    assert [trace["line"]["color"] for trace in shown] == [
        SERIES_COLORS[place % len(SERIES_COLORS)] for place in range(len(runs))
    ]
    assert all(one["legendgroup"] == other["legendgroup"] for one, other in zip(faint, shown, strict=True))
    go.Figure(figure)


def test_places_are_epochs_whatever_the_batches() -> None:
    history = History.from_events(
        [started(), *(step(number, epochs=number / 10 if number < 5 else 1.0) for number in range(1, 6))]
    )
    history.add(Evaluated(step=5, elapsed_s=1, split="validation", loss=0.5, accuracy=0.9, size=10))
    history.add(HyperparameterChanged(step=3, elapsed_s=1, hyperparameter="batch_size", before=10, after=20))
    figure = make_training_figure(history, "loss", LIGHT, revision="r")
    np.testing.assert_allclose(figure["data"][0]["x"], [0.1, 0.2, 0.3, 0.4, 1.0])
    assert figure["data"][1]["x"] == [1.0]
    assert figure["layout"]["shapes"][0]["x0"] == 0.3
    assert figure["layout"]["annotations"][0]["text"] == "batch size 10 → 20"


def test_a_fork_is_marked_and_its_parent_goes_on_faintly() -> None:
    history = _history(5)
    history.add(Forked(step=5, elapsed_s=1, parent="p", changes={"lr": (0.001, 0.01), "epochs": (3, 5)}))
    parent = NamedHistory("<b>Run {1}", _history(12))
    figure = make_training_figure(history, "accuracy", LIGHT, revision="r", parent=parent)
    train, _, branch = figure["data"]
    assert branch["name"] == "&lt;b&gt;Run &#123;1}"
    assert branch["x"] == [0.5, 1.0]
    assert branch["y"] == pytest.approx([0.6, 0.8])
    np.testing.assert_allclose(train["x"], np.arange(1, 6) / 10)
    layout = figure["layout"]
    assert [note["text"] for note in layout["annotations"]][-1] == "fork, lr 0.001 → 0.01, epochs 3 → 5"
    assert layout["shapes"][-1]["x0"] == 0.5
    assert layout["xaxis"]["range"] == [0, 5.0]
    go.Figure(figure)
    assert len(make_training_figure(_history(5), "accuracy", LIGHT, revision="r", parent=parent)["data"]) == 2
    history.fork_event = Forked(step=7, elapsed_s=1, parent="p")
    assert len(make_training_figure(history, "loss", LIGHT, revision="r", parent=parent)["data"]) == 2, (
        "one point is no curve"
    )


@given(
    hyperparameter=st.sampled_from(("lr", "epochs", "dropout", "optimizer", "augmentation")) | st.text(max_size=6),
    before=any_json,
    after=any_json,
)
@settings(max_examples=150)
def test_chart_shows_any_change_in_a_log(hyperparameter: str, before: Any, after: Any) -> None:
    history = _history(3)
    history.add(HyperparameterChanged(step=2, elapsed_s=1, hyperparameter=hyperparameter, before=before, after=after))
    history.add(Forked(step=3, elapsed_s=1, parent="x", changes={hyperparameter: (before, after)}))
    figure = make_training_figure(history, "loss", LIGHT, revision="r")
    assert all("<" not in note["text"] for note in figure["layout"]["annotations"])
    go.Figure(figure)
