"""Type narrowing: return a value with a narrower type, or fail the test."""

from typing import TypeVar

T = TypeVar("T")


def require(value: T | None) -> T:
    """Return a value that is not None."""
    assert value is not None
    return value


def require_type(value: object, kind: type[T]) -> T:
    """Return a value that is an instance of ``kind``."""
    assert isinstance(value, kind), f"expected {kind.__name__}, got {value!r}"
    return value
