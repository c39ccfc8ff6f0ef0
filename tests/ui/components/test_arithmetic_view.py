"""Data of the arithmetic view."""

import json
from pathlib import Path

from tests.golden.arithmetic_cases import make_cases

GOLDEN = Path(__file__).parents[2] / "golden" / "arithmetic-cases.json"


def test_encoded_channels_and_their_arithmetic_are_the_golden_file() -> None:
    """The JavaScript tests compare their arithmetic with the same file."""
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == make_cases()
