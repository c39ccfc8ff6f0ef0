"""A lock on a file that the operating system drops when its holder dies, however it dies."""

import errno
import sys
import time
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _acquire(handle: IO[bytes], *, shared: bool) -> None:
        # Windows has no shared locks here: two who only ask may meet, which the writer's patience covers.
        handle.seek(2**30)  # such a lock also keeps others from reading; what can be read lies before it
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _acquire(handle: IO[bytes], *, shared: bool) -> None:
        fcntl.flock(handle.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def acquire_lock(handle: IO[bytes], *, timeout_s: float = 0.5) -> bool:
    """Take the lock until the file is closed; False if somebody holds it.

    Those who only ask whether it is held hold it themselves for an instant, hence the patience.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            _acquire(handle, shared=False)
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        with path.open("rb") as handle:
            _acquire(handle, shared=True)
    except FileNotFoundError:
        return False
    except OSError as problem:
        return problem.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
    return False
