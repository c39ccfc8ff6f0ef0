"""The network in a published web page, embedded so that Import brings it back."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.errors import SchemaVersionError, StorageError
from playground.web.network_file import NETWORK_FILE_SCHEMA, WeightType, encode_network

MAX_PAGE_BYTES = 80 * 10**6
PAGE_SUFFIXES = ("html", "htm")

_ELEMENT_ID = "network-file"
_MAX_TAG_BYTES, _MAX_CANDIDATES = 200, 100
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""")
_END_TAG = re.compile(rb"</script", re.IGNORECASE)
_TITLE, _RECIPE, _COUNTERS, _DATASET = "title", "recipe", "counters", "dataset"
_EXPECTED = "A web page that CNN Playground has published, as it was downloaded."
_FIX = "Download the page again; do not copy its text."


@dataclass(frozen=True)
class PublishedNetwork:
    """Network of a published page.

    ``weights`` are the tensors of a snapshot, floating-point ones in float32. ``dataset_record``: the record of a
    custom dataset as JSON, empty for other datasets.
    """

    title: str
    architecture: Architecture
    recipe: Recipe
    weights: dict[str, NDArray[Any]]
    dataset_record: str = ""


def render_network_element(network: PublishedNetwork, *, weight_type: WeightType = "float32") -> str:
    """Render the HTML element that holds the network file in base64, with its digest.

    Counters (integer tensors) are kept as metadata, since the browser engine reads floating-point tensors only. Raises
    as ``encode_network``.
    """
    counters = {name: values.tolist() for name, values in network.weights.items() if values.dtype.kind != "f"}
    content = encode_network(
        network.architecture,
        {name: values for name, values in network.weights.items() if name not in counters},
        weight_type=weight_type,
        labels={
            _TITLE: network.title,
            _RECIPE: network.recipe.to_canonical_json(),
            _COUNTERS: json.dumps(counters),
            _DATASET: network.dataset_record,
        },
    )
    digest = hashlib.sha256(content).hexdigest()
    text = base64.b64encode(content).decode()
    return f'<script type="application/octet-stream" id="{_ELEMENT_ID}" data-sha256="{digest}">{text}</script>'


def is_published_page(content: bytes) -> bool:
    """Return True for a page with the element of a network, damaged or not."""
    return _find_element(content) is not None


def read_published_page(name: str, content: bytes) -> PublishedNetwork:
    """Read the network of a published page; nothing in the page is executed.

    Raises StorageError for a page that is damaged or too large, SchemaVersionError for one of a newer version,
    ArchitectureError or RecipeError for a network or recipe that cannot be read.
    """
    if len(content) > MAX_PAGE_BYTES:
        raise StorageError(f"{name} is larger than {MAX_PAGE_BYTES // 10**6} MB.", expected=_EXPECTED)
    network_file = _extract_network_file(name, content)
    tensors, metadata = _read_network_file(name, network_file)
    schema = metadata.get("schema", "")
    if schema[:9].isdecimal() and int(schema[:9]) > NETWORK_FILE_SCHEMA:
        raise SchemaVersionError(
            f"The network in {name} has schema {schema[:20]}.",
            expected=f"This version reads schemas up to {NETWORK_FILE_SCHEMA}.",
            fix="Install a newer CNN Playground.",
        )
    if not {_RECIPE, _COUNTERS, "architecture"} <= metadata.keys():
        raise _make_damage_error(name, "its network has no architecture or recipe")
    return PublishedNetwork(
        metadata.get(_TITLE, ""),
        Architecture.from_json(metadata["architecture"]),
        Recipe.from_json(metadata[_RECIPE]),
        {name: values.astype(np.float32) for name, values in tensors.items()} | _read_counters(name, metadata),
        metadata.get(_DATASET, ""),
    )


def _extract_network_file(name: str, content: bytes) -> bytes:
    element = _find_element(content)
    if element is None:
        raise _make_damage_error(name, "it has no network")
    end = _END_TAG.search(content, element.text_start)
    if end is None:
        raise _make_damage_error(name, "it ends before its network does")
    try:
        network_file = base64.b64decode(b"".join(content[element.text_start : end.start()].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _make_damage_error(name, "its network is not base64") from error
    if hashlib.sha256(network_file).hexdigest() != element.digest:
        raise _make_damage_error(name, "its network was changed")
    return network_file


class _Element(NamedTuple):
    """Digest of the network file, and the position of its base64 text in the page."""

    digest: str
    text_start: int


def _find_element(content: bytes) -> _Element | None:
    """Find the element of the network; browsers that save a page write the attributes in their own way.

    The time is bounded for any content: only the surroundings of a few places are parsed.
    """
    position = -1
    for _ in range(_MAX_CANDIDATES):
        position = content.find(_ELEMENT_ID.encode(), position + 1)
        if position < 0:
            return None
        start = content.rfind(b"<", max(0, position - _MAX_TAG_BYTES), position)
        end = content.find(b">", max(start, 0), position + _MAX_TAG_BYTES)
        if start < 0 or end < position:  # not inside of a tag
            continue
        tag = content[start:end].decode("utf-8", errors="replace")
        attributes = {name.lower(): "".join(values) for name, *values in _ATTRIBUTE.findall(tag)}
        if tag.lower().startswith("<script") and attributes.get("id") == _ELEMENT_ID:
            return _Element(attributes.get("data-sha256", ""), end + 1)
    return None


def _read_network_file(name: str, network_file: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    try:
        tensors = load(network_file)
        size = int.from_bytes(network_file[:8], "little")
        metadata = json.loads(network_file[8 : 8 + size])["__metadata__"]
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise _make_damage_error(name, "its network is not a safetensors file") from error
    if any(values.dtype.kind != "f" for values in tensors.values()):
        raise _make_damage_error(name, "its weights are not floating-point numbers")
    return tensors, metadata


def _read_counters(name: str, metadata: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    try:
        counters = json.loads(metadata[_COUNTERS])
        return {key: np.asarray(value, dtype=np.int64) for key, value in counters.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _make_damage_error(name, "the counters of its network cannot be read") from error


def _make_damage_error(name: str, reason: str) -> StorageError:
    return StorageError(f"{name} is damaged: {reason}.", expected=_EXPECTED, fix=_FIX)
