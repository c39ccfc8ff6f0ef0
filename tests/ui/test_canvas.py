import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from playground.ui.canvas import (
    ERASER_WIDTH,
    MAX_ERASER_POINTS,
    MAX_POINTS,
    MAX_STROKES,
    CanvasInk,
    make_fabric_json,
    parse_fabric_json,
)

# Recorded in Chromium: a stroke (50, 60) → (110, 60) → (110, 120) in steps of 20 and a click at (200, 210) with a
# pen of width 18; entries that do not affect the position are omitted.
RECORDED: dict[str, Any] = json.loads("""
{"version": "7.4.0", "background": "#000", "objects": [
  {"type": "Path", "version": "7.4.0", "originX": "center", "originY": "center", "left": 79.991,
   "top": 90.009, "width": 60.018, "height": 60.018, "fill": null, "stroke": "#fff", "strokeWidth": 18,
   "strokeUniform": false, "scaleX": 1, "scaleY": 1, "angle": 0, "flipX": false, "flipY": false, "skewX": 0,
   "skewY": 0, "path": [["M", 49.982, 60], ["Q", 50, 60, 60, 60], ["Q", 70, 60, 80, 60],
   ["Q", 90, 60, 100, 60], ["Q", 110, 60, 110, 70], ["Q", 110, 80, 110, 100], ["L", 110, 120.018]]},
  {"type": "Path", "version": "7.4.0", "originX": "center", "originY": "center", "left": 200, "top": 210,
   "width": 0.036, "height": 0, "fill": null, "stroke": "#fff", "strokeWidth": 18, "strokeUniform": false,
   "scaleX": 1, "scaleY": 1, "angle": 0, "flipX": false, "flipY": false, "skewX": 0, "skewY": 0,
   "path": [["M", 199.982, 210], ["L", 200.018, 210]]}]}
""")

coordinates = st.integers(-1000, 30000).map(lambda hundredths: hundredths / 100)
points = st.tuples(coordinates, coordinates)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner))
commands = st.builds(
    lambda name, numbers: [name, *numbers],
    st.sampled_from("MLQCZX"),
    st.lists(st.floats() | st.integers() | anything, max_size=6),
)
shapes = st.fixed_dictionaries(
    {"type": st.just("Path"), "path": st.lists(commands, max_size=6).map(lambda rest: [["M", 1, 1], *rest])},
    optional={
        name: st.floats(-1e7, 1e7) | anything
        for name in ("left", "top", "scaleX", "scaleY", "skewX", "angle", "flipX", "originX", "strokeWidth")
    },
)


def path(*commands: list[Any], **more: Any) -> dict[str, Any]:
    return {"objects": [{"type": "Path", "path": list(commands), "strokeWidth": 0, **more}]}


def is_distinct(stroke: list[tuple[float, float]]) -> bool:
    """Return True if the stroke is a point, or longer than a dot without repeated points."""
    moves = all(before != after for before, after in pairwise(stroke))
    extent = max(max(side) - min(side) for side in zip(*stroke, strict=True))
    return len(stroke) == 1 or (moves and extent > 0.25)


def test_recorded_drawing_gives_its_strokes() -> None:
    stroke, dot = parse_fabric_json(RECORDED, offset_y=0).strokes
    assert stroke[0] == (49.98, 60.0)
    assert stroke[-1] == (110.0, 120.02)
    assert {(60.0, 60.0), (80.0, 60.0), (100.0, 60.0), (106.4, 61.6), (110.0, 70.0), (110.0, 100.0)} <= {*stroke}
    assert dot == ((200.0, 210.0),)


def test_offset_moves_the_origin_to_the_drawing_area() -> None:
    assert parse_fabric_json(RECORDED, offset_y=48).strokes[1] == ((200.0, 162.0),)


@given(st.lists(st.lists(points, min_size=1, max_size=12).filter(is_distinct).map(tuple), max_size=8).map(tuple))
def test_strokes_survive_the_round_trip_through_fabric_json(strokes: Any) -> None:
    drawing = json.loads(json.dumps(make_fabric_json(strokes, pen_width=18, offset_y=48)))
    again = parse_fabric_json(drawing, offset_y=48).strokes
    assert [len(stroke) for stroke in again] == [len(stroke) for stroke in strokes]
    for stroke, twin in zip(strokes, again, strict=True):
        for point, other in zip(stroke, twin, strict=True):
            assert other == pytest.approx(point, abs=0.011)


@given(st.fixed_dictionaries({"objects": st.lists(shapes | anything, max_size=4) | anything}) | anything)
@settings(max_examples=300)
def test_invalid_json_never_raises_and_gives_points_within_bounds(fabric_json: Any) -> None:
    ink = parse_fabric_json(fabric_json, offset_y=0.0, bounds=(-9, 289))
    for stroke in (*ink.strokes, *ink.eraser_strokes):
        assert stroke
        assert all(-9 <= x <= 289 and -9 <= y <= 289 for x, y in stroke)


@pytest.mark.parametrize(
    "broken",
    [
        [["L", 0, 0]],
        [["M", 0, 0], ["M", 9, 9]],
        [["M", 0, 0], ["L", 1]],
        [["M", 0, 0], ["L", 1, float("nan")]],
        [["M", 0, 0], ["L", 1, float("inf")]],
        [["M", 0, 0], ["L", 1, 10**400]],
        [["M", 0, 0], ["L", 1, True]],
        [["M", 0, 0], ["L", 1, "2"]],
        [["M", 0, 0], [["L"], 1, 2]],
        [["M", 0, 0], []],
        [],
        "M 0 0 L 5 5",
        None,
    ],
)
def test_only_the_invalid_object_is_skipped(broken: Any) -> None:
    sound = RECORDED["objects"][1]
    objects = [{"type": "Path", "path": broken}, {"type": "Image", "src": "data:"}, sound]
    assert parse_fabric_json({"objects": objects}, offset_y=0).strokes == (((200.0, 210.0),),)


def test_number_of_strokes_and_points_is_limited() -> None:
    many = {"objects": [RECORDED["objects"][1]] * (MAX_STROKES + 5)}
    assert len(parse_fabric_json(many, offset_y=0).strokes) == MAX_STROKES
    zigzag = [["M", 0, 0], *(["Q", 1e6, 0, i % 2, 5] for i in range(MAX_POINTS - 1))]
    flood = {"objects": [{"type": "Path", "path": zigzag}] * 10}
    assert sum(map(len, parse_fabric_json(flood, offset_y=0).strokes)) <= MAX_POINTS


def test_points_outside_are_clipped_to_the_bounds() -> None:
    drawing = path(["M", 100, 100], ["L", 400, 100], ["L", 500, 100], ["L", 400, 200], ["L", 100, 200])
    (stroke,) = parse_fabric_json(drawing, offset_y=0, bounds=(-9, 289)).strokes
    assert stroke == ((100, 100), (289, 100), (289, 200), (100, 200))


# The line from (10, 20) to (30, 20): its box is 20 by 0 and its middle is (20, 20).
@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        ({}, ((10, 20), (30, 20))),
        ({"left": 20, "top": 20}, ((10, 20), (30, 20))),
        ({"left": 50, "top": 60}, ((40, 60), (60, 60))),
        ({"left": 50, "top": 60, "originX": "left", "originY": "top"}, ((50, 60), (70, 60))),
        (
            {"left": 50, "top": 60, "originX": "left", "originY": "top", "strokeWidth": 4},
            ((52, 62), (72, 62)),
        ),
        ({"left": 50, "top": 60, "originX": "right"}, ((30, 60), (50, 60))),
        ({"left": 50, "top": 60, "scaleX": 2}, ((30, 60), (70, 60))),
        ({"left": 50, "top": 60, "flipX": True}, ((60, 60), (40, 60))),
        ({"left": 50, "top": 60, "angle": 90}, ((50, 50), (50, 70))),
        ({"left": 50, "top": 60, "angle": 90, "originX": "left"}, ((50, 60), (50, 80))),
        ({"left": 50, "top": 60, "skewY": 45}, ((40, 50), (60, 70))),
    ],
)
def test_transformed_object_is_read_at_its_painted_position(placement: dict[str, Any], expected: Any) -> None:
    assert parse_fabric_json(path(["M", 10, 20], ["L", 30, 20], **placement), offset_y=0).strokes == (expected,)


def test_sampled_curves_contain_known_points() -> None:
    (quadratic,) = parse_fabric_json(path(["M", 0, 0], ["Q", 8, 16, 16, 0]), offset_y=0).strokes
    assert (8.0, 8.0) in quadratic
    (cubic,) = parse_fabric_json(path(["M", 0, 0], ["C", 0, 12, 16, 12, 16, 0], ["Z"]), offset_y=0).strokes
    assert (8.0, 9.0) in cubic
    assert cubic[-1] == (0, 0)


def drawing_of(*marks: tuple[str, list[list[Any]]]) -> dict[str, Any]:
    return {"objects": [{"type": "Path", "stroke": color, "path": commands} for color, commands in marks]}


ACROSS = [["M", 20, 100], ["L", 220, 100]]
DOWN = [["M", 120, 40], ["L", 120, 160]]


@pytest.mark.parametrize("color", ["#000", "#000000", "rgb(0,0,0)", "rgb(0, 0, 0)"])
def test_eraser_cuts_only_earlier_strokes(color: str) -> None:
    left, right, later = parse_fabric_json(
        drawing_of(("#fff", ACROSS), (color, DOWN), ("#fff", DOWN)), offset_y=0
    ).strokes
    assert (left[0], right[-1]) == ((20, 100), (220, 100))
    assert left[-1][0] == pytest.approx(120 - ERASER_WIDTH / 2, abs=4)
    assert right[0][0] == pytest.approx(120 + ERASER_WIDTH / 2, abs=4)
    assert later == ((120, 40), (120, 160))


def test_eraser_that_misses_changes_nothing_and_one_that_covers_removes_the_stroke() -> None:
    far = [["M", 20, 200], ["L", 220, 200]]
    assert parse_fabric_json(drawing_of(("#fff", ACROSS), ("#000", far)), offset_y=0).strokes == (
        ((20, 100), (220, 100)),
    )
    assert parse_fabric_json(drawing_of(("#fff", ACROSS), ("#000", ACROSS)), offset_y=0) == CanvasInk(
        (), (((20, 100), (220, 100)),)
    )


def test_number_of_eraser_points_is_limited() -> None:
    zigzag = [["M", 0, 0], *(["L", 300 * (i % 2), i % 300] for i in range(1, MAX_POINTS // 8))]
    flood = drawing_of(*[("#fff", zigzag)] * 4, *[("#000", zigzag)] * 4)
    ink = parse_fabric_json(flood, offset_y=0, bounds=(-9, 289))
    assert sum(map(len, ink.eraser_strokes)) <= MAX_ERASER_POINTS + 2 * 4  # each eraser stroke keeps its ends


def page() -> None:
    import streamlit as st

    from playground.ui.canvas import CanvasInk, render_canvas

    state = st.session_state
    state.got = render_canvas(
        ink=CanvasInk((((5.0, 5.0),),)), revision=state.get("revision", 0), pen_width=state.get("pen", 18)
    )


def sent(*strokes: tuple[tuple[float, float], ...]) -> dict[str, Any]:
    return {"drawing": {"raw": make_fabric_json(strokes, pen_width=18, offset_y=0), "data": None}}


def test_canvas_returns_strokes_drawn_since_its_creation() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    assert app.session_state["got"] is None
    app.session_state["canvas-1"] = sent(((5.0, 5.0),), ((9.0, 9.0), (20.0, 9.0)))
    app.run()
    assert app.session_state["got"] == CanvasInk((((5.0, 5.0),), ((9.0, 9.0), (20.0, 9.0))))
    app.session_state["revision"] = 1
    app.run()
    assert app.session_state["got"] is None
    app.session_state["canvas-1"] = sent(((7.0, 7.0),))
    app.run()
    assert app.session_state["got"] is None
    assert not app.exception


def test_changing_the_pen_width_keeps_the_drawing() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    app.session_state["canvas-1"] = sent(((30.0, 30.0),))
    app.run()
    app.session_state["pen"] = 30
    app.run()
    assert app.session_state["_canvas_mount"].seed == {
        "objects": make_fabric_json((((30.0, 30.0),),), pen_width=30, offset_y=0)["objects"]
    }


@pytest.mark.parametrize("forged", ["junk", 7, [], None, {"raw": 3}, {"raw": {"objects": "x"}}])
def test_invalid_component_value_is_ignored(forged: Any) -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    app.session_state["canvas-1"] = {"drawing": forged, "backgroundFit": {"a": 1}}
    app.run()
    assert not app.exception
    assert app.session_state["got"] in (None, CanvasInk())
