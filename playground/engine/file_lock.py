"""File locks that the operating system releases when their holder dies.

``filelock`` takes and releases them on every platform. Its locks are exclusive only, and a check that took an exclusive
lock for an instant would make two checks at a time see each other as a holder; ``is_locked`` asks for a shared lock,
where the platform has one.
"""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_CHECK_RETRIES = 3
_CHECK_INTERVAL_S = 0.002


def acquire_lock(path: Path, *, timeout_s: float = 0.5) -> FileLock | None:
    """Take the lock on a file, which is created; None if another holder keeps it.

    ``is_locked`` holds it for an instant, hence the timeout. Children do not inherit the lock. Raises OSError where the
    file cannot be opened or its folder does not exist.
    """
    if not path.parent.is_dir():  # ``filelock`` would create the folder, for instance of a run that was deleted
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    lock = FileLock(path, timeout=timeout_s, poll_interval=0.01, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


@contextlib.contextmanager
def hold_lock(path: Path, *, timeout_s: float = 0.5) -> Iterator[bool]:
    """Hold the lock on a file inside a ``with`` block; yields False if another holder keeps it."""
    lock = acquire_lock(path, timeout_s=timeout_s)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


if sys.platform == "win32":

    def is_locked(path: Path) -> bool:
        """Check whether a living process holds the lock."""
        if not path.exists():
            return False
        for _ in range(_CHECK_RETRIES):  # another check may hold it for an instant
            try:
                lock = acquire_lock(path, timeout_s=0)
            except FileNotFoundError:  # the folder was deleted
                return False
            if lock is not None:
                lock.release()
                return False
            time.sleep(_CHECK_INTERVAL_S)
        return True

else:
    import fcntl

    def is_locked(path: Path) -> bool:
        """Check whether a living process holds the lock."""
        try:
            with path.open("rb") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError as error:
            return error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
        return False
