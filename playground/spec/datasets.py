"""The data sets by name: what a screen needs to know of one before it is loaded."""

from dataclasses import dataclass

from playground.errors import UnknownNameError


@dataclass(frozen=True)
class Dataset:
    """Images of one size with a class each; ``input_shape`` is (channels, height, width)."""

    name: str
    title: str
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    credit: str


PEN_STROKES, PEN_COPIES = 4_996, 4
"""Digits drawn with a pen that come with the program, and images made of each, with different pens."""

DATASETS: dict[str, Dataset] = {
    "mnist": Dataset(
        "mnist",
        "MNIST",
        (1, 28, 28),
        tuple("0123456789"),
        60_000,
        10_000,
        "Handwritten digits by Yann LeCun and Corinna Cortes, CC BY-SA 3.0.",
    ),
    "mnist+pen": Dataset(
        "mnist+pen",
        "MNIST and pen strokes",
        (1, 28, 28),
        tuple("0123456789"),
        60_000 + PEN_STROKES * PEN_COPIES,
        10_000,
        "MNIST as above; digits of 20 people from Pen-Based Recognition of Handwritten Digits by E. Alpaydin and "
        "F. Alimoglu, UCI Machine Learning Repository, CC BY 4.0.",
    ),
}


def find_dataset(name: str) -> Dataset:
    """By name; raises UnknownNameError with the names that there are."""
    if name not in DATASETS:
        raise UnknownNameError(f"There is no data set {name!r}.", expected=f"There are: {', '.join(DATASETS)}.")
    return DATASETS[name]
