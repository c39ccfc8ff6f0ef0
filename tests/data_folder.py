"""Data folders of their own for tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def link_cache(folder: Path) -> None:
    """Let a data folder share the unpacked datasets of the current one."""
    cache = Path(os.environ["CNN_PLAYGROUND_HOME"]) / "cache"
    cache.mkdir(exist_ok=True)
    (folder / "cache").symlink_to(cache)


@contextmanager
def use_data_folder(folder: Path) -> Iterator[None]:
    """Make a folder the data folder, sharing the unpacked datasets of the one before."""
    link_cache(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_PLAYGROUND_HOME", str(folder))
        yield
