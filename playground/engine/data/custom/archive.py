"""The files of a folder or ZIP that somebody brings: listed with suspicion, read in memory, never written anywhere."""

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
MAX_COMPRESSION_RATIO = 1000  # times smaller in the ZIP: only one byte repeated for ever comes to that, no picture does

_SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini"}
_SUPPORTED_COMPRESSIONS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # zipfile unpacks the others without a limit to what comes out
_ENCRYPTED_FLAG = 1 << 0
_UTF8_NAME_FLAG = 1 << 11
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and halves of characters
_MAX_SHOWN_NAME_LENGTH = 200


@dataclass(frozen=True)
class SkippedFile:
    """A file that was left out, and why: the end of a sentence that begins with its name."""

    name: str
    reason: str

    @classmethod
    def from_name(cls, name: str, reason: str) -> "SkippedFile":
        """With a name that can be shown, whatever it was."""
        shown = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", name)
        return cls(shown if len(shown) <= _MAX_SHOWN_NAME_LENGTH else f"…{shown[-_MAX_SHOWN_NAME_LENGTH:]}", reason)


@dataclass(frozen=True)
class FoundFile:
    """A file by its folders and name; ``read`` gives at most ``size`` bytes, or raises ImageFileError with a reason."""

    path: tuple[str, ...]
    size: int
    read: Callable[[], bytes]

    @property
    def name(self) -> str:
        """Its place below the folder or in the ZIP."""
        return "/".join(self.path)


FileListing = tuple[list[FoundFile], list[SkippedFile]]


@contextmanager
def open_file_listing(source: Path | BinaryIO) -> Iterator[FileListing]:
    """The files that can be read within the block, and those that are not to be; raises DatasetError for no source.

    What an operating system leaves behind (``__MACOSX``, dot files, ``Thumbs.db``) is in neither list.
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
        except Exception as problem:  # zipfile raises whatever it stumbles over
            named = str(source) if isinstance(source, Path) else "This file"
            raise InvalidDatasetError(
                f"{named} is no ZIP file that can be read, nor a folder.",
                expected="A folder or a ZIP file with one folder of pictures for every class.",
                fix="Check the name, or pack the pictures into a ZIP file again.",
            ) from problem
        yield listing


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def seekable(self) -> bool: ...


class _BoundedReader:
    """A ZIP file that is not read in pieces larger than a picture: a table of contents of that size is an attack."""

    def __init__(self, file: _Readable) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        if size > MAX_FILE_BYTES:
            raise _too_many_files_error()
        return self._file.read(size if size >= 0 else MAX_FILE_BYTES)


def _too_many_files_error() -> InvalidDatasetError:
    return InvalidDatasetError(
        "There are too many files.", expected=f"At most {MAX_ENTRIES:,}.", fix="Bring fewer pictures of every class."
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
            skipped.append(
                SkippedFile.from_name(name, "is in the ZIP twice: the later one counts, as for whoever unpacks it")
            )
        found[path] = FoundFile(path, entry.file_size, partial(_read_entry, archive, entry))
    return list(found.values()), skipped


def _decode_entry_name(entry: zipfile.ZipInfo) -> str:
    """As its owner wrote it: macOS writes UTF-8 without saying so, which zipfile takes for the letters of old DOS."""
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
    """Nothing is ever written, so that such names can do no harm; but who makes them means no data set."""
    if "\\" in name:
        return "has a backslash in its name"
    outside = name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/")
    return "has a name that leads out of the ZIP" if outside else ""


def _find_path_problem(name: str) -> str:
    if _UNPRINTABLE.search(name):
        return "has a name with characters that cannot be shown"
    return f"lies more than {MAX_DEPTH} folders deep" if name.count("/") > MAX_DEPTH else ""


def _find_entry_problem(entry: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link"
    if entry.flag_bits & _ENCRYPTED_FLAG:
        return "is locked with a password"
    if entry.compress_type not in _SUPPORTED_COMPRESSIONS:
        return f"is packed by method {entry.compress_type}, which is not supported"
    if entry.file_size > MAX_COMPRESSION_RATIO * entry.compress_size:
        return f"is a ZIP bomb: more than {MAX_COMPRESSION_RATIO:,} times larger unpacked"
    return _find_size_problem(entry.file_size)


def _find_size_problem(size: int) -> str:
    return f"is larger than {MAX_FILE_BYTES // 10**6} MB" if size > MAX_FILE_BYTES else ""


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as opened:
            return opened.read(entry.file_size)  # no more than that, whatever is packed there
    except Exception as problem:  # zipfile and zlib raise whatever they stumble over
        raise ImageFileError("is damaged in the ZIP") from problem


def _list_folder(root: Path) -> FileListing:
    found: list[FoundFile] = []
    skipped: list[SkippedFile] = []

    def skip_folder(problem: OSError) -> None:
        skipped.append(
            SkippedFile.from_name(_get_relative_name(root, Path(problem.filename)), _describe_read_error(problem))
        )

    seen = 0
    for folder, folders, names in os.walk(root, onerror=skip_folder):
        folders[:] = [name for name in folders if not _is_system_file((name,))]
        links = [name for name in folders if Path(folder, name).is_symlink()]  # os.walk does not follow them
        for name in (*links, *(name for name in names if not _is_system_file((name,)))):
            seen += 1
            if seen > MAX_ENTRIES:
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
            return SkippedFile.from_name(name, "is a link that leads out of the folder")
        state = path.stat()
    except (OSError, RuntimeError) as problem:  # a circle of links is the one or the other
        return SkippedFile.from_name(name, _describe_read_error(problem))
    # A pipe would keep its reader waiting for ever.
    reason = "is no ordinary file" if not stat.S_ISREG(state.st_mode) else _find_size_problem(state.st_size)
    if reason := reason or _find_path_problem(name):
        return SkippedFile.from_name(name, reason)
    return FoundFile(_split_path(name), state.st_size, partial(_read_file, path))


def _get_relative_name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as problem:
        raise ImageFileError(_describe_read_error(problem)) from problem


def _describe_read_error(problem: OSError | RuntimeError) -> str:
    said = problem.strerror if isinstance(problem, OSError) else None
    return f"cannot be read: {said or 'its links lead in a circle'}"
