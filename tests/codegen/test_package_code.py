"""Code of the package in exported programs: whole, in order, and without name clashes."""

import math
from pathlib import Path
from typing import Any

import pytest

from playground.codegen import package_code
from playground.codegen.package_code import extract_package_code

_FIRST = '''"""Docstring."""

import math
from typing import NamedTuple

_SIZE, _UNUSED = 3, 4  # both on one line
LIMIT = 7
"""What it means."""


class Point(NamedTuple):
    x: int


@staticmethod
def measure(point: Point) -> float:
    """Measure."""
    return math.sqrt(point.x * _SIZE) + LIMIT


def forgotten() -> None:
    pass
'''
_SECOND = '''"""Docstring."""

from playground.first import Point, measure

_SIZE = 5


def compute(x: int) -> float:
    # Not at the top, for a reason.
    # Of two lines.
    from playground.first import measure

    return measure(Point(x)) + _SIZE  # type: ignore[no-any-return]
'''


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(package_code, "_PACKAGE_FOLDER", tmp_path)
    package_code._read_definitions.cache_clear()
    (tmp_path / "first.py").write_text(_FIRST)
    (tmp_path / "second.py").write_text(_SECOND)
    return tmp_path


def _execute(code: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"math": math}
    exec(f"from typing import NamedTuple\n{code}", namespace)
    return namespace


def test_functions_come_with_what_they_use_and_nothing_else() -> None:
    code = extract_package_code(["first.py", "second.py"], ["compute"])
    assert _execute(code)["compute"](12) == 6 + 7 + 5
    assert "forgotten" not in code
    assert "import" not in code
    assert "reason" not in code
    assert "type: ignore" not in code
    assert code.count("_SIZE, _UNUSED = 3, 4") == 1
    assert 'LIMIT = 7\n"""What it means."""\n\n\nclass Point' in code


def test_private_names_of_two_modules_are_kept_apart() -> None:
    namespace = _execute(extract_package_code(["first.py", "second.py"], ["compute"]))
    assert (namespace["_SIZE"], namespace["_SECOND_SIZE"]) == (3, 5)


def test_public_names_of_two_modules_are_refused(package: Path) -> None:
    (package / "second.py").write_text("LIMIT = 8\n")
    with pytest.raises(ValueError, match="LIMIT of second is defined by another module"):
        extract_package_code(["first.py", "second.py"], ["measure"])


def test_unknown_functions_are_refused() -> None:
    with pytest.raises(ValueError, match="No module defines absent"):
        extract_package_code(["first.py"], ["absent", "measure"])
