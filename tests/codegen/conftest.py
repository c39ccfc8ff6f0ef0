"""Keras with the PyTorch backend; PyTorch with one thread."""

from collections.abc import Iterator

import pytest
import torch

from tests.codegen import exported_code  # noqa: F401 -- chooses Keras's backend before Keras is imported


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread, also in child processes: threads on shared cores wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)
