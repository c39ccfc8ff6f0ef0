"""Shared by all tests: a data folder of their own, a cache that is unpacked once, test ids that never change."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_folder import use_data_folder

# Before anything of the package is imported: its workers inherit it.
_HOME = tempfile.TemporaryDirectory(prefix="cnn-playground-tests-")
os.environ["CNN_PLAYGROUND_HOME"] = _HOME.name


def pytest_make_parametrize_id(val: object, argname: str) -> None:
    """Refuse bytes as test ids: those of a ZIP file hold the time of day, and parallel workers collect other tests."""
    if isinstance(val, bytes | bytearray | memoryview):
        raise pytest.UsageError(
            f"The parameter {argname!r} is bytes ({bytes(val[:20])!r}…) and has no id: use pytest.param(…, id=…) or "
            "ids=…"
        )


@pytest.fixture(autouse=True)
def restored_main_module() -> Iterator[None]:
    """Restore the main module, which ``AppTest`` replaces; processes that are spawned run it again."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty data folder for one test, sharing the unpacked data of all."""
    with use_data_folder(tmp_path):
        yield tmp_path
