"""On-disk tensor cache."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from playground.engine.data import cache
from playground.engine.data.cache import load_or_create_tensors
from playground.errors import StorageError


@pytest.mark.parametrize("is_created_by_other", [True, False])
def test_file_of_another_process_that_was_faster_is_used(
    is_created_by_other: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows does not replace a file that another process has mapped."""
    others = torch.arange(3)

    @contextlib.contextmanager
    def refuse_write(path: Path) -> Iterator[Path]:
        yield path.with_suffix(".new")
        if is_created_by_other:
            save_file({"values": others}, path)
        raise StorageError(f"{path} cannot be written.")

    monkeypatch.setattr(cache, "atomic_write", refuse_write)
    monkeypatch.setattr(cache, "get_cache_folder", lambda: home / "new")
    if is_created_by_other:
        assert torch.equal(load_or_create_tensors("numbers", lambda: {"values": torch.zeros(3)})["values"], others)
    else:
        with pytest.raises(StorageError, match="cannot be written"):
            load_or_create_tensors("numbers", lambda: {"values": torch.zeros(3)})
