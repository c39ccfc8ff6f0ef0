"""The images that every contender trains on, as a file that needs nothing of this project to be read."""

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from playground.engine.data.splits import load_splits


@contextmanager
def create_temporary_home() -> Iterator[str]:
    """A data folder for the runs of a benchmark; gives the path of the images' file. All of it goes at the end."""
    with tempfile.TemporaryDirectory(prefix="cnn-playground-benchmark-") as folder:
        os.environ["CNN_PLAYGROUND_HOME"] = folder
        splits = load_splits("mnist", 5000)
        path = Path(folder) / "mnist.npz"
        np.savez(
            path,
            train_images=splits.train.images.squeeze(1).numpy(),
            train_labels=splits.train.labels.numpy(),
            test_images=splits.test.images.squeeze(1).numpy(),
            test_labels=splits.test.labels.numpy(),
        )
        yield str(path)


def describe_machine() -> str:
    """One line about the machine, for the foot of a table."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def print_table(rows: list[tuple[str, ...]]) -> None:
    """The rows as a Markdown table; the first one is the head."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
