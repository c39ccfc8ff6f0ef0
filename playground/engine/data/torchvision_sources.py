"""Sources of downloadable datasets: files with torchvision's addresses and checksums, and their parsers."""

import gzip
import hashlib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from playground.core.datasets import CUSTOM_ORIGIN, DATASETS
from playground.engine.data.idx import parse_idx
from playground.engine.paths import get_data_folder
from playground.errors import UnknownNameError

Tensors = dict[str, Tensor]

_TENSOR_NAMES = ("train_images", "train_labels", "test_images", "test_labels")
_EMNIST_FILE_STEMS = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")


@dataclass(frozen=True)
class CheckedFile:
    """File to download: its path below the datasets folder, the beginning of its checksum, and its addresses."""

    relative_path: str
    checksum: str
    urls: tuple[str, ...] = ()
    algorithm: Literal["md5", "sha256"] = "md5"

    @property
    def destination(self) -> Path:
        """Path that the file is stored at."""
        return datasets_folder() / self.relative_path

    def is_valid_at(self, path: Path) -> bool:
        """Return True if the file at ``path`` has the expected checksum."""
        if not path.is_file():
            return False
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, lambda: hashlib.new(self.algorithm, usedforsecurity=False)).hexdigest()
        return digest.startswith(self.checksum)


@dataclass(frozen=True)
class DatasetSource:
    """Files of a dataset and the parser that reads them.

    ``read`` takes the folder with the verified ``files`` and returns ``train_images`` (uint8, count × channels × height
    × width), ``train_labels`` (int64), and ``test_…``. Valid ``extracted_files`` replace the archives in ``files``.
    """

    files: tuple[CheckedFile, ...]
    read: Callable[[Path], Tensors]
    extracted_files: tuple[CheckedFile, ...] = ()


def datasets_folder() -> Path:
    """Return the folder of downloaded datasets; its layout is torchvision's."""
    return get_data_folder() / "datasets"


def find_source(name: str) -> DatasetSource:
    """Find a dataset's files and parser by its name; raises UnknownNameError for one that is not downloadable."""
    dataset = DATASETS.get(name)
    origin = dataset.origin if dataset else CUSTOM_ORIGIN
    if origin.torchvision is None or origin.parser not in DOWNLOAD_PARSERS:
        raise UnknownNameError(
            f"The dataset {name!r:.80} cannot be downloaded.",
            expected=f"One of {', '.join(one.name for one in DATASETS.values() if one.download_mb)}.",
        )
    # torchvision takes seconds to import and is needed once for each dataset.
    from torchvision import datasets as torchvision_datasets

    return DOWNLOAD_PARSERS[origin.parser](getattr(torchvision_datasets, origin.torchvision.class_name), origin.split)


def _make_mnist_like_source(dataset_class: Any, _split: str) -> DatasetSource:
    """Source of a dataset with MNIST's layout: four IDX files on several mirrors."""
    return _make_idx_source(
        CheckedFile(
            f"{dataset_class.__name__}/raw/{name}", md5, tuple(f"{mirror}{name}" for mirror in dataset_class.mirrors)
        )
        for name, md5 in dataset_class.resources
    )


def _make_qmnist_source(dataset_class: Any, _split: str) -> DatasetSource:
    resources = (*dataset_class.resources["train"], *dataset_class.resources["test"])
    return _make_idx_source(CheckedFile(f"QMNIST/raw/{Path(url).name}", md5, (url,)) for url, md5 in resources)


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
                tensors[part] = values.transpose(2, 3).contiguous()  # the files store them transposed
            elif split == "letters":
                tensors[part] = values - 1  # the files count from A = 1
        return tensors

    return DatasetSource((archive,), read)


def _make_usps_source(dataset_class: Any, _split: str) -> DatasetSource:
    return _make_split_source(dataset_class, lambda folder, part: dataset_class(folder, train=part == "train"))


def _make_svhn_source(dataset_class: Any, _split: str) -> DatasetSource:
    return _make_split_source(dataset_class, dataset_class)


def _make_split_source(dataset_class: Any, open_split: Callable[[Path, str], Any]) -> DatasetSource:
    files = tuple(
        CheckedFile(name, md5, (url,))
        for url, name, md5 in (dataset_class.split_list[split] for split in ("train", "test"))
    )
    return DatasetSource(files, lambda folder: _load_torchvision_tensors(lambda split: open_split(folder, split)))


def _make_cifar_source(dataset_class: Any, _split: str) -> DatasetSource:
    # The batches are pickles: torchvision unpickles only those whose checksum it knows.
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
    """Load the tensors of both splits; ``open_split`` gives the torchvision dataset of "train" or "test"."""
    tensors = {}
    for name in ("train", "test"):
        split = open_split(name)
        labels = split.labels if hasattr(split, "labels") else split.targets
        tensors[f"{name}_images"] = _to_nchw(torch.as_tensor(split.data))
        tensors[f"{name}_labels"] = torch.as_tensor(np.asarray(labels)).long()
    return tensors


def _to_nchw(data: Tensor) -> Tensor:
    """Convert any of torchvision's image layouts to (count, channels, height, width)."""
    if data.ndim == 3:
        return data.unsqueeze(1)
    return (data if data.shape[1] == 3 else data.permute(0, 3, 1, 2)).contiguous()


def _parse_idx_files(contents: Iterable[bytes]) -> Tensors:
    """Parse four gzip-compressed IDX files in the order of ``_TENSOR_NAMES``."""
    tensors = {}
    for name, content in zip(_TENSOR_NAMES, contents, strict=True):
        values = parse_idx(gzip.decompress(content))
        # QMNIST's labels are rows whose other columns identify the writer.
        tensors[name] = values.unsqueeze(1) if name.endswith("images") else values.reshape(len(values), -1)[:, 0].long()
    return tensors


DOWNLOAD_PARSERS: dict[str, Callable[[Any, str], DatasetSource]] = {
    "mnist_like": _make_mnist_like_source,
    "qmnist": _make_qmnist_source,
    "emnist": _make_emnist_source,
    "usps": _make_usps_source,
    "svhn": _make_svhn_source,
    "cifar": _make_cifar_source,
}
"""Parsers of downloadable datasets by ``DatasetOrigin.parser``, called with the torchvision class and the split."""
