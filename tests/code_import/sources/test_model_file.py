"""Files of every encoding and kind: read, or refused with advice."""

import io
import json
import pickle
import zipfile
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from playground.code_import.parse_network import parse_network_file
from playground.code_import.sources.model_file import read_model_file
from playground.codegen.torch_model import to_json
from playground.errors import ArchitectureError, PlaygroundError
from tests.code_import.sources.test_clean_code import CODE, NETWORK

_KERAS_CONFIG = {
    "class_name": "Sequential",
    "config": {
        "name": "sequential",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 28, 28, 1]}},
            {"class_name": "Conv2D", "config": {"filters": 8, "kernel_size": [3, 3], "activation": "relu"}},
            {"class_name": "MaxPooling2D", "config": {"pool_size": [2, 2]}},
            {"class_name": "Flatten", "config": {}},
            {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
        ],
    },
}


def _zip(**files: bytes | str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return content.getvalue()


_KERAS_FILE = _zip(metadata__json="{}", config__json=json.dumps(_KERAS_CONFIG), model__weights__h5=b"\x89HDF\r\n")


FILES = {
    "UTF-8.py": CODE.encode(),
    "byte order mark.py": CODE.encode("utf-8-sig"),
    "UTF-16.py": CODE.encode("utf-16"),
    "UTF-16 without mark.py": CODE.encode("utf-16-le"),
    "UTF-16, big end first.py": b"\xfe\xff" + CODE.encode("utf-16-be"),
    "UTF-32.py": CODE.encode("utf-32"),
    "Windows.txt": f"# Größe: äöü\n{CODE}".encode("cp1252"),
    "Markdown.md": f"Text\n```python\n{CODE}```\n".encode(),
    "Keras.json": json.dumps(_KERAS_CONFIG).encode("utf-8-sig"),
    "own.json": to_json(NETWORK).encode("utf-8-sig"),
    "a.keras": _KERAS_FILE,
    "keras.zip": _KERAS_FILE,
}


@pytest.mark.parametrize("name", FILES)
def test_file_is_read_whatever_its_encoding(name: str) -> None:
    found = parse_network_file(name, FILES[name])
    assert found.architecture.to_canonical_json() == NETWORK.to_canonical_json()


REFUSED_FILES = {
    "a.h5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5 file of Keras", 'model.save("model.keras")'),
    "a.pt": (_zip(**{"a/data__pkl": b""}), "checkpoint of PyTorch", "safetensors"),
    "a.pth": (pickle.dumps({"a": 1}), "a pickle, which could execute code", "safetensors"),
    "text.pth": (b"text", "a checkpoint", "safetensors"),
    "a.onnx": (b"\x08\x07\x12\x07pytorch", "an ONNX model", "Paste"),
    "a.tflite": (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model", "Paste"),
    "a.zip": (_zip(b="c"), "not a .keras file", "Unpack"),
    "cut.keras": (_KERAS_FILE[:-40], "damaged ZIP", "Save"),
    "binary.py": (b"\x00\x01" * 90 + b"\0\0", "not a text", ""),
}


@pytest.mark.parametrize("name", REFUSED_FILES)
def test_file_of_another_kind_is_rejected_with_advice(name: str) -> None:
    content, what, fix = REFUSED_FILES[name]
    with pytest.raises(ArchitectureError) as caught:
        parse_network_file(name, content)
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert name in caught.value.what


def test_configuration_of_a_keras_file_is_read_up_to_a_limit() -> None:
    with pytest.raises(ArchitectureError, match="larger than 5 MB"):
        read_model_file("a.keras", _zip(config__json=b" " * 50_000_000))


def test_forged_directory_size_is_not_read() -> None:
    content = bytearray(_KERAS_FILE + bytes(10_000_000))
    end = _KERAS_FILE.rindex(b"PK\x05\x06")
    content += _KERAS_FILE[end:]
    content[-10:-6] = (9_000_000).to_bytes(4, "little")
    with pytest.raises(ArchitectureError, match="damaged ZIP"):
        read_model_file("a.keras", bytes(content))


_SEEDS = (_KERAS_FILE, CODE.encode("utf-16"), json.dumps(_KERAS_CONFIG).encode(), zlib.compress(b"a"))


@given(
    source=st.sampled_from(_SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 40), st.binary(max_size=8)), min_size=1, max_size=5),
)
@example(source=b"PK\x03\x04", edits=[(0, 0, b"")])
@example(source=b"\xff\xfe\x00", edits=[(0, 0, b"")])
def test_damaged_file_gives_a_network_or_a_playground_error(source: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for place, removed, added in edits:
        source = source[:place] + added + source[place + removed :]
    with suppress(PlaygroundError):
        parse_network_file("a.keras", source)
