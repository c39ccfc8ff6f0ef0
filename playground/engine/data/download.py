"""Files from the network, checked; a download that was cut goes on where it was."""

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

from playground.engine.data.torchvision_sources import CheckedFile
from playground.engine.file_lock import hold_lock
from playground.engine.paths import make_folder, make_write_error
from playground.engine.progress import Progress
from playground.errors import DownloadError

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30


def download_files(title: str, files: Sequence[CheckedFile]) -> Iterator[Progress]:
    """Bring those of ``files`` here that are not; ``title`` is what they are together.

    Raises DownloadError, which says which files to put where by hand, StoreError where the disk says no. What was
    downloaded so far is kept when the iteration is left, and taken up by the next.
    """
    for file in files:
        if not file.is_valid_at(file.destination):
            yield from _download_file(title, files, file)


def _download_file(title: str, files: Sequence[CheckedFile], file: CheckedFile) -> Iterator[Progress]:
    """One of the files, from the first of its addresses that gives it."""
    make_folder(file.destination.parent)
    reasons = []
    for url in file.urls:
        try:
            yield from _download_from_url(url, file)
        except DownloadError as problem:
            reasons.append(problem.what)
        except OSError as problem:
            raise make_write_error(file.destination, problem) from problem
        else:
            return
    raise DownloadError(
        f"{title} cannot be fetched. {' '.join(reasons)}",
        expected="This needs the internet; what was fetched so far is kept.",
        fix=f"Try again later, or put {', '.join(wanted.destination.name for wanted in files)} into {file.destination.parent} by "
        "hand and fetch it again.",
    )


def _download_from_url(url: str, file: CheckedFile) -> Iterator[Progress]:
    part = file.destination.with_name(f"{file.destination.name}.part")
    resumed = True
    while resumed:  # what was here may be the beginning of something else: then once more, from nothing
        resumed = part.exists() and part.stat().st_size > 0
        yield from _resume_download(url, part, file.destination.name)
        if file.is_valid_at(part):
            part.replace(file.destination)
            return
        part.unlink()
    raise DownloadError(f"{url} gave something else: its checksum is wrong.")


def _resume_download(url: str, part: Path, name: str) -> Iterator[Progress]:
    """Get what is missing of a file, or all of it from a server that cannot begin in the middle."""
    with hold_lock(part.with_suffix(".lock")) as is_held, part.open("ab") as written:
        if not is_held:
            raise DownloadError(f"{name} is being fetched already.")
        answer = _open_url(url, written.tell())
        if answer is None:
            return
        with answer:
            if answer.status != HTTPStatus.PARTIAL_CONTENT:
                written.seek(written.truncate(0))
            total = written.tell() + answer.length if answer.length else 0
            while chunk := _read_chunk(url, answer):
                written.write(chunk)
                yield Progress(f"Fetching {name}", written.tell(), total)
        if written.tell() < total:
            raise DownloadError(f"{url} broke off.")


def _open_url(url: str, offset: int) -> http.client.HTTPResponse | None:
    """A server's answer with what comes after ``begun`` bytes; None if it says that nothing does."""
    headers = {"User-Agent": "cnn-playground"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with _wrap_network_errors(url):
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


def _read_chunk(url: str, answer: http.client.HTTPResponse) -> bytes:
    with _wrap_network_errors(url):
        return answer.read(_CHUNK_BYTES)


@contextlib.contextmanager
def _wrap_network_errors(url: str) -> Iterator[None]:
    """Trouble on the way is told from trouble with the disk: both are OSErrors."""
    try:
        yield
    except (OSError, http.client.HTTPException) as problem:
        raise DownloadError(f"{url}: {getattr(problem, 'reason', None) or problem}.") from problem
