"""Output of the command line: the encoding of pipes."""

import io
import sys

import pytest

from playground.cli import output


@pytest.mark.parametrize("is_windows", [True, False])
def test_pipes_are_utf_8_on_windows(is_windows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_IS_WINDOWS", is_windows)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("→".encode()), encoding="cp1252"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252", write_through=True))
    output.use_utf8_pipes()
    if is_windows:
        sys.stdout.write("3×3 → 8")
        assert written.getvalue() == "3×3 → 8".encode()
        assert sys.stdin.read() == "→"
    else:
        assert sys.stdout.encoding == "cp1252"
