"""Network of a published page: what is embedded is read back exactly, and damage is named."""

import base64
import hashlib
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.core.architecture import Architecture
from playground.core.layers import BatchNorm, Conv2d, Flatten, Output, Residual
from playground.core.recipe import Recipe
from playground.errors import PlaygroundError, SchemaVersionError, StorageError
from playground.web import page_file
from playground.web.network_file import WeightType, encode_network
from playground.web.page_file import (
    PublishedNetwork,
    is_published_page,
    read_published_page,
    render_network_element,
)
from tests.web.compare_networks import make_model

NET = Architecture(
    layers=(
        Conv2d(out_channels=4),
        BatchNorm(),
        Residual(layers=(Conv2d(out_channels=4, padding=1),)),
        Flatten(),
        Output(),
    )
)
RECIPE = Recipe(dataset="fashion-mnist", lr=0.02, seed=5)


def make_network(title: str = "A net") -> PublishedNetwork:
    weights = {name: tensor.numpy() for name, tensor in make_model(NET).module.state_dict().items()}
    weights["1.num_batches_tracked"] = np.array(321)
    return PublishedNetwork(title, NET, RECIPE, weights, '{"title": "Own"}')


def make_page(network: PublishedNetwork | None = None, weight_type: WeightType = "float32") -> bytes:
    element = render_network_element(network or make_network(), weight_type=weight_type)
    return f"<!doctype html><title>x</title><p>Text</p>\n{element}\n<script>1 < 2</script></body></html>".encode()


def embed(content: bytes) -> bytes:
    """Make a page with another network file, whose digest is right."""
    digest, text = hashlib.sha256(content).hexdigest(), base64.b64encode(content).decode()
    return f'<script id="network-file" data-sha256="{digest}">{text}</script>'.encode()


def test_network_is_read_back_exactly() -> None:
    network = make_network('"></script><b>&amp;\U0001f642')
    read = read_published_page("net.html", make_page(network))
    assert (read.title, read.architecture, read.recipe) == (network.title, NET, RECIPE)
    assert read.dataset_record == network.dataset_record
    assert read.weights.keys() == network.weights.keys()
    for name, values in network.weights.items():
        np.testing.assert_array_equal(read.weights[name], values)
        assert read.weights[name].dtype == values.dtype


def test_float16_weights_are_rounded_once() -> None:
    network = make_network()
    content = make_page(network, "float16")
    read = read_published_page("net.html", content)
    assert len(content) < 0.6 * len(make_page(network))
    for name, values in network.weights.items():
        expected = values.astype(np.float16).astype(np.float32) if values.dtype.kind == "f" else values
        np.testing.assert_array_equal(read.weights[name], expected)


def test_page_that_a_browser_has_saved_is_read() -> None:
    """A browser sorts attributes in its own way, and may add a comment and a line break."""
    match = re.search(r'data-sha256="(\w+)">([^<]+)<', make_page().decode())
    assert match is not None
    digest, text = match.groups()
    saved = (
        "<!-- saved from url=(0014)about:internet -->\n<HTML><SCRIPT data-sha256='"
        f"{digest}' type='application/octet-stream' ID=network-file>{text[:99]}\r\n{text[99:]}\n</SCRIPT></HTML>"
    ).encode()
    assert is_published_page(saved)
    assert read_published_page("net.html", saved).architecture == NET


def test_other_pages_are_not_published_pages() -> None:
    assert not is_published_page(b"<!doctype html><script>document.title = 'network-file'</script>")
    assert not is_published_page(b"<script>node.id = 'network-file' > 0</script>")
    assert not is_published_page(b"<div id='network-file'></div>")
    assert not is_published_page(b"model = nn.Sequential()")


@pytest.mark.parametrize(
    "part",
    [b"<script id=x network-file ", b"<script ", b"network-file", b"<!--<script id='network-file' "],
    ids=["attributes", "tags", "names", "comments"],
)
def test_page_made_to_take_long_is_refused_at_once(part: bytes) -> None:
    with pytest.raises(StorageError, match="is damaged"):
        read_published_page("net.html", part * 200_000)


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut": (lambda page: page[: len(page) // 2], "ends before its network does"),
    "changed": (lambda page: page.replace(b'">', b'">AAAA', 1), "was changed"),
    "no digest": (lambda page: page.replace(b"data-sha256", b"data-x"), "was changed"),
    "not base64": (lambda page: page.replace(b"</script>", b"*</script>", 1), "is not base64"),
    "no network": (lambda page: page.replace(b"network-file", b"other"), "has no network"),
    "not safetensors": (lambda page: embed(b"\x08\0\0\0\0\0\0\0notjson!"), "not a safetensors file"),
    "empty": (lambda page: embed(b""), "not a safetensors file"),
    "no recipe": (lambda page: embed(encode_network(NET, {}, labels={"counters": "{}"})), "no architecture or recipe"),
    "bad counters": (
        lambda page: embed(encode_network(NET, {}, labels={"recipe": "{}", "counters": '{"a": "b"}'})),
        "counters",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(name: str) -> None:
    damage, words = DAMAGES[name]
    with pytest.raises(StorageError, match=words) as caught:
        read_published_page("net.html", damage(make_page()))
    assert "net.html" in caught.value.what
    assert caught.value.fix


def test_page_of_a_newer_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = make_page()
    monkeypatch.setattr(page_file, "NETWORK_FILE_SCHEMA", 0)
    with pytest.raises(SchemaVersionError, match="schema 1"):
        read_published_page("net.html", content)


def test_page_above_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_file, "MAX_PAGE_BYTES", 1000)
    with pytest.raises(StorageError, match="larger than"):
        read_published_page("net.html", make_page())


@given(st.data())
def test_damaged_bytes_give_an_error_or_the_same_network(data: st.DataObject) -> None:
    content = bytearray(make_page())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = read_published_page("net.html", bytes(content))
    except PlaygroundError:
        return
    assert read.architecture == NET
    np.testing.assert_array_equal(read.weights["0.weight"], make_network().weights["0.weight"])
