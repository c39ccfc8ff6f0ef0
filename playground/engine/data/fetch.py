"""Fetching a data set: what is missing is downloaded, checked, read once, and kept as tensors in the cache.

``python -m playground.engine.data.fetch NAME`` is an errand: a process that tells how far it is.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from torch import Tensor

from playground.core.datasets import DATASETS, Dataset
from playground.engine.background_task import Progress, tell
from playground.engine.data.cache import cached_tensors, is_cached
from playground.engine.data.download import download
from playground.engine.data.torchvision_sources import Source, datasets_folder, source_of
from playground.engine.paths import cannot_write
from playground.errors import MissingDataError


def is_fetched(name: str) -> bool:
    """Whether a data set of others lies ready in the cache."""
    return is_cached(_cache_name(name))


def fetched_tensors(name: str) -> dict[str, Tensor]:
    """Its tensors, mapped from the cache; raises MissingDataError where it has to be fetched first."""
    return cached_tensors(_cache_name(name), lambda: refuse_missing(DATASETS[name]))


def refuse_missing(dataset: Dataset) -> NoReturn:
    """Raise MissingDataError, which says how a data set is fetched."""
    raise MissingDataError(
        f"{dataset.title} is not on this machine yet.",
        expected=f"It is fetched once: {dataset.download_mb} MB.",
        fix=f"Press Fetch it, below the data set or on the Data page, or run 'cnn-playground fetch {dataset.name}'.",
    )


def fetch(name: str) -> Iterator[Progress]:
    """Bring a data set here, step by step; raises what ``download`` raises.

    What was downloaded so far is kept when the iteration is left, and taken up by the next.
    """
    if is_fetched(name):
        return
    source, folder = source_of(name), datasets_folder()
    yield Progress("Looking for its files")
    if not (source.unpacked and all(file.is_at(file.place) for file in source.unpacked)):
        yield from download(DATASETS[name].title, source.files)
    yield Progress("Reading its files")
    cached_tensors(_cache_name(name), lambda: _read(source, folder))


def files_wanted(name: str) -> tuple[tuple[Path, str], ...]:
    """Where each file of a data set belongs, and an address of it, for whoever brings them by hand."""
    return tuple((file.place, file.urls[0]) for file in source_of(name).files)


def _cache_name(name: str) -> str:
    return f"dataset-{name}"


def _read(source: Source, folder: Path) -> dict[str, Tensor]:
    try:
        return source.read(folder)
    except OSError as problem:  # no room to unpack them
        raise cannot_write(folder, problem) from problem


def main(name: str) -> None:
    """Fetch one data set for a process that reads along."""
    tell(fetch(name))


if __name__ == "__main__":
    main(sys.argv[1])
