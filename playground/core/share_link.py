"""Share links: a network and its recipe as the value of a URL's query parameter ``net``.

The text is a version, a dot, and compressed JSON. The JSON holds every value, so that changed defaults do not matter.
"""

import base64
import binascii
import json
import zlib
from typing import Any
from urllib.parse import parse_qs

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.errors import ArchitectureError, SchemaVersionError

QUERY_PARAMETER = "net"
LINK_VERSION = 1
MAX_LINK_LENGTH = 60_000
_MAX_DECOMPRESSED_BYTES = 300_000

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


def decode_link(text: str) -> tuple[Architecture, Recipe]:
    """Decode a text of ``encode_link``, or a whole URL with it.

    Raises ArchitectureError for a damaged link, SchemaVersionError for a newer version, RecipeError for an invalid
    recipe.
    """
    if len(text) > MAX_LINK_LENGTH:
        raise _invalid_link_error(f"it has {len(text):,} characters, at most {MAX_LINK_LENGTH:,} are read")
    query = text.strip().partition("#")[0].rpartition("?")[2]
    version, dot, packed = parse_qs(query).get(QUERY_PARAMETER, [query])[0].partition(".")
    if not dot or not (version.isascii() and version.isdecimal()):
        raise _invalid_link_error("it does not begin with a version and a dot")
    if version != str(LINK_VERSION):
        raise SchemaVersionError(
            f"This link has version {version[:20]}.",
            expected=f"This program reads version {LINK_VERSION}.",
            fix="Install a newer CNN Playground.",
        )
    architecture, recipe = _parse_payload(_decompress(packed))
    return Architecture.from_json(architecture), Recipe.from_json(recipe)


def _decompress(encoded: str) -> bytes:
    """Decompress at most ``_MAX_DECOMPRESSED_BYTES``, so that a small text cannot fill the memory."""
    decompressor = zlib.decompressobj(zdict=_COMPRESSION_DICTIONARY)
    try:
        packed_bytes = base64.b64decode(encoded.encode() + b"=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        content = decompressor.decompress(packed_bytes, _MAX_DECOMPRESSED_BYTES)
    except (binascii.Error, zlib.error, ValueError):
        raise _invalid_link_error("a part is missing or was changed") from None
    if not decompressor.eof or decompressor.unused_data:
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
