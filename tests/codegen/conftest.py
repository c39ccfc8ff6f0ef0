"""Keras with the PyTorch backend and a temporary settings folder; PyTorch with one thread."""

import os
import tempfile
from collections.abc import Iterator

import pytest
import torch

# Before Keras is imported.
_KERAS_HOME = tempfile.TemporaryDirectory(prefix="cnn-playground-keras-")
os.environ["KERAS_BACKEND"] = "torch"
os.environ["KERAS_HOME"] = _KERAS_HOME.name


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread, also in child processes: threads on shared cores wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)
