"""Where the data sets of others come from: files with torchvision's addresses and checksums, and their readers."""

import gzip
import hashlib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playground.engine.paths import get_data_folder
from playground.errors import UnknownNameError

Tensors = dict[str, Tensor]

_TENSOR_NAMES = ("train_images", "train_labels", "test_images", "test_labels")
_EMNIST_FILE_STEMS = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
_IDX_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


@dataclass(frozen=True)
class CheckedFile:
    """A file to be fetched: its path below the data sets' folder, how its checksum begins, and where it may be had."""

    relative_path: str
    checksum: str
    urls: tuple[str, ...] = ()
    algorithm: Literal["md5", "sha256"] = "md5"

    @property
    def destination(self) -> Path:
        """Where it belongs."""
        return datasets_folder() / self.relative_path

    def is_valid_at(self, path: Path) -> bool:
        """Whether it, and nothing else, lies there whole."""
        if not path.is_file():
            return False
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, lambda: hashlib.new(self.algorithm, usedforsecurity=False)).hexdigest()
        return found.startswith(self.checksum)


@dataclass(frozen=True)
class DatasetSource:
    """``read`` makes ``train_images`` (uint8, count × channels × height × width), ``train_labels`` (int64), ``test_…``.

    It takes the folder in which ``files`` lie, their checksums right; ``extracted_files`` ones do as well in their place.
    """

    files: tuple[CheckedFile, ...]
    read: Callable[[Path], Tensors]
    extracted_files: tuple[CheckedFile, ...] = ()


def datasets_folder() -> Path:
    """Where the files of fetched data sets lie, laid out as torchvision looks for them."""
    return get_data_folder() / "datasets"


def find_source(name: str) -> DatasetSource:
    """By a data set's name; raises UnknownNameError for one that is not fetched from anywhere."""
    # torchvision takes seconds to import, and is needed once in the life of a data set.
    from torchvision import datasets as tv

    match name:
        case "fashion-mnist":
            return _make_mnist_like_source(tv.FashionMNIST)
        case "kmnist":
            return _make_mnist_like_source(tv.KMNIST)
        case "qmnist":
            resources = (*tv.QMNIST.resources["train"], *tv.QMNIST.resources["test"])
            return _make_idx_source(CheckedFile(f"QMNIST/raw/{Path(url).name}", md5, (url,)) for url, md5 in resources)
        case "emnist-letters" | "emnist-balanced":
            return _make_emnist_source(tv.EMNIST, name.removeprefix("emnist-"))
        case "usps":
            return _make_split_source(tv.USPS, lambda folder, part: tv.USPS(folder, train=part == "train"))
        case "svhn":
            return _make_split_source(tv.SVHN, tv.SVHN)
        case "cifar10":
            return _make_cifar_source(tv.CIFAR10)
        case "cifar100":
            return _make_cifar_source(tv.CIFAR100)
    raise UnknownNameError(f"The data set {name!r:.80} is not fetched from anywhere.")


def _make_mnist_like_source(dataset_class: Any) -> DatasetSource:
    """For what is laid out as MNIST is: mirrors of the same four files."""
    return _make_idx_source(
        CheckedFile(
            f"{dataset_class.__name__}/raw/{name}", md5, tuple(f"{mirror}{name}" for mirror in dataset_class.mirrors)
        )
        for name, md5 in dataset_class.resources
    )


def _make_idx_source(files: Iterable[CheckedFile]) -> DatasetSource:
    files = tuple(files)

    def read(folder: Path) -> Tensors:
        return _parse_idx_files((folder / file.relative_path).read_bytes() for file in files)

    return DatasetSource(files, read)


def _make_emnist_source(dataset_class: Any, split: str) -> DatasetSource:
    archive = CheckedFile("EMNIST/raw/gzip.zip", dataset_class.md5, (dataset_class.url,))
    names = [f"gzip/emnist-{split}-{part}-ubyte.gz" for part in _EMNIST_FILE_STEMS]

    def read(folder: Path) -> Tensors:
        with zipfile.ZipFile(folder / archive.relative_path) as opened:
            tensors = _parse_idx_files(map(opened.read, names))
        for part, values in tensors.items():
            if part.endswith("images"):
                tensors[part] = values.transpose(2, 3).contiguous()  # they are stored lying on their side
            elif split == "letters":
                tensors[part] = values - 1  # A is 1 there
        return tensors

    return DatasetSource((archive,), read)


def _make_split_source(dataset_class: Any, open_split: Callable[[Path, str], Any]) -> DatasetSource:
    files = tuple(
        CheckedFile(name, md5, (url,))
        for url, name, md5 in (dataset_class.split_list[split] for split in ("train", "test"))
    )
    return DatasetSource(files, lambda folder: _load_torchvision_tensors(lambda split: open_split(folder, split)))


def _make_cifar_source(dataset_class: Any) -> DatasetSource:
    # Its batches are pickles: torchvision unpickles one only if its checksum is the one that torchvision was given.
    batches = (
        *dataset_class.train_list,
        *dataset_class.test_list,
        (dataset_class.meta["filename"], dataset_class.meta["md5"]),
    )
    return DatasetSource(
        (CheckedFile(dataset_class.filename, dataset_class.tgz_md5, (dataset_class.url,)),),
        lambda folder: _load_torchvision_tensors(
            lambda part: dataset_class(folder, train=part == "train", download=True)
        ),
        tuple(CheckedFile(f"{dataset_class.base_folder}/{name}", md5) for name, md5 in batches),
    )


def _load_torchvision_tensors(open_split: Callable[[str], Any]) -> Tensors:
    """The tensors of ``part("train")`` and ``part("test")``, each a data set of torchvision's."""
    tensors = {}
    for name in ("train", "test"):
        found = open_split(name)
        labels = found.labels if hasattr(found, "labels") else found.targets
        tensors[f"{name}_images"] = _to_nchw(torch.as_tensor(found.data))
        tensors[f"{name}_labels"] = torch.as_tensor(np.asarray(labels)).long()
    return tensors


def _to_nchw(data: Tensor) -> Tensor:
    """uint8 (count, channels, height, width), from any of the layouts in which torchvision holds images."""
    if data.ndim == 3:
        return data.unsqueeze(1)
    return (data if data.shape[1] == 3 else data.permute(0, 3, 1, 2)).contiguous()


def _parse_idx_files(contents: Iterable[bytes]) -> Tensors:
    """The four tensors of four compressed files in IDX format, in the order of ``_TENSOR_NAMES``."""
    tensors = {}
    for name, content in zip(_TENSOR_NAMES, contents, strict=True):
        values = _parse_idx(gzip.decompress(content))
        # QMNIST's labels are rows: the rest of a row says who wrote the digit, and when.
        tensors[name] = values.unsqueeze(1) if name.endswith("images") else values.reshape(len(values), -1)[:, 0].long()
    return tensors


def _parse_idx(content: bytes) -> Tensor:
    """Two zero bytes, the type of the values, the number of axes, their sizes, the values; all big-endian."""
    kind, axes = _IDX_TYPES[content[2]], content[3]
    sizes = np.frombuffer(content, ">u4", count=axes, offset=4)
    values: NDArray[Any] = np.frombuffer(content, kind, offset=4 + 4 * axes).reshape(sizes)
    return torch.from_numpy(values.astype(kind.newbyteorder("=")))
