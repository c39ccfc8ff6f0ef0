"""Resumable download of files with checksums."""

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

from playground.engine.data.torchvision_sources import CheckedFile
from playground.engine.file_lock import hold_lock
from playground.engine.paths import make_folder, make_write_error, replace_file
from playground.engine.progress import Progress
from playground.errors import DownloadError

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30


def download_files(title: str, files: Sequence[CheckedFile]) -> Iterator[Progress]:
    """Download the missing ones of ``files``; ``title`` names them together in errors.

    Raises DownloadError, which tells how to download by hand, StorageError for a failed write. Partial downloads are
    kept when the iteration is left; the next one resumes them.
    """
    for file in files:
        if not file.is_valid_at(file.destination):
            yield from _download_file(title, files, file)


def _download_file(title: str, files: Sequence[CheckedFile], file: CheckedFile) -> Iterator[Progress]:
    """Download one file from the first of its addresses that works."""
    make_folder(file.destination.parent)
    reasons = []
    for url in file.urls:
        try:
            yield from _download_from_url(url, file)
        except DownloadError as error:
            reasons.append(error.what)
        except OSError as error:
            raise make_write_error(file.destination, error) from error
        else:
            return
    raise DownloadError(
        f"{title} cannot be downloaded. {' '.join(reasons)}",
        expected="A connection to the internet. Partial downloads are kept.",
        fix=f"Try again later, or put {', '.join(wanted.destination.name for wanted in files)} into "
        f"{file.destination.parent} by hand and download again.",
    )


def _download_from_url(url: str, file: CheckedFile) -> Iterator[Progress]:
    part = file.destination.with_name(f"{file.destination.name}.part")
    resumed = True
    while resumed:  # the partial file may belong to other content: then download once more from the start
        resumed = part.exists() and part.stat().st_size > 0
        yield from _resume_download(url, part, file.destination.name)
        if file.is_valid_at(part):
            replace_file(part, file.destination)
            return
        part.unlink()
    raise DownloadError(f"{url} sent a file with another checksum.")


def _resume_download(url: str, part: Path, name: str) -> Iterator[Progress]:
    """Append the missing bytes to a partial file; restart it if the server does not support ranges."""
    with hold_lock(part.with_suffix(".lock")) as is_held, part.open("ab") as written:
        if not is_held:
            raise DownloadError(f"{name} is being downloaded by another process.")
        response = _open_url(url, written.tell())
        if response is None:
            return
        with response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:
                written.seek(written.truncate(0))
            total = written.tell() + response.length if response.length else 0
            while chunk := _read_chunk(url, response):
                written.write(chunk)
                yield Progress(f"Downloading {name}", written.tell(), total)
        if written.tell() < total:
            raise DownloadError(f"{url}: the connection was closed too early.")


def _open_url(url: str, offset: int) -> http.client.HTTPResponse | None:
    """Request the bytes from ``offset`` on; None if there are none."""
    headers = {"User-Agent": "cnn-playground"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with _wrap_network_errors(url):
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(
                urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S
            )
        except urllib.error.HTTPError as error:
            with error:  # the error is a response, too, and must be closed
                if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise
            return None
        return response


def _read_chunk(url: str, response: http.client.HTTPResponse) -> bytes:
    with _wrap_network_errors(url):
        return response.read(_CHUNK_BYTES)


@contextlib.contextmanager
def _wrap_network_errors(url: str) -> Iterator[None]:
    """Turn network errors into DownloadError; those of the disk are OSErrors, too, and pass elsewhere."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url}: {getattr(error, 'reason', None) or error}.") from error
