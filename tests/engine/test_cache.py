"""Caches bounded by bytes: eviction, one computation per key, sizes of nested values."""

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from playground.engine.cache import ByteBoundedCache, cached, count_bytes


def test_least_recently_used_value_is_evicted_by_bytes() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(303)
    for key in "abc":
        cache.put(key, bytes(100))
    assert cache.get("a") == bytes(100)  # used, so b is now the oldest
    cache.put("d", bytes(100))
    assert cache.get("b") is None
    assert (len(cache), cache.total_bytes) == (3, 303)
    cache.put("e", bytes(200))
    assert [cache.get(key) is not None for key in "acde"] == [False, False, True, True]


def test_newest_value_is_kept_even_if_it_is_larger_than_the_bound() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(303)
    cache.put("small", bytes(100))
    cache.put("large", bytes(1000))
    assert (cache.get("small"), cache.get("large")) == (None, bytes(1000))
    cache.put("small", bytes(100))
    assert (cache.get("small"), cache.get("large")) == (bytes(100), None)


def test_threads_that_ask_for_one_key_compute_it_once() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(303)
    started, finish, computed = threading.Event(), threading.Event(), []

    def compute() -> bytes:
        computed.append(1)
        started.set()
        assert finish.wait(10)
        return b"value"

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get_or_compute, "key", compute)
        assert started.wait(10)
        others = [pool.submit(cache.get_or_compute, "key", compute) for _ in range(3)]
        assert cache.get_or_compute("other key", lambda: b"other") == b"other", "other keys are not blocked"
        finish.set()
        assert {future.result(10) for future in (first, *others)} == {b"value"}
    assert computed == [1]
    assert not cache._key_locks


def test_failed_computation_is_tried_again_by_the_next_caller() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(303)

    def fail() -> bytes:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get_or_compute("key", fail)
    assert cache.get_or_compute("key", lambda: b"value") == b"value"
    assert not cache._key_locks


def count_to_two(taken: list[int]) -> Generator[int, None, bytes]:
    for step in (1, 2):
        taken.append(step)
        yield step
    return b"value"


def test_callers_of_one_key_take_the_steps_of_one_computation_by_turns() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(303)
    taken: list[int] = []
    first = cache.get_or_compute_in_steps("key", lambda: count_to_two(taken))
    second = cache.get_or_compute_in_steps("key", lambda: count_to_two(taken))
    assert next(first) == 1
    assert [next(second), next(second)] == [1, 2]  # the latest step, and the next one
    for caller in (second, first):
        with pytest.raises(StopIteration) as end:
            next(caller)
        assert end.value.value == b"value"
    assert taken == [1, 2]
    assert cache.get("key") == b"value"
    assert not cache._computations


def test_computation_goes_on_without_a_caller_that_stops_and_begins_again_without_any() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(303)
    taken: list[int] = []
    first = cache.get_or_compute_in_steps("key", lambda: count_to_two(taken))
    second = cache.get_or_compute_in_steps("key", lambda: count_to_two(taken))
    assert next(first) == 1
    assert [next(second), next(second)] == [1, 2]
    first.close()
    assert list(second) == []
    assert taken == [1, 2]
    stopped = cache.get_or_compute_in_steps("other key", lambda: count_to_two(taken))
    next(stopped)
    stopped.close()
    assert list(cache.get_or_compute_in_steps("other key", lambda: count_to_two(taken))) == [1, 2]
    assert not cache._computations


def test_resumable_computation_waits_for_the_next_caller() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(303)
    taken: list[int] = []
    stopped = cache.get_or_compute_in_steps("key", lambda: count_to_two(taken), is_resumable=True)
    next(stopped)
    stopped.close()
    assert list(cache.get_or_compute_in_steps("key", lambda: count_to_two(taken), is_resumable=True)) == [1, 2]
    assert taken == [1, 2]
    assert not cache._computations


def test_few_computations_without_a_caller_are_kept() -> None:
    cache: ByteBoundedCache[int, bytes] = ByteBoundedCache(303)
    closed: list[int] = []

    def compute(number: int) -> Generator[int, None, bytes]:
        try:
            yield number
        finally:
            closed.append(number)
        return b""

    for number in range(6):
        stopped = cache.get_or_compute_in_steps(number, partial(compute, number), is_resumable=True)
        next(stopped)
        stopped.close()
    assert closed == [0, 1]
    assert list(cache._computations) == [2, 3, 4, 5]


def test_failed_steps_raise_in_every_caller_and_are_tried_again() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(303)

    def fail() -> Generator[int, None, bytes]:
        yield 1
        yield 2
        raise ValueError("no")

    first, second = cache.get_or_compute_in_steps("key", fail), cache.get_or_compute_in_steps("key", fail)
    assert [next(first), next(second), next(second)] == [1, 1, 2]
    for caller in (first, second):
        with pytest.raises(ValueError, match="no"):
            next(caller)
    assert list(cache.get_or_compute_in_steps("key", lambda: count_to_two([]))) == [1, 2]


def test_threads_share_the_steps_of_a_computation() -> None:
    cache: ByteBoundedCache[str, bytes] = ByteBoundedCache(10_000)
    taken: list[int] = []

    def compute() -> Generator[int, None, bytes]:
        for step in range(1000):
            taken.append(step)
            yield step
        return b"value"

    def ask(start: threading.Barrier) -> int:
        start.wait(10)
        return len(list(cache.get_or_compute_in_steps("key", compute)))

    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(ask, start) for _ in range(4)]
    assert len(taken) == 1000
    assert 1000 <= sum(count.result() for count in counts) <= 1003  # a caller that joins gets the latest step first


def test_none_is_a_value_that_is_computed_once() -> None:
    cache: ByteBoundedCache[str, None] = ByteBoundedCache(303)
    calls: list[int] = []
    for _ in range(2):
        cache.get_or_compute("key", lambda: calls.append(1))
    assert calls == [1]


def test_decorated_function_is_cached_by_its_arguments() -> None:
    calls = []

    @cached(max_bytes=10_000)
    def make_zeros(size: int, *, fill: float = 0.0) -> np.ndarray:
        """Make an array."""
        calls.append((size, fill))
        return np.full(size, fill)

    assert make_zeros(3) is make_zeros(3)
    assert make_zeros(3, fill=1.0)[0] == 1.0
    assert calls == [(3, 0.0), (3, 1.0)]
    assert make_zeros.__doc__ == "Make an array."
    make_zeros.cache_clear()
    make_zeros(3)
    assert calls[-1] == (3, 0.0)


@dataclass(frozen=True)
class _Holder:
    array: np.ndarray
    more: tuple[torch.Tensor, ...]
    name: str


def test_bytes_of_nested_values_are_counted_once() -> None:
    array, tensor = np.zeros((2, 3), np.float32), torch.zeros(5, dtype=torch.int64)
    assert count_bytes(array) == 24
    assert count_bytes({"one": [array, array], "two": tensor}) == 24 + 40 + 6
    assert count_bytes(_Holder(array, (tensor,), "name")) == 24 + 40 + 4
    assert count_bytes(nn.Linear(3, 2)) == (6 + 2) * 4
    assert count_bytes((1, 2.5, None, True)) == 0


def test_arrays_of_cached_values_are_read_only() -> None:
    @cached(max_bytes=10_000)
    def make_nested(name: str) -> dict[str, list[_Holder]]:
        return {name: [_Holder(np.zeros(2), (torch.zeros(1),), name)]}

    array = make_nested("name")["name"][0].array
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    assert make_nested("name")["name"][0].array is array
