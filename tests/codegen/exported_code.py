"""Exported code, executed: its names, as an import would give them."""

from typing import Any


def executed(code: str, name: str = "exported") -> dict[str, Any]:
    """The names of a program's text; with ``__main__`` for a name it also runs."""
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(code, "exported.py", "exec"), namespace)
    return namespace
