"""A lock on a file that the operating system drops when its holder dies, however it dies."""

import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _acquire(handle: IO[bytes]) -> None:
        # A byte far behind the end: the file itself stays readable.
        handle.seek(2**31 - 2)
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        finally:
            handle.seek(0, 2)

else:
    import fcntl

    def _acquire(handle: IO[bytes]) -> None:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(handle: IO[bytes]) -> bool:
    """Take the lock until the file is closed; False if somebody holds it."""
    try:
        _acquire(handle)
    except OSError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        with path.open("rb") as handle:
            return not try_lock(handle)
    except OSError:
        return False
