"""Figures of trust: the points that were given, axes from 0 to 1, larger marks for more images."""

from playground.charts.calibration import make_reliability_figure, make_robustness_figure
from playground.charts.theme import DARK, LIGHT


def test_confidence_stands_against_accuracy() -> None:
    figure = make_reliability_figure([(0.55, 0.5, 10), (0.95, 0.9, 90)], LIGHT)
    honest, points = figure["data"]
    assert (honest["x"], honest["y"]) == ([0, 1], [0, 1])
    assert (points["x"], points["y"], points["customdata"]) == ([0.55, 0.95], [0.5, 0.9], [10, 90])
    small, large = points["marker"]["size"]
    assert small < large
    assert figure["layout"]["yaxis"]["range"][0] == 0
    assert make_reliability_figure([], LIGHT)["data"][1]["x"] == []


def test_accuracy_at_every_level() -> None:
    figure = make_robustness_figure([(-30, 0.5), (0, 0.99), (30, 0.6)], "degrees", DARK)
    (trace,) = figure["data"]
    assert (trace["x"], trace["y"]) == ([-30, 0, 30], [0.5, 0.99, 0.6])
    assert figure["layout"]["xaxis"]["title"]["text"] == "degrees"
    assert trace["line"]["color"] == DARK.accent
