"""MNIST from the bundled files, verified by checksum and unpacked once."""

import hashlib
import lzma
import tempfile
from pathlib import Path

from torch import Tensor

from playground.engine.cache import cached
from playground.engine.data.cache import is_cached, load_or_create_tensors
from playground.engine.paths import find_bundled
from playground.errors import AssetError

_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@cached(max_bytes=64 * 2**20)
def load_mnist() -> dict[str, Tensor]:
    """Memory-map the four tensors of MNIST; the first call unpacks them into the cache."""
    return load_or_create_tensors(_cache_name(), lambda: _unpack_mnist(find_bundled("assets/mnist")))


def is_unpacked() -> bool:
    """Return True if MNIST has been unpacked into the cache."""
    return is_cached(_cache_name())


def _cache_name() -> str:
    return f"mnist-{hashlib.sha256(''.join(_SHA256.values()).encode()).hexdigest()[:12]}"


def _unpack_mnist(folder: Path) -> dict[str, Tensor]:
    # torchvision takes seconds to import and is needed only for unpacking.
    from torchvision.datasets.mnist import read_image_file, read_label_file

    tensors: dict[str, Tensor] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in _SHA256:
            raw = Path(scratch) / name
            raw.write_bytes(_read_verified(folder, name))
            part = "train" if name.startswith("train") else "test"
            if "images" in name:
                tensors[f"{part}_images"] = read_image_file(str(raw)).unsqueeze(1).contiguous()
            else:
                tensors[f"{part}_labels"] = read_label_file(str(raw))
    return tensors


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
