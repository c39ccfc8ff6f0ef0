"""Fetching a data set: what is missing is downloaded, checked, read once, and kept as tensors in the cache.

``python -m playground.engine.fetch NAME`` prints one JSON value a line: ``{"doing", "done", "total"}`` in bytes while
it goes on, at last ``{"problem": [what, expected, fix]}`` or nothing. A download that was cut goes on where it was.
"""

import contextlib
import hashlib
import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

from torch import Tensor

from playground.engine.cached import cached_tensors, is_cached
from playground.engine.home import cannot_write, make_folder
from playground.engine.locks import take_lock
from playground.engine.sources import CheckedFile, Source, datasets_folder, source_of
from playground.errors import DownloadError, MissingDataError, PlaygroundError
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
    return cached_tensors(_cache_name(name), lambda: _missing(DATASETS[name]))


def _missing(dataset: Dataset) -> NoReturn:
    raise MissingDataError(
        f"{dataset.title} is not on this machine yet.",
        expected=f"It is fetched once: {dataset.download_mb} MB.",
        fix=f"Choose it on the Data page, or run 'cnn-playground fetch {dataset.name}'.",
    )


def fetch(name: str) -> Iterator[Progress]:
    """Bring a data set here, step by step; raises DownloadError, which says which files to put where by hand.

    What was downloaded so far is kept when the iteration is left, and taken up by the next.
    """
    if is_fetched(name):
        return
    source, folder = source_of(name), datasets_folder()
    yield Progress("Looking for its files")
    if not (source.unpacked and all(_is_whole(folder / file.path, file.md5) for file in source.unpacked)):
        for file in source.files:
            if not _is_whole(folder / file.path, file.md5):
                yield from _download(DATASETS[name], source, file)
    yield Progress("Reading its files")
    cached_tensors(_cache_name(name), lambda: _read(source, folder))


def files_wanted(name: str) -> tuple[tuple[Path, str], ...]:
    """Where each file of a data set belongs, and an address of it, for whoever brings them by hand."""
    return tuple((datasets_folder() / file.path, file.urls[0]) for file in source_of(name).files)


def _cache_name(name: str) -> str:
    return f"dataset-{name}"


def _read(source: Source, folder: Path) -> dict[str, Tensor]:
    try:
        return source.read(folder)
    except OSError as problem:  # no room to unpack them
        raise cannot_write(folder, problem) from problem


def _download(dataset: Dataset, source: Source, file: CheckedFile) -> Iterator[Progress]:
    """One file of a data set, from the first of its addresses that gives it."""
    target = datasets_folder() / file.path
    make_folder(target.parent)
    reasons = []
    for url in file.urls:
        try:
            yield from _download_from(url, target, file.md5)
        except DownloadError as problem:
            reasons.append(problem.what)
        except OSError as problem:
            raise cannot_write(target, problem) from problem
        else:
            return
    paths = [datasets_folder() / wanted.path for wanted in source.files]
    raise DownloadError(
        f"{dataset.title} cannot be fetched. {' '.join(reasons)}",
        expected="A way to the internet; what was fetched so far is kept.",
        fix=f"Try again later, or put {', '.join(path.name for path in paths)} into {target.parent} by hand and choose "
        "it again.",
    )


def _download_from(url: str, target: Path, md5: str) -> Iterator[Progress]:
    part = target.with_name(f"{target.name}.part")
    resumed = True
    while resumed:  # what was here may be the beginning of something else: then once more, from nothing
        resumed = part.exists() and part.stat().st_size > 0
        yield from _append(url, part, target.name)
        if _is_whole(part, md5):
            part.replace(target)
            return
        part.unlink()
    raise DownloadError(f"{url} gave something else: its checksum is wrong.")


def _append(url: str, part: Path, name: str) -> Iterator[Progress]:
    """Get what is missing of a file, or all of it from a server that cannot begin in the middle."""
    with part.open("ab") as written:
        if not take_lock(written):
            raise DownloadError(f"{name} is being fetched already.")
        answer = _open(url, written.tell())
        if answer is None:
            return
        with answer:
            if answer.status != HTTPStatus.PARTIAL_CONTENT:
                written.seek(written.truncate(0))
            total = written.tell() + answer.length if answer.length else 0
            while chunk := _next_chunk(url, answer):
                written.write(chunk)
                yield Progress(f"Fetching {name}", written.tell(), total)
        if written.tell() < total:
            raise DownloadError(f"{url} broke off.")


def _open(url: str, begun: int) -> http.client.HTTPResponse | None:
    """A server's answer with what comes after ``begun`` bytes; None if it says that nothing does."""
    headers = {"User-Agent": "cnn-playground"} | ({"Range": f"bytes={begun}-"} if begun else {})
    with _network(url):
        try:
            answer: http.client.HTTPResponse = urllib.request.urlopen(
                urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S
            )
        except urllib.error.HTTPError as problem:
            with problem:  # it is an answer, too, and wants to be closed
                if problem.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise
            return None
        return answer


def _next_chunk(url: str, answer: http.client.HTTPResponse) -> bytes:
    with _network(url):
        return answer.read(_CHUNK_BYTES)


@contextlib.contextmanager
def _network(url: str) -> Iterator[None]:
    """Trouble on the way is told from trouble with the disk: both are OSErrors."""
    try:
        yield
    except (OSError, http.client.HTTPException) as problem:
        raise DownloadError(f"{url}: {getattr(problem, 'reason', None) or problem}.") from problem


def _is_whole(path: Path, md5: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5


def main(name: str) -> None:
    """Fetch one data set for a process that reads along."""
    said = None
    try:
        for progress in fetch(name):
            percent = 100 * progress.done // max(1, progress.total)
            if said != (said := (progress.doing, percent)):
                _say(asdict(progress))
    except PlaygroundError as problem:
        _say({"problem": [problem.what, problem.expected, problem.fix]})


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
