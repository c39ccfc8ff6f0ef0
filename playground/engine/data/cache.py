"""On-disk tensor cache: one thread of one process creates the tensors of a name; all memory-map them from then on."""

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from playground.engine.cache import ByteBoundedCache
from playground.engine.file_lock import acquire_lock
from playground.engine.paths import atomic_write, get_cache_folder, make_folder, make_write_error
from playground.engine.progress import Progress, Steps

Tensors = dict[str, Tensor]

_MAX_MAPPED_BYTES = 256 * 2**20
_POLL_INTERVAL_S = 0.2

_mapped_tensors: ByteBoundedCache[Path, Tensors] = ByteBoundedCache(_MAX_MAPPED_BYTES)


def is_cached(name: str) -> bool:
    """Return True if the tensors of that name are cached."""
    return _get_path(name).exists()


def load_or_create_tensors(name: str, create: Callable[[], Steps[Tensors]]) -> Steps[Tensors]:
    """Memory-map cached tensors, or create and cache them first.

    Threads that ask for the same tensors share one creation and its progress; processes wait for one another. Nothing
    is written before the creation has ended, and a canceled one leaves no file. Raises StorageError for a failed write.
    """
    path = _get_path(name)
    return _mapped_tensors.get_or_compute_in_steps(path, lambda: _load_or_create(path, create))


def _get_path(name: str) -> Path:
    return get_cache_folder() / f"{name}.safetensors"


def _load_or_create(path: Path, create: Callable[[], Steps[Tensors]]) -> Steps[Tensors]:
    tensors = _load(path)
    if tensors is not None:
        return tensors
    make_folder(path.parent)
    lock_path = path.with_suffix(".lock")
    while (lock := _try_lock(lock_path)) is None:
        yield Progress("Waiting for another process that creates the same data")
    try:
        tensors = _load(path)  # created by the process that held the lock
        if tensors is None:
            _remove_leftovers(path)
            created = yield from create()
            _save(path, created)
            tensors = load_file(path)
    finally:
        with contextlib.suppress(OSError):  # Windows removes it after the release
            lock_path.unlink()
        lock.release()
    return tensors


def _try_lock(path: Path) -> FileLock | None:
    try:
        return acquire_lock(path, timeout_s=_POLL_INTERVAL_S)
    except OSError as error:
        raise make_write_error(path, error) from error


def _load(path: Path) -> Tensors | None:
    """Memory-map a file; None if it is missing or damaged."""
    if path.exists():
        with contextlib.suppress(SafetensorError, OSError):
            return load_file(path)
    return None


def _remove_leftovers(path: Path) -> None:
    """Remove a damaged file, and temporary files of processes that were killed; the lock must be held."""
    for leftover in (path, *path.parent.glob(f".{path.name}.*")):
        with contextlib.suppress(OSError):
            leftover.unlink(missing_ok=True)


def _save(path: Path, tensors: Tensors) -> None:
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:  # raised for a full disk
            raise OSError(errno.ENOSPC, str(error)) from error
