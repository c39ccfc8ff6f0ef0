"""Child processes: encoding of the pipes, standard error, and the ends of a process."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from playground.engine import child_process
from playground.engine.child_process import ChildProcess

SCRIPT = """
import sys
for line in sys.stdin:
    match line.strip():
        case "fail":
            sys.exit("Größe ✗")
        case "crash":
            sys.stderr.write("x" * 9000 + "\\nlast line")
            sys.exit(4)
        case text:
            print("got", text, flush=True)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "some_child.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "some_child"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_pipes_are_utf_8_whatever_the_platform_encodes(
    module: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)  # a Windows console, for instance
    with ChildProcess(module, accepts_input=True) as process:
        process.write_line("Größe ✓")
        assert next(process.read_lines()) == "got Größe ✓\n"
        process.write_line("fail")
        assert process.wait() == 1
        assert process.read_last_stderr_line() == "Größe ✗"


def test_stderr_tail_is_the_end_of_the_standard_error(module: str) -> None:
    with ChildProcess(module, accepts_input=True) as process:
        process.write_line("crash")
        assert process.wait() == 4
        assert len(process.read_stderr_tail()) == 4000
        assert process.read_last_stderr_line() == "last line"
    assert process.read_stderr_tail() == ""


def test_child_without_input_reads_its_end(module: str) -> None:
    with ChildProcess(module) as process:
        with pytest.raises(OSError, match="no standard input"):
            process.write_line("anything")
        assert process.wait() == 0


def test_closing_the_input_ends_a_child_that_reads(module: str) -> None:
    with ChildProcess(module, accepts_input=True) as process:
        assert process.is_alive()
        assert process.wait(timeout_s=0) is None
        process.close_stdin()
        assert process.wait() == 0
        with pytest.raises(OSError, match="closed"):
            process.write_line("too late")


def test_leaving_the_block_kills_the_child(module: str) -> None:
    with ChildProcess(module, accepts_input=True) as process:
        started = time.monotonic()
    assert not process.is_alive()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("is_own_session", [True, False])
def test_ctrl_c_in_the_terminal_does_not_reach_a_child_with_its_own_session(
    is_own_session: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {}

    def start(_command: list[str], **given: Any) -> None:
        options.update(given)
        raise OSError("not started")

    monkeypatch.setattr(child_process, "_NEW_GROUP_FLAG", 0x200)  # as on Windows, where sessions do not exist
    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(OSError, match="not started"):
        ChildProcess("module", is_own_session=is_own_session)
    assert options["start_new_session"] is is_own_session
    assert options["creationflags"] == (0x200 if is_own_session else 0)
