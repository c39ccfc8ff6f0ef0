"""Peak of the machine: multiply-adds per second of a large matrix product, in float32 and in bfloat16."""

import time
from typing import Any

import torch

from benchmarks.contenders.process import serve_requests

_SIZE = 2048


def measure_throughput(seconds: float, precision: str) -> Any:
    """Measure multiply-adds per second for about ``seconds``."""
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left, right = torch.randn(_SIZE, _SIZE).to(kind), torch.randn(_SIZE, _SIZE).to(kind)
    for _ in range(3):
        left @ right
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        left @ right
        count += 1
    return {"multiply_adds_per_second": count * _SIZE**3 / (time.perf_counter() - began)}


if __name__ == "__main__":
    serve_requests(measure_throughput, None)
