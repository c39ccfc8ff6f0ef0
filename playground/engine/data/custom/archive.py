"""Files of an untrusted folder or ZIP: validated, listed and read in memory, never written to disk."""

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from playground.core.preprocessing import SYSTEM_FILE_NAMES
from playground.engine.data.custom.entry_names import (
    NAME_ENCODINGS,
    UTF8,
    decode_name,
    detect_name_encoding,
    get_raw_name,
)
from playground.errors import ImageFileError, InvalidDatasetError, PlaygroundError, UnknownNameError

MAX_ENTRIES = 100_000
MAX_FILE_BYTES = 20 * 1000**2
MAX_DEPTH = 20
MAX_COMPRESSION_RATIO = 1000  # no image compresses that well, only a ZIP bomb

_SUPPORTED_COMPRESSIONS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # zipfile cannot limit the unpacked size of the others
_ENCRYPTED_FLAG = 1 << 0
# Control characters, line separators, surrogates, and controls that reverse the direction of text.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MAX_SHOWN_NAME_LENGTH = 200


@dataclass(frozen=True)
class SkippedFile:
    """Skipped file; ``reason`` completes a sentence that begins with its name."""

    name: str
    reason: str

    @classmethod
    def from_name(cls, name: str, reason: str) -> "SkippedFile":
        """Create with a printable name of limited length."""
        shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
        return cls(shown if len(shown) <= _MAX_SHOWN_NAME_LENGTH else f"…{shown[-_MAX_SHOWN_NAME_LENGTH:]}", reason)


@dataclass(frozen=True)
class FoundFile:
    """File by its folders and name; ``read`` returns at most ``size`` bytes or raises ImageFileError with a reason."""

    path: tuple[str, ...]
    size: int
    read: Callable[[], bytes]

    @property
    def name(self) -> str:
        """Path below the folder or in the ZIP."""
        return "/".join(self.path)


@dataclass
class FileListing:
    """Files of a folder or ZIP file, the skipped ones, and all folders, also empty ones.

    System files (``__MACOSX``, dot files, ``Thumbs.db``) are in no list. ``name_encoding``: the encoding of names that
    do not say theirs, None if all do.
    """

    files: list[FoundFile] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    folders: set[tuple[str, ...]] = field(default_factory=set)
    name_encoding: str | None = None


@contextmanager
def open_file_listing(source: Path | BinaryIO, name_encoding: str | None = None) -> Iterator[FileListing]:
    """Open a folder or ZIP file and list its files, which can be read within the block; raises InvalidDatasetError.

    ``name_encoding``, one of NAME_ENCODINGS, is used for names of a ZIP file that do not say theirs; by default it is
    detected. Raises UnknownNameError for another one.
    """
    if name_encoding is not None and name_encoding not in NAME_ENCODINGS:
        raise UnknownNameError(
            f"There is no encoding {name_encoding!r:.80}.", expected=f"One of {', '.join(NAME_ENCODINGS)}."
        )
    with ExitStack() as stack:
        try:
            if isinstance(source, Path) and source.is_dir():
                listing = _list_folder(source)
            else:
                file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
                archive = stack.enter_context(zipfile.ZipFile(_BoundedReader(file)))
                listing = _list_zip(archive, name_encoding)
        except PlaygroundError:
            raise
        except Exception as error:  # zipfile raises errors of many types for damaged files
            raise InvalidDatasetError(
                f"{source} is neither a readable ZIP file nor a folder."
                if isinstance(source, Path)
                else "This isn't a readable ZIP file.",
                expected="A folder or a ZIP file with one folder of images for each class.",
                fix="Check the path, or create the ZIP file again.",
            ) from error
        yield listing


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def seekable(self) -> bool: ...


class _BoundedReader:
    """ZIP file with a limit on the size of each read, against forged central directories."""

    def __init__(self, file: _Readable) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        if size > MAX_FILE_BYTES:
            raise _too_many_files_error()
        return self._file.read(size if size >= 0 else MAX_FILE_BYTES)


def _too_many_files_error() -> InvalidDatasetError:
    return InvalidDatasetError(
        "There are too many files.", expected=f"At most {MAX_ENTRIES:,}.", fix="Use fewer images per class."
    )


def _list_zip(archive: zipfile.ZipFile, name_encoding: str | None) -> FileListing:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _too_many_files_error()
    raw_names = [get_raw_name(entry) for entry in entries]
    detected = detect_name_encoding(raw_names)
    listing = FileListing(name_encoding=detected and (name_encoding or detected))
    found: dict[tuple[str, ...], FoundFile] = {}
    for entry, raw_name in zip(entries, raw_names, strict=True):
        # A backslash can only be a separator, which some Windows programs write (PowerShell 5.1).
        name = decode_name(raw_name, listing.name_encoding or UTF8).replace("\\", "/")
        path = _split_path(name)
        reason = _find_name_problem(name) or _find_path_problem(name)
        if not reason and _is_system_file(path):
            continue
        if name.endswith("/"):
            if not reason:
                listing.folders.add(path)
            continue
        if not reason:
            listing.folders.add(path[:-1])
            reason = _find_entry_problem(entry)
        if reason:
            listing.skipped.append(SkippedFile.from_name(name, reason))
            continue
        if path in found:
            listing.skipped.append(SkippedFile.from_name(name, "occurs twice in the ZIP: the later one is used"))
        found[path] = FoundFile(path, entry.file_size, partial(_read_entry, archive, entry))
    listing.files = list(found.values())
    return listing


def _split_path(name: str) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", part) for part in name.split("/") if part not in ("", "."))


def _is_system_file(path: tuple[str, ...]) -> bool:
    return not path or any(part.startswith(".") or part.lower() in SYSTEM_FILE_NAMES for part in path)


def _find_name_problem(name: str) -> str:
    """Return the reason to skip a malicious name, or an empty text; files are never written, so none does harm."""
    outside = name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/")
    return "has a path outside the ZIP" if outside else ""


def _find_path_problem(name: str) -> str:
    if _UNPRINTABLE.search(name):
        return "has unprintable characters in its name"
    return f"is nested more than {MAX_DEPTH} folders deep" if name.count("/") > MAX_DEPTH else ""


def _find_entry_problem(entry: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a symbolic link"
    if entry.flag_bits & _ENCRYPTED_FLAG:
        return "is encrypted with a password"
    if entry.compress_type not in _SUPPORTED_COMPRESSIONS:
        return f"is compressed by method {entry.compress_type}, which is not supported"
    if entry.file_size > MAX_COMPRESSION_RATIO * entry.compress_size:
        return f"is a ZIP bomb: it is more than {MAX_COMPRESSION_RATIO:,} times larger unpacked"
    return _find_size_problem(entry.file_size)


def _find_size_problem(size: int) -> str:
    return f"is larger than {MAX_FILE_BYTES // 10**6} MB" if size > MAX_FILE_BYTES else ""


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as opened:
            return opened.read(entry.file_size)  # the declared size is the limit, whatever the entry contains
    except Exception as error:  # zipfile and zlib raise errors of many types for damaged entries
        raise ImageFileError("is damaged in the ZIP") from error


def _list_folder(root: Path) -> FileListing:
    listing = FileListing()

    def skip_folder(error: OSError) -> None:
        name = _get_relative_name(root, Path(error.filename))
        listing.skipped.append(SkippedFile.from_name(name, _describe_read_error(error)))

    file_count = 0
    for folder, folders, names in os.walk(root, onerror=skip_folder):
        folders[:] = [name for name in folders if not _is_system_file((name,))]
        links = [name for name in folders if Path(folder, name).is_symlink()]  # os.walk does not follow them
        listing.folders |= {
            _split_path(_get_relative_name(root, Path(folder, name))) for name in folders if name not in links
        }
        for name in (*links, *(name for name in names if not _is_system_file((name,)))):
            file_count += 1
            if file_count > MAX_ENTRIES:
                raise _too_many_files_error()
            outcome = _inspect_file(root, Path(folder, name))
            if isinstance(outcome, SkippedFile):
                listing.skipped.append(outcome)
            else:
                listing.files.append(outcome)
    return listing


def _inspect_file(root: Path, path: Path) -> FoundFile | SkippedFile:
    name = _get_relative_name(root, path)
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root.resolve()):
            return SkippedFile.from_name(name, "is a symbolic link to a file outside the folder")
        stat_result = path.stat()
    except (OSError, RuntimeError) as error:  # circular links raise one or the other
        return SkippedFile.from_name(name, _describe_read_error(error))
    # Reading a pipe would block forever.
    reason = (
        "is not a regular file" if not stat.S_ISREG(stat_result.st_mode) else _find_size_problem(stat_result.st_size)
    )
    if reason := reason or _find_path_problem(name):
        return SkippedFile.from_name(name, reason)
    return FoundFile(_split_path(name), stat_result.st_size, partial(_read_file, path))


def _get_relative_name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise ImageFileError(_describe_read_error(error)) from error


def _describe_read_error(error: OSError | RuntimeError) -> str:
    message = error.strerror if isinstance(error, OSError) else None
    return f"cannot be read: {message or 'its symbolic links are circular'}"
