"""Share links: a network and its recipe as the value of a URL's query parameter ``net``.

The text is a version, a dot, and compressed JSON. The JSON holds every value, so that changed defaults do not matter.
"""

import base64
import binascii
import json
import re
import zlib
from bisect import bisect, bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from urllib.parse import unquote

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.errors import ArchitectureError, PlaygroundError, SchemaVersionError

QUERY_PARAMETER = "net"
LINK_VERSION = 1
MAX_LINK_LENGTH = 60_000
_MAX_DECOMPRESSED_BYTES = 300_000

_VALUE = r"(?P<version>[0-9]+)(?:\.|%(?:25)*2E)(?P<packed>[A-Za-z0-9_-]*)"
_LINK = re.compile(rf"(?:(?<![A-Za-z0-9_])|%(?:25)*(?:3F|26)){QUERY_PARAMETER}(?:=|%(?:25)*3D){_VALUE}")
_BARE_LINK = re.compile(rf"[^A-Za-z0-9_]*{_VALUE}")
_MAIL_QUOTE = re.compile(r"^[>|\s]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")

# Frequent parts of the JSON, to which the compressor refers. Another text would need another link version.
_COMPRESSION_DICTIONARY = (
    b'{"activation":"sigmoid","tanh","silu","gelu","elu","leaky_relu","kind":"residual","layers":[{"enabled":false,'
    b'"kind":"batch_norm","momentum":0.5},{"enabled":true,"eps":1e-05,"kind":"batch_norm","momentum":0.1},'
    b'{"enabled":true,"kind":"dropout","p":0.25},{"activation":"relu","enabled":true,"kind":"activation"},'
    b'{"enabled":true,"kind":"global_avg_pool"},{"enabled":true,"kernel_size":2,"kind":"avg_pool2d","padding":0,'
    b'"stride":null},{"activation":"none","bias":false,"dilation":1,"enabled":true,"groups":1,"kernel_size":3,'
    b'"kind":"conv2d","out_channels":16,"padding":"same","stride":1},[{"classes":10,"input":{"channels":1,"height":28,'
    b'"width":28},"layers":[{"activation":"relu","bias":true,"dilation":1,"enabled":true,"groups":1,"kernel_size":3,'
    b'"kind":"conv2d","out_channels":32,"padding":0,"stride":1},{"enabled":true,"kernel_size":2,"kind":"max_pool2d",'
    b'"padding":0,"stride":null},{"activation":"relu","bias":true,"dilation":1,"enabled":true,"groups":1,"kernel_size":3,'
    b'"kind":"conv2d","out_channels":64,"padding":0,"stride":1},{"enabled":true,"kind":"flatten"},{"activation":"relu",'
    b'"bias":true,"enabled":true,"kind":"linear","out_features":64},{"activation":"softmax","enabled":true,'
    b'"kind":"output","units":null}],"schema":1},{"augmentation":[{"kind":"shift","pixels":2.0},{"degrees":10.0,'
    b'"kind":"rotate"},{"amount":0.1,"kind":"scale"},{"degrees":8.0,"kind":"shear"},{"kind":"elastic","pixels":1.0},'
    b'{"amount":0.3,"kind":"thickness"},{"kind":"flip","p":0.5},{"kind":"erase","p":0.5,"size":8},{"kind":"noise",'
    b'"std":0.1}],"batch_size":128,"dataset":"mnist","device":"auto","epochs":1,"label_smoothing":0.1,"limit":null,'
    b'"lr":0.001,"optimizer":{"beta1":0.9,"beta2":0.999,"kind":"adamw","sgd","momentum":0.9,"nesterov":false},'
    b'"precision":"auto","schedule":{"div_factor":25.0,"kind":"one_cycle","pct_start":0.3},{"kind":"cosine"},'
    b'{"kind":"constant"},"schema":1,"seed":0,"validation_size":5000,"weight_decay":0.0}]'
)


def encode_link(architecture: Architecture, recipe: Recipe) -> str:
    """Encode the value of the ``net`` parameter; it is safe in a URL, and identical for equal values."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, zdict=_COMPRESSION_DICTIONARY)
    packed = (
        compressor.compress(f"[{architecture.to_canonical_json()},{recipe.to_canonical_json()}]".encode())
        + compressor.flush()
    )
    return f"{LINK_VERSION}.{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"


def contains_link(text: str) -> bool:
    """Return True if a URL with a share link is in the text, outside of comment lines."""
    return any(True for _ in _find_encoded_networks(_remove_wraps(text)))


def decode_link(text: str) -> tuple[Architecture, Recipe]:
    """Decode a text of ``encode_link``, a whole URL with it, or a text that contains the URL.

    The URL may be wrapped over lines, quoted, escaped or rewritten by a mail program. Raises ArchitectureError for a
    damaged link and for different links, SchemaVersionError for a newer version, RecipeError for an invalid recipe.
    """
    if len(text) > MAX_LINK_LENGTH:
        raise _invalid_link_error(f"it has {len(text):,} characters, at most {MAX_LINK_LENGTH:,} are read")
    unwrapped = _remove_wraps(text)
    found = list(_find_encoded_networks(unwrapped)) or list(_find_bare_network(unwrapped))
    if not found:
        raise _invalid_link_error("it does not begin with a version and a dot")
    contents: dict[bytes, None] = {}
    failures: list[PlaygroundError] = []
    for encoded in found:
        try:
            contents[_decompress(encoded)] = None
        except PlaygroundError as error:
            failures.append(error)
    if not contents:
        raise failures[0]
    if len(contents) > 1:
        raise ArchitectureError(f"The text has {len(contents)} different links.", fix="Paste only one of them.")
    architecture, recipe = _parse_payload(next(iter(contents)))
    return Architecture.from_json(architecture), Recipe.from_json(recipe)


@dataclass(frozen=True)
class _UnwrappedText:
    """Text without white space and quotation marks of mails; ``breaks`` are the sorted positions where some was."""

    text: str
    breaks: tuple[int, ...]


@dataclass(frozen=True)
class _EncodedNetwork:
    """Version and base64 text of a link; the text may end at each of ``possible_ends``, which are sorted."""

    version: str
    packed: str
    possible_ends: tuple[int, ...]


def _remove_wraps(text: str) -> _UnwrappedText:
    if "/urldefense" in text and "/v2/" in text:  # Proofpoint writes "-" for "%" and "_" for "/"
        text = unquote(text.replace("-", "%").replace("_", "/"))
    if "=3D" in text:  # quoted-printable, as in the source of a mail
        text = re.sub(r"=\r?\n", "", text).replace("=3D", "=")
    lines = (_MAIL_QUOTE.sub("", line) for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = [word for line in lines for word in _INVISIBLE.sub("", line).split()]
    return _UnwrappedText("".join(words), tuple(accumulate(map(len, words))))


def _find_encoded_networks(unwrapped: _UnwrappedText) -> Iterator[_EncodedNetwork]:
    for match in _LINK.finditer(unwrapped.text):
        yield _read_encoded_network(unwrapped, match)


def _find_bare_network(unwrapped: _UnwrappedText) -> Iterator[_EncodedNetwork]:
    if match := _BARE_LINK.match(unwrapped.text):
        yield _read_encoded_network(unwrapped, match)


def _read_encoded_network(unwrapped: _UnwrappedText, match: re.Match[str]) -> _EncodedNetwork:
    start, end = match.span("packed")
    breaks = unwrapped.breaks[bisect(unwrapped.breaks, start) : bisect_left(unwrapped.breaks, end)]
    return _EncodedNetwork(match["version"], match["packed"], (*(position - start for position in breaks), end - start))


def _decompress(encoded: _EncodedNetwork) -> bytes:
    """Decompress at most ``_MAX_DECOMPRESSED_BYTES``, so that a small text cannot fill the memory.

    The compressed data state their own end, so that words after a link are told from its wrapped lines.
    """
    if encoded.version != str(LINK_VERSION):
        raise SchemaVersionError(
            f"This link has version {encoded.version[:20]}.",
            expected=f"This program reads version {LINK_VERSION}.",
            fix="Install a newer CNN Playground.",
        )
    packed = encoded.packed
    decompressor = zlib.decompressobj(zdict=_COMPRESSION_DICTIONARY)
    try:
        packed_bytes = base64.urlsafe_b64decode(packed + "A" * (-len(packed) % 4))
        content = decompressor.decompress(packed_bytes, _MAX_DECOMPRESSED_BYTES)
    except (binascii.Error, zlib.error, ValueError):
        raise _invalid_link_error("a part is missing or was changed") from None
    used = -(-4 * (len(packed_bytes) - len(decompressor.unused_data)) // 3)
    following = packed[used : next((end for end in encoded.possible_ends if end >= used), used)]
    if not decompressor.eof or following.strip("-_"):  # both are letters of base64 and decoration
        raise _invalid_link_error("a part is missing or too much")
    return content


def _parse_payload(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        match json.loads(content):
            case [dict() as architecture, dict() as recipe]:
                return architecture, recipe
    except (ValueError, RecursionError):
        pass
    raise _invalid_link_error("it does not hold a network and its training settings")


def _invalid_link_error(reason: str) -> ArchitectureError:
    return ArchitectureError(
        f"This link cannot be read: {reason}.",
        expected=f"A link of CNN Playground has ?{QUERY_PARAMETER}={LINK_VERSION}.… in it.",
        fix="Copy the whole link again.",
    )
