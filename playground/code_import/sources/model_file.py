"""Files with a network: their kind by content, text of any usual encoding, and the configuration in a .keras file."""

import zipfile
from io import BytesIO
from pathlib import PurePath

from playground.errors import ArchitectureError

MAX_TEXT_BYTES = 20 * 1000**2
TEXT_SUFFIXES = ("json", "py", "txt", "md", "ipynb")
SUFFIXES = (*TEXT_SUFFIXES, "keras", "h5", "hdf5", "pt", "pth", "ckpt", "pkl", "onnx", "pb", "tflite")
"""Suffixes of files that are read, or refused with advice."""

_CONFIG_NAME = "config.json"
_MAX_CONFIG_BYTES = 5 * 1000**2
_MAX_READ_BYTES = _MAX_CONFIG_BYTES + 1
_BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_EXPECTED = "PyTorch or Keras code, a notebook, JSON, a link, or a .keras file."
_ONNX_FIX = "Paste the PyTorch or Keras code of the network."
_CHECKPOINT_FIX = (
    "Paste the code of the network; then import its weights, saved by "
    'safetensors.torch.save_file(model.state_dict(), "weights.safetensors").'
)
_HDF5_FIX = 'Load it in Keras and import the file of model.save("model.keras"), or the text of model.to_json().'


def read_model_file(name: str, content: bytes) -> str:
    """Return the text of a file, or of the configuration in a .keras file.

    Raises ArchitectureError for a file of another kind, with advice.
    """
    if content.startswith(b"PK\x03\x04"):
        return _read_keras_config(name, content)
    kind, fix = _find_binary_kind(PurePath(name).suffix.lower(), content)
    if kind:
        raise ArchitectureError(f"{name} cannot be imported: it is {kind}.", expected=_EXPECTED, fix=fix)
    if len(content) > MAX_TEXT_BYTES:
        raise ArchitectureError(f"{name} is larger than {MAX_TEXT_BYTES // 10**6} MB.", expected=_EXPECTED)
    text = decode_text(content)
    if "\0" in text:
        raise ArchitectureError(f"{name} is not a text.", expected=_EXPECTED)
    return text


def decode_text(content: bytes) -> str:
    """Decode text in UTF-8, UTF-16 or UTF-32, with or without byte order mark, or in Windows' Western encoding."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    if b"\0" in content[:200]:
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
        return content.decode(encoding, errors="replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _find_binary_kind(suffix: str, content: bytes) -> tuple[str, str]:
    """Return the kind of a binary file and advice; empty for text."""
    if content.startswith(b"\x89HDF\r\n"):
        return "an HDF5 file of Keras", _HDF5_FIX
    if content[:1] == b"\x80" and content[1:2] <= b"\x05" and content[-1:] == b".":
        return "a pickle, which could execute code when it is loaded", _CHECKPOINT_FIX
    if suffix == ".onnx":
        return "an ONNX model", _ONNX_FIX
    if suffix == ".tflite" or content[4:8] == b"TFL3":
        return "a TensorFlow Lite model", _ONNX_FIX
    if suffix == ".pb":
        return "a TensorFlow graph", _ONNX_FIX
    if suffix in (".pt", ".pth", ".ckpt", ".pkl"):
        return "a checkpoint", _CHECKPOINT_FIX
    if suffix in (".h5", ".hdf5"):
        return "a damaged HDF5 file", _HDF5_FIX
    return "", ""


def _read_keras_config(name: str, content: bytes) -> str:
    """Read the configuration of a .keras file; memory is bounded for any size that the archive declares."""
    damaged = ArchitectureError(f"{name} is a damaged ZIP file.", expected=_EXPECTED, fix="Save the model again.")
    try:
        with zipfile.ZipFile(_BoundedReader(content)) as archive:
            names = archive.namelist()
            if _CONFIG_NAME in names:
                entry = archive.getinfo(_CONFIG_NAME)
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise damaged
                with archive.open(entry) as opened:
                    config = opened.read(_MAX_READ_BYTES)
            elif any(PurePath(inner).name == "data.pkl" for inner in names):
                raise ArchitectureError(
                    f"{name} is a checkpoint of PyTorch, whose pickle could execute code when it is loaded.",
                    expected=_EXPECTED,
                    fix=_CHECKPOINT_FIX,
                )
            else:
                raise ArchitectureError(
                    f"{name} is a ZIP file, but not a .keras file.", expected=_EXPECTED, fix="Unpack it first."
                )
    except ArchitectureError:
        raise
    except Exception as error:  # zipfile and zlib raise errors of many types for damaged files
        raise damaged from error
    if len(config) > _MAX_CONFIG_BYTES:
        raise ArchitectureError(f"The configuration in {name} is larger than {_MAX_CONFIG_BYTES // 10**6} MB.")
    return decode_text(config)


class _BoundedReader(BytesIO):
    """ZIP file with a limit on the size of each read, against forged sizes of its directory and entries."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most ``_MAX_READ_BYTES``."""
        if size is not None and size > _MAX_READ_BYTES:
            raise zipfile.BadZipFile("too large")
        return super().read(_MAX_READ_BYTES if size is None or size < 0 else size)
