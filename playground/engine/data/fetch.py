"""Download of a dataset: missing files are downloaded, verified, parsed once, and cached as tensors.

``python -m playground.engine.data.fetch NAME`` runs as a background task.
"""

import sys
from collections.abc import Generator
from pathlib import Path
from typing import NoReturn

from torch import Tensor

from playground.core.datasets import DATASETS, Dataset
from playground.engine.background_task import report_progress
from playground.engine.data.cache import is_cached, load_or_create_tensors
from playground.engine.data.download import download_files
from playground.engine.data.torchvision_sources import DatasetSource, datasets_folder, find_source
from playground.engine.paths import make_write_error
from playground.engine.progress import Progress, Steps, run_to_end
from playground.errors import DatasetUnavailableError


def is_downloaded(name: str) -> bool:
    """Return True if the dataset's tensors are in the cache."""
    return is_cached(_cache_name(name))


def load_downloaded_tensors(name: str) -> dict[str, Tensor]:
    """Memory-map a downloaded dataset's tensors; raises DatasetUnavailableError if it is not downloaded yet."""
    if not is_downloaded(name):
        raise_missing_data(DATASETS[name])
    return run_to_end(load_or_create_tensors(_cache_name(name), lambda: raise_missing_data(DATASETS[name])))


def raise_missing_data(dataset: Dataset) -> NoReturn:
    """Raise DatasetUnavailableError with the ways to download the dataset."""
    raise DatasetUnavailableError(
        f"{dataset.title} has not been downloaded yet.",
        expected=f"It is downloaded once: {dataset.download_mb} MB.",
        fix=f"Press Download, below the dataset or on the Data page, or run 'cnn-playground fetch {dataset.name}'.",
    )


def download_dataset(name: str) -> Generator[Progress, None, None]:
    """Download and cache a dataset step by step; raises the errors of ``download_files``.

    Partial downloads are kept when the iteration is left; the next one resumes them.
    """
    if is_downloaded(name):
        return
    source, folder = find_source(name), datasets_folder()
    yield Progress("Checking the files")
    if not (source.extracted_files and all(file.is_valid_at(file.destination) for file in source.extracted_files)):
        yield from download_files(DATASETS[name].title, source.files)
    yield from load_or_create_tensors(_cache_name(name), lambda: _read_source(source, folder))


def list_required_files(name: str) -> tuple[tuple[Path, str], ...]:
    """List the path and the first address of each file of a dataset, for a download by hand."""
    return tuple((file.destination, file.urls[0]) for file in find_source(name).files)


def _cache_name(name: str) -> str:
    return f"dataset-{name}"


def _read_source(source: DatasetSource, folder: Path) -> Steps[dict[str, Tensor]]:
    yield Progress("Reading the files")
    try:
        return source.read(folder)
    except OSError as error:  # unpacking needs space
        raise make_write_error(folder, error) from error


def main(name: str) -> None:
    """Download one dataset as a background task."""
    report_progress(download_dataset(name))


if __name__ == "__main__":
    main(sys.argv[1])
