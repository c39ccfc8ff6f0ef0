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


DATASETS: dict[str, Dataset] = {
    "mnist": Dataset(
        "mnist",
        "MNIST",
        (1, 28, 28),
        tuple("0123456789"),
        60_000,
        10_000,
        "Handwritten digits by Yann LeCun and Corinna Cortes, CC BY-SA 3.0.",
    )
}


def find_dataset(name: str) -> Dataset:
    """By name; raises UnknownNameError with the names that there are."""
    if name not in DATASETS:
        raise UnknownNameError(f"There is no data set {name!r}.", expected=f"There are: {', '.join(DATASETS)}.")
    return DATASETS[name]
