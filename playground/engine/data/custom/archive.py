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

from playground.errors import DatasetError, ImageFileError, PlaygroundError

MAX_ENTRIES = 100_000
MAX_FILE_BYTES = 20 * 1000**2
MAX_DEPTH = 20
MAX_RATIO = 1000  # times smaller in the ZIP: only one byte repeated for ever comes to that, no picture does

_SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini"}
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks the others without a limit to what comes out
_ENCRYPTED = 1 << 0
_UTF8_NAME = 1 << 11
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and halves of characters
_SHOWN_NAME = 200


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why: the end of a sentence that begins with its name."""

    name: str
    reason: str

    @classmethod
    def of(cls, name: str, reason: str) -> "Skipped":
        """With a name that can be shown, whatever it was."""
        shown = _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", name)
        return cls(shown if len(shown) <= _SHOWN_NAME else f"…{shown[-_SHOWN_NAME:]}", reason)


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


Listing = tuple[list[FoundFile], list[Skipped]]


@contextmanager
def listed_files(source: Path | BinaryIO) -> Iterator[Listing]:
    """The files that can be read within the block, and those that are not to be; raises DatasetError for no source.

    What an operating system leaves behind (``__MACOSX``, dot files, ``Thumbs.db``) is in neither list.
    """
    with ExitStack() as stack:
        try:
            if isinstance(source, Path) and source.is_dir():
                listing = _in_folder(source)
            else:
                file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
                listing = _in_zip(stack.enter_context(zipfile.ZipFile(_WaryFile(file))))
        except PlaygroundError:
            raise
        except Exception as problem:  # zipfile raises whatever it stumbles over
            named = str(source) if isinstance(source, Path) else "This file"
            raise DatasetError(
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


class _WaryFile:
    """A ZIP file that is not read in pieces larger than a picture: a table of contents of that size is an attack."""

    def __init__(self, file: _Readable) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        if size > MAX_FILE_BYTES:
            raise _too_many()
        return self._file.read(size if size >= 0 else MAX_FILE_BYTES)


def _too_many() -> DatasetError:
    return DatasetError(
        "There are too many files.", expected=f"At most {MAX_ENTRIES:,}.", fix="Bring fewer pictures of every class."
    )


def _in_zip(archive: zipfile.ZipFile) -> Listing:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _too_many()
    found: dict[tuple[str, ...], FoundFile] = {}
    skipped = []
    for entry in entries:
        name = _entry_name(entry)
        path = _path_of(name)
        reason = _reason_against_name(name) or _reason_against_path(name)
        if name.endswith("/") or (not reason and _is_system_file(path)):
            continue
        if reason := reason or _reason_against_entry(entry):
            skipped.append(Skipped.of(name, reason))
            continue
        if path in found:
            skipped.append(Skipped.of(name, "is in the ZIP twice: the later one counts, as for whoever unpacks it"))
        found[path] = FoundFile(path, entry.file_size, partial(_read_entry, archive, entry))
    return list(found.values()), skipped


def _entry_name(entry: zipfile.ZipInfo) -> str:
    """As its owner wrote it: macOS writes UTF-8 without saying so, which zipfile takes for the letters of old DOS."""
    name = entry.orig_filename
    if entry.flag_bits & _UTF8_NAME:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _path_of(name: str) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", part) for part in name.split("/") if part not in ("", "."))


def _is_system_file(path: tuple[str, ...]) -> bool:
    return not path or any(part.startswith(".") or part.casefold() in _SYSTEM_FILES for part in path)


def _reason_against_name(name: str) -> str:
    """Nothing is ever written, so that such names can do no harm; but who makes them means no data set."""
    if "\\" in name:
        return "has a backslash in its name"
    outside = name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/")
    return "has a name that leads out of the ZIP" if outside else ""


def _reason_against_path(name: str) -> str:
    if _UNSHOWABLE.search(name):
        return "has a name with characters that cannot be shown"
    return f"lies more than {MAX_DEPTH} folders deep" if name.count("/") > MAX_DEPTH else ""


def _reason_against_entry(entry: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link"
    if entry.flag_bits & _ENCRYPTED:
        return "is locked with a password"
    if entry.compress_type not in _PACKINGS:
        return f"is packed by method {entry.compress_type}, which is not supported"
    if entry.file_size > MAX_RATIO * entry.compress_size:
        return f"is a ZIP bomb: more than {MAX_RATIO:,} times larger unpacked"
    return _reason_against_size(entry.file_size)


def _reason_against_size(size: int) -> str:
    return f"is larger than {MAX_FILE_BYTES // 10**6} MB" if size > MAX_FILE_BYTES else ""


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as opened:
            return opened.read(entry.file_size)  # no more than that, whatever is packed there
    except Exception as problem:  # zipfile and zlib raise whatever they stumble over
        raise ImageFileError("is damaged in the ZIP") from problem


def _in_folder(root: Path) -> Listing:
    found: list[FoundFile] = []
    skipped: list[Skipped] = []

    def skip_folder(problem: OSError) -> None:
        skipped.append(Skipped.of(_name_in(root, Path(problem.filename)), _unreadable(problem)))

    seen = 0
    for folder, folders, names in os.walk(root, onerror=skip_folder):
        folders[:] = [name for name in folders if not _is_system_file((name,))]
        links = [name for name in folders if Path(folder, name).is_symlink()]  # os.walk does not follow them
        for name in (*links, *(name for name in names if not _is_system_file((name,)))):
            seen += 1
            if seen > MAX_ENTRIES:
                raise _too_many()
            outcome = _taken(root, Path(folder, name))
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
            else:
                found.append(outcome)
    return found, skipped


def _taken(root: Path, place: Path) -> FoundFile | Skipped:
    name = _name_in(root, place)
    try:
        if place.is_symlink() and not place.resolve(strict=True).is_relative_to(root.resolve()):
            return Skipped.of(name, "is a link that leads out of the folder")
        state = place.stat()
    except (OSError, RuntimeError) as problem:  # a circle of links is the one or the other
        return Skipped.of(name, _unreadable(problem))
    # A pipe would keep its reader waiting for ever.
    reason = "is no ordinary file" if not stat.S_ISREG(state.st_mode) else _reason_against_size(state.st_size)
    if reason := reason or _reason_against_path(name):
        return Skipped.of(name, reason)
    return FoundFile(_path_of(name), state.st_size, partial(_read_place, place))


def _name_in(root: Path, place: Path) -> str:
    return place.relative_to(root).as_posix()


def _read_place(place: Path) -> bytes:
    try:
        with place.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as problem:
        raise ImageFileError(_unreadable(problem)) from problem


def _unreadable(problem: OSError | RuntimeError) -> str:
    said = problem.strerror if isinstance(problem, OSError) else None
    return f"cannot be read: {said or 'its links lead in a circle'}"
