"""Paths of the data folder, the cache and bundled files, and atomic writes."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from playground.errors import AssetError, StorageError

_PACKAGE_FOLDER = Path(__file__).resolve().parent.parent
_APP_NAME = "cnn-playground"
_OPEN_FILES_ARE_LOCKED = os.name == "nt"
_IN_USE_TIMEOUT_S, _IN_USE_INTERVAL_S = 1.0, 0.02


def get_data_folder() -> Path:
    """Return ``CNN_PLAYGROUND_HOME`` if it is set, else the platform's folder for user data."""
    home = os.environ.get("CNN_PLAYGROUND_HOME")
    return Path(home).expanduser().resolve() if home else Path(platformdirs.user_data_dir(_APP_NAME, appauthor=False))


def get_cache_folder() -> Path:
    """Return the folder of unpacked datasets; its content can be deleted and is created again."""
    home = os.environ.get("CNN_PLAYGROUND_HOME")
    return get_data_folder() / "cache" if home else Path(platformdirs.user_cache_dir(_APP_NAME, appauthor=False))


def find_bundled(name: str) -> Path:
    """Find a file or folder that is shipped with the program: inside the package in a wheel, beside it in a checkout.

    Raises AssetError if it is missing.
    """
    for root in (_PACKAGE_FOLDER / "bundle", _PACKAGE_FOLDER.parent):
        if (root / name).exists():
            return root / name
    raise AssetError(
        f"{name} is missing from this installation.",
        expected="It is part of every installation.",
        fix="Install CNN Playground again.",
    )


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that replaces ``path`` if the block ends without an error.

    Readers see the old file or the complete new one. The folder must exist: a writer must not recreate the folder of a
    run that is being deleted. Raises StorageError if the write fails.
    """
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        replace_file(temporary, path)
    except OSError as error:
        raise make_write_error(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def replace_file(source: Path, target: Path) -> None:
    """Rename a file to ``target``, which is replaced; on Windows as ``retry_while_in_use``."""
    retry_while_in_use(lambda: source.replace(target))


def remove_file(path: Path) -> None:
    """Delete a file if it exists; on Windows as ``retry_while_in_use``."""
    retry_while_in_use(lambda: path.unlink(missing_ok=True))


def retry_while_in_use(operation: Callable[[], object]) -> None:
    """Rename or delete; on Windows wait up to a second until others have closed the file.

    Windows refuses to rename, replace or delete an open file, and to rename a folder that contains one. Readers and
    virus scanners keep files open for an instant.
    """
    give_up_at = time.monotonic() + _IN_USE_TIMEOUT_S
    while True:
        try:
            operation()
            return
        except PermissionError:
            if not _OPEN_FILES_ARE_LOCKED or time.monotonic() >= give_up_at:
                raise
        time.sleep(_IN_USE_INTERVAL_S)


def make_folder(path: Path) -> None:
    """Create a folder and its parents; raises StorageError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise make_write_error(path, error) from error


def make_write_error(path: Path, error: OSError) -> StorageError:
    """Create the error for a failed write."""
    reason = error.strerror or str(error)
    return StorageError(
        f"{path} cannot be written: {reason}.",
        expected=f"The data folder {get_data_folder()} must be writable and have free space.",
        fix="Free space or allow writing, or set CNN_PLAYGROUND_HOME to another folder and restart the program.",
    )


def clean_name(name: str) -> str:
    """Collapse white space to single spaces and cut the name to 80 characters."""
    return " ".join(name.encode("utf-8", "replace").decode().split())[:80]
