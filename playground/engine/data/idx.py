"""The IDX file format of MNIST and the datasets that are modeled on it."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


def parse_idx(content: bytes) -> Tensor:
    """Parse an IDX file: two zero bytes, value type, number of axes, sizes, values; all big-endian."""
    dtype, axes = _TYPES[content[2]], content[3]
    sizes = np.frombuffer(content, ">u4", count=axes, offset=4)
    values: NDArray[Any] = np.frombuffer(content, dtype, offset=4 + 4 * axes).reshape(sizes)
    return torch.from_numpy(values.astype(dtype.newbyteorder("=")))
