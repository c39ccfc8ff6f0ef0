"""The hooks of the test suite itself."""

import pytest

from tests.conftest import pytest_make_parametrize_id


def test_bytes_are_refused_as_test_ids() -> None:
    with pytest.raises(pytest.UsageError, match=r"'content' is bytes \(b'PK'…\) and has no id"):
        pytest_make_parametrize_id(b"PK", "content")
    pytest_make_parametrize_id("PK", "content")
