"""The first steps of a new user, and the hint on the empty canvas."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from playground.ui.canvas import CanvasInk
from playground.ui.pages.playground import first_steps
from tests.ui.apps import choose_preset, html_of, state_of


@pytest.fixture
def rendered_steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The steps of the last run of the page."""
    steps: list[Any] = []
    monkeypatch.setattr(first_steps, "render_coach", lambda shown: steps.__setitem__(slice(None), shown))
    return steps


def list_done(steps: list[Any]) -> list[str]:
    return [step["name"] for step in steps if step["is_done"]]


def test_steps_are_done_by_what_the_user_does(app: AppTest, rendered_steps: list[Any]) -> None:
    app.run()
    assert [step["name"] for step in rendered_steps] == ["draw", "train", "inspect", "change"]
    assert list_done(rendered_steps) == []
    state_of(app).drawing.set_ink(CanvasInk((((5.0, 5.0), (90.0, 90.0)),)))
    choose_preset(app, "tiny")
    state_of(app).inspect.layer_id = "conv2d-1"
    app.run()
    assert list_done(rendered_steps) == ["draw", "inspect", "change"]
    app.button(key="train-start").click().run()
    assert list_done(rendered_steps) == ["draw", "train", "inspect", "change"]


def test_hint_is_on_an_empty_canvas_only(app: AppTest) -> None:
    app.run()
    assert "Draw a digit, 0 to 9" in html_of(app)
    state_of(app).drawing.set_ink(CanvasInk((((5.0, 5.0), (90.0, 90.0)),)))
    app.run()
    assert "pg-canvas-hint" not in html_of(app)
    app.button(key="canvas-clear").click().run()
    assert "pg-canvas-hint" in html_of(app)
    app.button(key="canvas-random").click().run()
    assert "pg-canvas-hint" not in html_of(app), "a test image is under the strokes"
    assert not app.exception
