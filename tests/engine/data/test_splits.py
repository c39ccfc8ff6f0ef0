import hashlib
import json
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from playground.core.recipe import Recipe
from playground.engine.data import cache, mnist
from playground.engine.data import splits as data
from playground.engine.data.batch import LabeledImages
from playground.engine.data.splits import load_recipe_splits, load_splits, load_test_images
from playground.errors import AssetError, RecipeError, StorageError, UnknownNameError

MNIST = Path(__file__).parents[3] / "assets" / "mnist"
UNPACK = """
import hashlib, json, resource, sys
if len(sys.argv) > 1:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from playground.engine.data.splits import load_splits
from playground.errors import PlaygroundError
try:
    splits = load_splits("mnist", 5000, 1000)
except PlaygroundError as problem:
    print(json.dumps([type(problem).__name__, str(problem)]))
else:
    parts = (splits.train, splits.validation, splits.test)
    print(json.dumps([hashlib.sha256(part.images.numpy().tobytes() + part.labels.numpy().tobytes()).hexdigest()
                      for part in parts]))
"""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder, and nothing remembered of MNIST before or after."""
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path))
    data.load_splits.cache_clear()
    yield tmp_path
    data.load_splits.cache_clear()


def unpacking(home: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CNN_PLAYGROUND_HOME": str(home)}
    command = [sys.executable, "-c", UNPACK, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found: list[str] = json.loads(out)
    return found


def digest(images: LabeledImages) -> str:
    return hashlib.sha256(images.images.numpy().tobytes() + images.labels.numpy().tobytes()).hexdigest()


def test_mnist_is_mnist() -> None:
    splits, test = load_splits("mnist", 5000), load_test_images("mnist")
    assert splits.train.images.shape == (55_000, 1, 28, 28)
    assert splits.validation.images.shape == (5_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert test.images.dtype == torch.uint8
    assert test.labels.dtype == torch.int64
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    everything = torch.cat([splits.train.images, splits.validation.images]).float()
    assert everything.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert everything.std() / 255 == pytest.approx(0.3081, abs=1e-4)


def test_bundled_files_have_the_published_checksums() -> None:
    for name, expected in mnist._SHA256.items():
        assert hashlib.sha256(lzma.decompress((MNIST / f"{name}.xz").read_bytes())).hexdigest() == expected


def test_train_and_validation_are_all_images_and_share_none() -> None:
    splits = load_splits("mnist", 5000)
    both = torch.cat([splits.train.images, splits.validation.images]).flatten(1)
    assert len(both) == 60_000
    # MNIST has almost no duplicates: an image in both parts would show as one.
    assert len({hashlib.blake2b(row.numpy().tobytes()).digest() for row in both}) > 59_900


@pytest.mark.parametrize("size", [10, 777, 5000])
def test_shares_of_classes_are_equal_within_one_image(size: int) -> None:
    splits = load_splits("mnist", size)
    whole = torch.cat([splits.train.labels, splits.validation.labels]).bincount(minlength=10) / 60_000
    assert (splits.validation.labels.bincount(minlength=10) - whole * size).abs().max() <= 1
    assert len(splits.validation) == size


@pytest.mark.parametrize("limit", [10, 300, 5001])
def test_limit_keeps_so_many_training_images_in_equal_shares(limit: int) -> None:
    full, splits = load_splits("mnist", 5000), load_splits("mnist", 5000, limit)
    assert len(splits.train) == limit
    shares = full.train.labels.bincount(minlength=10) / len(full.train)
    assert (splits.train.labels.bincount(minlength=10) - shares * limit).abs().max() <= 2
    assert digest(splits.validation) == digest(full.validation)
    known = {row.numpy().tobytes() for row in full.train.images}
    assert all(row.numpy().tobytes() in known for row in splits.train.images)


def test_smaller_limits_are_parts_of_larger_ones() -> None:
    small, large = (load_splits("mnist", 5000, limit).train for limit in (50, 500))
    known = {row.numpy().tobytes() for row in large.images}
    assert all(row.numpy().tobytes() in known for row in small.images)


def test_the_impossible_is_said() -> None:
    with pytest.raises(RecipeError, match="leave no training images"):
        load_splits("mnist", 60_000)
    with pytest.raises(UnknownNameError, match="cifar"):
        load_splits("cifar", 5000)
    assert len(load_recipe_splits(Recipe(limit=300, batch_size=300)).train) == 300


def bundled_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "assets"
    shutil.copytree(MNIST, folder)
    monkeypatch.setattr(mnist, "find_bundled", lambda _: folder)
    return folder


def recompress(path: Path) -> None:
    content = bytearray(lzma.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(lzma.compress(bytes(content)))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a byte turned": lambda path: path.write_bytes(path.read_bytes()[:2000] + b"\x00\xff" + path.read_bytes()[2002:]),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "another digit": recompress,
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_asset_is_named(damage: str, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DAMAGES[damage](bundled_copy(tmp_path, monkeypatch) / "t10k-labels-idx1-ubyte.xz")
    with pytest.raises(AssetError, match=r"t10k-labels-idx1-ubyte\.xz") as caught:
        load_test_images("mnist")
    assert caught.value.fix
    assert not list((fresh / "cache").glob("*mnist*")), "nothing half-made stays"


def test_a_damaged_cache_is_made_again(fresh: Path) -> None:
    before = digest(load_test_images("mnist"))
    (cached,) = (fresh / "cache").glob("mnist-*.safetensors")
    torn = cached.read_bytes()[:1000]
    cache._mapped_tensors.clear()
    cached.unlink()  # the mapped file itself must not be cut under the tensors that look into it
    cached.write_bytes(torn)
    assert digest(load_test_images("mnist")) == before
    assert [path.name for path in (fresh / "cache").iterdir()] == [cached.name]


def test_two_processes_unpack_at_once_and_agree(tmp_path: Path) -> None:
    first, second = unpacking(tmp_path), unpacking(tmp_path)
    found = answer(first)
    assert answer(second) == found
    splits = load_splits("mnist", 5000, 1000)
    assert found == [digest(part) for part in (splits.train, splits.validation, splits.test)]
    assert sorted(path.name.split("-")[1] for path in (tmp_path / "cache").iterdir()) == ["test", "train"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    twenty_megabytes = 20 * 10**6  # the test images fit, the training images do not
    kind, message = answer(unpacking(tmp_path, str(twenty_megabytes)))
    assert kind == StorageError.__name__
    assert "cannot be written" in message
    assert not list((tmp_path / "cache").iterdir())
