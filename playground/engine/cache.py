"""Thread-safe in-memory caches that are bounded by bytes and evict the least recently used value."""

import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np
from cachetools import LRUCache
from cachetools.keys import hashkey

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Step = TypeVar("Step")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_MAX_ABANDONED = 4  # resumable computations without a caller
_MIN_ENTRY_BYTES = 64  # else values without arrays would never be evicted


@dataclass(frozen=True)
class _Entry(Generic[Value]):
    value: Value
    size: int


@dataclass
class _SharedComputation(Generic[Value]):
    steps: Generator[Any, None, Value]
    is_resumable: bool
    latest_step: Any = None
    result: "Future[Value]" = field(default_factory=Future)
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class ByteBoundedCache(Generic[Key, Value]):
    """Least-recently-used cache whose values take at most ``max_bytes`` together.

    The newest value is always kept, also one that is larger than ``max_bytes``: it then is the only one. NumPy arrays
    of cached values become read-only, since all callers share them.
    All methods may be called from any thread. ``measure`` gives the size of a value in bytes; that of its key is added.
    """

    def __init__(self, max_bytes: int, measure: Callable[[Value], int] | None = None) -> None:
        self._max_bytes, self._measure = max_bytes, measure or count_bytes
        self._entries: LRUCache[Key, _Entry[Value]] = LRUCache(max_bytes, getsizeof=lambda entry: entry.size)
        self._lock = threading.Lock()
        self._key_locks: dict[Key, tuple[threading.Lock, int]] = {}  # with the number of threads that use it
        self._computations: dict[Key, _SharedComputation[Value]] = {}

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    @property
    def total_bytes(self) -> int:
        """Size of all cached values; an oversized one counts as ``max_bytes``."""
        with self._lock:
            return int(self._entries.currsize)

    def get(self, key: Key) -> Value | None:
        """Return the cached value, or None."""
        with self._lock:
            entry = self._entries.get(key)
            return entry.value if entry else None

    def put(self, key: Key, value: Value) -> None:
        """Cache a value, evicting the least recently used ones while the cache is full."""
        make_read_only(value)
        size = max(self._measure(value) + count_bytes(key), _MIN_ENTRY_BYTES)
        with self._lock:
            self._entries[key] = _Entry(value, min(size, self._max_bytes))

    def get_or_compute(self, key: Key, compute: Callable[[], Value]) -> Value:
        """Return the cached value, or compute and cache it.

        Of several threads that ask for the same missing key, one computes and the others wait for its value. After an
        error the next of them tries. Other keys are not blocked meanwhile. ``compute`` may not ask for its own key.
        """
        with self._hold_key(key):
            with self._lock:
                if key in self._entries:
                    return self._entries[key].value
            value = compute()
            self.put(key, value)
            return value

    def get_or_compute_in_steps(
        self, key: Key, compute: Callable[[], Generator[Step, None, Value]], *, is_resumable: bool = False
    ) -> Generator[Step, None, Value]:
        """Return the cached value, or the one that a generator returns; yields the generator's steps.

        Callers that ask for the same missing key at a time share one generator and take its steps by turns; one that
        joins gets the latest step first. One that stops in the middle leaves the rest to the others. After the last one
        has left, nothing is computed, and the generator is closed; a resumable one, which must hold nothing but memory,
        is kept for the next caller until four others were left. An error is raised in all callers.
        """
        with self._lock:
            if entry := self._entries.get(key):
                return entry.value
            computation = self._computations.setdefault(key, _SharedComputation(compute(), is_resumable))
            computation.users += 1
        try:
            if computation.latest_step is not None:
                yield computation.latest_step
            while True:
                with computation.lock:
                    if not computation.result.done():
                        try:
                            step = computation.latest_step = next(computation.steps)
                        except StopIteration as end:
                            self.put(key, end.value)
                            computation.result.set_result(end.value)
                        except BaseException as error:
                            computation.result.set_exception(error)
                    if computation.result.done():
                        return computation.result.result()
                yield step
        finally:
            for left in self._leave(key, computation):
                left.steps.close()

    def _leave(self, key: Key, computation: _SharedComputation[Value]) -> list[_SharedComputation[Value]]:
        """Note that a caller has left; return the computations to close."""
        with self._lock:
            computation.users -= 1
            if computation.users:
                return []
            del self._computations[key]
            if not computation.is_resumable or computation.result.done():
                return [computation]
            self._computations[key] = computation  # the last one of those that were left
            abandoned = [other for other in self._computations if not self._computations[other].users]
            return [self._computations.pop(oldest) for oldest in abandoned[:-_MAX_ABANDONED]]

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._entries.clear()

    @contextmanager
    def _hold_key(self, key: Key) -> Iterator[None]:
        with self._lock:
            lock, users = self._key_locks.get(key, (threading.Lock(), 0))
            self._key_locks[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._key_locks.pop(key)
                if users > 1:
                    self._key_locks[key] = lock, users - 1


class CachedFunction(Generic[Parameters, Result]):
    """A function of hashable arguments with a ByteBoundedCache of its results."""

    def __init__(self, function: Callable[Parameters, Result], max_bytes: int) -> None:
        self._function = function
        self.cache: ByteBoundedCache[tuple[Hashable, ...], Result] = ByteBoundedCache(max_bytes)
        update_wrapper(self, function)

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Return the cached result, or call the function."""
        return self.cache.get_or_compute(
            hashkey(*args, **cast("dict[str, Hashable]", kwargs)), lambda: self._function(*args, **kwargs)
        )

    def cache_clear(self) -> None:
        """Drop all results, as ``functools.lru_cache`` does under this name."""
        self.cache.clear()


def cached(*, max_bytes: int) -> Callable[[Callable[Parameters, Result]], CachedFunction[Parameters, Result]]:
    """Decorate a function with a ByteBoundedCache of its results."""
    return lambda function: CachedFunction(function, max_bytes)


def count_bytes(value: object) -> int:
    """Count the bytes of the arrays, tensors, weights, bytes and texts in a value.

    Containers and dataclasses are searched; an array that occurs twice counts once. Objects of other types count 0.
    """
    return _count_bytes(value, set())


def make_read_only(value: object) -> None:
    """Make the NumPy arrays in a value read-only; containers and dataclasses are searched."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    elif isinstance(value, Mapping):
        for part in value.values():
            make_read_only(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            make_read_only(part)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            make_read_only(getattr(value, field.name))


def _count_bytes(value: Any, counted: set[int]) -> int:
    if value is None or isinstance(value, int | float | complex | type):
        return 0
    if id(value) in counted:
        return 0
    counted.add(id(value))
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    if isinstance(size := getattr(value, "nbytes", None), int):
        return size
    if callable(state_dict := getattr(value, "state_dict", None)):  # a torch module, without importing torch
        return _sum_bytes(state_dict().values(), counted)
    if isinstance(value, Mapping):
        return _sum_bytes((*value.keys(), *value.values()), counted)
    if isinstance(value, list | tuple | set | frozenset):
        return _sum_bytes(value, counted)
    if is_dataclass(value):
        return _sum_bytes((getattr(value, field.name) for field in fields(value)), counted)
    return 0


def _sum_bytes(values: Iterable[Any], counted: set[int]) -> int:
    return sum(_count_bytes(value, counted) for value in values)
