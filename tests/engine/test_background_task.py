"""Errands: what a process tells arrives, whatever becomes of the process."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.engine.background_task import BackgroundTask, Progress, report_progress
from playground.errors import DownloadError

SCRIPT = """
import sys, time
from playground.engine.background_task import Progress, report_progress
from playground.errors import DataError

def steps(ending):
    yield Progress("Working", 3, 4)
    match ending:
        case "made":
            yield "own:thing"
        case "problem":
            raise DataError("What.", expected="Expected.", fix="Fix.")
        case "crash":
            sys.exit(3)
        case "wait":
            time.sleep(60)

report_progress(steps(sys.argv[1]))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that ends as its argument says."""
    (tmp_path / "some_errand.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    return "some_errand"


def test_what_a_step_says_is_one_line_of_json_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    def steps() -> Iterator[Progress | str]:
        yield from (Progress("Working", done, 1000) for done in (0, 1, 9, 10, 11))
        yield Progress("Resting")
        yield "name"
        raise DownloadError("What.", expected="Expected.")

    report_progress(steps())
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"description": "Working", "completed": 0, "total": 1000},
        {"description": "Working", "completed": 10, "total": 1000},
        {"description": "Resting", "completed": 0, "total": 0},
        {"made": "name"},
        {"problem": ["What.", "Expected.", ""]},
    ]


def test_what_was_made_is_known_by_its_name(module: str) -> None:
    errand = BackgroundTask(module, "made")
    errand.wait()
    assert not errand.is_running
    assert (errand.result_name, errand.error, errand.progress) == ("own:thing", None, Progress("Working", 3, 4))


def test_a_problem_arrives_with_its_three_parts(module: str) -> None:
    errand = BackgroundTask(module, "problem")
    errand.wait()
    assert errand.error is not None
    assert (errand.error.what, errand.error.expected, errand.error.fix) == ("What.", "Expected.", "Fix.")
    assert errand.result_name is None


def test_a_process_that_dies_is_a_problem(module: str) -> None:
    errand = BackgroundTask(module, "crash")
    errand.wait()
    assert errand.error is not None
    assert "code 3" in errand.error.what


def test_two_are_run_at_a_time_and_who_waits_can_be_cancelled(module: str) -> None:
    long = [BackgroundTask(module, "wait") for _ in range(2)]
    while any(errand.progress != Progress("Working", 3, 4) for errand in long):
        time.sleep(0.01)
    waiting, cancelled = BackgroundTask(module, "made"), BackgroundTask(module, "made")
    time.sleep(0.3)
    assert waiting.progress.description.startswith("Waiting")
    cancelled.cancel()
    cancelled.wait()
    assert (cancelled.result_name, cancelled.error) == (None, None)
    assert waiting.is_running
    long[0].cancel()
    waiting.wait()
    assert waiting.result_name == "own:thing"
    assert long[1].is_running
    long[1].cancel()
    long[1].wait()


def test_a_cancel_ends_it_and_is_no_problem(module: str) -> None:
    errand = BackgroundTask(module, "wait")
    assert errand.is_running
    errand.cancel()
    errand.wait()
    assert (errand.result_name, errand.error) == (None, None)
