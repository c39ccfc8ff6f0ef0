"""Where the data sets of others come from: their files with torchvision's checksums, and torchvision's readers."""

import gzip
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from playground.engine.home import home
from playground.errors import UnknownNameError

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class RemoteFile:
    """A file that a data set is read from: its place below the folder, where it may be had, and its MD5."""

    path: str
    urls: tuple[str, ...]
    md5: str


@dataclass(frozen=True)
class Source:
    """``read`` makes ``train_images`` (uint8, count × channels × height × width), ``train_labels`` (int64), ``test_…``.

    It takes the folder and whether archives may be unpacked there; it raises RuntimeError where files are missing.
    """

    files: tuple[RemoteFile, ...]
    read: Callable[[Path, bool], Tensors]


def datasets_folder() -> Path:
    """Where the files of fetched data sets lie, laid out as torchvision looks for them."""
    return home() / "datasets"


def source_of(name: str) -> Source:
    """By a data set's name; raises UnknownNameError for one that is not fetched from anywhere."""
    # torchvision takes seconds to import, and is needed once in the life of a data set.
    from torchvision import datasets as tv

    match name:
        case "fashion-mnist":
            return _idx_source(tv.FashionMNIST)
        case "kmnist":
            return _idx_source(tv.KMNIST)
        case "qmnist":
            return _qmnist_source(tv.QMNIST)
        case "emnist-letters" | "emnist-balanced":
            return _emnist_source(tv.EMNIST, name.removeprefix("emnist-"))
        case "usps":
            return _split_list_source(tv.USPS, lambda folder, test: tv.USPS(folder, train=not test))
        case "svhn":
            return _split_list_source(tv.SVHN, lambda folder, test: tv.SVHN(folder, "test" if test else "train"))
        case "cifar10":
            return _cifar_source(tv.CIFAR10)
        case "cifar100":
            return _cifar_source(tv.CIFAR100)
    raise UnknownNameError(f"The data set {name!r} is not fetched from anywhere.")


def _idx_source(kind: Any) -> Source:
    folder = f"{kind.__name__}/raw"
    files = tuple(
        RemoteFile(f"{folder}/{file}", tuple(f"{mirror}{file}" for mirror in kind.mirrors), md5)
        for file, md5 in kind.resources
    )
    return Source(files, lambda root, unpack: _both(lambda test: kind(root, train=not test, download=unpack)))


def _qmnist_source(kind: Any) -> Source:
    files = tuple(
        RemoteFile(f"QMNIST/raw/{Path(url).name}", (url,), md5)
        for part in ("train", "test")
        for url, md5 in kind.resources[part]
    )

    def part(root: Path, test: bool, unpack: bool) -> Any:
        found = kind(root, train=not test, download=unpack)
        found.targets = found.targets[:, 0]  # the rest says who wrote it, and when
        return found

    return Source(files, lambda root, unpack: _both(lambda test: part(root, test, unpack)))


def _emnist_source(kind: Any, split: str) -> Source:
    archive = RemoteFile("EMNIST/raw/gzip.zip", (kind.url,), kind.md5)

    def read(root: Path, unpack: bool) -> Tensors:
        if unpack:
            _unpack_emnist(root / archive.path, split)
        tensors = _both(lambda test: kind(root, split, train=not test))
        for name, values in tensors.items():
            if name.endswith("images"):  # they are stored lying on their side
                tensors[name] = values.transpose(2, 3).contiguous()
            elif split == "letters":
                tensors[name] = values - 1  # A is 1 there
        return tensors

    return Source((archive,), read)


def _unpack_emnist(archive: Path, split: str) -> None:
    """The four files of one split: all of them would take 1.6 GB."""
    with zipfile.ZipFile(archive) as opened:
        for part in ("train", "test"):
            for what in ("images-idx3", "labels-idx1"):
                name = f"emnist-{split}-{part}-{what}-ubyte"
                with opened.open(f"gzip/{name}.gz") as packed, (archive.parent / name).open("wb") as target:
                    shutil.copyfileobj(gzip.GzipFile(fileobj=packed), target)


def _split_list_source(kind: Any, part: Callable[[Path, bool], Any]) -> Source:
    files = tuple(RemoteFile(file, (url,), md5) for url, file, md5 in (kind.split_list[one] for one in _PARTS))
    return Source(files, lambda root, _: _both(lambda test: part(root, test)))


def _cifar_source(kind: Any) -> Source:
    files = (RemoteFile(kind.filename, (kind.url,), kind.tgz_md5),)
    return Source(files, lambda root, unpack: _both(lambda test: kind(root, train=not test, download=unpack)))


_PARTS = ("train", "test")


def _both(part: Callable[[bool], Any]) -> Tensors:
    """The tensors of training and test part, each a data set of torchvision's; ``part(True)`` gives the test's."""
    tensors = {}
    for name in _PARTS:
        found = part(name == "test")
        labels = found.labels if hasattr(found, "labels") else found.targets
        tensors[f"{name}_images"] = _images(torch.as_tensor(found.data))
        tensors[f"{name}_labels"] = torch.as_tensor(np.asarray(labels)).long()
    return tensors


def _images(data: Tensor) -> Tensor:
    """uint8 (count, channels, height, width), from any of the layouts in which torchvision holds images."""
    if data.ndim == 3:
        return data.unsqueeze(1).contiguous()
    return (data if data.shape[1] == 3 else data.permute(0, 3, 1, 2)).contiguous()
