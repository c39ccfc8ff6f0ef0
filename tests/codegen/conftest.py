"""Keras computes with torch here, and keeps its settings in a folder that goes away; torch keeps to one thread."""

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
    """Several threads on shared cores wait for each other more than they compute; programs inherit this."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)
