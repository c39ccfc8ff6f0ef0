"""Execution of exported code; Keras programs run on PyTorch, with a temporary settings folder."""

import os
import tempfile
from typing import Any

# Before Keras is imported.
_KERAS_HOME = tempfile.TemporaryDirectory(prefix="cnn-playground-keras-")
os.environ["KERAS_BACKEND"] = "torch"
os.environ["KERAS_HOME"] = _KERAS_HOME.name


def executed(code: str, name: str = "exported") -> dict[str, Any]:
    """Execute code and return its namespace; the name ``__main__`` runs its main block too."""
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(code, "exported.py", "exec"), namespace)
    return namespace
