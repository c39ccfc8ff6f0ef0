"""Background tasks: progress, results and errors arrive, and no output of the process can stop the reader."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.engine.background_task import BackgroundTask, report_progress
from playground.engine.progress import Progress
from playground.errors import DownloadError

SCRIPT = """
import sys, time
from playground.engine.background_task import report_progress
from playground.engine.progress import Progress
from playground.errors import DataError

def steps(ending):
    yield Progress("Working", 3, 4)
    match ending:
        case "result":
            yield "own:thing"
        case "error":
            raise DataError("What.", expected="Expected.", fix="Fix.")
        case "crash":
            sys.exit(3)
        case "wait":
            time.sleep(60)
        case "stray result" | "stray crash":
            values = ("3", "null", "[1, 2]", "{}", '{"stage": 1}', '{"error": "x"}', "[" * 9999)
            for line in ("a library's warning", *values):
                print(line, flush=True)
            sys.stdout.buffer.write(b"\\xff\\xfe not UTF-8\\n")
            sys.stdout.flush()
            if ending == "stray crash":
                print("the last words", flush=True)
                sys.exit(3)
            yield Progress("Working", 4, 4)
            yield "own:thing"

report_progress(steps(sys.argv[1]))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that ends as its argument says."""
    (tmp_path / "some_task.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    return "some_task"


def test_progress_is_one_json_line_per_percent(capsys: pytest.CaptureFixture[str]) -> None:
    def steps() -> Iterator[Progress | str]:
        yield from (Progress("Working", completed, 1000) for completed in (0, 1, 9, 10, 11))
        yield Progress("Resting")
        yield "name"
        raise DownloadError("What.", expected="Expected.")

    report_progress(steps())
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"stage": "Working", "completed": 0, "total": 1000},
        {"stage": "Working", "completed": 10, "total": 1000},
        {"stage": "Resting", "completed": 0, "total": 0},
        {"result_name": "name"},
        {"error": ["What.", "Expected.", ""]},
    ]


def test_fraction_is_between_0_and_1() -> None:
    fractions = [
        Progress("Working", completed, total).fraction for completed, total in ((0, 0), (5, 0), (1, 4), (5, 4))
    ]
    assert fractions == [0.0, 0.0, 0.25, 1.0]


def test_result_is_reported_by_its_name(module: str) -> None:
    task = BackgroundTask(module, "result")
    task.wait()
    assert not task.is_running
    assert (task.result_name, task.error, task.progress) == ("own:thing", None, Progress("Working", 3, 4))


def test_error_arrives_with_its_three_parts(module: str) -> None:
    task = BackgroundTask(module, "error")
    task.wait()
    assert task.error is not None
    assert (task.error.what, task.error.expected, task.error.fix) == ("What.", "Expected.", "Fix.")
    assert task.result_name is None


def test_crash_of_the_process_is_an_error(module: str) -> None:
    task = BackgroundTask(module, "crash")
    task.wait()
    assert task.error is not None
    assert "code 3" in task.error.what


def test_output_that_is_no_message_is_ignored(module: str) -> None:
    task = BackgroundTask(module, "stray result")
    task.wait()
    assert (task.result_name, task.error, task.progress) == ("own:thing", None, Progress("Working", 4, 4))


def test_error_after_a_crash_quotes_the_last_line_of_output(module: str) -> None:
    task = BackgroundTask(module, "stray crash")
    task.wait()
    assert task.error is not None
    assert task.error.what == "The background task ended with code 3. the last words"


def test_two_tasks_run_at_a_time_and_a_waiting_one_can_be_canceled(module: str) -> None:
    long = [BackgroundTask(module, "wait") for _ in range(2)]
    while any(task.progress != Progress("Working", 3, 4) for task in long):
        time.sleep(0.01)
    waiting, canceled = BackgroundTask(module, "result"), BackgroundTask(module, "result")
    time.sleep(0.3)
    assert waiting.progress.stage.startswith("Waiting")
    canceled.cancel()
    canceled.wait()
    assert (canceled.result_name, canceled.error) == (None, None)
    assert waiting.is_running
    long[0].cancel()
    waiting.wait()
    assert waiting.result_name == "own:thing"
    assert long[1].is_running
    long[1].cancel()
    long[1].wait()


def test_canceling_ends_the_task_without_an_error(module: str) -> None:
    task = BackgroundTask(module, "wait")
    assert task.is_running
    task.cancel()
    task.wait()
    assert (task.result_name, task.error) == (None, None)
