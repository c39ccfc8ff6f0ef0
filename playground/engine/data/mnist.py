"""MNIST from the bundled files, verified by checksum and unpacked once."""

import hashlib
import lzma
from pathlib import Path

from torch import Tensor

from playground.engine.data.batch import LabeledImages, StoredSplit
from playground.engine.data.cache import is_cached, load_or_create_tensors
from playground.engine.data.idx import parse_idx
from playground.engine.paths import find_bundled
from playground.engine.progress import Progress, Steps
from playground.errors import AssetError

_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_FILE_NAMES: dict[StoredSplit, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load_mnist(split: StoredSplit) -> Steps[LabeledImages]:
    """Memory-map the training or the test images; the first call unpacks them into the cache."""
    tensors = yield from load_or_create_tensors(_get_cache_name(split), lambda: _unpack(split))
    return LabeledImages(tensors["images"], tensors["labels"])


def is_unpacked() -> bool:
    """Return True if the training images have been unpacked into the cache."""
    return is_cached(_get_cache_name("train"))


def _get_cache_name(split: StoredSplit) -> str:
    digest = hashlib.sha256("".join(_SHA256[name] for name in _FILE_NAMES[split]).encode()).hexdigest()
    return f"mnist-{split}-{digest[:12]}"


def _unpack(split: StoredSplit) -> Steps[dict[str, Tensor]]:
    folder = find_bundled("assets/mnist")
    contents = []
    for name in _FILE_NAMES[split]:
        yield Progress("Unpacking MNIST")
        contents.append(_read_verified(folder, name))
    images, labels = map(parse_idx, contents)
    return {"images": images.unsqueeze(1), "labels": labels.long()}


def _read_verified(folder: Path, name: str) -> bytes:
    path = folder / f"{name}.xz"
    try:
        content = lzma.decompress(path.read_bytes())
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise _damaged_file_error(path, str(error)) from error
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise _damaged_file_error(path, "its checksum is wrong")
    return content


def _damaged_file_error(path: Path, reason: str) -> AssetError:
    return AssetError(
        f"The bundled file {path.name} cannot be used: {reason}.",
        expected="Four files with known checksums, which come with the program.",
        fix="Install CNN Playground again, or restore assets/mnist from the repository.",
    )
