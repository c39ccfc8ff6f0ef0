"""Fetching a data set: what is missing is downloaded, checked, read once, and kept as tensors in the cache.

``python -m playground.engine.data.fetch NAME`` is an errand: a process that tells how far it is.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from torch import Tensor

from playground.core.datasets import DATASETS, Dataset
from playground.engine.background_task import report_progress
from playground.engine.data.cache import is_cached, load_or_create_tensors
from playground.engine.data.download import download_files
from playground.engine.data.torchvision_sources import DatasetSource, datasets_folder, find_source
from playground.engine.paths import make_write_error
from playground.engine.progress import Progress
from playground.errors import DatasetUnavailableError


def is_downloaded(name: str) -> bool:
    """Whether a data set of others lies ready in the cache."""
    return is_cached(_cache_name(name))


def load_downloaded_tensors(name: str) -> dict[str, Tensor]:
    """Its tensors, mapped from the cache; raises MissingDataError where it has to be fetched first."""
    return load_or_create_tensors(_cache_name(name), lambda: raise_missing_data(DATASETS[name]))


def raise_missing_data(dataset: Dataset) -> NoReturn:
    """Raise MissingDataError, which says how a data set is fetched."""
    raise DatasetUnavailableError(
        f"{dataset.title} is not on this machine yet.",
        expected=f"It is fetched once: {dataset.download_mb} MB.",
        fix=f"Press Fetch it, below the data set or on the Data page, or run 'cnn-playground fetch {dataset.name}'.",
    )


def download_dataset(name: str) -> Iterator[Progress]:
    """Bring a data set here, step by step; raises what ``download_files`` raises.

    What was downloaded so far is kept when the iteration is left, and taken up by the next.
    """
    if is_downloaded(name):
        return
    source, folder = find_source(name), datasets_folder()
    yield Progress("Looking for its files")
    if not (source.extracted_files and all(file.is_valid_at(file.destination) for file in source.extracted_files)):
        yield from download_files(DATASETS[name].title, source.files)
    yield Progress("Reading its files")
    load_or_create_tensors(_cache_name(name), lambda: _read_source(source, folder))


def list_required_files(name: str) -> tuple[tuple[Path, str], ...]:
    """Where each file of a data set belongs, and an address of it, for whoever brings them by hand."""
    return tuple((file.destination, file.urls[0]) for file in find_source(name).files)


def _cache_name(name: str) -> str:
    return f"dataset-{name}"


def _read_source(source: DatasetSource, folder: Path) -> dict[str, Tensor]:
    try:
        return source.read(folder)
    except OSError as problem:  # no room to unpack them
        raise make_write_error(folder, problem) from problem


def main(name: str) -> None:
    """Fetch one data set for a process that reads along."""
    report_progress(download_dataset(name))


if __name__ == "__main__":
    main(sys.argv[1])
