"""The check of a lock on Windows, where it cannot be shared; ``runs/test_recorder.py`` tests that of this system."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from playground.engine import file_lock


@pytest.fixture
def windows_file_lock(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as Windows imports it."""
    spec = importlib.util.spec_from_file_location("windows_file_lock", file_lock.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "platform", "win32")
        spec.loader.exec_module(module)
    return module


def test_lock_is_seen_while_it_is_held(windows_file_lock: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not windows_file_lock.is_locked(path)
    with file_lock.hold_lock(path) as is_held:
        assert is_held
        assert windows_file_lock.is_locked(path)
    assert not windows_file_lock.is_locked(path)


def test_folder_that_is_deleted_during_the_check_has_no_lock(
    windows_file_lock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert not windows_file_lock.is_locked(tmp_path / "deleted" / "lock")
