"""Still charts: the lines of the live figure, at the places that its axes say."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.charts.curves import Metric, make_training_figure
from playground.charts.static_svg import CSS_THEME, compute_ticks, render_svg
from playground.core.events import Evaluated, HyperparameterChanged
from playground.core.history import History
from tests import strategies
from tests.run_events import make_batch, make_started

assert strategies  # registers the profile

SVG = "{http://www.w3.org/2000/svg}"


def history(*, losses: tuple[float, ...] = (2.0, 1.0, 0.5), knob: str = "lr") -> History:
    begun = make_started(train_size=40, validation_size=10, test_size=10, steps_per_epoch=4, total_steps=4)
    seen = [make_batch(number, number / 4, loss=loss) for number, loss in enumerate(losses, 1)]
    measured = Evaluated(step=2, elapsed_s=1, split="validation", loss=1.5, accuracy=0.6, size=10)
    changed = HyperparameterChanged(step=2, elapsed_s=1, hyperparameter=knob, before=0.1, after=0.2)
    return History.from_events([begun, *seen[:2], measured, changed, *seen[2:]])


def drawn(found: History, metric: Metric = "loss") -> ElementTree.Element:
    text = render_svg(make_training_figure(found, metric, CSS_THEME, revision=""), title="<Loss>")
    return ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def places(line: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]


def test_points_lie_where_the_axes_say() -> None:
    picture = drawn(history())
    frame = picture.find(f"{SVG}svg")
    assert frame is not None
    width, height = float(frame.attrib["width"]), float(frame.attrib["height"])
    train, validation = frame.findall(f"{SVG}polyline")
    top = 2.0 * 1.05  # the axis ends a little above the largest value
    wanted = [(width * step / 4, height * (1 - loss / top)) for step, loss in ((1, 2.0), (2, 1.0), (3, 0.5))]
    assert [place for pair in places(train) for place in pair] == pytest.approx(
        [place for pair in wanted for place in pair], abs=0.051
    )
    assert len(places(validation)) == len(picture.findall(f"{SVG}circle")) == 1
    words = [text.text for text in picture.iter(f"{SVG}text")]
    assert {"train, per batch", "validation", "epochs", "lr 0.1 → 0.2", "0", "0.5", "1", "2"} <= set(words)


def test_accuracy_is_written_in_percent() -> None:
    words = [text.text for text in drawn(history(), "accuracy").iter(f"{SVG}text")]
    assert {"0%", "20%", "100%"} <= set(words)


def test_what_is_no_number_is_left_out() -> None:
    train = next(drawn(history(losses=(2.0, math.nan, math.inf))).iter(f"{SVG}polyline"))
    assert len(places(train)) == 1
    assert "points" in next(drawn(History()).iter(f"{SVG}polyline")).attrib


@pytest.mark.parametrize("knob", ["<script>", '"><b>', "{x}", "&amp;"])
def test_what_a_log_says_stays_text(knob: str) -> None:
    words = [text.text for text in drawn(history(knob=knob)).iter(f"{SVG}text")]
    assert f"{knob} 0.1 → 0.2" in words


@given(st.floats(-100, 100), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_round_and_inside(low: float, span: float) -> None:
    high = low + span
    found = compute_ticks(low, high)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-6 * span <= value <= high + 1e-6 * span for value in found)
    if len(found) > 1:
        step = found[1] - found[0]
        assert f"{step:.6e}"[0] in "125"
        assert f"{step:.6e}"[1:8] == ".000000"


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1.005, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.8, 1.005, [0.8, 0.85, 0.9, 0.95, 1]), (0, 3, [0, 1, 2, 3])],
)
def test_ticks_by_hand(low: float, high: float, wanted: list[float]) -> None:
    assert compute_ticks(low, high) == pytest.approx(wanted)
