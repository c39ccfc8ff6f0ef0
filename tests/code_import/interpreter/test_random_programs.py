"""Random programs are read exactly as they run, or rejected."""

import os

import pytest

from tests.code_import.interpreter.run_programs import compare_programs

_COUNT = int(os.environ.get("RANDOM_PROGRAMS", "100"))


@pytest.mark.timeout(120 + _COUNT)
def test_random_programs_are_read_as_they_run_or_rejected() -> None:
    results = list(compare_programs(range(_COUNT), workers=1))
    assert not [result for result in results if result.outcome == "different"]
    assert sum(result.outcome == "same" for result in results) >= 0.75 * len(results)
