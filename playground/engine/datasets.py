"""Every data set there is here: the bundled ones, those fetched from others, and one's own."""

import torch
from torch import Tensor

from playground.engine import mnist, own_datasets
from playground.engine.fetch import fetched_tensors, is_fetched
from playground.engine.pens import pen_images
from playground.engine.store import Run
from playground.errors import UnknownNameError
from playground.spec.datasets import DATASETS, OWN, Dataset
from playground.spec.recipe import Recipe


def all_datasets() -> dict[str, Dataset]:
    """By name; fetched or not, one's own at the end."""
    return DATASETS | own_datasets.own_datasets()


def find_dataset(name: str) -> Dataset:
    """By name; raises UnknownNameError with the names that there are."""
    known = DATASETS.get(name) or all_datasets().get(name)
    if known is None:
        raise UnknownNameError(
            f"There is no data set {name!r:.80}.", expected=f"There are: {', '.join(all_datasets())}."
        )
    return known


def dataset_of(run: Run) -> Dataset:
    """The data set of a run; one with numbers for names where it was deleted since."""
    try:
        return find_dataset(run.record.recipe.dataset)
    except UnknownNameError:
        architecture = run.record.architecture
        return Dataset(
            name=run.record.recipe.dataset,
            title="a data set that is gone",
            input_shape=architecture.input.shape,
            class_names=tuple(str(number + 1) for number in range(architecture.classes)),
            train_size=0,
            test_size=0,
            credit="",
        )


def class_names(name: str, count: int) -> tuple[str, ...]:
    """The names of a data set's classes; numbers where it is gone, or has another number of them."""
    try:
        names = find_dataset(name).class_names
    except UnknownNameError:
        names = ()
    return names if len(names) == count else tuple(map(str, range(count)))


def is_here(name: str) -> bool:
    """Whether it can be trained on without fetching anything."""
    return name in all_datasets() and (DATASETS.get(name) is None or not DATASETS[name].download_mb or is_fetched(name))


def dataset_tensors(name: str) -> dict[str, Tensor]:
    """``train_images`` uint8 (count, channels, height, width), ``train_labels`` int64 (count,), and ``test_…``.

    Raises UnknownNameError, MissingDataError for one that has to be fetched, AssetError or StoreError for damage.
    """
    find_dataset(name)
    if name == "mnist":
        return mnist.mnist()
    if name == "mnist+pen":
        digits, pens = mnist.mnist(), pen_images()
        return digits | {f"train_{part}": torch.cat([digits[f"train_{part}"], pens[part]]) for part in pens}
    if name.startswith(OWN):
        return own_datasets.load_own_tensors(name)
    return fetched_tensors(name)


def fitted_recipe(recipe: Recipe) -> Recipe:
    """The recipe with no more validation images than its data set can spare: a fifth of the training images."""
    spare = max(10, find_dataset(recipe.dataset).train_size // 5)
    return recipe if recipe.validation_size <= spare else recipe.changed(validation_size=spare)
