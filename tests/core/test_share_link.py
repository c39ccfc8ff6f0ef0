"""Share links: round trip, identical text for equal values, and rejection of invalid text."""

import base64
import zlib
from unittest.mock import Mock
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from playground.core import share_link as link
from playground.core.architecture import MAX_LAYERS, Architecture
from playground.core.layers import BatchNorm, Conv2d, Residual
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.recipe import Recipe
from playground.core.share_link import MAX_LINK_LENGTH, contains_link, decode_link, encode_link
from playground.errors import ArchitectureError, PlaygroundError, RecipeError, SchemaVersionError
from tests import strategies

_GUIDE = encode_link(ARCHITECTURE_PRESETS["guide"].architecture, RECIPE_PRESETS["tutorial"].recipe)


@given(architecture=strategies.any_architectures(most=None), recipe=strategies.recipes())
@settings(max_examples=200)
def test_link_round_trip(architecture: Architecture, recipe: Recipe) -> None:
    text = encode_link(architecture, recipe)
    found_architecture, found_recipe = decode_link(text)
    assert found_architecture.to_canonical_json() == architecture.to_canonical_json()
    assert found_recipe == recipe
    assert encode_link(found_architecture, found_recipe) == text
    assert all(letter.isalnum() or letter in ".-_" for letter in text)


@pytest.mark.parametrize("name", ARCHITECTURE_PRESETS)
def test_links_of_presets_are_short(name: str) -> None:
    assert len(encode_link(ARCHITECTURE_PRESETS[name].architecture, RECIPE_PRESETS["sprint"].recipe)) < 200


def test_link_of_the_first_version_can_be_decoded() -> None:
    """The text was written by version 0.1."""
    old = "1.ePmXWnGyGy0oh09BOVoTDImagJ7lnhlR5Z4pSrGnRKPyjMKSCgA5V4rW"
    assert decode_link(old) == (ARCHITECTURE_PRESETS["guide"].architecture, RECIPE_PRESETS["sprint"].recipe)


def test_link_of_the_largest_network_can_be_decoded() -> None:
    inner = tuple(
        part
        for index in range(4)
        for part in (Conv2d(out_channels=500 + index), BatchNorm(eps=1e-5 + index / 7e6, momentum=1 / (index + 3)))
    )
    layers = tuple(
        Residual(
            layers=tuple(
                part.replace(eps=part.eps * (1 + index / 99)) if part.kind == "batch_norm" else part for part in inner
            )
        )
        for index in range(MAX_LAYERS)
    )
    text = encode_link(Architecture(layers=layers), Recipe())
    assert len(text) < MAX_LINK_LENGTH
    assert decode_link(text)[0] == Architecture(layers=layers)


@pytest.mark.parametrize(
    "pasted",
    [
        "https://example.org/?net={}",
        "https://example.org/app?page=1&net={}&theme=dark#top",
        "http://localhost:8501/?net={}#",
        "?net={}",
        "net={}",
        "  {}\n",
        "https://example.org/?next=a?b&net={}",
    ],
)
def test_whole_url_is_decoded(pasted: str) -> None:
    assert decode_link(pasted.format(_GUIDE)) == decode_link(_GUIDE)


_URL = f"https://example.org/class/cnn/?net={_GUIDE}"


def _wrap(text: str, width: int, separator: str = "\n") -> str:
    return separator.join(text[start : start + width] for start in range(0, len(text), width))


def _quote_for_proofpoint(url: str) -> str:
    return quote(url, safe="").replace("-", "%2D").replace("_", "%5F").replace("%2F", "_").replace("%", "-")


@pytest.mark.parametrize(
    "pasted",
    [
        _wrap(_URL, 76),
        _wrap(_URL, 39, "\r\n"),
        *(_wrap(_URL, width) for width in range(5, 30, 3)),
        "> " + _wrap(_URL, 60, "\n> "),
        ">> " + _wrap(_URL, 60, "\n>> "),
        _wrap(_GUIDE, 20),
        f"<{_URL}>",
        f"<{_wrap(_URL, 50)}>",
        f"<{_GUIDE}>",
        f"{_URL}.",
        f"({_URL}), and more words",
        f'"{_URL}"',
        f"*{_URL}*",
        f"_{_URL}_",
        f"Hello,\n\nhere is my network:\n\n{_wrap(_URL, 76)}\n\nRegards\nA-B_c",
        f"{_URL} is my network",
        f"[{_URL}]({_URL})",
        f"[{_URL[:60]}…]({_URL})",
        f'<a href="https://example.org/?run=a&amp;net={_GUIDE}">my network</a>',
        f"https://example.org/?run=a&amp;net={_GUIDE}&amp;theme=dark",
        f"https://eur01.safelinks.protection.outlook.com/?url={quote(_URL, safe='')}&data=05%7C02&sdata=x%3D",
        _wrap(f"https://eur01.safelinks.protection.outlook.com/?url={quote(_URL, safe='')}&amp;data=05%7C02", 76),
        f"https://www.google.com/url?q={quote(quote(_URL, safe=''), safe='')}&sa=D",
        f"https://urldefense.com/v3/__{_URL}__;!!Abc-d_e!xyz$",
        f"https://urldefense.proofpoint.com/v2/url?u={_quote_for_proofpoint(_URL)}&d=DwMFaQ&c=ab-c_d",
        _wrap(_URL.replace("=", "=3D"), 75, "=\n"),
        "\ufeff" + _URL,
        _wrap(_URL, 30, "\u200b"),
    ],
)
def test_link_from_a_mail_is_decoded(pasted: str) -> None:
    assert contains_link(pasted) == ("example" in "".join(pasted.replace(">", "").split()))
    assert decode_link(pasted) == decode_link(_GUIDE)


@given(
    architecture=strategies.any_architectures(most=None),
    width=st.integers(1, 100),
    before=st.sampled_from(("", "see: ", "> ")),
    after=st.sampled_from(("", ".", "\nThanks", ">", " AAAA", "\n-- \nAnna")),
)
def test_any_wrapped_link_is_decoded(architecture: Architecture, width: int, before: str, after: str) -> None:
    url = f"https://example.org/?net={encode_link(architecture, Recipe())}"
    found, _ = decode_link(before + _wrap(url, width) + after)
    assert found.to_canonical_json() == architecture.to_canonical_json()


def test_text_with_different_links_is_rejected() -> None:
    other = encode_link(ARCHITECTURE_PRESETS["tiny"].architecture, Recipe())
    with pytest.raises(ArchitectureError, match="2 different links"):
        decode_link(f"{_URL}\n\nhttps://example.org/?net={other}")


@pytest.mark.parametrize("text", ["", "planet=1.5", "net=nn.Sequential()", f"# {_URL}\nmodel = Net()", _GUIDE])
def test_text_without_a_url_contains_no_link(text: str) -> None:
    assert not contains_link(text)


def _packed(content: bytes) -> str:
    packer = zlib.compressobj(9, zdict=link._COMPRESSION_DICTIONARY)
    return "1." + base64.urlsafe_b64encode(packer.compress(content) + packer.flush()).decode().rstrip("=")


_RECIPE = Recipe().to_canonical_json()


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("", ArchitectureError, "does not begin with a version"),
        ("hello", ArchitectureError, "does not begin with a version"),
        ("https://example.org/", ArchitectureError, "does not begin with a version"),
        (_GUIDE[:-5], ArchitectureError, "a part is missing"),
        (_GUIDE + "AAAA", ArchitectureError, "a part is missing"),
        (_GUIDE.replace("e", "f", 3), ArchitectureError, "a part is missing"),
        (_GUIDE[:9] + "é" + _GUIDE[9:], ArchitectureError, "a part is missing"),
        ("2." + _GUIDE[2:], SchemaVersionError, "version 2"),
        ("x" * (MAX_LINK_LENGTH + 1), ArchitectureError, "characters"),
        (_packed(b"[" * 100_000), ArchitectureError, "does not hold a network"),
        (_packed(b"{}"), ArchitectureError, "does not hold a network"),
        (_packed(b'[{"layers":[{"kind":"nonsense"}]},{}]'), ArchitectureError, "layers.0"),
        (_packed(b'[{"schema":9},{}]'), SchemaVersionError, "schema 9"),
        (_packed(f'[{{"classes":1e99}},{_RECIPE}]'.encode()), ArchitectureError, "classes"),
        (_packed(b'[{},{"lr":NaN}]'), RecipeError, "lr"),
        (_packed(b'[{},{"surprise":1}]'), RecipeError, "surprise"),
        (_packed(b"[{},{},{}]"), ArchitectureError, "does not hold a network"),
    ],
)
def test_invalid_link_is_rejected_with_its_reason(text: str, error: type[PlaygroundError], what: str) -> None:
    with pytest.raises(error) as caught:
        decode_link(text)
    assert what in str(caught.value)


def test_decompression_stops_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of 40 kB would decompress to 30 MB."""
    parse_payload = Mock(wraps=link._parse_payload)
    monkeypatch.setattr(link, "_parse_payload", parse_payload)
    with pytest.raises(ArchitectureError, match="too much"):
        decode_link(_packed(b" " * 30_000_000))
    parse_payload.assert_not_called()


@given(
    text=st.text(max_size=80)
    | st.text("1.?&=net%#-_AZaz09", max_size=60)
    | st.binary(max_size=60).map(lambda content: f"1.{base64.urlsafe_b64encode(content).decode()}")
    | st.text(max_size=60).map(lambda content: _packed(content.encode("utf-8", "replace")))
)
@example(text="\ud800")
@example(text="1.\ud800")
@example(text="https://[::1?net=1.x")
@settings(max_examples=300)
def test_any_other_text_is_rejected(text: str) -> None:
    with pytest.raises(PlaygroundError):
        decode_link(text)


@given(index=st.integers(0, len(_GUIDE)), letters=st.text("ABCdef019-_.=?&%", max_size=3), gone=st.integers(0, 3))
@settings(max_examples=300)
def test_changed_link_is_rejected_or_decoded_identically(index: int, letters: str, gone: int) -> None:
    try:
        architecture, recipe = decode_link(_GUIDE[:index] + letters + _GUIDE[index + gone :])
    except PlaygroundError:
        return
    assert (architecture, recipe) == decode_link(_GUIDE)


def test_link_of_a_transfer_from_before_the_field_was_renamed() -> None:
    """Written by version 0.1, whose recipe had ``transferred_lr_share``."""
    architecture, recipe = decode_link(
        "1.ePmXWnGyG9oFpcUwLydRqrkR70HcbRqal96UlVXGWMsqA2qWVUqECyEiy46SosS84rTUoqLUlPicovjijMSiVEgDlZRyBQDf83Cm"
    )
    assert recipe == Recipe(transferred_lr_scale=0.25, epochs=3)
    assert architecture == ARCHITECTURE_PRESETS["tiny"].architecture
