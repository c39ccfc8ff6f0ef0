"""MNIST as one NumPy file, which the other contenders read without this project, and helpers of the tables."""

import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from playground.engine.data.splits import load_splits


@contextmanager
def create_temporary_home(train_limit: int | None = None) -> Iterator[str]:
    """Create a temporary data folder for the runs of a benchmark, and yield the path of the images' file.

    ``train_limit``: number of training images in the file; all 55,000 by default.
    """
    with tempfile.TemporaryDirectory(prefix="cnn-playground-benchmark-") as folder:
        os.environ["CNN_PLAYGROUND_HOME"] = folder
        splits = load_splits("mnist", 5000)
        path = Path(folder) / "mnist.npz"
        np.savez(
            path,
            train_images=splits.train.images[:train_limit].squeeze(1).numpy(),
            train_labels=splits.train.labels[:train_limit].numpy(),
            test_images=splits.test.images.squeeze(1).numpy(),
            test_labels=splits.test.labels.numpy(),
        )
        yield str(path)


def describe_machine() -> str:
    """Describe the machine in one line."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows as a Markdown table; the first row is the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
