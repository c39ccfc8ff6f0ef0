"""Fetching a data set: what is missing is downloaded, checked, read once, and kept as tensors in the cache.

``python -m playground.engine.fetch NAME`` prints one JSON value a line: ``{"doing", "done", "total"}`` in bytes while
it goes on, at last ``{"problem": [what, expected, fix]}`` or nothing. A download that was cut goes on where it was.
"""

import hashlib
import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from playground.engine.cached import cached_tensors, is_cached
from playground.engine.home import cannot_write, make_folder
from playground.engine.sources import RemoteFile, Source, datasets_folder, source_of
from playground.errors import DataError, DownloadError, MissingDataError, PlaygroundError
from playground.spec.datasets import DATASETS, Dataset

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Progress:
    """What is being done, in words, and how far it is; ``total`` is 0 while that is unknown."""

    doing: str
    done: int = 0
    total: int = 0


def is_fetched(name: str) -> bool:
    """Whether a data set of others lies ready in the cache."""
    return is_cached(_cache_name(name))


def fetched_tensors(name: str) -> dict[str, Tensor]:
    """Its tensors, mapped from the cache; raises MissingDataError where it has to be fetched first."""
    if not is_fetched(name):
        dataset = DATASETS[name]
        raise MissingDataError(
            f"{dataset.title} is not on this machine yet.",
            expected=f"It is fetched once: {dataset.download_mb} MB.",
            fix=f"Choose it on the Data page, or run 'cnn-playground fetch {name}'.",
        )
    return cached_tensors(_cache_name(name), dict)


def fetch(name: str) -> Iterator[Progress]:
    """Bring a data set here, step by step; raises DownloadError, which says which files to put where by hand.

    What was downloaded so far is kept when the iteration is left, and taken up by the next.
    """
    if is_fetched(name):
        return
    source, folder = source_of(name), datasets_folder()
    yield Progress("Looking for its files")
    tensors = _read(source, folder, unpack=False)
    if tensors is None:
        for file in source.files:
            if not _is_whole(folder / file.path, file.md5):
                yield from _download(DATASETS[name], source, file)
        yield Progress("Unpacking")
        tensors = _read(source, folder, unpack=True)
    if tensors is None:
        raise DataError(f"The files of {DATASETS[name].title} cannot be read.", fix=f"Remove {folder}, fetch it again.")
    _check(DATASETS[name], tensors)
    cached_tensors(_cache_name(name), lambda: tensors)


def files_wanted(name: str) -> tuple[tuple[Path, str], ...]:
    """Where each file of a data set belongs, and an address of it, for whoever brings them by hand."""
    return tuple((datasets_folder() / file.path, file.urls[0]) for file in source_of(name).files)


def _cache_name(name: str) -> str:
    return f"dataset-{name}"


def _read(source: Source, folder: Path, *, unpack: bool) -> dict[str, Tensor] | None:
    try:
        return source.read(folder, unpack)
    except (RuntimeError, FileNotFoundError):  # how torchvision says that files are missing
        return None
    except OSError as problem:
        raise cannot_write(folder, problem) from problem


def _check(dataset: Dataset, tensors: dict[str, Tensor]) -> None:
    found = (tuple(tensors["train_images"].shape[1:]), len(tensors["train_labels"]), len(tensors["test_labels"]))
    wanted = (dataset.input_shape, dataset.train_size, dataset.test_size)
    if found != wanted or int(torch.cat([tensors["train_labels"], tensors["test_labels"]]).max()) >= len(
        dataset.class_names
    ):
        raise DataError(
            f"The files of {dataset.title} hold something else: {found}.", expected=f"Its shape and sizes: {wanted}."
        )


def _download(dataset: Dataset, source: Source, file: RemoteFile) -> Iterator[Progress]:
    target = datasets_folder() / file.path
    make_folder(target.parent)
    reasons = []
    for url in file.urls:
        try:
            yield from _download_from(url, target, file.md5)
            return
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as problem:
            reasons.append(f"{url}: {getattr(problem, 'reason', None) or problem}")
        except DownloadError as problem:
            reasons.append(str(problem))
        except OSError as problem:
            raise cannot_write(target, problem) from problem
    names = ", ".join(Path(wanted.path).name for wanted in source.files)
    folders = ", ".join(sorted({str((datasets_folder() / wanted.path).parent) for wanted in source.files}))
    raise DownloadError(
        f"{dataset.title} cannot be fetched. {'; '.join(reasons)}.",
        expected="A way to the internet; what was fetched so far is kept.",
        fix=f"Try again later, or put {names} into {folders} by hand and choose it again.",
    )


def _download_from(url: str, target: Path, md5: str) -> Iterator[Progress]:
    part = target.with_name(f"{target.name}.part")
    begun = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "cnn-playground"})
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as problem:
        if problem.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        answer = None  # all of it is here already
    if answer is not None:
        with answer:
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                begun = 0
            total = begun + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if begun else "wb") as written:
                while chunk := answer.read(_CHUNK_BYTES):
                    written.write(chunk)
                    yield Progress(f"Fetching {target.name}", written.tell(), max(total, written.tell()))
    if not _is_whole(part, md5):
        part.unlink(missing_ok=True)
        raise DownloadError(f"{url} did not give the file that was expected: its checksum is wrong")
    part.replace(target)


def _is_whole(path: Path, md5: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5


def main(name: str) -> None:
    """Fetch one data set for a process that reads along."""
    said = -1
    try:
        for progress in fetch(name):
            percent = 100 * progress.done // max(1, progress.total)
            if percent != said:
                said = percent
                _say(asdict(progress))
    except PlaygroundError as problem:
        _say({"problem": [problem.what, problem.expected, problem.fix]})


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
