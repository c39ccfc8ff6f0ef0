"""File operations, also as Windows has them, which refuses to rename or delete a file that somebody reads."""

from pathlib import Path
from typing import Any

import pytest

from playground.engine import paths
from playground.engine.paths import atomic_write, remove_file, retry_while_in_use
from playground.errors import StorageError


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make an operation of all paths fail a number of times, as on Windows while the file is open."""

    def make_refusing(name: str, count: int) -> list[Path]:
        monkeypatch.setattr(paths, "_OPEN_FILES_ARE_LOCKED", True)
        original, refused = getattr(Path, name), list[Path]()

        def call_or_refuse(path: Path, *args: Any, **options: Any) -> Any:
            if len(refused) < count:
                refused.append(path)
                raise PermissionError(13, "The process cannot access the file because it is being used")
            return original(path, *args, **options)

        monkeypatch.setattr(Path, name, call_or_refuse)
        return refused

    return make_refusing


def test_file_that_is_read_for_an_instant_is_replaced(tmp_path: Path, refuse: Any) -> None:
    target = tmp_path / "run.json"
    target.write_text("old")
    refused = refuse("replace", 2)
    with atomic_write(target) as temporary:
        temporary.write_text("new")
    assert len(refused) == 2
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_file_that_is_read_for_an_instant_is_deleted(tmp_path: Path, refuse: Any) -> None:
    file = tmp_path / "0.safetensors"
    file.touch()
    refuse("unlink", 2)
    remove_file(file)
    remove_file(file)
    assert not file.exists()


def test_file_that_stays_open_is_an_error(tmp_path: Path, refuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_IN_USE_TIMEOUT_S", 0.05)
    refuse("replace", 10_000)
    with pytest.raises(StorageError, match="cannot be written"), atomic_write(tmp_path / "run.json"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_other_systems_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_OPEN_FILES_ARE_LOCKED", False)
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise PermissionError(13, "no")

    with pytest.raises(PermissionError):
        retry_while_in_use(fail)
    assert len(calls) == 1
