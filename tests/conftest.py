"""Shared by all tests: a data folder of their own, a cache that is unpacked once, tiny images."""

import os
import tempfile
from pathlib import Path

import pytest

# Before anything of the package is imported: its workers inherit it.
_HOME = tempfile.TemporaryDirectory(prefix="cnn-playground-tests-")
os.environ["CNN_PLAYGROUND_HOME"] = _HOME.name


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder for one test, sharing the unpacked data of all."""
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path))
    shared = Path(_HOME.name) / "cache"
    shared.mkdir(exist_ok=True)
    (tmp_path / "cache").symlink_to(shared)
    return tmp_path
