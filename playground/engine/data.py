"""Images and labels: MNIST from the bundled files, checked, unpacked once, split into train, validation and test."""

import hashlib
import lzma
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.engine.cached import cached_tensors, is_cached
from playground.engine.home import bundled
from playground.engine.pens import pen_images
from playground.engine.seeds import generator
from playground.errors import AssetError, RecipeError
from playground.spec.datasets import find_dataset
from playground.spec.recipe import Recipe

Split = Literal["train", "validation", "test"]

_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@dataclass(frozen=True)
class Images:
    """``images`` uint8 (count, channels, height, width), ``labels`` int64 (count,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, place: int) -> NDArray[np.float32]:
        """One of them as nets see it: (channels, height, width), values 0 to 1."""
        found: NDArray[np.float32] = self.images[place].numpy().astype(np.float32) / np.float32(255)
        return found

    def take(self, indices: Tensor) -> "Images":
        """The images at these places, in this order."""
        return Images(self.images[indices], self.labels[indices])

    def sample(self, count: int) -> "Images":
        """So many of them (or all), always the same ones, in their order."""
        shuffled = torch.randperm(len(self), generator=generator("quick"))
        return self.take(shuffled[: min(count, len(self))].sort().values)

    def to(self, device: torch.device) -> "Images":
        """The same on a device."""
        return Images(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set; no image is in two of them."""

    train: Images
    validation: Images
    test: Images


def load_test(name: str) -> Images:
    """The test images of a data set."""
    tensors = _tensors(name)
    return Images(tensors["test_images"], tensors["test_labels"])


def first_images(name: str, count: int) -> Images:
    """The first training images of a data set, read from the disk without the rest."""
    tensors = _tensors(name)
    return Images(tensors["train_images"][:count], tensors["train_labels"][:count])


@lru_cache(maxsize=2)
def load_splits(name: str, validation_size: int, limit: int | None = None) -> Splits:
    """Train, validation and test images of a data set; the same arguments give the same split everywhere.

    The validation images are drawn with equal shares of every class from the training images; ``limit`` then keeps
    so many training images, also with equal shares.
    """
    info = find_dataset(name)
    if validation_size >= info.train_size:
        raise RecipeError(
            f"{validation_size:,} validation images leave nothing to train on.",
            expected=f"{info.title} has {info.train_size:,} training images.",
        )
    tensors = _tensors(name)
    everything = Images(tensors["train_images"], tensors["train_labels"])
    order = _stratified_order(everything.labels)
    validation, train = order[:validation_size].sort().values, order[validation_size:]
    if limit is not None:
        train = train[:limit]
    return Splits(everything.take(train.sort().values), everything.take(validation), load_test(name))


def splits_for(recipe: Recipe) -> Splits:
    """The splits that a recipe asks for; raises RecipeError where it asks for the impossible."""
    return load_splits(recipe.dataset, recipe.validation_size, recipe.limit)


def _stratified_order(labels: Tensor) -> Tensor:
    """All places, shuffled with a fixed seed, so that every beginning of the order has equal shares of the classes."""
    shuffled = torch.randperm(len(labels), generator=generator("split"))
    rank = torch.empty(len(labels), dtype=torch.float64)
    for label in range(int(labels.max()) + 1):
        places = shuffled[labels[shuffled] == label]
        rank[places] = (torch.arange(len(places), dtype=torch.float64) + 0.5) / len(places)
    return shuffled[torch.argsort(rank[shuffled], stable=True)]


def _tensors(name: str) -> dict[str, Tensor]:
    find_dataset(name)
    mnist = _mnist()
    if name == "mnist":
        return mnist
    pens = pen_images()
    return {
        **mnist,
        "train_images": torch.cat([mnist["train_images"], pens["images"]]),
        "train_labels": torch.cat([mnist["train_labels"], pens["labels"]]),
    }


@lru_cache(maxsize=1)
def _mnist() -> dict[str, Tensor]:
    """The four tensors of MNIST, mapped from the cache; unpacked into it the first time."""
    return cached_tensors(_mnist_name(), lambda: _unpack_mnist(bundled("assets/mnist")))


def is_unpacked() -> bool:
    """Whether MNIST can be had without the work and the memory of unpacking it."""
    return is_cached(_mnist_name())


def _mnist_name() -> str:
    return f"mnist-{hashlib.sha256(''.join(_SHA256.values()).encode()).hexdigest()[:12]}"


def _unpack_mnist(folder: Path) -> dict[str, Tensor]:
    # torchvision takes seconds to import and its reader is needed once in the life of a cache.
    from torchvision.datasets.mnist import read_image_file, read_label_file

    tensors: dict[str, Tensor] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in _SHA256:
            raw = Path(scratch) / name
            raw.write_bytes(_checked_bytes(folder, name))
            part = "train" if name.startswith("train") else "test"
            if "images" in name:
                tensors[f"{part}_images"] = read_image_file(str(raw)).unsqueeze(1).contiguous()
            else:
                tensors[f"{part}_labels"] = read_label_file(str(raw))
    return tensors


def _checked_bytes(folder: Path, name: str) -> bytes:
    path = folder / f"{name}.xz"
    try:
        content = lzma.decompress(path.read_bytes())
    except (OSError, lzma.LZMAError, EOFError) as problem:
        raise _damaged(path, str(problem)) from problem
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise _damaged(path, "its checksum is wrong")
    return content


def _damaged(path: Path, reason: str) -> AssetError:
    return AssetError(
        f"The bundled file {path.name} cannot be used: {reason}.",
        expected="MNIST comes with the program as four checked files.",
        fix="Install CNN Playground again, or restore assets/mnist from the repository.",
    )
