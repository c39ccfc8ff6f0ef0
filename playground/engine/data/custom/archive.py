"""Files of an untrusted folder or ZIP: validated, listed and read in memory, never written to disk."""

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from playground.errors import ImageFileError, InvalidDatasetError, PlaygroundError

MAX_ENTRIES = 100_000
MAX_FILE_BYTES = 20 * 1000**2
MAX_DEPTH = 20
MAX_COMPRESSION_RATIO = 1000  # no image compresses that well, only a ZIP bomb

_SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini"}
_SUPPORTED_COMPRESSIONS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # zipfile cannot limit the unpacked size of the others
_ENCRYPTED_FLAG = 1 << 0
_UTF8_NAME_FLAG = 1 << 11
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and surrogates
_MAX_SHOWN_NAME_LENGTH = 200


@dataclass(frozen=True)
class SkippedFile:
    """Skipped file; ``reason`` completes a sentence that begins with its name."""

    name: str
    reason: str

    @classmethod
    def from_name(cls, name: str, reason: str) -> "SkippedFile":
        """Create with a printable name of limited length."""
        shown = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", name)
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


FileListing = tuple[list[FoundFile], list[SkippedFile]]


@contextmanager
def open_file_listing(source: Path | BinaryIO) -> Iterator[FileListing]:
    """Open a folder or ZIP and list its files and the skipped ones; raises InvalidDatasetError.

    Files can be read within the block. System files (``__MACOSX``, dot files, ``Thumbs.db``) are in neither list.
    """
    with ExitStack() as stack:
        try:
            if isinstance(source, Path) and source.is_dir():
                listing = _list_folder(source)
            else:
                file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
                listing = _list_zip(stack.enter_context(zipfile.ZipFile(_BoundedReader(file))))
        except PlaygroundError:
            raise
        except Exception as error:  # zipfile raises errors of many types for damaged files
            name = str(source) if isinstance(source, Path) else "This file"
            raise InvalidDatasetError(
                f"{name} is neither a readable ZIP file nor a folder.",
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


def _list_zip(archive: zipfile.ZipFile) -> FileListing:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _too_many_files_error()
    found: dict[tuple[str, ...], FoundFile] = {}
    skipped = []
    for entry in entries:
        name = _decode_entry_name(entry)
        path = _split_path(name)
        reason = _find_name_problem(name) or _find_path_problem(name)
        if name.endswith("/") or (not reason and _is_system_file(path)):
            continue
        if reason := reason or _find_entry_problem(entry):
            skipped.append(SkippedFile.from_name(name, reason))
            continue
        if path in found:
            skipped.append(SkippedFile.from_name(name, "occurs twice in the ZIP: the later one is used"))
        found[path] = FoundFile(path, entry.file_size, partial(_read_entry, archive, entry))
    return list(found.values()), skipped


def _decode_entry_name(entry: zipfile.ZipInfo) -> str:
    """Decode an entry's name; macOS writes UTF-8 without its flag, which zipfile decodes as cp437."""
    name = entry.orig_filename
    if entry.flag_bits & _UTF8_NAME_FLAG:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _split_path(name: str) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", part) for part in name.split("/") if part not in ("", "."))


def _is_system_file(path: tuple[str, ...]) -> bool:
    return not path or any(part.startswith(".") or part.casefold() in _SYSTEM_FILES for part in path)


def _find_name_problem(name: str) -> str:
    """Return the reason to skip a malicious name, or an empty text; files are never written, so none does harm."""
    if "\\" in name:
        return "has a backslash in its name"
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
    found: list[FoundFile] = []
    skipped: list[SkippedFile] = []

    def skip_folder(error: OSError) -> None:
        skipped.append(
            SkippedFile.from_name(_get_relative_name(root, Path(error.filename)), _describe_read_error(error))
        )

    file_count = 0
    for folder, folders, names in os.walk(root, onerror=skip_folder):
        folders[:] = [name for name in folders if not _is_system_file((name,))]
        links = [name for name in folders if Path(folder, name).is_symlink()]  # os.walk does not follow them
        for name in (*links, *(name for name in names if not _is_system_file((name,)))):
            file_count += 1
            if file_count > MAX_ENTRIES:
                raise _too_many_files_error()
            outcome = _inspect_file(root, Path(folder, name))
            if isinstance(outcome, SkippedFile):
                skipped.append(outcome)
            else:
                found.append(outcome)
    return found, skipped


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
