"""Where things lie: the data folder, the cache, and the files that come with the program."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from playground.errors import AssetError, StorageError

_PACKAGE_FOLDER = Path(__file__).resolve().parent.parent
_APP_NAME = "cnn-playground"


def get_data_folder() -> Path:
    """The data folder: ``CNN_PLAYGROUND_HOME``, else the platform's folder for a user's data."""
    named = os.environ.get("CNN_PLAYGROUND_HOME")
    return Path(named).expanduser().resolve() if named else Path(platformdirs.user_data_dir(_APP_NAME, appauthor=False))


def get_cache_folder() -> Path:
    """Where unpacked data lies; everything in it can be made again."""
    named = os.environ.get("CNN_PLAYGROUND_HOME")
    return get_data_folder() / "cache" if named else Path(platformdirs.user_cache_dir(_APP_NAME, appauthor=False))


def find_bundled(name: str) -> Path:
    """A file or folder that comes with the program: inside the package in a wheel, beside it in a checkout."""
    for root in (_PACKAGE_FOLDER / "bundle", _PACKAGE_FOLDER.parent):
        if (root / name).exists():
            return root / name
    raise AssetError(
        f"{name} is missing from this installation.",
        expected="It comes with the program.",
        fix="Install CNN Playground again.",
    )


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well: readers see all or nothing.

    The folder has to be there: that of a run which somebody deletes must not be made again by a file of it. Raises
    StoreError, naming the folder and the way out, where the disk says no.
    """
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        temporary.replace(path)
    except OSError as problem:
        raise make_write_error(path, problem) from problem
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """A folder and all above it; raises StoreError where the disk says no."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise make_write_error(path, problem) from problem


def make_write_error(path: Path, error: OSError) -> StorageError:
    """The error for a disk that says no."""
    reason = error.strerror or str(error)
    return StorageError(
        f"{path} cannot be written: {reason}.",
        expected=f"The data folder {get_data_folder()} must be writable and have space.",
        fix="Free or unlock it, or set CNN_PLAYGROUND_HOME to another folder and start again.",
    )


def clean_name(name: str) -> str:
    """One line of at most 80 characters."""
    return " ".join(name.encode("utf-8", "replace").decode().split())[:80]
