"""Problems that the browser reports are parsed with distrust."""

import pytest

from playground.ui.components.live_drawing import LiveProblem, _parse_problem


def test_problem_of_the_browser_is_read() -> None:
    assert _parse_problem({"runId": "pretrained", "message": "No."}) == LiveProblem("pretrained", "No.")


@pytest.mark.parametrize("value", [None, "text", 3, [], {}, {"runId": 1, "message": "a"}, {"runId": "a"}])
def test_everything_else_is_ignored(value: object) -> None:
    assert _parse_problem(value) is None


def test_text_for_the_log_is_short_and_has_no_control_characters() -> None:
    problem = _parse_problem({"runId": "a\nERROR forged", "message": "x" * 10_000})
    assert problem == LiveProblem("aERROR forged", "x" * 300)
