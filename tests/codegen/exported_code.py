"""Execution of exported code."""

from typing import Any


def executed(code: str, name: str = "exported") -> dict[str, Any]:
    """Execute code and return its namespace; the name ``__main__`` runs its main block too."""
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(code, "exported.py", "exec"), namespace)
    return namespace
