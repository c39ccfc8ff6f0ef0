"""Fetching from a server that does what it is told, and every reader on tiny archives in its source's format."""

import bz2
import gzip
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import datasets as tv

from playground.core.datasets import DATASETS
from playground.engine.data import cache
from playground.engine.data import fetch as fetching
from playground.engine.data.dataset_lookup import is_available, load_labeled_images
from playground.engine.data.fetch import download_dataset, list_required_files, load_downloaded_tensors
from playground.engine.data.torchvision_sources import CheckedFile, DatasetSource, datasets_folder
from playground.engine.file_lock import hold_lock
from playground.errors import DatasetUnavailableError, DownloadError, StorageError, UnknownNameError
from tests.engine.data.mirror import CONTENT, Mirror

SHARED = Path(__file__).parents[4] / "shared" / "data"
NAME = "kmnist"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a cache of its own, and no way around by a proxy."""
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path


@pytest.fixture
def mirror(mirrors: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """The only address of the one file of a data set."""
    offer(monkeypatch, mirrors[0].url)
    return mirrors[0]


@pytest.fixture
def two(mirrors: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch) -> tuple[Mirror, Mirror]:
    """Two addresses of the file, the first one tried first."""
    offer(monkeypatch, *(mirror.url for mirror in mirrors))
    return mirrors


def offer(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    def read(folder: Path) -> dict[str, Tensor]:
        return {"train_images": torch.frombuffer(bytearray((folder / "raw/data.bin").read_bytes()), dtype=torch.uint8)}

    source = DatasetSource((CheckedFile("raw/data.bin", md5(CONTENT), urls),), read)
    monkeypatch.setattr(fetching, "find_source", lambda name: source)


def target() -> Path:
    return datasets_folder() / "raw" / "data.bin"


def part() -> Path:
    return target().with_name("data.bin.part")


def put_part(content: bytes) -> None:
    part().parent.mkdir(parents=True)
    part().write_bytes(content)


def assert_arrived() -> None:
    assert is_available(DATASETS[NAME])
    assert load_downloaded_tensors(NAME)["train_images"].numpy().tobytes() == CONTENT
    assert target().read_bytes() == CONTENT
    assert not part().exists()


def test_a_file_is_fetched_checked_read_and_never_asked_for_again(mirror: Mirror) -> None:
    assert not is_available(DATASETS[NAME])
    with pytest.raises(DatasetUnavailableError, match="21 MB"):
        load_labeled_images(NAME, "train")
    told = list(download_dataset(NAME))
    assert_arrived()
    fetched = [progress for progress in told if progress.stage == "Downloading data.bin"]
    assert [progress.completed for progress in fetched] == sorted({progress.completed for progress in fetched})
    assert (fetched[-1].completed, {progress.total for progress in fetched}) == (len(CONTENT), {len(CONTENT)})
    assert list(download_dataset(NAME)) == []
    assert mirror.asked == [None]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_broke_off_is_taken_up_again(mirror: Mirror, knows_ranges: bool) -> None:
    mirror.knows_ranges, mirror.breaks_after = knows_ranges, 300_000
    with pytest.raises(DownloadError, match="closed too early"):
        list(download_dataset(NAME))
    assert part().read_bytes() == CONTENT[:300_000]
    assert not is_available(DATASETS[NAME])
    mirror.breaks_after = None
    told = [progress for progress in download_dataset(NAME) if progress.completed]
    assert_arrived()
    assert mirror.asked == [None, "bytes=300000-"]
    assert (told[0].completed > 300_000) == knows_ranges
    assert (told[-1].completed, told[-1].total) == (len(CONTENT), len(CONTENT))


def test_another_address_goes_on_where_the_first_broke_off(two: tuple[Mirror, Mirror]) -> None:
    two[0].breaks_after = 300_000
    list(download_dataset(NAME))
    assert_arrived()
    assert [mirror.asked for mirror in two] == [[None], ["bytes=300000-"]]


def test_who_leaves_in_the_middle_keeps_what_was_fetched(mirror: Mirror) -> None:
    steps = download_dataset(NAME)
    done = next(progress.completed for progress in steps if progress.completed)
    steps.close()
    assert part().read_bytes() == CONTENT[:done]
    list(download_dataset(NAME))
    assert_arrived()
    assert mirror.asked == [None, f"bytes={done}-"]


def test_a_wrong_checksum_is_refused(mirror: Mirror) -> None:
    mirror.content = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match="another checksum") as told:
        list(download_dataset(NAME))
    assert mirror.url in told.value.what
    assert not target().exists()
    assert not part().exists()
    assert not is_available(DATASETS[NAME])
    assert mirror.asked == [None]


def test_a_server_that_gives_something_else_or_nothing_is_passed_over(two: tuple[Mirror, Mirror]) -> None:
    two[0].content = b"<html>Gone.</html>"
    list(download_dataset(NAME))
    assert_arrived()


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_says_no_is_passed_over(two: tuple[Mirror, Mirror], status: int) -> None:
    two[0].status = status
    list(download_dataset(NAME))
    assert_arrived()


def test_who_finds_no_server_is_told_which_files_to_put_where(two: tuple[Mirror, Mirror]) -> None:
    two[0].status = 404
    two[1].server_close()
    with pytest.raises(DownloadError) as told:
        list(download_dataset(NAME))
    assert "KMNIST (Kuzushiji) cannot be downloaded" in told.value.what
    assert f"{two[0].url}: Not Found." in told.value.what
    assert f"{two[1].url}: [Errno " in told.value.what
    assert f"put data.bin into {target().parent} by hand" in told.value.fix
    target().write_bytes(CONTENT)
    list(download_dataset(NAME))
    assert is_available(DATASETS[NAME])


def test_files_wanted_are_those_that_are_looked_for(mirror: Mirror) -> None:
    assert list_required_files(NAME) == ((target(), mirror.url),)


@pytest.mark.parametrize(
    "beginning",
    [b"something else", CONTENT + b"and more", CONTENT[:-1] + b"?"],
    ids=["other content", "too long", "wrong last byte"],
)
def test_a_beginning_of_something_else_is_thrown_away(mirror: Mirror, beginning: bytes) -> None:
    put_part(beginning)
    list(download_dataset(NAME))
    assert_arrived()
    assert mirror.asked == [f"bytes={len(beginning)}-", None]


def test_a_part_that_is_all_of_the_file_is_taken(mirror: Mirror) -> None:
    put_part(CONTENT)
    assert not any(progress.completed for progress in download_dataset(NAME))
    assert_arrived()


def test_a_server_that_does_not_say_how_much_it_gives(mirror: Mirror) -> None:
    mirror.says_length = False
    totals = {progress.total for progress in download_dataset(NAME)}
    assert_arrived()
    assert totals == {0}


def test_two_who_fetch_the_same_do_not_mix_their_bytes(mirror: Mirror) -> None:
    put_part(CONTENT[:1000])
    with hold_lock(part().with_suffix(".lock")) as is_held:
        assert is_held
        with pytest.raises(DownloadError, match=r"data\.bin is being downloaded by another process"):
            list(download_dataset(NAME))
    assert part().read_bytes() == CONTENT[:1000]
    assert mirror.asked == []


def test_a_disk_that_says_no_is_not_the_servers_fault(mirror: Mirror) -> None:
    part().mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be written"):
        list(download_dataset(NAME))


def test_a_damaged_file_is_downloaded_again(mirror: Mirror) -> None:
    target().parent.mkdir(parents=True)
    target().write_bytes(CONTENT[:-1])
    list(download_dataset(NAME))
    assert_arrived()


def test_a_damaged_cache_is_made_again_from_the_files(mirror: Mirror, home: Path) -> None:
    list(download_dataset(NAME))
    cache._mapped_tensors.clear()
    (home / "cache" / f"dataset-{NAME}.safetensors").write_bytes(b"torn")
    with pytest.raises(DatasetUnavailableError):
        load_labeled_images(NAME, "train")
    assert not is_available(DATASETS[NAME])
    list(download_dataset(NAME))
    assert_arrived()
    assert mirror.asked == [None]


def test_a_process_that_reads_along_gets_json_lines(mirror: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    mirror.breaks_after = 600_000
    fetching.main(NAME)
    mirror.breaks_after = None
    fetching.main(NAME)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    broke = next(place for place, value in enumerate(told) if "error" in value)
    what, expected, fix = told[broke]["error"]
    assert "closed too early" in what
    assert expected
    assert "by hand" in fix
    done = {"stage": "Downloading data.bin", "completed": len(CONTENT), "total": len(CONTENT)}
    assert told[-2:] == [done, {"stage": "Reading the files", "completed": 0, "total": 0}]


def test_the_module_as_a_process_without_a_network(home: Path) -> None:
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    command = [sys.executable, "-m", "playground.engine.data.fetch", "usps"]
    environment = {**os.environ, **nowhere, "no_proxy": ""}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert told.stderr == ""
    first, last = (json.loads(line) for line in told.stdout.splitlines())
    assert first["stage"] == "Checking the files"
    assert "USPS cannot be downloaded" in last["error"][0]
    assert f"put usps.bz2, usps.t.bz2 into {home / 'datasets'} by hand" in last["error"][2]


def test_what_is_not_fetched_from_anywhere() -> None:
    for name in ("mnist", "nope"):
        with pytest.raises(UnknownNameError, match="cannot be downloaded"):
            list(download_dataset(name))


# Readers: labels 0 to 9 (or 1, where a source counts from there), images of a pattern that shows which way is up.

LABELS = np.array([3, 0, 9])


def pattern(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Different at every place, in every image."""
    values = np.arange(count * height * width, dtype=np.int64).reshape(count, height, width)
    return (values * 37 % 251).astype(np.uint8)


def colours(count: int) -> NDArray[np.uint8]:
    """(count, 3, 32, 32)."""
    return pattern(count * 3, 32, 32).reshape(count, 3, 32, 32)


def idx(values: NDArray[Any]) -> bytes:
    kind = {1: 0x08, 4: 0x0C}[values.dtype.itemsize]
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    return gzip.compress(header + values.astype(values.dtype.newbyteorder(">")).tobytes())


def put(path: str, content: bytes) -> str:
    """A file brought by hand; its MD5."""
    place = datasets_folder() / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return md5(content)


Patch = pytest.MonkeyPatch
Expected = tuple[NDArray[np.uint8], NDArray[np.int64]]


def mnist_like(kind: Any, patch: Patch) -> Expected:
    images = pattern(3, 28, 28)
    contents = (idx(images), idx(LABELS.astype(np.uint8)), idx(images[:2]), idx(LABELS[:2].astype(np.uint8)))
    names = [name for name, _ in kind.resources]
    sums = [put(f"{kind.__name__}/raw/{name}", content) for name, content in zip(names, contents, strict=True)]
    patch.setattr(kind, "resources", list(zip(names, sums, strict=True)))
    return images[:, None], LABELS


def qmnist(patch: Patch) -> Expected:
    images = pattern(3, 28, 28)
    rows = np.array([[label, 4, 2000, 7, -1, 0, 0, 0] for label in LABELS], dtype=np.int32)
    resources = {}
    for split, count in (("train", 3), ("test", 2)):
        urls = [url for url, _ in tv.QMNIST.resources[split]]
        contents = (idx(images[:count]), idx(rows[:count]))
        sums = [put(f"QMNIST/raw/{Path(url).name}", content) for url, content in zip(urls, contents, strict=True)]
        resources[split] = list(zip(urls, sums, strict=True))
    patch.setattr(tv.QMNIST, "resources", resources)
    return images[:, None], LABELS


def emnist(split: str, first_label: int, patch: Patch) -> Expected:
    upright = pattern(3, 28, 28)
    lying, labels = upright.transpose(0, 2, 1), (LABELS + first_label).astype(np.uint8)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, count in (("train", 3), ("test", 2)):
            opened.writestr(f"gzip/emnist-{split}-{name}-images-idx3-ubyte.gz", idx(lying[:count]))
            opened.writestr(f"gzip/emnist-{split}-{name}-labels-idx1-ubyte.gz", idx(labels[:count]))
    patch.setattr(tv.EMNIST, "md5", put("EMNIST/raw/gzip.zip", archive.getvalue()))
    return upright[:, None], LABELS


def usps(patch: Patch) -> Expected:
    images = np.array([0, 127, 255], dtype=np.uint8)[pattern(3, 16, 16) % 3]
    values = np.array(["-1", "0", "1"])[pattern(3, 16, 16) % 3].reshape(3, -1)
    lines = [
        " ".join([str(label + 1), *(f"{place + 1}:{value}" for place, value in enumerate(row))])
        for label, row in zip(LABELS, values, strict=True)
    ]
    for split, count in (("train", 3), ("test", 2)):
        url, name, _ = tv.USPS.split_list[split]
        content = bz2.compress("\n".join(lines[:count]).encode())
        patch.setitem(tv.USPS.split_list, split, [url, name, put(name, content)])
    return images[:, None], LABELS


def svhn(patch: Patch) -> Expected:
    images, labels = colours(3), np.where(LABELS == 0, 10, LABELS).astype(np.uint8)
    for split, count in (("train", 3), ("test", 2)):
        content = io.BytesIO()
        scipy.io.savemat(content, {"X": images[:count].transpose(2, 3, 1, 0), "y": labels[:count, None]})
        url, name, _ = tv.SVHN.split_list[split]
        patch.setitem(tv.SVHN.split_list, split, [url, name, put(name, content.getvalue())])
    return images, LABELS


def cifar_batches(kind: Any, patch: Patch) -> dict[str, bytes]:
    """The files of an unpacked archive: three training images in all, two test images."""
    images, key = colours(3).reshape(3, -1), "labels" if kind is tv.CIFAR10 else "fine_labels"
    names = [name for name, _ in kind.train_list]
    shares = np.array_split(np.arange(3), len(names))
    rows = dict(zip(names, shares, strict=True)) | {kind.test_list[0][0]: np.arange(2)}
    contents = {
        name: pickle.dumps({"data": images[chosen], key: LABELS[chosen].tolist()}, protocol=2)
        for name, chosen in rows.items()
    }
    meta = pickle.dumps({kind.meta["key"]: ["a", "b"]}, protocol=2)
    patch.setattr(kind, "train_list", [[name, md5(contents[name])] for name in names])
    patch.setattr(kind, "test_list", [[name, md5(contents[name])] for name, _ in kind.test_list])
    patch.setattr(kind, "meta", kind.meta | {"md5": md5(meta)})
    return contents | {kind.meta["filename"]: meta}


def cifar_archive(kind: Any, patch: Patch) -> Expected:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as opened:
        for name, batch in cifar_batches(kind, patch).items():
            member = tarfile.TarInfo(f"{kind.base_folder}/{name}")
            member.size = len(batch)
            opened.addfile(member, io.BytesIO(batch))
    patch.setattr(kind, "tgz_md5", put(kind.filename, content.getvalue()))
    return colours(3), LABELS


def cifar_folder(patch: Patch) -> Expected:
    for name, batch in cifar_batches(tv.CIFAR10, patch).items():
        put(f"{tv.CIFAR10.base_folder}/{name}", batch)
    return colours(3), LABELS


ARCHIVES: list[tuple[str, Callable[[Patch], Expected]]] = [
    ("fashion-mnist", lambda patch: mnist_like(tv.FashionMNIST, patch)),
    ("kmnist", lambda patch: mnist_like(tv.KMNIST, patch)),
    ("qmnist", qmnist),
    ("emnist-letters", lambda patch: emnist("letters", 1, patch)),
    ("emnist-balanced", lambda patch: emnist("balanced", 0, patch)),
    ("usps", usps),
    ("svhn", svhn),
    ("cifar10", lambda patch: cifar_archive(tv.CIFAR10, patch)),
    ("cifar10", cifar_folder),
    ("cifar100", lambda patch: cifar_archive(tv.CIFAR100, patch)),
]


@pytest.mark.parametrize(("name", "put_files"), ARCHIVES)
def test_files_brought_by_hand_are_read_upright_with_labels_from_0(
    name: str, put_files: Callable[[Patch], Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = put_files(monkeypatch)
    assert [progress.completed for progress in download_dataset(name)] == [0, 0]  # nothing was downloaded
    found = load_downloaded_tensors(name)
    assert all(values.is_contiguous() for values in found.values())
    for split, count in (("train", 3), ("test", 2)):
        assert found[f"{split}_images"].dtype == torch.uint8
        np.testing.assert_array_equal(found[f"{split}_images"], images[:count])
        assert found[f"{split}_labels"].dtype == torch.int64
        assert found[f"{split}_labels"].tolist() == labels[:count].tolist()
    assert found["train_images"].shape[1:] == DATASETS[name].input_shape


def test_every_data_set_that_has_to_be_fetched_has_a_reader() -> None:
    assert {name for name, _ in ARCHIVES} == {name for name, dataset in DATASETS.items() if dataset.download_mb}


def test_an_unpacked_folder_with_another_file_in_it_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    cifar_folder(monkeypatch)
    monkeypatch.setattr(tv.CIFAR10, "url", "http://127.0.0.1:9/")
    batch = datasets_folder() / tv.CIFAR10.base_folder / "test_batch"
    batch.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(DownloadError, match="CIFAR-10 cannot be downloaded"):
        list(download_dataset("cifar10"))


@pytest.mark.skipif(not (SHARED / "FashionMNIST").exists(), reason="Fashion-MNIST is not beside the project")
def test_the_real_fashion_mnist_brought_by_hand(home: Path) -> None:
    shutil.copytree(SHARED / "FashionMNIST", home / "datasets" / "FashionMNIST")
    assert [progress.stage for progress in download_dataset("fashion-mnist")] == [
        "Checking the files",
        "Reading the files",
    ]
    found, info = load_downloaded_tensors("fashion-mnist"), DATASETS["fashion-mnist"]
    assert found["train_images"].shape == (info.train_size, *info.input_shape)
    assert found["test_images"].shape == (info.test_size, *info.input_shape)
    assert found["train_labels"].bincount().tolist() == [6000] * 10
    assert info.class_names[found["test_labels"][0]] == "Ankle boot"
