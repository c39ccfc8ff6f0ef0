"""Tensors that are made once out of bundled files and lie in the cache from then on."""

import errno
from collections.abc import Callable

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from playground.engine.paths import atomic_write, get_cache_folder, make_folder


def is_cached(name: str) -> bool:
    """Whether the file is there."""
    return (get_cache_folder() / f"{name}.safetensors").exists()


def load_or_create_tensors(name: str, create: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What ``create`` gives, mapped from the cache's file of that name; raises StoreError where the disk says no."""
    path = get_cache_folder() / f"{name}.safetensors"
    if path.exists():
        try:
            return load_file(path)
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)  # a damaged cache is made again, not an error
    make_folder(path.parent)
    with atomic_write(path) as temporary:
        tensors = create()
        try:
            save_file(tensors, temporary)
        except SafetensorError as problem:  # how it wraps a full disk
            raise OSError(errno.ENOSPC, str(problem)) from problem
    return load_file(path)
