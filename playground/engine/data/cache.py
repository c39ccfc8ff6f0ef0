"""On-disk tensor cache: tensors are computed once and memory-mapped from then on."""

import errno
from collections.abc import Callable

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from playground.engine.paths import atomic_write, get_cache_folder, make_folder
from playground.errors import StorageError


def is_cached(name: str) -> bool:
    """Return True if the tensors of that name are cached."""
    return (get_cache_folder() / f"{name}.safetensors").exists()


def load_or_create_tensors(name: str, create: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Memory-map cached tensors, or create and cache them first; raises StorageError for a failed write."""
    path = get_cache_folder() / f"{name}.safetensors"
    if path.exists():
        try:
            return load_file(path)
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)  # a damaged file is created again
    make_folder(path.parent)
    try:
        with atomic_write(path) as temporary:
            tensors = create()
            try:
                save_file(tensors, temporary)
            except SafetensorError as error:  # raised for a full disk
                raise OSError(errno.ENOSPC, str(error)) from error
    except StorageError:
        if (
            not path.exists()
        ):  # else another process was faster, and Windows does not replace the file that it has mapped
            raise
    return load_file(path)
